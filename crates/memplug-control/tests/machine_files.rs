//! Machine files: what they make, and that a bad one is told with its line, cause and remedy.
//! No text and no values make reading one panic.

use memplug_control::{Control, MachineFile, PolicyName, ZoneName};
use proptest::prelude::*;
use std::path::Path;

fn parse(text: &str) -> Result<MachineFile, String> {
    MachineFile::parse(text, Path::new("m.toml")).map_err(|error| error.to_string())
}

/// Every key that the document shows is one, and its values go together.
#[test]
fn the_example_of_the_document_makes_a_machine() {
    let document = include_str!("../../../docs/MACHINE.md");
    let example = document.split("```toml\n").nth(1).expect("an example");
    let example = example.split("```").next().expect("its end");
    let runtime = parse(example).expect("good").build().expect("a machine");
    assert!(runtime.block_ids().expect("listed").len() > 1);
}

#[test]
fn a_machine_with_holes_nodes_policies_and_devices() {
    let text = r#"
[machine]
nodes = 3
cpus = 2
cpu_nodes = [0, 2]
like = "linux"
block_size = "as-linux"
overcommit = true
[policy]
auto_online_blocks = "online_movable"
online_policy = "auto-movable"
auto_movable_ratio = 50
auto_movable_numa_aware = false
[[boot]]
start = "1M"
end = "448M"
[[boot]]
node = 1
start = "448M"
size = "64M"
[[device]]
node = 2
size = "256M"
start = "0x140000000"
[[device]]
node = 1
size = "128M"
"#;
    let runtime = parse(text).expect("good").build().expect("a machine");
    assert_eq!(
        runtime.block_ids().expect("listed"),
        [0, 1, 2, 3, 32, 40, 41]
    );
    let border = runtime.block(3).expect("there");
    assert_eq!(
        (border.nodes, border.zone, border.valid_zones),
        (vec![0, 1], None, vec![])
    );
    assert_eq!(
        runtime.block(40).expect("there").zone,
        Some(ZoneName::Movable)
    );
    let nodes = runtime.nodes().expect("listed");
    assert_eq!(nodes[2].cpus, [1]);
    assert!(nodes.iter().all(|node| node.online && node.has_memory));
    let policy = runtime.policy().expect("read");
    assert_eq!(policy.get(PolicyName::AutoMovableRatio).shown(), "50");
    assert_eq!(policy.get(PolicyName::OnlinePolicy).shown(), "auto-movable");
}

#[test]
fn an_empty_file_is_a_machine_without_memory() {
    let runtime = parse("").expect("good").build().expect("a machine");
    assert!(runtime.blocks().expect("listed").is_empty());
    assert_eq!(runtime.nodes().expect("listed").len(), 1);
}

#[test]
fn bad_lines_are_told() {
    for (text, line, word) in [
        ("[machine]\nnodes = 0\n", 2, "1 to 1024"),
        ("[machine]\nnodes = \"x\"\n", 2, "invalid type"),
        ("[machine]\n\nfrobs = 1\n", 3, "unknown field"),
        ("[machine]\nnodes = 2\n[machine\n", 3, ""),
        ("[machine]\nblock_size = \"3M\"\n", 2, ""),
        ("[machine]\nblock_size = \"much\"\n", 2, "block size"),
        ("[machine]\naddress_space = \"3G\"\n", 2, "multiple of 2G"),
        ("[machine]\ncpus = 2\ncpu_nodes = [0]\n", 3, "node of each"),
        ("[machine]\ncpu_nodes = [5]\n", 2, "raise `nodes`"),
        ("[machine]\nlike = \"plan9\"\n", 2, "unknown variant"),
        (
            "[policy]\nauto_online_blocks = \"yes\"\n",
            2,
            "unknown variant",
        ),
        ("[policy]\nauto_movable_ratio = -1\n", 2, "invalid value"),
        ("[[boot]]\nnode = 1\nsize = \"1G\"\n", 3, "raise `nodes`"),
        ("[[boot]]\nsize = \"1x\"\n", 2, ""),
        ("[[boot]]\nstart = \"2M\"\nend = \"1M\"\n", 3, "raise `end`"),
        ("[[boot]]\nstart = \"2M\"\n", 2, "lacks"),
        ("[[boot]]\nstart = \"0x10\"\nend = \"1M\"\n", 3, "4096"),
        ("[[boot]]\nnode = 0\n", 1, "without size"),
        ("[[device]]\nnode = 3\nsize = \"1G\"\n", 3, "raise `nodes`"),
        ("[[device]]\nnode = 0\n", 1, "missing field"),
    ] {
        let error = parse(text).expect_err(text);
        let at = format!("m.toml:{line}: ");
        assert!(
            error.starts_with(&at) && error.contains(word),
            "{text:?}: {error}"
        );
        assert!(error.contains("; ") && !error.contains('\n'), "{error}");
    }
}

