# machine: --numa 2
# timeout: 200
# needs: plug ev nb cb
# Every answer at every event, error numbers and raw numbers; words of the instrument that are none.
. "$GOLDEN_LIB"
plug 256M 1
step "words of the instrument"
nb add a; nb add b 0x10; nb add c -0x10; nb add d junk; nb add e 1 2 3; nb add a 5; nb add averyveryverylongnameindeedthatislong 1; nb; nb add; nb frob a; nb set a; nb set a ONLINE; nb set a BOGUS OK; nb set a ONLINE bogus; nb set a ONLINE raw:x; nb set a ONLINE raw:; nb delay a ANY; nb delay a BOGUS 1; nb delay a ANY x; nb peek a; nb peek a x; nb alloc a; nb keep a; nb del z; nb drop z; nb again z; nb set z ANY OK; nb again a; nb del; nb frob z; nb set a going_online OK
w online $M/memory32/state; cb; ev; w offline $M/memory32/state; cb; ev
for n in b c d e averyveryverylongnameindeedthatislong averyveryverylongnamein; do nb del $n; done
w online $M/memory32/state; cb; ev
step "errnos"
for v in -1 -2 -4 -5 -11 -12 -14 -16 -17 -22 -28 -110 -133 -200 -511; do nb set a GOING_OFFLINE $v; w offline $M/memory32/state; cb; ev; done; blk 32
step "raw numbers"
for v in raw:0 raw:1 raw:2 raw:3 raw:4 raw:0x8000 raw:0x8001 raw:0x8002 raw:0x8003 raw:0x8017 raw:-1 raw:-22 5 0x8005 0x11 raw:0x1c; do nb set a GOING_OFFLINE $v; w offline $M/memory32/state; cb; ev; blk 32; w online $M/memory32/state 2>&1; cb; ev; done
step "at outcomes"
nb set a GOING_OFFLINE OK; w offline $M/memory32/state; w online $M/memory32/state; nb add l -1; cb; ev
for e in ONLINE OFFLINE; do for v in -12 BAD STOP raw:2 raw:-5; do nb set a $e $v; w offline $M/memory32/state; w online $M/memory32/state; cb; ev; done; nb set a $e OK; done
nb set l GOING_OFFLINE -5; nb set l GOING_ONLINE -5; for v in -12 BAD STOP raw:2 raw:-5; do nb set a CANCEL_OFFLINE $v;  w offline $M/memory32/state; cb; ev; nb set a CANCEL_ONLINE $v; w online $M/memory33/state; cb; ev; done
step "several refuse"
nb set a ANY -7; nb set l ANY -9; w offline $M/memory32/state; w online $M/memory33/state; cb; ev
nb set a ANY raw:-3; w offline $M/memory32/state; w online $M/memory33/state; cb; ev; blk 32 33
