# machine: --numa 3 --mem 1G --node-mem 512M,512M
# timeout: 300
# needs: plug unplug ev
# A node without kernel memory: its maps come from the next node in order.
. "$GOLDEN_LIB"
step "no kernel memory of its own: the map comes from the next node in order"
plug 128M 1; w online_kernel $M/memory32/state; plug 128M 2; w offline $M/memory32/state; unplug dimm1; w offline $M/memory32/state; vz
w online_kernel $M/memory32/state; plug 256M 2; w online_kernel $M/memory33/state; plug 128M 2; w offline $M/memory33/state; w offline $M/memory32/state; unplug dimm3; w offline $M/memory33/state; vz; unplug dimm2; w offline $M/memory32/state; vz; nodes
plug 128M 0; w online_movable $M/memory33/state; plug 128M 0; vz; w offline $M/memory33/state; ev
