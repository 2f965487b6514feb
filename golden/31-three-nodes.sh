# machine: --numa 3 --cpu-node 0,1
# timeout: 300
# needs: plug unplug ev hog thp pin unpin where wt wbg wfg nb cb
# Three nodes, two with processors: where pages go, and where the system takes memory if a node has none for it.
. "$GOLDEN_LIB"
plug 256M 1; plug 256M 2; nodes
step "three nodes: which one"
w online_movable $M/memory32/state; w online_movable $M/memory34/state; hog a 24 1; hog b 24 2; where a; where b; ev
w offline $M/memory34/state; where a; where b; ev
w online_movable $M/memory34/state; w offline $M/memory32/state; where a; where b; ev; w offline $M/memory34/state; where a; where b; ev; unhog a; unhog b
step "huge ones"
w online_movable $M/memory32/state; w online_movable $M/memory34/state; thp a 32 1; thp b 32 2; where a; where b; w offline $M/memory32/state; where a; where b; w online_movable $M/memory33/state; w offline $M/memory34/state; where a; where b; w offline $M/memory33/state; where a; where b; ev; unhog a; unhog b
step "from a kernel zone only to kernel zones"
w online_movable $M/memory32/state; w online_kernel $M/memory34/state; hog b 24 2; where b; w offline $M/memory34/state; where b; ev; unhog b; w online_kernel $M/memory35/state; w online_movable $M/memory34/state; hog c 24 2; hog d 24 1; where c; w offline $M/memory35/state; where c; w offline $M/memory34/state; where c; where d; ev; unhog c; unhog d; vz; nodes
step "two pins, two blocks"
w online_movable $M/memory34/state; pin p 4 2; w online_movable $M/memory35/state; w offline $M/memory35/state; wt 2 offline $M/memory34/state; where p; ev; wbg 0 $M/memory34/online 1; unpin p; wfg; where p; ev; unhog p
step "a veto leaves them"
w online_movable $M/memory34/state; hog a 16 2; nb add v 0; nb set v GOING_OFFLINE -16; w offline $M/memory34/state; where a; unplug dimm1; where a; ev; cb; vz; nb set v GOING_OFFLINE OK; w offline $M/memory35/state; where a; w offline $M/memory34/state; where a;  unplug dimm1; where a; ev; cb; unhog a; nodes
step "killed while it waits"
plug 128M 2; w online_movable $M/memory34/state; pin p 4 2; wbg offline $M/memory34/state 1; r $M/memory34/state; unhog p; wfg; ev; blk 34
step "unplug moves"
w online_movable $M/memory34/state; hog a 16 2; unplug dimm2; where a; unhog a; ev; nodes
hog z 16 -1; where z; unhog z
