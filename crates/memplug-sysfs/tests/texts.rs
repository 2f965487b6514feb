//! Every file's text, mode and error, as the behaviour reference lists them (sections 2 and 3).
//! Read and written through the tree alone; no file system is mounted.

mod bench;

use bench::{plugged, read, write};
use memplug_control::{Control, OnlineWord};
use memplug_sysfs::{Errno, Sort};

#[test]
fn texts_to_the_byte() {
    let (_, tree) = plugged();
    for (path, text) in [
        ("memory/block_size_bytes", "8000000\n"),
        ("memory/auto_online_blocks", "offline\n"),
        ("memory/uevent", ""),
        ("memory/memory32/state", "offline\n"),
        ("memory/memory32/online", "0\n"),
        ("memory/memory32/phys_index", "00000020\n"),
        ("memory/memory32/phys_device", "0\n"),
        ("memory/memory32/removable", "1\n"),
        ("memory/memory32/valid_zones", "Normal Movable\n"),
        ("memory/memory32/uevent", ""),
        ("memory/memory0/valid_zones", "none\n"),
        ("memory/memory0/removable", "1\n"),
        ("memory/memory7/valid_zones", "DMA32\n"),
        ("memory/memory1/online", "1\n"),
        ("node/possible", "0-2\n"),
        ("node/online", "0-1\n"),
        ("node/has_memory", "0\n"),
        ("node/has_normal_memory", "0\n"),
        ("node/has_cpu", "0\n"),
        ("node/node0/cpulist", "0-1\n"),
        ("node/node0/cpumap", "3\n"),
        ("node/node1/cpulist", "\n"),
        ("node/node1/cpumap", "0\n"),
        ("node/node1/distance", "20 10\n"),
        ("memory_hotplug/parameters/online_policy", "contig-zones\n"),
        ("memory_hotplug/parameters/auto_movable_ratio", "301\n"),
        ("memory_hotplug/parameters/auto_movable_numa_aware", "Y\n"),
        ("memory_hotplug/parameters/memmap_on_memory", "N\n"),
        ("memory/memory32/node1/memory33/phys_index", "00000021\n"),
        ("sys/devices/system/node/node1/memory33/state", "offline\n"),
    ] {
        assert_eq!(read(&tree, path), text, "{path}");
    }
    let meminfo = read(&tree, "node/node1/meminfo");
    assert_eq!(
        meminfo.lines().next(),
        Some("Node 1 MemTotal:              0 kB")
    );
    write(&tree, "memory/memory32/state", "online").expect("online");
    let meminfo = read(&tree, "node/node1/meminfo");
    assert_eq!(
        meminfo.lines().next(),
        Some("Node 1 MemTotal:         131072 kB")
    );
    assert!(
        meminfo
            .lines()
            .any(|line| line == "Node 1 HugePages_Total:     0")
    );
    assert_eq!(read(&tree, "node/has_memory"), "0-1\n");
}

#[test]
fn zoneinfo_tells_spans_and_ends_early_for_empty_zones() {
    let (_, tree) = plugged();
    write(&tree, "memory/memory33/state", "online_movable").expect("online");
    let text = read(&tree, "zoneinfo");
    let zone = text
        .split("Node ")
        .find(|zone| zone.starts_with("1, zone  Movable\n"));
    let zone = zone.expect("the zone is listed");
    for line in [
        "        spanned  32768",
        "        present  32768",
        "        managed  32768",
        "  start_pfn:           1081344",
    ] {
        assert!(zone.lines().any(|other| other == line), "{line}\n{zone}");
    }
    let empty = text
        .split("Node ")
        .find(|zone| zone.starts_with("1, zone   Normal\n"));
    assert!(!empty.expect("listed, too").contains("start_pfn"));
    assert!(!text.contains("Node 2"), "a node that does not exist");
    let buddy = read(&tree, "buddyinfo");
    assert!(
        buddy.contains("Node 1, zone  Movable      0      0"),
        "{buddy}"
    );
    assert!(!buddy.contains("Node 1, zone   Normal"));
}

