# machine: --numa 2 --mem 1G --node-mem 448M,576M
# needs: ev
# A boot block over a node border: a link for each node, no zone, and it can never go.
. "$GOLDEN_LIB"
nodes
step "links"
for n in $M/memory3/node[0-9]*; do note "${n##*/}"; done; for n in 0 1; do r $N/node$n/memory3/state; done
r $N/node0/memory4/state $N/node1/memory2/state
step "no zone, no way out, no event"
blk 3; w offline $M/memory3/state; w 0 $M/memory3/online; ev; r $M/memory3/state $M/memory3/removable
