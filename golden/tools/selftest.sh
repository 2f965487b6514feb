#!/usr/bin/env bash
# Runs the kernel's own selftest of memory hotplug on a served machine.
# usage: selftest.sh MEMPLUG MEM-ON-OFF-TEST [OPTIONS...]
# The test is tools/testing/selftests/memory-hotplug/mem-on-off-test.sh of a kernel's source, for
# instance of Debian's package linux-source-6.1; it is not part of this repository. Needs root, bc.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd); memplug=$1; selftest=$2; shift 2
command -v bc >/dev/null || { echo "selftest: bc is missing; install it" >&2; exit 2; }
dir=$(mktemp -d); server=
cleanup(){ [ -z "$server" ] || { kill "$server" 2>/dev/null || true; wait "$server" || true; }; rm -rf "$dir"; }
trap cleanup EXIT
cat > "$dir/machine.toml" <<'TOML'
[machine]
nodes = 2
cpus = 2
block_size = "as-linux"
like = "linux"
[[boot]]
start = "0x1000"
end = "0x9f000"
[[boot]]
start = "0x100000"
end = "0x3ffdf000"
[[device]]
node = 1
size = "1G"
TOML
"$memplug" serve --machine "$dir/machine.toml" --sysfs "$dir/tree" > "$dir/ready" & server=$!
for _ in $(seq 100); do grep -q ready "$dir/ready" && break; sleep 0.1; done
"$here/in-view.sh" "$dir/tree" bash "$selftest" "$@" 2>&1 | tee "$dir/said"
# Without the directory of error injection the test ends early, and well.
grep -q 'Test with memory notifier error injection' "$dir/said" || { echo "selftest: nothing was injected; it takes debugfs" >&2; exit 1; }