#[test]
fn modes_and_what_is_not_there() {
    let (_, tree) = plugged();
    for (path, mode) in [
        ("memory/block_size_bytes", 0o444),
        ("memory/auto_online_blocks", 0o644),
        ("memory/hard_offline_page", 0o200),
        ("memory/soft_offline_page", 0o200),
        ("memory/memory32/state", 0o644),
        ("memory/memory32/online", 0o644),
        ("memory/memory32/valid_zones", 0o444),
        ("node/node1/meminfo", 0o444),
    ] {
        let of = tree
            .attributes(tree.find(path).expect("it is there"))
            .expect("it is");
        assert_eq!(
            (of.sort, of.mode, of.size, of.links),
            (Sort::File, mode, 4096, 1),
            "{path}"
        );
    }
    let links = |path| {
        tree.attributes(tree.find(path).expect("there"))
            .map(|of| of.links)
    };
    assert_eq!(links("memory"), Ok(2 + 10 + 1), "ten blocks, and power");
    assert_eq!(links("memory/memory32"), Ok(3));
    for path in [
        "memory/probe",
        "memory/memory99",
        "memory/memory032",
        "memory/memory+1",
        "memory/memory",
        "memory/memory32/node0",
        "node/node2",
        "node/node1/memory0",
        "nothing",
    ] {
        assert_eq!(tree.find(path).err(), Some(Errno::NOENT), "{path}");
    }
    let hard = tree.find("memory/hard_offline_page").expect("there");
    assert_eq!(tree.read(hard), Err(Errno::ACCESS));
    assert_eq!(
        write(&tree, "memory/hard_offline_page", "junk"),
        Err(Errno::INVAL)
    );
    assert_eq!(
        write(&tree, "memory/hard_offline_page", "0xfff000000000"),
        Err(Errno::NXIO)
    );
    assert_eq!(
        write(&tree, "memory/memory32/removable", "1"),
        Err(Errno::ACCESS)
    );
}

#[test]
fn links_lead_where_the_kernels_lead() {
    let (_, tree) = plugged();
    let block = tree.find("memory/memory32").expect("a block");
    let node = tree.find("node/node1").expect("a node");
    let target = |directory, name| tree.target(tree.lookup(directory, name).expect(name));
    assert_eq!(target(block, "node1").as_deref(), Ok("../../node/node1"));
    assert_eq!(
        target(block, "subsystem").as_deref(),
        Ok("../../../../bus/memory")
    );
    assert_eq!(
        target(node, "memory33").as_deref(),
        Ok("../../memory/memory33")
    );
    let names = |place| -> Vec<String> {
        tree.list(place)
            .expect("a directory")
            .into_iter()
            .map(|entry| entry.name)
            .collect()
    };
    let cpus = tree.find("node/node0").expect("a node");
    assert_eq!(target(cpus, "cpu1").as_deref(), Ok("../../cpu/cpu1"));
    assert_eq!(tree.lookup(cpus, "cpu2").err(), Some(Errno::NOENT));
    assert_eq!(tree.lookup(node, "cpu0").err(), Some(Errno::NOENT));
    assert!(names(block).contains(&"node1".into()));
    assert!(names(node).ends_with(&["memory32".into(), "memory33".into()]));
    assert!(names(tree.find("memory").expect("there")).ends_with(&["memory33".into()]));
    assert!(!names(tree.find("node").expect("there")).contains(&"node2".into()));
}

