# machine: --numa 3 --mem 1G --node-mem 512M,512M --cpu-node 0,2
# needs: plug unplug ev uev zones param
# Boot memory on two nodes, processors on two, one of them the third: masks, policies and what stays when all DIMMs are asked to go.
. "$GOLDEN_LIB"
uev; nodes; r $N/possible $N/has_cpu $N/online; for n in 0 1 2; do zones $n; note "$(ls -d $N/node$n/memory* 2>/dev/null | sed 's/.*memory//' | sort -n | tr '\n' ' ')"; done
blk 0 3 4 7; for i in 0 1 2 3 4 5 6 7; do r $M/memory$i/valid_zones; done
plug 256M 1; plug 256M 2; plug 128M 0; vz; ev; uev; nodes
step "masks that do not change"
w online_movable $M/memory32/state; ev; nodes; zones 1; w offline $M/memory32/state; ev; nodes; zones 1
w online_movable $M/memory34/state; ev; w online_kernel $M/memory35/state; ev; nodes; zones 2; w offline $M/memory35/state; ev; nodes;  w offline $M/memory34/state; ev; nodes
step "auto-movable: each node by itself"
param online_policy auto-movable; vz; for v in 0 25 49 50 51 52 100 301; do param auto_movable_ratio $v; vz; done
w online $M/memory32/state; vz; w online $M/memory33/state; vz; w online $M/memory36/state; vz; zones 1; zones 0
param auto_movable_numa_aware N; vz; w online $M/memory34/state; vz; param auto_movable_ratio 50; vz; param auto_movable_ratio 38; vz; param online_policy contig-zones; vz
w offline $M/memory0/state; w offline $M/memory7/state; w 0 $M/memory7/online; ev; uev
step "removal: a node with a processor, and one with boot memory, stay"
w offline $M/memory36/state; unplug dimm1; unplug dimm0; unplug dimm2; nodes; ev; uev; vz
