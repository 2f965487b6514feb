# machine: --numa 2
# timeout: 300
# needs: plug unplug ev uev nb cb
# Extreme and equal priorities; answers during auto-online and during removals.
. "$GOLDEN_LIB"
uev; plug 384M 1; nb add a 10; nb add b 10; nb add c -2147483648; nb add d 2147483647; nb add z 0; ev
step "eleven"
w online_movable $M/memory33/state; cb; ev
nb del b; nb add b 10; w online_kernel $M/memory32/state; cb; ev; nb again b; nb again a; nb del a; nb again a; nb add a 10; w offline $M/memory33/state; cb; ev
step "auto-online with answers"
w online_movable $M/auto_online_blocks; nb set z GOING_ONLINE -12; plug 256M 1; cb; ev; uev; vz; nb set z GOING_ONLINE STOP; plug 256M 1; cb; ev; uev; vz; nb set z GOING_ONLINE raw:-1; plug 128M 1; cb; ev; vz; nb set z GOING_ONLINE BAD; nb set c CANCEL_ONLINE -5; plug 128M 1; cb; ev; vz; nodes
step "removal with answers"
nb set z GOING_ONLINE OK; nb set b GOING_OFFLINE BAD; unplug dimm2; cb; ev; uev; vz; nb set b GOING_OFFLINE OK; nb set c GOING_OFFLINE -16; nb set z CANCEL_OFFLINE STOP; nb set a CANCEL_OFFLINE DONE; unplug dimm3; cb; ev; uev; vz; nb set c GOING_OFFLINE OK; nb set z GOING_ONLINE -12; nb set z OFFLINE -12; unplug dimm2; cb; ev; uev; vz; nodes
step "refused on the way and again on the way back"
nb set c GOING_OFFLINE OK; nb set z ANY OK; w offline $M/auto_online_blocks; w online $M/memory34/state; w online_movable $M/memory33/state; vz; nb peek a 1; nb set z GOING_OFFLINE -1; nb set z GOING_ONLINE -2; unplug dimm0; cb; ev; uev; vz; nb set z GOING_OFFLINE OK; unplug dimm0; cb; ev; uev; vz; nodes
