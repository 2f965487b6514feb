//! `memplug ls` and `memplug chmem` beside the programs they are like.
//!
//! What lsmem prints is compared to the byte: it is run on a tree of plain files that is written
//! from what the machine says of itself, and on the mounted view, there also bound over the real
//! place in a mount namespace of its own.

mod machine;

use machine::{Machine, can_mount, in_view, skipped, text};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SUMMARIES: [&[&str]; 4] = [
    &[],
    &["--summary=always"],
    &["--summary=never"],
    &["--summary=only"],
];
const COLUMNS: [&[&str]; 8] = [
    &[],
    &["--output-all"],
    &["-o", "+NODE,ZONES"],
    &["-o", "ZONES,SIZE,node,BLOCK"],
    &["-o", "SIZE"],
    &["-o", "STATE,REMOVABLE"],
    &["-o", "BLOCK,RANGE"],
    &["--output-all", "-o", "STATE"],
];
const SPLITS: [&[&str]; 4] = [
    &[],
    &["-S", "none"],
    &["-S", "NODE"],
    &["-S", "STATE,ZONES"],
];
const LAYOUTS: [&str; 13] = [
    "", "-J", "-P", "-r", "-n", "-a", "-b", "-Jb", "-ab", "-rn", "-an", "-Pb", "-bn",
];

/// The machine's files as a kernel would show them, from what it says of itself.
fn write_tree(machine: &Machine) -> PathBuf {
    let root = machine.path("root");
    let memory = root.join("sys/devices/system/memory");
    fs::create_dir_all(&memory).expect("made");
    fs::write(memory.join("block_size_bytes"), "8000000\n").expect("written");
    let mut client = memplug_client::Client::connect(&machine.path("socket")).expect("connected");
    for block in client.blocks(&Default::default()).expect("a list") {
        let block = block.info;
        let place = memory.join(format!("memory{}", block.id));
        fs::create_dir_all(&place).expect("made");
        let zones: Vec<&str> = block.valid_zones.iter().map(|zone| zone.name()).collect();
        let zones = if zones.is_empty() {
            "none".into()
        } else {
            zones.join(" ")
        };
        for (name, value) in [
            ("state", block.state.word().to_owned()),
            ("removable", "1".into()),
            ("valid_zones", zones),
            ("phys_index", format!("{:08x}", block.id)),
        ] {
            fs::write(place.join(name), value + "\n").expect("written");
        }
        for node in block.nodes {
            fs::create_dir_all(place.join(format!("node{node}"))).expect("made");
        }
    }
    root
}

/// Every layout with every choice of columns, and many of the rest.
fn compare(machine: &Machine, root: &Path) {
    let mut compared = 0;
    for (layout, columns) in LAYOUTS
        .iter()
        .flat_map(|l| COLUMNS.iter().map(move |c| (l, c)))
    {
        for (split, summary) in SPLITS
            .iter()
            .flat_map(|s| SUMMARIES.iter().map(move |m| (s, m)))
        {
            let plain = !layout.contains(['J', 'P', 'r']);
            let without_list = !plain && summary.contains(&"--summary=only");
            // Neither lsmem nor ours takes these together.
            if without_list || (layout.contains('a') && !split.is_empty()) {
                continue;
            }
            // All of the small ones, and some of every kind of the rest.
            compared += 1;
            if compared % 5 != 0 && !(split.is_empty() && summary.is_empty()) {
                continue;
            }
            let mut words: Vec<&str> = layout.is_empty().then(Vec::new).unwrap_or(vec![layout]);
            words.extend(columns.iter().chain(*split).chain(*summary));
            let real = Command::new("/usr/bin/lsmem")
                .args(&words)
                .arg("-s")
                .arg(root)
                .output();
            let real = real.expect("run");
            assert!(real.status.success(), "{words:?}: {}", text(&real.stderr));
            let real = text(&real.stdout);
            let ours = machine.run(&[&["ls"][..], &words].concat());
            assert_eq!(
                text(&ours.stdout),
                real,
                "{words:?}: {}",
                text(&ours.stderr)
            );
            let root = root.to_str().expect("text");
            let of_tree = machine.run(&[&["ls", "-s", root][..], &words].concat());
            assert_eq!(text(&of_tree.stdout), real, "{words:?} of the tree");
        }
    }
}

/// lsmem as everybody calls it, where the machine's blocks are the real ones.
fn bound(machine: &Machine) {
    for words in [&[][..], &["-J"], &["-a"], &["-b", "--output-all"]] {
        let real = in_view(machine).arg("lsmem").args(words).output();
        let real = real.expect("run");
        assert!(real.status.success(), "{words:?}: {}", text(&real.stderr));
        let ours = machine.run(&[&["ls"][..], words].concat());
        assert_eq!(text(&ours.stdout), text(&real.stdout), "{words:?}");
    }
}

