# machine: --numa 2
# needs: plug ev nb wt wbg wfg
# A signal to a writer: while it waits for another transition, in the middle of GOING_OFFLINE, in the middle of GOING_ONLINE.
. "$GOLDEN_LIB"
plug 256M 1; nb add slow 0
step "during GOING_OFFLINE it counts when the callbacks are done"
w online_movable $M/memory32/state; ev
nb delay slow GOING_OFFLINE 2000; wt 1 offline $M/memory32/state; ev; blk 32
step "a writer that waits goes on waiting after a signal that it catches"
wbg offline $M/memory32/state 0.5; wt 1 online $M/memory33/state; wfg; ev; blk 32 33
step "and one that waits and is killed leaves no trace"
nb delay slow GOING_OFFLINE 0; w offline $M/memory33/state; w online_movable $M/memory32/state; nb delay slow GOING_OFFLINE 2000; ev
wbg offline $M/memory32/state 0.5; ( echo online > $M/memory33/state ) & p=$!; sleep 0.4; kill -KILL $p; wait $p 2>/dev/null; r $M/memory32/state
wfg; ev; blk 32 33
step "onlining takes no notice of signals"
nb delay slow GOING_ONLINE 2000; wt 1 online_movable $M/memory32/state; ev; blk 32
