# machine: --numa 2
# needs: plug nb wbg wfg
# Reading state and valid_zones never waits; reading online waits for the block's own transition.
. "$GOLDEN_LIB"
plug 256M 1; w online_movable $M/memory32/state; nb add slow 0; nb delay slow GOING_OFFLINE 2000
step "offlining"
wbg offline $M/memory32/state 0.5; r $M/memory32/state $M/memory32/valid_zones $M/memory33/online $M/memory32/online $M/memory32/state; wfg
step "onlining"
nb delay slow ANY 0; nb delay slow GOING_ONLINE 2000
wbg online $M/memory32/state 0.5; r $M/memory32/state $M/memory33/online $M/memory32/online $M/memory32/state; wfg
step "an unknown word is refused before anything is waited for"
w offline $M/memory32/state; wbg online $M/memory32/state 0.5; w junk $M/memory32/state; w 2 $M/memory33/online; r $M/memory32/state; wfg; r $M/memory32/state
