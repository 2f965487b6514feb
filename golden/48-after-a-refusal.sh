# machine: --numa 2
# timeout: 300
# needs: plug ev hog where nb cb
# A block whose offline was refused is the last to be used; what callbacks can have and keep, with blocks in every order.
. "$GOLDEN_LIB"
plug 384M 1; nb add c 0; nb alloc c 1
step "empty, refused: to the end"
w online_movable $M/memory33/state; w online_movable $M/memory32/state; cb; nb set c GOING_OFFLINE -16; w offline $M/memory33/state; cb; nb set c GOING_OFFLINE OK; nb alloc c -1; hog a 20 1; w offline $M/memory33/state; where a; w offline $M/memory32/state; where a; unhog a
step "the other way round"
w online_movable $M/memory32/state; w online_movable $M/memory33/state; nb set c GOING_OFFLINE -16; w offline $M/memory32/state; nb set c GOING_OFFLINE OK; hog a 20 1; w offline $M/memory32/state; where a; w offline $M/memory33/state; where a; unhog a
step "kept with another in front"
nb keep c 2; w online_movable $M/memory33/state; cb; nb drop c; w online_movable $M/memory32/state; cb; nb drop c; w online_kernel $M/memory34/state; cb; nb drop c; w offline $M/memory32/state; w online_movable $M/memory32/state; cb; nb drop c; nb keep c 0; nb alloc c 1; for b in 32 33 34; do w offline $M/memory$b/state; cb; done
step "what can be had as they come"
for b in 34 32 33; do w online_movable $M/memory$b/state; cb; done; nb set c GOING_OFFLINE -16; w offline $M/memory34/state; cb; w offline $M/memory32/state; cb; nb set c GOING_OFFLINE OK; w offline $M/memory33/state; cb; w offline $M/memory34/state; cb; w offline $M/memory32/state; cb
for b in 33 32; do w online_kernel $M/memory$b/state; cb; done; nb set c GOING_OFFLINE -16; w offline $M/memory33/state; cb; nb set c GOING_OFFLINE OK; w offline $M/memory32/state; cb; w offline $M/memory33/state; cb; ev
