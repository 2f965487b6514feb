# machine: --numa 2 --mem 64G --maxmem 80G
# timeout: 400
# needs: plug ev zones
# 64 GiB of boot memory: blocks of 2 GiB. The number in phys_index is the block's, not the section's.
. "$GOLDEN_LIB"
x $M/block_size_bytes
plug 2G 0; x $M/memory33/phys_index; blk 33
w online_movable $M/memory33/state; ev; w offline $M/memory33/state; ev
step "less than a block"
plug 128M 0; vz
