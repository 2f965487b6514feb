# machine: --numa 2
# timeout: 200
# needs: plug unplug ev nb cb wt wbg wfg param
# Callbacks that come, go and change their mind during a round; plug, unplug, settings, writers and signals in the middle of a transition.
. "$GOLDEN_LIB"
plug 256M 1; nb add slow 5
step "one that comes during a round"
nb delay slow GOING_ONLINE 2000; wbg online $M/memory32/state; nb add late 9; wfg; cb; ev
step "one that goes during a round"
nb delay slow GOING_ONLINE 0; nb delay slow GOING_OFFLINE 2000; wbg offline $M/memory32/state; nb del late; wfg; cb; ev
step "an answer changed during a round"
nb delay slow GOING_OFFLINE 0; nb delay slow GOING_ONLINE 2000; nb add low 1; wbg online $M/memory32/state; nb set low GOING_ONLINE -12; cb; wfg; cb; ev
nb set low GOING_ONLINE OK; wbg online $M/memory32/state; nb set slow GOING_ONLINE -12; wfg; cb; ev; blk 32
nb set slow ANY OK; wbg online $M/memory32/state; nb peek low 1; nb alloc low 0; wfg; cb; ev
step "removal and addition while a block is on its way"
nb peek low 0; nb alloc low -1; nb delay slow ANY 0; nb delay slow GOING_OFFLINE 2000; wbg offline $M/memory32/state; plug 128M 1; wfg; ev; vz
w online $M/memory32/state; wbg offline $M/memory32/state; unplug dimm0; wfg; ev; vz; cb
plug 256M 1; w online_movable $M/memory32/state; w online_movable $M/memory33/state; ev; cb
wbg offline $M/memory32/state; unplug dimm2; wfg; ev; cb; vz
step "parameters in the middle"
plug 256M 1; w online_movable $M/memory32/state; wbg offline $M/memory32/state; w online $M/auto_online_blocks; param online_policy auto-movable; vz; r $M/auto_online_blocks; w bogus $M/auto_online_blocks; param online_policy bogus; wfg; vz; param online_policy contig-zones; w offline $M/auto_online_blocks; vz
step "two waiters"
w online_movable $M/memory32/state; wbg offline $M/memory32/state; wt 1 online $M/memory32/state; wfg; blk 32; cb; ev
w 1 $M/memory32/online; wbg 0 $M/memory32/online; wt 1 0 $M/memory32/online; wfg; blk 32; cb; ev
step "signals"
w online_movable $M/memory32/state; wt 1 offline $M/memory32/state; cb; ev; blk 32; wt 1 0 $M/memory32/online; cb; ev; blk 32; nb delay slow GOING_OFFLINE 0; nb delay slow CANCEL_OFFLINE 1500; nb set low GOING_OFFLINE -16; wt 1 0 $M/memory32/online; cb; ev; blk 32; nb set low GOING_OFFLINE OK; nb delay slow OFFLINE 1500; wt 1 0 $M/memory32/online; cb; ev; blk 32; nb delay slow ONLINE 1500; nb delay slow CANCEL_ONLINE 1500; wt 1 1 $M/memory32/online; cb; ev; blk 32; wt 1 online $M/memory32/state; cb; ev