#[test]
fn ls_prints_what_lsmem_prints() {
    let help = Command::new("/usr/bin/lsmem").arg("--help").output();
    let Ok(help) = help else {
        return skipped("there is no lsmem here; it comes with util-linux");
    };
    let help = text(&help.stdout);
    let listed = help
        .lines()
        .skip_while(|line| !line.starts_with("Available output columns"));
    let columns = listed.skip(1).take_while(|line| !line.is_empty()).count();
    if columns != 7 {
        return skipped(&format!(
            "this lsmem has {columns} columns, ours are those of the one with 7"
        ));
    }
    let machine = match can_mount() {
        true => Machine::viewed(),
        false => Machine::new(),
    };
    machine.expect(0, &["offline", "33", "36", "39"]);
    machine.expect(0, &["offline", "5"]);
    machine.expect(0, &["add", "--node", "0", "--size", "384M"]);
    machine.expect(0, &["online", "40", "--kernel"]);
    let root = write_tree(&machine);
    compare(&machine, &root);
    match can_mount() {
        true => {
            compare(&machine, &machine.path("tree"));
            bound(&machine);
        }
        false => skipped("nothing can be mounted, so lsmem does not see the view"),
    }
    let more = machine.expect(
        0,
        &["ls", "-a", "-o", "BLOCK,USED,MOVABLE,STUCK,OWNER,EVENT"],
    );
    assert!(more.contains("memory map"), "{more}");
    assert!(more.contains("OFFLINE"), "{more}");
    machine.expect(2, &["ls", "-s", root.to_str().expect("text"), "-o", "USED"]);
}

/// The command under the name of chmem.
fn link(machine: &Machine) -> PathBuf {
    let link = machine.path("chmem");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_memplug"), &link).expect("a link");
    link
}

/// Runs it: its status, what it printed, and what it complained of.
fn chmem(machine: &Machine, link: &Path, words: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(link);
    let output = command
        .args(words)
        .env("MEMPLUG_SOCKET", machine.path("socket"))
        .output();
    let output = output.expect("run");
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn chmem_takes_the_grammar_and_says_the_words_of_chmem() {
    let machine = Machine::new();
    let link = link(&machine);
    let run = |words: &[&str]| chmem(&machine, &link, words);
    let block = |n: u64| {
        format!(
            "Memory Block {n} (0x{:016x}-0x{:016x})",
            n << 27,
            ((n + 1) << 27) - 1
        )
    };
    let out = format!("{} disabled\n{} disabled\n", block(39), block(38));
    assert_eq!(run(&["-d", "256M", "-v"]), (Some(0), out, String::new()));
    let out = format!("{} already disabled\n{} disabled\n", block(38), block(37));
    let range = "0x0000000130000000-0x0000000137ffffff";
    assert_eq!(
        run(&["-vd", range]).1,
        format!("{} already disabled\n", block(38))
    );
    assert_eq!(
        run(&["-vdb", "37-38"]).1.lines().count(),
        out.lines().count()
    );
    let out: String = (37..40)
        .map(|n| format!("{} enabled\n", block(n)))
        .collect();
    assert_eq!(run(&["-ev", "384"]), (Some(0), out, String::new()));
    assert!(machine.states().contains("39 online Movable") || machine.states().contains("Movable"));
    let failed = format!("chmem: {} disable failed: Invalid argument\n", block(0));
    assert_eq!(run(&["-d", "-b", "0"]), (Some(1), String::new(), failed));
    assert_eq!(run(&["-d", "-b", "0-1"]).0, Some(64));
    let (status, _, err) = run(&["-e", "64G"]);
    assert_eq!(
        (status, err.as_str()),
        (Some(64), "chmem: Could only enable 128M of memory\n")
    );
    let (status, _, err) = run(&["-e", "64G"]);
    assert_eq!(
        (status, err.as_str()),
        (Some(1), "chmem: Could only enable 0B of memory\n")
    );
    let mismatch = format!("chmem: {} disable failed: Zone mismatch\n", block(33));
    assert_eq!(run(&["-d", "-b", "33", "-z", "Normal"]).2, mismatch);
}

#[test]
fn chmem_complains_as_chmem_does() {
    let machine = Machine::new();
    let link = link(&machine);
    for (words, line) in [
        (
            &["-e", "100M"][..],
            "Size must be aligned to memory block size (128M)",
        ),
        (&["-e", "x"], "Failed to parse size: 'x': Invalid argument"),
        (
            &["-e", "-d", "1G"],
            "mutually exclusive arguments: --disable --enable",
        ),
        (&["-eb", "5-4"], "Invalid range: 5-4"),
        (&["-e", "-z", "Cold", "1G"], "unknown memory zone: Cold"),
        (&["1G"], "bad usage"),
        (&["-x"], "invalid option -- 'x'"),
        (&[], "bad usage"),
    ] {
        let (status, _, err) = chmem(&machine, &link, words);
        assert_eq!(status, Some(1), "{words:?}");
        assert_eq!(
            err.lines().next(),
            Some(format!("chmem: {line}").as_str()),
            "{words:?}"
        );
    }
}
