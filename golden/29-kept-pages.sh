# machine: --numa 2
# timeout: 300
# needs: plug unplug ev nb cb wt
# Pages that callbacks hold: which block they come from, who is refused for them, what becomes of one freed at GOING_OFFLINE.
. "$GOLDEN_LIB"
plug 512M 1; nb add k 0; nb keep k 2
step "one in each of two movable blocks: only the first is kept"
w online_movable $M/memory32/state; w online_movable $M/memory33/state; cb; ev
w offline $M/memory33/state; cb; ev; wt 2 offline $M/memory32/state; cb; ev; blk 32
nb drop k; w offline $M/memory32/state; cb; ev
step "with another block free in front"
nb keep k 0; w online_movable $M/memory32/state; nb keep k 2; w online_movable $M/memory33/state; cb; nb drop k; w online $M/memory34/state; cb; nb drop k
w offline $M/memory32/state; w offline $M/memory33/state; w offline $M/memory34/state; cb; ev
step "removal refused by a kernel-held page in a kernel zone"
w online_kernel $M/memory33/state; cb; w online_movable $M/memory34/state; w online_movable $M/memory35/state; cb; vz; ev; unplug dimm0; cb; ev; vz
nb keep k 1; unplug dimm0; cb; ev; vz; nb drop k; unplug dimm0; cb; ev; nodes
step "freed at GOING_OFFLINE and then refused"
plug 256M 1; nb keep k 1; nb add no -5; nb set no GOING_OFFLINE -16; w online_movable $M/memory32/state; cb; w offline $M/memory32/state; cb; ev; nb set no GOING_OFFLINE OK; w offline $M/memory32/state; cb; ev
step "kept at ONLINE before others say BAD; kept by two"
nb add k2 3; nb keep k2 2; w online_movable $M/memory32/state; cb; ev; wt 2 offline $M/memory32/state; cb; ev; nb drop k2; w offline $M/memory32/state; cb; ev
step "memory elsewhere"
nb del k2; nb alloc k 1; nb keep k 0; w online_kernel $M/memory33/state; cb; w online_movable $M/memory32/state; cb; w offline $M/memory33/state; cb; w offline $M/memory32/state; cb; ev
nb alloc k 0; w online_kernel $M/memory33/state; cb; nb alloc k 7;  w offline $M/memory33/state; cb; nb alloc k -1; ev
step "a callback that goes while holding"
nb keep k 2; w online_movable $M/memory32/state; cb; nb drop k; nb del k; w offline $M/memory32/state; cb; ev; blk 32
