# machine: --numa 2
# timeout: 300
# needs: plug ev hog thp pin unpin where wt wbg wfg zones nb cb
# Pinned and kernel-held pages beside movable ones, in both zones, and signals.
. "$GOLDEN_LIB"
plug 256M 1
step "a pinned page in a kernel zone"
w online_kernel $M/memory32/state; pin p 8 1; where p; wt 2 offline $M/memory32/state; where p; ev; blk 32; wt 1 0 $M/memory32/online; ev; blk 32; memtotal 1; zones 1
w online_kernel $M/memory33/state; hog q 8 1; where q; unpin p; w offline $M/memory32/state; where p; where q; ev; w offline $M/memory33/state; where q; ev; unhog p; unhog q
step "a kernel-held and a pinned page"
nb add k 0; nb keep k 2; w online_kernel $M/memory32/state; pin p 4 1; wt 1 offline $M/memory32/state; where p; ev; nb drop k; wt 1 offline $M/memory32/state; where p; ev; cb; nb del k; unhog p; w offline $M/memory32/state; ev
step "a kernel-held page in Movable, and movable ones beside it"
nb add k 0; nb keep k 2; w online_movable $M/memory32/state; hog h 16 1; where h; wt 2 offline $M/memory32/state; where h; ev; cb; blk 32; memtotal 1; hog g 8 1; where g; unhog g; nb drop k; w offline $M/memory32/state; where h; ev; unhog h
step "dropped while it goes on"
w online_movable $M/memory33/state; wbg offline $M/memory33/state 1; r $M/memory33/state $M/memory33/valid_zones; zones 1; memtotal 1; nodes; nb drop k; wfg; ev; cb; blk 33
step "huge pages beside a pin"
nb del k; w online_movable $M/memory32/state; pin p 4 1; thp t 16 1; where t; wt 2 0 $M/memory32/online; where t; where p; ev; unpin p; unhog t; w 0 $M/memory32/online; where p; unhog p; ev
step "a refusal after pages are isolated moves nothing"
w online_movable $M/memory32/state; hog h 16 1; nb add v 0; nb set v GOING_OFFLINE -16; w offline $M/memory32/state; where h; hog g 8 1; where g; nb set v GOING_OFFLINE OK; nb delay v GOING_OFFLINE 1500; wt 1 offline $M/memory32/state; where h; where g; ev; nb delay v GOING_OFFLINE 0; w offline $M/memory32/state; where h; where g; ev; unhog g; unhog h
