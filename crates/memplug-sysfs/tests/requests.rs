//! Whatever the bytes are: requests are answered or nothing is owed, writes are taken or
//! refused, and what is refused changed nothing.

mod bench;

use bench::plugged;
use memplug_control::{Attempt, Control};
use memplug_sysfs::{Session, Sort, Tree};
use proptest::prelude::*;

/// Every file that can be written, by path.
fn writable(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    let mut directories = vec![String::new()];
    while let Some(directory) = directories.pop() {
        let place = tree.find(&directory).expect("listed");
        for entry in tree.list(place).expect("a directory") {
            let path = format!("{directory}/{}", entry.name);
            let mode = tree.attributes(entry.place).expect("listed").mode;
            match entry.sort {
                Sort::Directory => directories.push(path),
                Sort::File if mode & 0o200 != 0 => found.push(path),
                Sort::File | Sort::Link => {}
            }
        }
    }
    found
}

/// Everything a write could change, as text; words that stick may.
fn seen(control: &dyn Control) -> String {
    let mut blocks = control.blocks().expect("blocks");
    blocks.iter_mut().for_each(|block| block.sticky = None);
    let (nodes, policy) = (
        control.nodes().expect("nodes"),
        control.policy().expect("policy"),
    );
    format!("{blocks:?}{nodes:?}{policy:?}")
}

fn request(opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(40 + body.len()).expect("short");
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&len.to_ne_bytes());
    bytes.extend_from_slice(&opcode.to_ne_bytes());
    bytes.extend_from_slice(&7u64.to_ne_bytes());
    bytes.extend_from_slice(&node.to_ne_bytes());
    bytes.extend_from_slice(&[0; 16]);
    bytes.extend_from_slice(body);
    bytes
}

