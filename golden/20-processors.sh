# machine: --numa 2 --cpu-node 0,1
# needs: plug unplug uev ev
# A node with a processor is there without memory, and stays when its last block goes. Its first kernel block never does.
. "$GOLDEN_LIB"
nodes; r $N/has_cpu $N/possible; uev
step "a movable block comes and goes, the node stays"
plug 128M 1; w online_movable $M/memory32/state; ev; uev; nodes
unplug dimm0; ev; uev; nodes; memtotal 1
step "a kernel block: the system takes from it at once"
plug 256M 1; w online $M/memory32/state; ev; w offline $M/memory32/state; unplug dimm1; ev; uev; nodes; memtotal 1
step "the next one goes, since the system has what it needs"
w online_kernel $M/memory33/state; w offline $M/memory33/state; ev; vz
