# machine: --numa 2
# timeout: 300
# needs: plug unplug ev uev nb cb zones param
# Refused removals: blocks of both zones come back, with words that stick, with refusals, by policy.
. "$GOLDEN_LIB"
uev; plug 512M 1; nb add k 0; nb keep k 2
step "one block cannot go: what comes back, and where"
w online_kernel $M/memory34/state; cb; nb keep k 0; w online_movable $M/memory32/state; w online_movable $M/memory33/state; w online_kernel $M/memory35/state; vz; zones 1; ev; uev
unplug dimm0; cb; ev; uev; vz; zones 1
step "with words that stick"
w offline $M/memory35/state; w offline $M/memory33/state; w offline $M/memory32/state; w online_movable $M/memory32/state; w online_movable $M/memory33/state; w online_kernel $M/memory33/state; w online_movable $M/memory35/state; w online_kernel $M/memory35/state; w online_movable $M/memory32/state; vz; cb; ev; uev; unplug dimm0; cb; ev; uev; vz; zones 1
step "coming back is refused for one"
w offline $M/memory33/state; w online_movable $M/memory33/state; nb add v 5; nb set v GOING_ONLINE -12; unplug dimm0; cb; ev; uev; vz; zones 1; nodes; nb set v GOING_ONLINE OK; w 1 $M/memory32/online; w 1 $M/memory33/online; w 1 $M/memory35/online; vz; cb; ev
step "policies decide on the way back"
param online_policy auto-movable; param auto_movable_numa_aware N; unplug dimm0; vz; ev; cb; w offline $M/memory32/state; w offline $M/memory33/state; w offline $M/memory35/state; vz; param online_policy contig-zones; vz; w online_movable $M/memory35/state; w online_movable $M/auto_online_blocks; unplug dimm0; vz; ev; cb; nb drop k; unplug dimm0; vz; ev; cb; uev; nodes
