# machine: --numa 2
# timeout: 300
# needs: plug ev nb cb wbg wfg
# Which words stick, through refusals and while others wait.
. "$GOLDEN_LIB"
plug 384M 1
w online_movable $M/memory32/state; w online_kernel $M/memory32/state; w offline $M/memory32/state; vz; w online $M/memory32/state; vz; w offline $M/memory32/state; w 1 $M/memory32/online; vz
w online_movable $M/memory32/state; w online $M/memory32/state; w 0 $M/memory32/online; w 1 $M/memory32/online; vz
step "through a refusal"
w online_movable $M/memory32/state; nb add v 0; nb set v GOING_OFFLINE -16; w offline $M/memory32/state; w 0 $M/memory32/online; nb set v GOING_OFFLINE OK; w 0 $M/memory32/online; w 1 $M/memory32/online; vz
w online_movable $M/memory32/state; w offline $M/memory32/state; nb set v GOING_ONLINE -16; w 1 $M/memory32/online; nb set v GOING_ONLINE OK; w 1 $M/memory32/online; vz
step "a word refused while it was offline is none"
w offline $M/memory33/state; nb set v GOING_ONLINE -12; w online_movable $M/memory33/state; nb set v GOING_ONLINE OK; w 1 $M/memory33/online; vz; w 1 $M/memory33/online; w online_movable $M/memory33/state;  w 1 $M/memory33/online; w 0 $M/memory33/online; vz; w online $M/memory33/state; vz
step "words while it is on its way"
w offline $M/memory33/state; w offline $M/memory32/state; nb delay v GOING_ONLINE 2500; wbg online $M/memory32/state; w online_movable $M/memory32/state; wfg; nb delay v GOING_ONLINE 0; w offline $M/memory32/state; w 1 $M/memory32/online; vz
nb delay v GOING_OFFLINE 2500; wbg offline $M/memory32/state; w online_movable $M/memory32/state; wfg; vz; nb delay v GOING_OFFLINE 0; ev; cb
step "memory of boot"
w online_movable $M/memory3/state; w online $M/memory0/state; w offline $M/memory0/state; blk 0 3; ev
step "auto-online forgets nothing that it should"
w online_kernel $M/auto_online_blocks; plug 128M 1; vz; w online_movable $M/memory35/state; w 0 $M/memory35/online; w offline $M/auto_online_blocks; w 1 $M/memory35/online; vz; ev
