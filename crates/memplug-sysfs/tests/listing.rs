//! The whole tree beside a real kernel's: `linux-6.1/tree.txt` is what `find` printed on Linux
//! 6.1.192 (Debian, two nodes of which the second has one DIMM of two blocks, the second block
//! online in Movable), `linux-6.1/files.txt` is every file's text there.
//!
//! Left out: `firmware_node`, a link into the firmware's device tree, which no machine of ours
//! has; and the numbers in files that count node 0's pages, which depend on the kernel itself.

mod bench;

use bench::{plugged_into, write};
use memplug_sysfs::{Errno, Sort, Tree};

fn machine() -> std::sync::Arc<Tree> {
    let (_, tree) = plugged_into(&bench::FILE.replace("nodes = 3", "nodes = 2"));
    write(&tree, "memory/memory33/state", "online_movable").expect("online");
    tree
}

/// The mode as `ls` shows it.
fn shown(kind: char, mode: u32) -> String {
    let letters = "rwxrwxrwx".chars().enumerate();
    let bits = letters.map(|(at, letter)| match mode & 0o400 >> at {
        0 => '-',
        _ => letter,
    });
    let first = if kind == 'f' { '-' } else { kind };
    std::iter::once(first).chain(bits).collect()
}

/// A line for each file below a directory: path, mode, kind, target.
fn lines(tree: &Tree, path: &str, found: &mut Vec<String>) {
    let place = tree.find(path).expect("listed");
    for entry in tree.list(place).expect("a directory") {
        let path = format!("{path}/{}", entry.name);
        assert_eq!(tree.lookup(place, &entry.name), Ok(entry.place), "{path}");
        let of = tree.attributes(entry.place).expect("listed");
        let (kind, target) = match entry.sort {
            Sort::Directory => ('d', String::new()),
            Sort::File => ('f', String::new()),
            Sort::Link => ('l', tree.target(entry.place).expect("a link")),
        };
        found.push(format!("{path} {} {kind} {target}", shown(kind, of.mode)));
        if entry.sort == Sort::Directory {
            lines(tree, &path, found);
        }
    }
}

#[test]
fn names_modes_and_links_are_the_kernels() {
    let tree = machine();
    let mut found: Vec<String> = ["memory", "node"]
        .map(|top| {
            let of = tree.find(top).and_then(|place| tree.attributes(place));
            format!("{top} {} d ", shown('d', of.expect("there").mode))
        })
        .into();
    for top in ["memory", "node"] {
        lines(&tree, top, &mut found);
    }
    found.sort();
    let recorded = include_str!("linux-6.1/tree.txt").lines();
    let mut recorded: Vec<&str> = recorded
        .filter(|line| !line.contains("/firmware_node "))
        .collect();
    recorded.sort_unstable();
    assert_eq!(found, recorded);
}

/// The text with every number as wide as it was, but nought.
fn without_numbers(text: &str) -> String {
    let mut plain = String::new();
    for line in text.lines() {
        let (name, rest) = line.split_at(line.find(": ").or(line.rfind(' ')).unwrap_or(0));
        let width = rest.trim_end_matches(" kB").len();
        // A number wider than its column makes the line longer.
        plain += &format!("{name} {}\n", if line.contains(':') { width } else { 0 });
    }
    plain
}

#[test]
fn texts_are_the_kernels() {
    let tree = machine();
    let recorded = include_str!("linux-6.1/files.txt");
    let mut compared = 0;
    for file in recorded.split("=== ").skip(1) {
        let (path, text) = file.split_once('\n').expect("a path and a text");
        let found = tree.find(path).and_then(|file| tree.read(file));
        if text == "(error: cat: read error: Input/output error)\n" {
            assert_eq!(found, Err(Errno::IO), "{path}");
            continue;
        }
        let found = String::from_utf8(found.expect(path)).expect("text");
        let counts = ["meminfo", "vmstat", "numastat"].iter();
        if path.starts_with("node/node0/") && counts.clone().any(|name| path.ends_with(name)) {
            assert_eq!(without_numbers(&found), without_numbers(text), "{path}");
        } else {
            assert_eq!(found, text, "{path}");
        }
        compared += 1;
    }
    assert!(compared > 150, "{compared}");
}
