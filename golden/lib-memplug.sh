# memplug's half of the golden helpers: the same words as the real kernel's half, by way of a
# served machine. What a user can do with files is done with files; the rest goes to the bench.
#
# Set by whoever runs a scenario: MEMPLUG the command, GOLDEN_SYSFS where the tree is mounted,
# GOLDEN_WORKLOAD the socket of the bench, and GOLDEN_MEM, GOLDEN_CPUS, GOLDEN_APPEND for the head.
# GOLDEN_NODES: the kernel's number of each node of the machine, where they differ.
. "${GOLDEN_COMMON:-${BASH_SOURCE%/*}/lib-common.sh}"
M=$GOLDEN_SYSFS/memory; N=$GOLDEN_SYSFS/node; MP=$GOLDEN_SYSFS/memory_hotplug/parameters
GOLDEN_TMP=${GOLDEN_TMP:-$(mktemp -d)}
bench(){ "$MEMPLUG" workload --socket "$GOLDEN_WORKLOAD" "$@"; }
# What an operation that never ends looks like: given up after 15 seconds, and it goes on.
patient(){ bench --timeout 15 "$@" || printf '%s: no answer\n' "$1"; }
init(){
  # Nothing is written before the tree is known to be ours: this machine may have blocks of its own.
  case $(stat -f -c %T "$M") in fuse*) [ "$(cat "$GOLDEN_SYSFS/memplug")" = memplug ];; *) false;; esac || { echo "golden: $M is not a tree of memplug"; exit 1; }
  bootids
  printf '# machine: memplug, mem %s, nodes possible %s, cpus %s, block_size_bytes %s, boot blocks %s\n' "${GOLDEN_MEM:-1G}" "$(cat "$N/possible")" "${GOLDEN_CPUS:-2}" "$(cat "$M/block_size_bytes")" "$(set -- $BOOTIDS; a=$1; shift $(($#-1)); echo $a-$1)"
  [ -z "$GOLDEN_APPEND" ] || printf '# command line: %s\n' "$GOLDEN_APPEND"
}
NODES=($GOLDEN_NODES)
# The node of a DIMM is the machine's number; everything else speaks of the kernel's.
plug(){ local to=${NODES[$2]:-$2}; patient plug "$1" "$to" "${@:3}" | sed "s/^plug $1 $to /plug $1 $2 /"; }
unplug(){ patient unplug "$@"; }
ev(){ bench ev; }
uev(){ bench uev; }
cb(){ bench cb; }
nb(){ bench nb "$@"; }
hog(){ bench hog "$@"; }; pin(){ bench pin "$@"; }; thp(){ bench thp "$@"; }
unhog(){ bench unhog "$@"; }; unpin(){ bench unpin "$@"; }; where(){ bench where "$@"; }
# zones NODE: as on the real kernel, from zoneinfo
zones(){ awk -v n="$1" -v any=0 '
  function out(){if((z=="Normal"||z=="Movable")&&(sp>0||pr>0)){any=1;s=s sprintf("zone %s start_pfn=%s spanned=%s present=%s managed=%s\n",z,st,sp,pr,mg)};z=""}
  /^Node/{out();cur=$2+0;if(cur==n){z=$4;st="-"};next}
  z!=""&&/^ +spanned/{sp=$2} z!=""&&/^ +present/{pr=$2} z!=""&&/^ +managed/{mg=$2} z!=""&&/start_pfn:/{st=$2}
  END{out();if(any)printf "%s",s;else print "zone Normal and Movable empty"}' "$GOLDEN_SYSFS/zoneinfo" | sed "s/^zone/node$1 zone/"; }
wt(){ printf '%s <- %s (signal after %ss) : %s\n' "$(rel "$3")" "$2" "$1" "$("$MEMPLUG" workload wt "$1" "$2" "$3")"; }
wbg(){ { w "$1" "$2" > "$GOLDEN_TMP/wbg"; } & WBG=$!; sleep "${3:-0.4}"; printf 'begun: %s <- %s\n' "$(rel "$2")" "$1"; }
wfg(){ wait $WBG; cat "$GOLDEN_TMP/wbg"; }
param(){ if [ $# = 2 ]; then local e rc; e=$( { printf '%s\n' "$2" > "$MP/$1"; } 2>&1 ); rc=$?; if [ $rc = 0 ]; then printf 'param %s <- %s : rc=0\n' "$1" "$2"; else printf 'param %s <- %s : rc=%d %s\n' "$1" "$2" $rc "$(errtext "$e")"; fi; else printf 'param %s: %s\n' "$1" "$(cat "$MP/$1")"; fi; }
init
