# machine: --numa 2 --mem 3G
# needs: plug unplug ev zones param
# Boot memory on both sides of 4 GiB: DIMMs come behind it, and the zone Normal has boot memory.
. "$GOLDEN_LIB"
nodes; blk 0 7 15 16 31 32 39 40; plug 256M 0; plug 256M 1; vz; w online_movable $M/memory40/state; vz; w online $M/memory41/state; vz; ev; w offline $M/memory41/state; w offline $M/memory40/state; ev; vz; w online_kernel $M/memory41/state; vz; w offline $M/memory41/state; vz; ev
param online_policy auto-movable; vz; param auto_movable_ratio 10; vz; for v in 8 9 16 17; do param auto_movable_ratio $v; vz; done; param auto_movable_numa_aware N; vz; for v in 8 9 16 17; do param auto_movable_ratio $v; vz; done
w online $M/memory42/state; w online $M/memory43/state; vz; ev; nodes; zones 1; w offline $M/memory15/state; w offline $M/memory0/state; ev
unplug dimm0; unplug dimm1; vz; nodes; ev
