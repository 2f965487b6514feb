# machine: --numa 2
# needs: plug ev nb cb wbg wfg uev
# In the middle of a round: the event and who was called are on record, the uevent is not.
. "$GOLDEN_LIB"
plug 128M 1; uev; nb add slow 0; nb delay slow GOING_ONLINE 1500; nb set slow GOING_ONLINE OK
step "onlining"
wbg online $M/memory32/state 0.6; cb; uev; r $M/memory32/state; wfg; cb; uev
step "offlining"
nb delay slow OFFLINE 1500; wbg offline $M/memory32/state 0.6; cb; uev; nodes; wfg; uev; blk 32
