# machine: --numa 2 --mem 1536M
# timeout: 400
# Random, seed 112.
. "$GOLDEN_LIB"
uev
nb add c1 0
ev
nodes
uev
blk 32
memtotal 1
cb
plug 128M 1
ev
vz
uev
cb
plug 256M 0
ev
vz
uev
cb
param auto_movable_ratio 301
ev
vz
cb
w online_kernel $M/memory34/state
ev
cb
nb add c2 200
vz
nodes
uev
cb
w online_movable $M/memory33/state
ev
vz
blk 32
cb
w online_movable $M/memory33/state
ev
cb
plug 256M 0
ev
cb
plug 256M 1
ev
vz
nodes
cb
w online $M/memory35/state
vz
nodes
cb
w online_movable $M/auto_online_blocks
ev
vz
uev
blk 32
cb
w online $M/memory35/state
ev
uev
cb
nb add k3 3
nb keep k3 2
w online_movable $M/memory38/state
cb
wt 1 offline $M/memory38/state
cb
ev
blk 38
nb drop k3
w offline $M/memory38/state
nb del k3
ev
cb
nb add k4 3
nb keep k4 1
w online_kernel $M/memory38/state
cb
wt 1 offline $M/memory38/state
cb
ev
blk 38
nb drop k4
w offline $M/memory38/state
nb del k4
ev
vz
cb
[ ! -d $M/memory37 ] || x $M/memory37/{state,online,phys_index,phys_device,removable,valid_zones}
x $N/online $N/has_memory $N/has_normal_memory $N/has_cpu $N/possible
r $N/node1/memory37/valid_zones $M/memory37/node1/memory37/state
w change $M/memory37/uevent
ev
vz
cb
unplug dimm3
ev
nodes
uev
zones 1
cb
w 'x' $M/memory32/online
ev
vz
cb
w offline $M/memory32/state
nodes
blk 34
cb
w online_kernel $M/memory33/state
cb
w 'o' $M/memory32/online
ev
vz
nodes
zones 0
cb
w '1' $M/memory33/online
ev
nodes
cb
w online_kernel $M/memory35/state
ev
vz
cb
plug 256M 1
ev
uev
zones 1
cb
w online $M/memory32/state
ev
vz
cb
w online_kernel $M/memory33/state
cb
w 'oN' $M/memory35/online
vz
nodes
zones 1
cb
nb set c1 ANY OK
nb set c2 ANY OK
zones 0
cb
w online_movable $M/memory35/state
vz
cb
unplug dimm4
vz
blk 34
cb
param auto_movable_numa_aware maybe
ev
cb
param online_policy auto-movable
ev
vz
cb
w online_kernel $M/memory33/state
ev
vz
uev
zones 1
cb
plug 128M 1
ev
nodes
uev
zones 0
cb
w online $M/memory32/state
ev
cb
w online_movable $M/memory36/state
ev
zones 0
blk 35
cb
w offline $M/memory32/state
vz
uev
zones 0
cb
w '-1' $M/memory35/online
memtotal 1
cb
w '01' $M/memory33/online
ev
vz
cb
w online_movable $M/memory36/state
vz
nodes
uev
zones 0
cb
plug 128M 1
vz
blk 35
cb
w online_kernel $M/memory38/state
vz
zones 1
cb
uev; ev; vz; nodes
