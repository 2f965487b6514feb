# machine: --numa 1
# needs: plug unplug ev zones
# One node, where the system runs: its first kernel block is in use at once and never goes; later ones and movable ones do.
. "$GOLDEN_LIB"
plug 256M 0; plug 128M 0; vz; nodes; ev
step "the first kernel block"
w online $M/memory32/state; ev; vz; zones 0; w offline $M/memory32/state; ev; blk 32
step "two more, which go"
w online $M/memory33/state; w online $M/memory34/state; vz; zones 0; w offline $M/memory34/state; ev; w offline $M/memory33/state; ev; w offline $M/memory32/state; ev; vz
step "removal: one DIMM goes, the other does not"
unplug dimm1; unplug dimm0; ev; vz
step "movable blocks, and the same block in both zones"
w online_movable $M/memory33/state; w offline $M/memory33/state; ev; vz
plug 128M 0; w online_movable $M/memory34/state; vz; w offline $M/memory34/state; w online_kernel $M/memory34/state; vz; w offline $M/memory34/state; unplug dimm2; vz; ev
