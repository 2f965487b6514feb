# machine: --numa 2
# append: memory_hotplug.memmap_on_memory=Y
# timeout: 200
# needs: plug unplug ev uev nb cb zones param hog where
# Maps in the blocks themselves: several such DIMMs, both zones, pages held, refusals, policy.
. "$GOLDEN_LIB"
param memmap_on_memory; uev
plug 128M 1; plug 128M 1; plug 256M 1; plug 128M 0; vz; w online_movable $M/memory32/state; w online_kernel $M/memory33/state; ev; zones 1; memtotal 1; vz; nb add k 0; nb keep k 1; nb alloc k 1; nb peek k 1
w offline $M/memory33/state; cb; ev; w online_kernel $M/memory33/state; cb; ev; zones 1; w online_movable $M/memory34/state; cb; zones 1; memtotal 1
w offline $M/memory32/state; cb; ev; zones 1; w offline $M/memory34/state; cb; ev; zones 1; w offline $M/memory33/state; cb; ev; zones 1; nodes
nb drop k; w offline $M/memory33/state; cb; ev; zones 1; nodes
nb del k; w online_movable $M/memory32/state; w online_kernel $M/memory33/state; w offline $M/memory32/state; ev; nodes; w offline $M/memory33/state; ev; nodes
w online_kernel $M/memory32/state; w online_kernel $M/memory33/state; ev; w offline $M/memory32/state; w offline $M/memory33/state; ev; nodes
w online_movable $M/memory32/state; hog h 100 1; where h; w offline $M/memory32/state; where h; ev; unhog h
w online_movable $M/memory34/state; w online_movable $M/memory32/state; w offline $M/memory34/state; ev; w offline $M/memory32/state; ev; nodes
step "refused once"
nb add v 0; nb set v GOING_ONLINE -12; w online_movable $M/memory32/state; zones 1; memtotal 1; cb; ev; nb set v GOING_ONLINE OK; w online_movable $M/memory32/state; nb set v GOING_OFFLINE -16; w offline $M/memory32/state; cb; ev; zones 1; memtotal 1; unplug dimm0; cb; ev; vz; nb set v ANY OK
step "policy"
param online_policy auto-movable; param auto_movable_numa_aware N; for r in 12 13 24 25 26 37 38; do param auto_movable_ratio $r; vz; done; w online_movable $M/memory36/state; for r in 12 13 24 25 26 37 38 50 49; do param auto_movable_ratio $r; vz; done
w online $M/auto_online_blocks; plug 128M 1; vz; plug 256M 1; vz; ev; zones 1
for i in 5 4 3 2 1 0; do unplug dimm$i; done; nodes; ev; cb; uev; vz
