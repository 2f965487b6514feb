# machine: --numa 2
# needs: plug unplug ev nb uev
# A removal that is refused puts back what it took offline, with no word: the zone is chosen afresh.
. "$GOLDEN_LIB"
plug 256M 1; nb add k 0; nb keep k 2; w online_kernel $M/memory33/state; nb keep k 0; w online_movable $M/memory32/state; vz; ev; uev
step "the movable block goes and comes back as a kernel block"
unplug dimm0; ev; uev; vz; nodes
step "a block that was offline before stays offline"
w offline $M/memory32/state; ev; uev; unplug dimm0; ev; uev; vz
step "and it goes once nothing is held"
nb drop k; unplug dimm0; ev; uev; nodes
