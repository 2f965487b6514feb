# machine: --numa 2 --mem 1G --node-mem 512M,512M
# append: memory_hotplug.memmap_on_memory=1
# timeout: 400
# Random, seed 107.
. "$GOLDEN_LIB"
uev
plug 256M 1
vz
nodes
blk 33
plug 384M 0
nodes
uev
w online $M/memory34/state
vz
plug 256M 1
nb add c1 0
ev
vz
cb
w 'kernel' $M/memory38/valid_zones
ev
vz
zones 0
cb
w online_kernel $M/memory32/state
cb
w 'y' $M/memory33/online
ev
cb
w online $M/memory37/state
ev
cb
plug 512M 0
ev
nodes
uev
zones 0
cb
w '0' $M/memory32/online
ev
zones 0
blk 39
cb
param auto_movable_numa_aware N
vz
cb
nb set c1 CANCEL_OFFLINE -1
nodes
cb
plug 64M 0 0x540000000
ev
vz
nodes
uev
cb
w offline $M/memory39/state
vz
cb
w online_kernel $M/memory32/state
ev
vz
nodes
uev
cb
w '' $M/memory41/online
ev
vz
uev
zones 0
blk 36
cb
w online $M/memory40/state
vz
zones 1
cb
w offline $M/memory32/state
ev
vz
cb
w '2' $M/memory37/online
ev
uev
cb
unplug dimm2
ev
vz
cb
w online_kernel $M/memory32/state
ev
nodes
cb
unplug dimm3
ev
nodes
zones 0
cb
nb set c1 GOING_OFFLINE raw:3
ev
zones 0
cb
w online_kernel $M/memory38/state
vz
zones 0
cb
plug 128M 1 0x158000000
ev
vz
cb
w online $M/memory43/state
vz
cb
param auto_movable_numa_aware Y
ev
zones 0
cb
w 'T' $M/memory42/online
ev
vz
cb
nb set c1 ANY OK
ev
vz
zones 0
cb
w online_kernel $M/memory38/state
ev
vz
nodes
cb
w online_kernel $M/memory35/state
vz
cb
w online_kernel $M/memory36/state
nodes
zones 1
blk 41
cb
w online_movable $M/memory39/state
ev
cb
param auto_movable_numa_aware maybe
ev
nodes
cb
w online_movable $M/memory37/state
ev
vz
zones 1
blk 42
cb
w online $M/memory41/state
ev
vz
uev
cb
w offline $M/memory32/state
ev
cb
plug 128M 0 0x160000000
vz
cb
w offline $M/memory34/state
ev
vz
cb
[ ! -d $M/memory38 ] || x $M/memory38/{state,online,phys_index,phys_device,removable,valid_zones}
x $N/online $N/has_memory $N/has_normal_memory $N/has_cpu $N/possible
r $N/node1/memory38/valid_zones $M/memory38/node1/memory38/state
w change $M/memory38/uevent
ev
vz
uev
cb
w online_kernel $M/memory44/state
ev
vz
cb
w 'no' $M/memory37/online
ev
cb
plug 128M 0 0x168000000
nodes
cb
w online_kernel $M/memory37/state
ev
vz
uev
cb
param online_policy contig-zones
ev
cb
w 'on' $M/memory39/online
ev
vz
blk 40
cb
nb set c1 ANY OK
ev
vz
cb
plug 128M 1 0x170000000
vz
cb
w online $M/memory38/state
vz
cb
uev; ev; vz; nodes
