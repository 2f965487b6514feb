# machine: --numa 2 --mem 1536M
# append: memory_hotplug.online_policy=auto-movable memory_hotplug.auto_movable_ratio=0x20 memory_hotplug.auto_movable_numa_aware=off memhp_default_state=online
# needs: plug unplug ev uev zones param
# Parameters on the command line, in other spellings, and changed later.
. "$GOLDEN_LIB"
for p in online_policy auto_movable_ratio auto_movable_numa_aware memmap_on_memory; do param $p; done; r $M/auto_online_blocks; uev
plug 256M 1; vz; ev; plug 128M 1; vz; plug 256M 1; vz; ev; nodes; zones 1
param auto_movable_ratio 40; plug 128M 1; vz; param auto_movable_ratio 41; plug 128M 1; vz; param auto_movable_ratio 301; plug 512M 1; vz; ev; zones 1
unplug dimm0; unplug dimm3; vz; ev; nodes; param online_policy contig-zones; plug 256M 1; vz; ev; zones 1; uev
w offline $M/auto_online_blocks; plug 256M 0; w online_movable $M/memory43/state; vz; param online_policy auto-movable; param auto_movable_numa_aware 1; vz; for v in 8 16 17 24 25 33; do param auto_movable_ratio $v; vz; done
