# machine: --numa 2
# append: memhp_default_state=online_movable movable_node
# needs: plug unplug ev uev zones
# Booted with movable_node and memhp_default_state=online_movable: what plain words mean then.
. "$GOLDEN_LIB"
uev; r $M/auto_online_blocks; vz; plug 256M 1; ev; uev; vz; nodes; zones 1; plug 128M 0; vz; zones 0; ev; uev
w offline $M/memory33/state; vz; w 1 $M/memory33/online; vz; zones 1; w offline $M/memory33/state; w offline $M/memory32/state; vz; ev; uev
w online_kernel $M/memory33/state; vz; w offline $M/memory33/state; vz; w online $M/memory33/state; vz; w online_kernel $M/memory32/state; vz; zones 1; w offline $M/memory33/state; vz; w offline $M/memory32/state; w online_kernel $M/memory33/state; vz; ev
w offline $M/auto_online_blocks; plug 512M 1; vz; w online_movable $M/memory37/state; w online_kernel $M/memory36/state; vz; w online $M/memory35/state; w online $M/memory38/state; vz; zones 1
unplug dimm0; unplug dimm2; vz; nodes; ev; uev