fn word() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        "online",
        "offline",
        "online_kernel",
        "online_movable",
        "1",
        "0",
        "y",
        "off",
        "-12",
        "301",
        "change",
        "contig-zones",
        "auto-movable",
        "0x1000",
        "going-offline",
    ]);
    let known = (
        known,
        prop::sample::select(vec!["", "\n", " ", "\0", "\n\n", "x"]),
    );
    prop_oneof![
        3 => known.prop_map(|(word, end)| format!("{word}{end}").into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
        1 => prop::collection::vec(any::<u8>(), 4090..5000),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn writes_are_taken_or_change_nothing(
        writes in prop::collection::vec((any::<prop::sample::Index>(), word()), 1..40),
    ) {
        let (runtime, tree) = plugged();
        let files = writable(&tree);
        for (index, bytes) in writes {
            let path = &files[index.index(files.len())];
            let before = seen(&*runtime);
            let file = tree.find(path).expect("it does not go");
            match tree.write(file, &bytes, &Attempt::default()) {
                Ok(taken) => prop_assert_eq!(taken, bytes.len().min(4096)),
                Err(errno) => {
                    prop_assert!((1..=511).contains(&errno.raw_os_error()));
                    prop_assert_eq!(seen(&*runtime), before, "{} {:?}", path, bytes);
                }
            }
            prop_assert!(runtime.machine().hotplug().audit().is_empty());
        }
    }

    #[test]
    fn requests_are_answered_or_nothing_is_owed(
        requests in prop::collection::vec(
            (0u32..60, prop_oneof![any::<u64>(), 0u64..80, Just(1 << 60 | 32 << 16)],
             prop::collection::vec(any::<u8>(), 0..120)),
            1..60,
        ),
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let (_, tree) = plugged();
        let session = Session::new(tree, 0, 0, 0);
        for bytes in noise {
            check(&bytes, &session.answer(&bytes))?;
        }
        for (opcode, node, body) in requests {
            let bytes = request(opcode, node, &body);
            let reply = session.answer(&bytes);
            let silent = matches!(opcode, 2 | 36 | 38 | 42);
            prop_assert_eq!(reply.is_empty(), silent, "opcode {}", opcode);
            check(&bytes, &reply)?;
        }
    }
}

/// A reply says its length, an error the kernel takes, and whose it is.
fn check(request: &[u8], reply: &[u8]) -> Result<(), TestCaseError> {
    if reply.is_empty() {
        return Ok(());
    }
    let number = |at: usize| u32::from_ne_bytes(reply[at..at + 4].try_into().expect("4 bytes"));
    prop_assert_eq!(number(0) as usize, reply.len());
    prop_assert!((-511..=0).contains(&(number(4) as i32)));
    prop_assert_eq!(&reply[8..16], &request[8..16]);
    Ok(())
}

/// The kernel's side of a conversation.
struct Kernel(Session);

fn errno(reply: &[u8]) -> i32 {
    -i32::from_ne_bytes(reply[4..8].try_into().expect("4 bytes"))
}

fn number(reply: &[u8]) -> u64 {
    u64::from_ne_bytes(reply[16..24].try_into().expect("8 bytes"))
}

impl Kernel {
    fn lookup(&self, parent: u64, name: &str) -> Vec<u8> {
        self.0
            .answer(&request(1, parent, format!("{name}\0").as_bytes()))
    }

    fn find(&self, path: &[&str]) -> u64 {
        let step = |parent, name: &&str| number(&self.lookup(parent, name));
        path.iter().fold(1, step)
    }

    fn open(&self, file: u64, flags: u8) -> Vec<u8> {
        self.0
            .answer(&request(14, file, &[flags, 0, 0, 0, 0, 0, 0, 0]))
    }

    fn io(&self, opcode: u32, handle: u64, size: u32, data: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.extend_from_slice(&handle.to_ne_bytes());
        body.extend_from_slice(&0u64.to_ne_bytes());
        body.extend_from_slice(&size.to_ne_bytes());
        body.extend_from_slice(&[0; 20]);
        body.extend_from_slice(data);
        self.0.answer(&request(opcode, 1, &body))
    }

    fn read(&self, handle: u64, size: u32) -> Vec<u8> {
        self.io(15, handle, size, &[])
    }

    fn write(&self, handle: u64, text: &str) -> Vec<u8> {
        let size = u32::try_from(text.len()).expect("short");
        self.io(16, handle, size, text.as_bytes())
    }
}

/// Opening, writing and reading as the kernel asks for it.
#[test]
fn a_conversation() {
    let (_, tree) = plugged();
    let kernel = Kernel(Session::new(tree, 0, 0, 0));
    let init = [7u32, 44, 131_072, u32::MAX].map(u32::to_ne_bytes).concat();
    assert_eq!(kernel.0.answer(&request(26, 0, &init)).len(), 16 + 64);
    let block = kernel.find(&["memory", "memory32"]);
    assert_eq!(kernel.lookup(block, "state").len(), 16 + 128);
    assert_eq!(errno(&kernel.lookup(block, "nothing")), 2);
    assert_eq!(
        errno(&kernel.0.answer(&request(35, block, &[0; 32]))),
        13,
        "create"
    );
    assert_eq!(
        errno(&kernel.0.answer(&request(10, block, b"state\0"))),
        1,
        "unlink"
    );
    let removable = kernel.find(&["memory", "memory32", "removable"]);
    assert_eq!(errno(&kernel.open(removable, 1)), 13, "root too");
    let state = kernel.find(&["memory", "memory32", "state"]);
    let handle = number(&kernel.open(state, 2));
    assert_eq!(&kernel.read(handle, 4096)[16..], b"offline\n");
    let written = kernel.write(handle, "online\n");
    assert_eq!((errno(&written), number(&written)), (0, 7));
    assert_eq!(&kernel.read(handle, 4)[16..], b"onli");
    assert_eq!(errno(&kernel.io(16, handle, 8, b"short")), 22);
    assert_eq!(
        errno(&kernel.write(handle, "online\n")),
        22,
        "online already"
    );
}

/// A file that was open when its block went stays without one, also when the number is back.
#[test]
fn an_open_file_outlives_its_block() {
    let (runtime, tree) = plugged();
    let kernel = Kernel(Session::new(tree, 0, 0, 0));
    let state = kernel.find(&["memory", "memory32", "state"]);
    let handle = number(&kernel.open(state, 2));
    let block = runtime.block(32).expect("there");
    let device = block.device.expect("of a DIMM");
    let how = memplug_control::RemoveHow::OfflineFirst;
    runtime
        .remove(device, how, &Attempt::default())
        .expect("removed");
    assert_eq!(errno(&kernel.read(handle, 4)), 19, "gone");
    let again = memplug_control::AddSpec::dimm(1, 128 << 20);
    runtime
        .add(&again, &Attempt::default())
        .expect("another of that number");
    assert_eq!(errno(&kernel.write(handle, "online")), 19, "not that one");
}
