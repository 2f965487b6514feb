# machine: --numa 2
# timeout: 400
# needs: plug unplug ev uev nb cb zones wbg wfg
# Each event in the middle, in both zones, refused ones too; a removal and an addition on their way.
. "$GOLDEN_LIB"
look(){ r $M/memory32/state $M/memory32/valid_zones $M/memory33/valid_zones; nodes; memtotal 1; zones 1; cb; }
plug 384M 1; nb add slow 0; uev
step "a kernel block comes and goes"
for e in GOING_ONLINE ONLINE; do nb delay slow $e 3000; wbg online_kernel $M/memory32/state 1; note "$e"; look; wfg; nb delay slow $e 0; cb; ev; [ $e = ONLINE ] || w offline $M/memory32/state; done
for e in GOING_OFFLINE OFFLINE; do nb delay slow $e 3000; wbg offline $M/memory32/state 1; note "$e"; look; wfg; nb delay slow $e 0; cb; ev; [ $e = OFFLINE ] || w online_kernel $M/memory32/state; done
step "refused"
w online_movable $M/memory34/state; nb set slow GOING_ONLINE -12; nb delay slow CANCEL_ONLINE 3000; wbg online_movable $M/memory32/state 1; look; wfg; look; ev
nb set slow GOING_ONLINE OK; w online_movable $M/memory32/state; nb set slow GOING_OFFLINE -12; nb delay slow CANCEL_OFFLINE 3000; wbg 0 $M/memory32/online 1; look; wfg; look; ev; nb delay slow ANY 0; nb set slow ANY OK
step "removal on its way"
nb delay slow GOING_OFFLINE 2000; ( unplug dimm0 > /tmp/un.$$ ) & p=$!; sleep 1; look; r $M/memory34/state; w junk $M/memory33/state; wait $p; cat /tmp/un.$$; cb; ev; uev; nodes
step "addition while another is on its way, auto-online"
nb delay slow ANY 0; plug 128M 1; w online_movable $M/auto_online_blocks; nb delay slow GOING_ONLINE 2000; wbg online $M/memory32/state 0.5; plug 256M 1; wfg; vz; cb; ev; uev
step "readers and writers that meet"
nb delay slow ANY 0; nb delay slow GOING_OFFLINE 2000; w offline $M/auto_online_blocks; wbg offline $M/memory33/state 0.5; w online $M/memory33/state; wfg; blk 33; wbg 0 $M/memory33/online 0.5; w 0 $M/memory33/online; wfg; wbg offline $M/memory34/state 0.5; w online_kernel $M/memory33/state; wfg; vz; ev; uev
