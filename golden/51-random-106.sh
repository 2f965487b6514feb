# machine: --numa 3 --cpu-node 0,1
# timeout: 400
# Random, seed 106.
. "$GOLDEN_LIB"
uev
plug 256M 0
vz
nodes
memtotal 2
w online_kernel $M/memory33/state
ev
vz
zones 1
w online_kernel $M/memory32/state
ev
vz
w offline $M/memory33/state
ev
nodes
plug 256M 1
vz
nodes
w 'oN' $M/memory35/online
zones 1
memtotal 1
w 'Y' $M/memory35/online
ev
vz
uev
zones 0
blk 33
unplug dimm0
w offline $M/memory32/state
zones 1
memtotal 1
plug 512M 2 0x120000000
vz
uev
memtotal 1
w online_kernel $M/memory34/state
w online $M/memory38/state
w online $M/memory37/state
ev
zones 1
[ ! -d $M/memory37 ] || x $M/memory37/{state,online,phys_index,phys_device,removable,valid_zones}
x $N/online $N/has_memory $N/has_normal_memory $N/has_cpu $N/possible
r $N/node2/memory37/valid_zones $M/memory37/node2/memory37/state
w change $M/memory37/uevent
ev
w offline $M/memory34/state
ev
vz
param online_policy x
vz
w online $M/memory34/state
ev
uev
nb add c1 1
ev
zones 2
cb
plug 130M 1 0x530000000
vz
nodes
cb
param online_policy x
ev
vz
nodes
zones 0
cb
w 'Y' $M/memory35/online
ev
vz
nodes
cb
w online_kernel $M/memory39/state
blk 37
cb
w '1' $M/memory38/online
ev
vz
nodes
uev
zones 1
memtotal 1
cb
unplug dimm0
vz
nodes
zones 0
cb
w online_kernel $M/memory32/state
ev
vz
nodes
cb
w online_kernel $M/memory36/state
ev
cb
nb set c1 ANY OK
vz
blk 36
cb
w 'on' $M/memory34/online
ev
vz
zones 1
memtotal 1
cb
w online_kernel $M/memory35/state
vz
zones 0
blk 38
cb
w ' 1' $M/memory38/online
ev
vz
zones 2
memtotal 2
cb
w online $M/memory33/state
vz
nodes
cb
w offline $M/memory39/state
ev
zones 1
cb
w 'oFf' $M/memory38/online
ev
nodes
cb
unplug dimm0
zones 1
memtotal 1
cb
w '1' $M/memory38/online
ev
vz
memtotal 2
cb
param online_policy auto-movable
ev
vz
uev
memtotal 2
cb
w online_movable $M/memory35/state
ev
vz
uev
blk 32
cb
unplug dimm0
vz
uev
cb
w 'onlin' $M/memory101/state
uev
cb
w online_kernel $M/memory39/state
vz
cb
w online_movable $M/memory39/state
ev
nodes
cb
w online_movable $M/memory36/state
ev
zones 2
cb
nb set c1 ANY OK
ev
uev
cb
w online $M/memory33/state
ev
cb
w '2' $M/memory37/online
ev
uev
memtotal 2
cb
w online_movable $M/memory38/state
ev
vz
nodes
zones 1
memtotal 1
cb
w offline $M/memory35/state
nodes
cb
nb set c1 ANY OK
vz
nodes
uev
blk 32
cb
nb add s2 9
nb delay s2 OFFLINE 3000
wbg online_kernel $M/memory36/state 0.7
r $M/memory36/state $M/memory36/valid_zones
nodes
uev
ev
w offline $M/memory37/state
wfg
nb del s2
cb
ev
blk 37
cb
uev; ev; vz; nodes
