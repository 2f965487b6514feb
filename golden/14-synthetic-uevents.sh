# machine: --numa 2
# needs: plug uev ev
# Words written to a uevent file: sent on, with a mark, and nothing else happens.
. "$GOLDEN_LIB"
plug 128M 1; uev
step "every action word"
for a in add remove change move online offline bind unbind; do w $a $M/memory32/uevent; done; uev
step "of a node"
w change $N/node1/uevent; uev
step "unknown and empty ones"
for a in '' Change chang changes offlin; do w "$a" $M/memory32/uevent; done; uev; x $M/memory32/uevent
step "nothing changed"
blk 32; ev
