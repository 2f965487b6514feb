# machine: --numa 2
# needs: plug unplug ev
# The word of a refused state write stays in the block and is used by the next online that brings none, once.
. "$GOLDEN_LIB"
plug 256M 1; w online $M/memory32/state; ev
step "refused, and it sticks: the boolean file uses it, once"
w online_movable $M/memory32/state; w offline $M/memory32/state; vz; w 1 $M/memory32/online; vz
w 0 $M/memory32/online; w 1 $M/memory32/online; vz
step "overwritten by later words"
w online_movable $M/memory32/state; w online_kernel $M/memory32/state; w 0 $M/memory32/online; w 1 $M/memory32/online; vz
step "untouched by junk and by a write of where it already is"
w online_movable $M/memory32/state; w junk $M/memory32/state; w 1 $M/memory32/online; w 0 $M/memory32/online; w 1 $M/memory32/online; vz
step "a word of its own wins and clears it"
w online_movable $M/memory32/state; w offline $M/memory32/state; w online_kernel $M/memory32/state; vz; w 0 $M/memory32/online; w 1 $M/memory32/online; vz
step "removing the block forgets it"
w online_movable $M/memory32/state; unplug dimm0; plug 256M 1; w 1 $M/memory32/online; vz
