# machine: --numa 2 --mem 2G --node-mem 1G,1G --cpu-node 0,1
# timeout: 300
# needs: plug unplug ev hog where zones
# Two nodes with processors and boot memory: pages that cross, kernel blocks that stay.
. "$GOLDEN_LIB"
plug 256M 0; plug 256M 1; nodes; vz
step "Movable of both"
w online_movable $M/memory32/state; w online_movable $M/memory34/state; hog a 24 0; hog b 24 1; where a; where b; w offline $M/memory34/state; where b; where a; w offline $M/memory32/state; where a; where b; ev; unhog a; unhog b
step "kernel zones of both"
w online_kernel $M/memory32/state; w online_kernel $M/memory34/state; w offline $M/memory32/state; w offline $M/memory34/state; w online_kernel $M/memory33/state; w online_kernel $M/memory35/state; w offline $M/memory33/state; w offline $M/memory35/state; ev; zones 0; zones 1
step "removals"
unplug dimm0; unplug dimm1; vz; nodes; plug 128M 0; w online_movable $M/memory36/state; unplug dimm2; vz; ev
