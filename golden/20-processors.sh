# machine: --numa 2 --cpu-node 0,1
# needs: plug unplug uev ev
# A node with a processor is there without memory, and stays when its last block goes.
. "$GOLDEN_LIB"
nodes; r $N/has_cpu $N/possible; uev
plug 128M 1; w online $M/memory32/state; ev; uev; nodes
unplug dimm0; ev; uev; nodes; memtotal 1
