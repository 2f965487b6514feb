# machine: --numa 2
# needs: plug unplug ev
# The memory map of what is added lies in an online kernel block of the same node, and pins it. Movable blocks never get it.
. "$GOLDEN_LIB"
step "a kernel block is pinned by what is added to its node"
plug 128M 1; w online_kernel $M/memory32/state; ev; plug 128M 1; w offline $M/memory32/state; ev; blk 32
step "and free again when that is removed"
unplug dimm1; w offline $M/memory32/state; ev
step "a movable block is not"
w online_movable $M/memory32/state; ev; plug 128M 1; w offline $M/memory32/state; ev; blk 32