#[test]
fn words_of_state_are_whole_and_of_online_are_letters() {
    let (runtime, tree) = plugged();
    let state = "memory/memory32/state";
    for bad in [
        "ONLINE",
        " online",
        "online ",
        "online\n\n",
        "\n",
        "online\r\n",
        "going-offline",
        "1",
    ] {
        assert_eq!(write(&tree, state, bad), Err(Errno::INVAL), "{bad:?}");
    }
    assert_eq!(write(&tree, state, ""), Ok(0), "never reaches a handler");
    assert_eq!(write(&tree, state, "online\n"), Ok(7));
    assert_eq!(write(&tree, state, "online_movable"), Err(Errno::INVAL));
    let sticky = runtime.block(32).expect("there").sticky;
    assert_eq!(
        sticky,
        Some(OnlineWord::OnlineMovable),
        "refused, and it sticks"
    );
    assert_eq!(write(&tree, state, "offline\0x"), Ok(9), "a C string");
    let online = "memory/memory32/online";
    for (text, expected) in [
        ("yes", "1\n"),
        ("1\n0\n", "1\n"),
        ("Off we go", "0\n"),
        ("none", "0\n"),
        ("oN", "1\n"),
        ("0x1", "0\n"),
    ] {
        assert_eq!(write(&tree, online, text), Ok(text.len()), "{text:?}");
        assert_eq!(read(&tree, online), expected, "{text:?}");
    }
    for bad in ["ok", "o", "2", "-1", "+1", " 1", "\n"] {
        assert_eq!(write(&tree, online, bad), Err(Errno::INVAL), "{bad:?}");
    }
    assert_eq!(read(&tree, online), "0\n");
}

#[test]
fn settings_refuse_what_linux_refuses() {
    let (_, tree) = plugged();
    let at = |name: &str| format!("memory_hotplug/parameters/{name}");
    for (name, good, bad) in [
        ("online_policy", "auto-movable\n", "bogus"),
        ("auto_movable_ratio", "0x10\n", "-1"),
        ("auto_movable_numa_aware", "no\n", ""),
    ] {
        assert_eq!(write(&tree, &at(name), good), Ok(good.len()), "{name}");
        let refused = write(&tree, &at(name), &format!("{bad}\n"));
        assert_eq!(refused, Err(Errno::INVAL), "{name}");
    }
    assert_eq!(read(&tree, &at("auto_movable_ratio")), "16\n");
    assert_eq!(read(&tree, &at("auto_movable_numa_aware")), "N\n");
    assert_eq!(
        write(&tree, &at("auto_movable_ratio"), "4294967296"),
        Err(Errno::RANGE)
    );
    assert_eq!(
        write(&tree, &at("memmap_on_memory"), "1"),
        Err(Errno::ACCESS)
    );
    for bad in ["going-offline", "ONLINE", "1", "online "] {
        assert_eq!(
            write(&tree, "memory/auto_online_blocks", bad),
            Err(Errno::INVAL),
            "{bad}"
        );
    }
}

#[test]
fn boot_blocks_that_can_never_go_and_blocks_that_are_gone() {
    let (runtime, tree) = plugged();
    for block in [0, 7] {
        let state = format!("memory/memory{block}/state");
        assert_eq!(write(&tree, &state, "offline"), Err(Errno::INVAL));
        assert_eq!(read(&tree, &state), "online\n");
    }
    let state = tree.find("memory/memory32/state").expect("there");
    let device = runtime.block(32).expect("there").device.expect("of a DIMM");
    let attempt = memplug_control::Attempt::default();
    let how = memplug_control::RemoveHow::OfflineFirst;
    runtime.remove(device, how, &attempt).expect("removed");
    assert_eq!(tree.write(state, b"online", &attempt), Err(Errno::NODEV));
    assert_eq!(tree.read(state), Err(Errno::NOENT));
    assert_eq!(tree.find("node/node1").err(), Some(Errno::NOENT));
}

