# machine: --numa 3 --mem 1G --node-mem 512M,512M
# timeout: 300
# needs: plug ev hog thp where zones
# Two nodes of boot memory and a hot one: where pages go from each.
. "$GOLDEN_LIB"
plug 256M 2; plug 128M 1; plug 128M 0; nodes; vz
step "from the third"
w online_movable $M/memory32/state; hog a 24 2; where a; w offline $M/memory32/state; where a; ev; unhog a
w online_movable $M/memory32/state; hog a 24 2; hog b 24 1; hog c 24 0; where a; where b; where c; w offline $M/memory32/state; where a; where b; where c; unhog a; unhog b; unhog c; ev
step "with movable zones"
w online_movable $M/memory32/state; w online_movable $M/memory34/state; hog b 24 1; where b; w offline $M/memory34/state; where b; ev; unhog b; w online_movable $M/memory34/state; w online_movable $M/memory35/state; thp t 16 2; hog u 16 2; where t; where u;  w offline $M/memory32/state; where t; where u; w online_movable $M/memory33/state; w offline $M/memory34/state; where t; where u; unhog t; unhog u; w offline $M/memory33/state; w offline $M/memory35/state; ev; nodes; vz
step "kernel zone of the third"
w online_kernel $M/memory33/state; zones 2; hog a 24 2; where a; w offline $M/memory33/state; where a; unhog a; ev; nodes; zones 2
w online_kernel $M/memory34/state; zones 1; w offline $M/memory34/state; ev; vz; zones 1
