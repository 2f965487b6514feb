# machine: --numa 2
# timeout: 200
# needs: plug ev uev
# What is written byte by byte: NUL, long lines, appending; files that cannot be read, made or taken away; words and keys of synthetic uevents.
. "$GOLDEN_LIB"
plug 256M 1; uev
step "bytes that C sees"
wq 'online\0junk' $M/memory32/state; blk 32; wq 'offline\0\n' $M/memory32/state; blk 32; wq '\0' $M/memory32/state; wq 'online\n\0' $M/memory32/state; blk 32; wq 'offline\n\0x' $M/memory32/state; blk 32
wq '1\0' $M/memory33/online; wq '0\0' $M/memory33/online; wq '\0' $M/memory33/online; wq '\n' $M/memory33/online; wq ' 1' $M/memory33/online; wq '\t1' $M/memory33/online; wq 'on\n\n' $M/memory33/online; wq 'of' $M/memory33/online; wq 'Nope' $M/memory33/online; wq 'enable' $M/memory33/online; wq '\x80' $M/memory33/online
wq 'online\0junk' $M/auto_online_blocks; x $M/auto_online_blocks; wq 'offline' $M/auto_online_blocks; x $M/auto_online_blocks; wq 'online\n\n' $M/auto_online_blocks;  wq '\n' $M/auto_online_blocks
ev; uev
step "many bytes"
wq '%4094s' $M/memory32/state; wq '%4095s' $M/memory32/state; wq '%4096s' $M/memory32/state; wq '%5000s' $M/memory32/state; wq '%9000s' $M/memory33/online; wq '1%5000s' $M/memory33/online; blk 33; wq 'online\n%5000s' $M/memory32/state
wq 'online\0%4090s' $M/memory32/state; blk 32; wq '0' $M/memory32/online
step "appending and no truncation"
{ printf 'online\n' >> $M/memory32/state; } 2>&1; note rc=$?; blk 32; { printf 'offline\n' 1<> $M/memory32/state; } 2>&1; note rc=$?; blk 32
{ printf 'on'; printf 'line\n'; } 2>/dev/null > $M/memory32/state; note rc=$?; blk 32
step "files that cannot be read or written"
r $M/soft_offline_page $M/hard_offline_page $M/probe $M/memory32 $M/memory32/power $N/node1
for f in soft_offline_page hard_offline_page; do for v in '' junk 0x 1x -1 99999999999999999999 0xffffffffffffffff; do w "$v" $M/$f; done; done
w 1 $M/memory32; w 1 $M/memory32/node1; w 1 $N/possible; w 1 $N/has_cpu; w 1 $N/has_normal_memory; w 1 $N/node1/memory32; w 1 $N/node1/numastat; w 1 $N/node1/vmstat; w 1 $N/node1/distance; w 1 $N/node1/cpulist; w 1 $N/node1/cpumap
w 1 $N/node2/meminfo; r $N/node2/meminfo $N/node1/nofile $M/memory32/nofile $M/memory032/state $M/memory/state $M/memoryx/state
step "making and taking away"
mkdir $M/x 2>/dev/null; note mkdir $?; rm -f $M/memory32/state 2>/dev/null; note rm $?; rmdir $M/memory32 2>/dev/null; note rmdir $?; mv $M/memory32/state $M/memory32/s 2>/dev/null; note mv $?; ln -s a $M/l 2>/dev/null; note ln $?; ln $M/memory32/state $M/l 2>/dev/null; note hardlink $?
step "uevent words"
for v in 'add fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A=1 B=abc' 'change 0' 'change fe4d7c9d' 'add ' ' add' 'add  fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed' 'change FE4D7C9D-B8C6-4A70-9EF1-3D8A58D18EED A=' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed a=1 ' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A=x-y' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed 1=1' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed =1' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed  A=1' 'change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eedA=1' 'addx' 'online x'; do w "$v" $M/memory32/uevent; done; uev
wq 'add' $M/memory32/uevent; wq 'add\n\n' $M/memory32/uevent; wq 'change\0x' $N/node1/uevent; wq 'remove\n' $N/node0/uevent; uev; r $N/node1/uevent $M/memory33/uevent
blk 32 33; ev
