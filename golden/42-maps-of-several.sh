# machine: --numa 2
# timeout: 300
# needs: plug unplug ev hog
# Several kernel blocks: which of them holds the map of what is added.
. "$GOLDEN_LIB"
plug 512M 1
step "two kernel blocks, the lower first: which one is pinned"
w online_kernel $M/memory32/state; w online_kernel $M/memory33/state; plug 128M 1; w offline $M/memory33/state; w offline $M/memory32/state; vz; unplug dimm1; w offline $M/memory32/state; w offline $M/memory33/state; vz
step "the upper first"
w online_kernel $M/memory33/state; w online_kernel $M/memory32/state; plug 128M 1; w offline $M/memory32/state; w offline $M/memory33/state; vz; unplug dimm2; w offline $M/memory32/state; w offline $M/memory33/state; vz
step "three DIMMs, then a second block"
w online_kernel $M/memory34/state; plug 128M 1; plug 256M 1; w online_kernel $M/memory35/state; plug 128M 1; w offline $M/memory35/state; vz; unplug dimm3; w offline $M/memory34/state; unplug dimm4; w offline $M/memory34/state; unplug dimm5; w offline $M/memory34/state; vz
step "the kernel block is offline and online again, with a map elsewhere"
w online_movable $M/memory32/state; plug 128M 1; w online_kernel $M/memory33/state; w offline $M/memory33/state; w offline $M/memory32/state; unplug dimm6; vz
step "a large one"
w online_kernel $M/memory32/state; w online_kernel $M/memory33/state; plug 2G 1; w offline $M/memory33/state; w offline $M/memory32/state; vz; unplug dimm7; w offline $M/memory32/state; w online_kernel $M/memory33/state; w offline $M/memory33/state; vz
step "users' pages in the first, then a map"
w online_kernel $M/memory32/state; w online_kernel $M/memory33/state; hog a 100 1; plug 128M 1; unhog a; w offline $M/memory33/state; w offline $M/memory32/state; vz; ev