#[test]
fn words_of_power_management_are_kept_and_mean_nothing() {
    let (runtime, tree) = plugged();
    for device in ["memory", "node", "memory/memory32", "node/node1"] {
        let at = |name: &str| format!("{device}/power/{name}");
        assert_eq!(write(&tree, &at("control"), "on\n"), Ok(3), "{device}");
        assert_eq!(read(&tree, &at("control")), "on\n", "{device}");
        assert_eq!(read(&tree, &at("runtime_usage")), "1\n");
        assert_eq!(
            read(&tree, &at("runtime_enabled")),
            "disabled & forbidden\n"
        );
        assert_eq!(write(&tree, &at("async"), "enabled"), Ok(7), "{device}");
        assert_eq!(read(&tree, &at("async")), "enabled\n", "{device}");
        for (name, bad) in [("control", "off"), ("async", "on"), ("async", "enabled ")] {
            assert_eq!(write(&tree, &at(name), bad), Err(Errno::INVAL), "{bad}");
        }
        let delay = tree.find(&at("autosuspend_delay_ms")).expect("there");
        assert_eq!(tree.read(delay), Err(Errno::IO));
        assert_eq!(
            write(&tree, &at("autosuspend_delay_ms"), "1"),
            Err(Errno::IO)
        );
    }
    assert_eq!(read(&tree, "memory/memory33/power/control"), "auto\n");
    let device = runtime.block(32).expect("there").device.expect("of a DIMM");
    let attempt = memplug_control::Attempt::default();
    let how = memplug_control::RemoveHow::OfflineFirst;
    runtime.remove(device, how, &attempt).expect("removed");
    let again = memplug_control::AddSpec::dimm(1, 256 << 20);
    runtime.add(&again, &attempt).expect("another");
    for device in ["memory/memory32", "node/node1"] {
        let control = format!("{device}/power/control");
        assert_eq!(read(&tree, &control), "auto\n", "{device} is another one");
    }
    assert_eq!(
        read(&tree, "memory/power/control"),
        "on\n",
        "and this is not"
    );
}

#[test]
fn wishes_for_huge_pages_come_to_nothing() {
    let (_, tree) = plugged();
    let pool = "node/node1/hugepages/hugepages-2048kB/nr_hugepages";
    assert_eq!(write(&tree, pool, "8\n"), Ok(2));
    assert_eq!(read(&tree, pool), "0\n");
    assert_eq!(write(&tree, pool, "0x8"), Err(Errno::INVAL));
    let large = |name| format!("node/node1/hugepages/hugepages-1048576kB/{name}");
    assert_eq!(write(&tree, &large("demote"), "1"), Ok(1));
    assert_eq!(write(&tree, &large("demote_size"), "2M"), Ok(2));
    assert_eq!(write(&tree, &large("demote_size"), "4M"), Err(Errno::INVAL));
    assert_eq!(write(&tree, "node/node1/compact", "anything"), Ok(8));
    let compact = tree.find("node/node1/compact").expect("there");
    assert_eq!(tree.read(compact), Err(Errno::ACCESS));
}

#[test]
fn refusals_on_demand() {
    let (runtime, tree) = plugged();
    let at = |event: &str| format!("debug/notifier-error-inject/memory/actions/{event}/error");
    assert_eq!(write(&tree, &at("MEM_GOING_ONLINE"), "-12\n"), Ok(4));
    assert_eq!(read(&tree, &at("MEM_GOING_ONLINE")), "-12\n");
    assert_eq!(
        write(&tree, "memory/memory32/state", "online"),
        Err(Errno::NOMEM)
    );
    assert_eq!(runtime.refusals().expect("kept").len(), 1);
    assert_eq!(write(&tree, &at("MEM_GOING_ONLINE"), "0\n"), Ok(2));
    assert!(runtime.subscribers().expect("listed").is_empty());
    assert_eq!(write(&tree, "memory/memory32/state", "online"), Ok(6));
    assert_eq!(write(&tree, &at("MEM_GOING_OFFLINE"), "-9999"), Ok(5));
    assert_eq!(read(&tree, &at("MEM_GOING_OFFLINE")), "-4095\n");
    assert_eq!(
        write(&tree, &at("MEM_GOING_OFFLINE"), "x"),
        Err(Errno::INVAL)
    );
}
