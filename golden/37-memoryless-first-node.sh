# machine: --numa 2 --mem 1G --node-mem 0,1G
# needs: plug unplug ev zones param
# The node of the processors has no boot memory, the other has all.
. "$GOLDEN_LIB"
nodes; r $N/has_cpu $N/possible; blk 0 3 7; plug 256M 0; plug 256M 1; vz; ev; nodes; memtotal 0
w online_movable $M/memory32/state; ev; nodes; w offline $M/memory32/state; ev; nodes; w online $M/memory32/state; ev; nodes; w offline $M/memory32/state; ev; nodes; w online_kernel $M/memory33/state; ev; w offline $M/memory33/state; ev; vz
w online_movable $M/memory34/state; ev; w online_kernel $M/memory35/state; ev; zones 1; w offline $M/memory35/state; w offline $M/memory34/state; ev; unplug dimm0; unplug dimm1; nodes; vz
param online_policy auto-movable; vz; plug 256M 1; plug 128M 0; vz; param auto_movable_numa_aware N; vz
