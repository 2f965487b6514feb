# machine: --numa 2
# timeout: 300
# needs: plug unplug ev uev zones
# The same addresses on one node and then on the other; gaps that are filled; all out in the end.
. "$GOLDEN_LIB"
uev; plug 128M 1; plug 256M 0; plug 128M 1; w online_movable $M/memory32/state; w online_kernel $M/memory35/state; w online_movable $M/memory33/state; zones 1; zones 0; vz; nodes; ev
step "the same place on another node"
unplug dimm0; plug 128M 0; vz; w online_movable $M/memory32/state; zones 0; zones 1; w offline $M/memory33/state; zones 0; vz; unplug dimm1; vz; plug 256M 1; vz; w 1 $M/memory33/online; vz; zones 1; w online_movable $M/memory34/state; zones 1; zones 0; ev; uev; nodes
unplug dimm2; nodes; unplug dimm4; nodes; ev; uev; vz
step "links and numbers follow"
plug 128M 1; for i in 32 33; do blk $i; for n in $M/memory$i/node*; do note "${n##*/}"; done; r $N/node0/memory$i/state $N/node1/memory$i/state; x $M/memory$i/phys_index; done; uev
step "small ones beside each other, gone from the middle"
for i in 5 6 7 8 9 10; do plug 128M $((i % 2)); done; vz; w online_movable $M/auto_online_blocks; unplug dimm6; unplug dimm8; plug 256M 1; plug 128M 1; plug 128M 0; vz; zones 1; zones 0; nodes; ev
for d in 13 12 11 10 9 7 5 3; do unplug dimm$d; done; vz; nodes; zones 0; zones 1; ev; uev
