#!/usr/bin/env bash
# Runs a command in a mount namespace of its own in which the directories of this machine's memory
# blocks and nodes are those of a served machine. Nothing outside the namespace changes.
# usage: in-view.sh TREE COMMAND...     TREE: where memplug serve --sysfs has its tree
# Needs root. /sys/kernel/debug gets the tree's stand-in for error injection.
set -euo pipefail
tree=$(cd "$1" && pwd); shift
if [ "${IN_VIEW:-}" != yes ]; then
  IN_VIEW=yes exec unshare --mount --propagation private "$0" "$tree" "$@"
fi
ours(){ [ "$(stat -f -c %t "$1")" = 65735546 ] || { echo "in-view: $1 is not a tree of memplug" >&2; exit 2; }; }
ours "$tree/memory"; [ "$(cat "$tree/memplug")" = memplug ] || { echo "in-view: $tree is not a tree of memplug" >&2; exit 2; }
for name in memory node; do mount --bind "$tree/$name" /sys/devices/system/$name; ours /sys/devices/system/$name; done
# A list of debugfs mounts must name the place; what is seen there is ours.
mount -t debugfs none /sys/kernel/debug && mount --bind "$tree/debug" /sys/kernel/debug || echo "in-view: no error injection" >&2
exec "$@"