#[test]
fn boot_memory_in_the_way_is_told_in_the_words_of_the_file() {
    let two = |start: &str, end: &str| {
        format!(
            "[[boot]]\nstart = \"0x100000\"\nend = \"9M\"\n\
             [[boot]]\nstart = \"{start}\"\nend = \"{end}\"\n"
        )
    };
    for (start, end, told) in [
        (
            "0x500000",
            "6M",
            "overlaps that of line 3; give ranges apart",
        ),
        (
            "0",
            "0x101000",
            "overlaps that of line 3; give ranges apart",
        ),
        (
            "0",
            "0x100000",
            "is below that of line 3; write the lowest first",
        ),
        ("1G", "2T", "lies beyond the address space of 1T; raise it"),
    ] {
        let error = parse(&two(start, end)).expect_err(start);
        let told = format!("m.toml:6: boot memory from {start} to {end} {told}");
        assert_eq!(error.to_string(), told);
    }
    parse(&two("9M", "10M")).expect("side by side");
}

#[test]
fn what_only_shows_when_it_is_made() {
    // Two nodes in one pageblock: no line by itself is wrong.
    let shared = "[machine]\nnodes = 2\n[[boot]]\nstart = \"0\"\nsize = \"3M\"\n\
                  [[boot]]\nnode = 1\nstart = \"0x300000\"\nsize = \"5M\"\n";
    let error = parse(shared).expect("each line is good").build();
    let error = error.err().expect("not together").to_string();
    assert!(
        error.starts_with("m.toml:9: boot memory from 0x300000 of 5M shares"),
        "{error}"
    );
    let device = "[[device]]\nsize = \"128M\"\n[[device]]\n\nsize = \"100M\"\n";
    let error = parse(device)
        .expect("good")
        .build()
        .err()
        .expect("not whole blocks");
    assert!(error.to_string().starts_with("m.toml:5: "), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_text_panics(text in "\\PC*") {
        let _ = parse(&text);
    }

    #[test]
    fn no_values_panic(
        table in prop::sample::select(vec!["[machine]", "[policy]", "[[boot]]", "[[device]]"]),
        keys in prop::collection::vec((
            prop::sample::select(vec![
                "nodes", "cpus", "cpu_nodes", "block_size", "address_space", "node", "start",
                "end", "size", "online", "auto_movable_ratio", "min_free_kbytes",
            ]),
            prop_oneof![
                any::<i64>().prop_map(|n| n.to_string()),
                any::<u64>().prop_map(|n| format!("\"{n}\"")),
                any::<u64>().prop_map(|n| format!("\"{n:#x}\"")),
                Just("[1, 2, 65535]".to_owned()),
                Just("\"online\"".to_owned()),
            ],
        ), 0..6),
    ) {
        let lines = keys.iter().map(|(key, value)| format!("{key} = {value}\n"));
        let _ = parse(&format!("{table}\n{}", lines.collect::<String>()));
    }
}
