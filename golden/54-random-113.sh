# machine: --numa 3 --cpu-node 0,1 --mem 768M
# timeout: 400
# Random, seed 113.
. "$GOLDEN_LIB"
uev
nb add c1 0
ev
cb
plug 256M 2
ev
zones 2
cb
w online_movable $M/memory32/state
cb
plug 512M 1
nodes
uev
zones 2
cb
nb peek c1 1
ev
vz
memtotal 1
cb
w online $M/memory33/state
cb
w offline $M/memory34/state
ev
cb
plug 512M 2
ev
cb
w '0' $M/memory38/online
zones 1
memtotal 1
cb
nb add c2 200
vz
uev
zones 0
cb
nb del c1
vz
cb
w online_kernel $M/memory40/state
vz
blk 33
cb
w online $M/memory41/state
ev
cb
plug 384M 0
ev
cb
w online $M/memory44/state
ev
nodes
uev
cb
w '0' $M/memory32/online
ev
vz
cb
plug 256M 1
vz
uev
zones 1
cb
nb set c2 GOING_ONLINE OK
ev
vz
uev
cb
w 'off' $M/memory39/online
vz
uev
zones 0
blk 32
cb
nb add c3 0
ev
cb
w '01' $M/memory40/online
ev
vz
nodes
uev
cb
w offline $M/memory45/state
ev
cb
nb set c3 ONLINE OK
blk 44
cb
unplug dimm3
ev
vz
cb
[ ! -d $M/memory34 ] || x $M/memory34/{state,online,phys_index,phys_device,removable,valid_zones}
x $N/online $N/has_memory $N/has_normal_memory $N/has_cpu $N/possible
r $N/node1/memory34/valid_zones $M/memory34/node1/memory34/state
w change $M/memory34/uevent
vz
uev
cb
w online_kernel $M/memory45/state
ev
blk 32
memtotal 2
cb
nb del c3
ev
vz
cb
nb set c2 GOING_ONLINE -16
ev
zones 0
cb
w online $M/memory40/state
ev
nodes
blk 36
cb
w 'going-offline' $M/memory41/valid_zones
vz
uev
zones 0
cb
[ ! -d $M/memory44 ] || x $M/memory44/{state,online,phys_index,phys_device,removable,valid_zones}
x $N/online $N/has_memory $N/has_normal_memory $N/has_cpu $N/possible
r $N/node0/memory44/valid_zones $M/memory44/node0/memory44/state
w change $M/memory44/uevent
ev
vz
memtotal 2
cb
w online_movable $M/memory39/state
vz
blk 45
cb
w online_kernel $M/memory33/state
ev
cb
w 'Y' $M/memory33/online
vz
zones 1
cb
w offline $M/memory32/state
vz
cb
w online_movable $M/memory40/state
ev
vz
nodes
cb
w 'going-offline' $M/memory106/state
nodes
cb
w online_movable $M/memory43/state
ev
nodes
uev
cb
[ ! -d $M/memory43 ] || x $M/memory43/{state,online,phys_index,phys_device,removable,valid_zones}
x $N/online $N/has_memory $N/has_normal_memory $N/has_cpu $N/possible
r $N/node0/memory43/valid_zones $M/memory43/node0/memory43/state
w change $M/memory43/uevent
ev
vz
uev
cb
w offline $M/memory43/state
vz
zones 0
cb
w online_kernel $M/memory33/state
ev
vz
zones 0
cb
unplug dimm1
vz
cb
w online_kernel $M/memory34/state
vz
memtotal 1
cb
w online_kernel $M/memory36/state
ev
nodes
cb
w online_movable $M/memory44/state
ev
vz
cb
w offline $M/memory46/state
uev
memtotal 2
cb
w online_kernel $M/memory40/state
ev
vz
blk 34
memtotal 2
cb
uev; ev; vz; nodes
