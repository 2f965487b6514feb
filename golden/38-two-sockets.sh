# machine: --numa 3 --mem 2G --node-mem 1G,1G --smp 4 --cpu-node 0,0,1,1
# needs: plug unplug ev zones param
# Two nodes with boot memory and processors, a third with neither.
. "$GOLDEN_LIB"
nodes; r $N/has_cpu $N/possible; blk 0 7 8 15 16; plug 128M 0; plug 256M 1; plug 256M 2; vz; ev; nodes
for i in 32 33 34 35; do w online_movable $M/memory$i/state; done; vz; ev; nodes; zones 1; zones 2; zones 0
for i in 35 34 33 32; do w offline $M/memory$i/state; done; vz; ev; nodes
w online $M/memory33/state; w online $M/memory35/state; w online $M/memory34/state; w offline $M/memory33/state; w offline $M/memory35/state; w offline $M/memory34/state; vz; ev; nodes; zones 1; zones 2
w offline $M/memory15/state; w offline $M/memory0/state; w offline $M/memory8/state; ev; blk 8
param online_policy auto-movable; vz; for v in 12 13 25 26 27; do param auto_movable_ratio $v; vz; done
unplug dimm2; unplug dimm0; unplug dimm1; vz; nodes; ev
