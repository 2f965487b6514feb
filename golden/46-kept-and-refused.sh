# machine: --numa 2
# timeout: 300
# needs: plug unplug ev nb cb wt
# A callback that keeps a page, others that look on or refuse, and callbacks that leave.
. "$GOLDEN_LIB"
plug 256M 1; nb add a 5; nb add k 0; nb keep k 1; nb peek a 1; nb alloc a 1
step "both look on, one keeps"
w online_movable $M/memory32/state; cb; w online_movable $M/memory33/state; cb; w offline $M/memory32/state; cb; w online_kernel $M/memory32/state; cb; w offline $M/memory33/state; cb; ev; nodes
nb drop k; nb keep k 2; w offline $M/memory32/state; cb; w online $M/memory32/state; cb; w offline $M/memory32/state; cb; wt 1 0 $M/memory32/online; cb; ev
step "kept in a block that another refuses"
nb drop k; w offline $M/memory32/state; nb keep k 0; nb set k GOING_ONLINE -12; nb set a CANCEL_ONLINE BAD; w 1 $M/memory32/online; cb; ev; nb set k GOING_ONLINE raw:0x8000; w 1 $M/memory32/online; cb; ev
nb set k GOING_OFFLINE raw:0x8016; nb set a CANCEL_OFFLINE -2; w 0 $M/memory32/online; cb; ev; blk 32; nb del a; w 0 $M/memory32/online; cb; ev; nb del k; w 0 $M/memory32/online; ev; blk 32; cb
step "nobody left, and back"
w online_movable $M/memory32/state; cb; nb add a -5; nb alloc a 0; nb peek a 1; w offline $M/memory32/state; cb; nb again a; nb set a ANY STOP; w online $M/memory33/state; cb; ev; nodes; unplug dimm0; cb; ev; nodes
