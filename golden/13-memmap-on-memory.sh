# machine: --numa 2
# append: memory_hotplug.memmap_on_memory=1
# needs: plug unplug ev zones
# A DIMM of one block holds its own memory map: its first 512 pages. One of two blocks does not.
. "$GOLDEN_LIB"
step "one block"
plug 128M 1; w online_movable $M/memory32/state; ev; zones 1; memtotal 1; nodes
w offline $M/memory32/state; ev; zones 1; memtotal 1; nodes
step "in the kernel zone too, and the last one out reports"
w online_kernel $M/memory32/state; ev; zones 1; memtotal 1; w 0 $M/memory32/online; ev; nodes
step "two blocks"
plug 256M 1; w online_movable $M/memory33/state; ev; zones 1; memtotal 1
unplug dimm1; unplug dimm0; ev; nodes
