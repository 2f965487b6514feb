# machine: --numa 2
# timeout: 300
# needs: plug ev hog thp where nb cb
# Pages are taken from the block that came first, whatever its address.
. "$GOLDEN_LIB"
plug 512M 1
step "movable blocks fill in the order in which they came"
w online_movable $M/memory32/state; w online_movable $M/memory33/state; hog a 60 1; w offline $M/memory33/state; where a; w offline $M/memory32/state; where a; unhog a
w online_movable $M/memory33/state; w online_movable $M/memory32/state; hog a 60 1; w offline $M/memory32/state; where a; w offline $M/memory33/state; where a; unhog a
w online_movable $M/memory34/state; w online_movable $M/memory32/state; w online_movable $M/memory33/state; hog a 40 1; w offline $M/memory32/state; where a; w offline $M/memory33/state; where a; w offline $M/memory34/state; where a; unhog a
step "kernel blocks too"
w online_kernel $M/memory33/state; w online_kernel $M/memory32/state; hog a 60 1; w offline $M/memory32/state; where a; w offline $M/memory33/state; where a; unhog a
step "Movable before Normal"
w online_kernel $M/memory32/state; w online_movable $M/memory33/state; hog a 60 1; w offline $M/memory32/state; where a; w offline $M/memory33/state; where a; unhog a
step "used, free again, and a second block"
w online_movable $M/memory32/state; hog a 60 1; unhog a; w online_movable $M/memory33/state; hog b 60 1; w offline $M/memory33/state; where b; w offline $M/memory32/state; where b; unhog b
step "huge ones"
w online_movable $M/memory33/state; w online_movable $M/memory32/state; thp a 60 1; w offline $M/memory32/state; where a; w offline $M/memory33/state; where a; unhog a
step "what a callback can have"
nb add k 0; nb alloc k 1; w online_movable $M/memory33/state; w online_movable $M/memory32/state; w online_kernel $M/memory34/state; cb; w offline $M/memory33/state; cb; w offline $M/memory32/state; cb; w offline $M/memory34/state; cb; ev
