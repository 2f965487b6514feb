# machine: --numa 2
# needs: plug ev nb cb
# Answers that are numbers: two without the stop bit, a bare negative error, and what comes after them.
. "$GOLDEN_LIB"
plug 128M 1
step "two as the last answer is EPERM"
nb add only 0; nb set only GOING_ONLINE raw:2; w online $M/memory32/state; cb; ev
step "and is forgotten if another answers after it"
nb add low -1; w online $M/memory32/state; cb; ev
step "a bare negative error ends the round and counts as consent"
nb set only GOING_OFFLINE raw:-12; w offline $M/memory32/state; cb; ev; blk 32
step "DONE is consent"
nb set only ANY DONE; nb set low ANY DONE; w online $M/memory32/state; cb; ev
step "an errno at GOING_OFFLINE comes back as it is"
nb set low GOING_OFFLINE -28; w offline $M/memory32/state; ev; w 0 $M/memory32/online; ev; blk 32
