# machine: --numa 2
# needs: plug ev nb cb
# What a callback frees at GOING_OFFLINE is not handed out again; in a kernel zone it is never asked.
. "$GOLDEN_LIB"
plug 128M 1; nb add k 0; nb keep k 1
step "in Movable"
w online_movable $M/memory32/state; cb; ev; w offline $M/memory32/state; cb; ev; blk 32
step "in a kernel zone isolation refuses first"
w online_kernel $M/memory32/state; cb; ev; w offline $M/memory32/state; cb; ev; blk 32
nb drop k; w offline $M/memory32/state; cb; ev
