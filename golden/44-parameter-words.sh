# machine: --numa 2
# timeout: 300
# needs: plug ev param
# Numbers, truths and words of the parameters; the ratio at its extremes and with much memory.
. "$GOLDEN_LIB"
for p in online_policy auto_movable_ratio auto_movable_numa_aware memmap_on_memory; do param $p; done
step "numbers"
for v in 0x10 010 +5 -1 '' ' 5' '5 ' 5x 4294967295 4294967296 99999999999999999999 0 0b1 08 301 0X1f; do param auto_movable_ratio "$v"; param auto_movable_ratio; done
step "truth"
for v in 0 1 y Y n N on off oN Of yes no true false T F '' ' 1' 2 10 o enable; do param auto_movable_numa_aware "$v"; param auto_movable_numa_aware; done
step "words"
for v in contig auto-movable contig-zones CONTIG-ZONES 'auto-movable ' auto_movable 0 1 ''; do param online_policy "$v"; param online_policy; done
param memmap_on_memory 1; param memmap_on_memory Y; param memmap_on_memory
step "extremes of the ratio"
param online_policy auto-movable; param auto_movable_numa_aware N; plug 256M 1; for v in 0 1 12 13 24 25 26 100 4294967295; do param auto_movable_ratio $v; vz; done
plug 1G 1; plug 1G 1; plug 1G 1; for v in 25 26 49 50 51 75 76 100 101 102 127 126 301; do param auto_movable_ratio $v; vz; done
w online $M/memory34/state; w online $M/memory42/state; vz; for v in 100 127 128 201 202 203 204 301 302 ; do param auto_movable_ratio $v; vz; done
param auto_movable_numa_aware Y; vz; w online $M/memory32/state; vz
plug 128M 0; plug 512M 0; vz; for v in 12 13 50 49 64 63 62 300; do param auto_movable_ratio $v; vz; done
w online_movable $M/memory58/state; for v in 12 13 50 49 64 63 62 300 ; do param auto_movable_ratio $v; vz; done
ev; nodes
