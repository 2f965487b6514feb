//! A machine that does what a certain Linux does, and the helpers that its transcripts speak of.
//!
//! The machine: 1 GiB of boot memory on node 0 in blocks 0 to 7 of 128 MiB (block 0 of two
//! zones, block 7 with a hole at its end; 262013 kernel pages), other nodes without memory.
//! DIMMs go to the lowest free place from 4 GiB (block 32) on.
//!
//! [`Lab::run`] takes a transcript: lines that begin with `$ ` are commands, the lines after
//! them what must come out. `==` begins a remark. Left out: what the text of sysfs adds to the
//! core (parsing of words, modes of files, links).
#![allow(dead_code, reason = "each test uses another part")]

pub mod bench;
pub mod callbacks;
pub mod flight;
pub mod hogs;
pub mod text;

use bench::Bench;
use callbacks::Callbacks;
use flight::Flight;
use hogs::Hog;
use memplug_core::units::{BlockId, Bytes, DeviceId, NodeId, Order, Pfn, PfnRange};
use memplug_core::{
    AddRequest, BootMemory, CancelHandle, Errno, Hotplug, MachineConfig, OfflineError,
    OfflineOptions, OnlineError, OnlinePolicy, OnlineWord, RemoveError,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

/// 128 MiB, the block size of the machine.
pub const BLOCK: u64 = 128 << 20;

/// The same, as a size.
pub fn block_size() -> Bytes {
    Bytes::new(BLOCK)
}

/// The boot memory of the machine: two pieces with the firmware's holes.
pub fn boot_memory() -> Vec<BootMemory> {
    let piece = |start: u64, end: u64| BootMemory {
        node: NodeId::new(0),
        start: Bytes::new(start),
        size: Bytes::new(end - start),
    };
    vec![piece(0x1000, 0x9_f000), piece(0x10_0000, 0x3ffd_f000)]
}

/// The configuration behind the transcripts, with so many nodes possible.
pub fn like_linux(nodes: u16) -> MachineConfig {
    MachineConfig::like_linux(boot_memory(), nodes, 2)
}

pub fn block(id: u64) -> BlockId {
    BlockId::new(id)
}

pub fn node(number: u16) -> NodeId {
    NodeId::new(number)
}

/// So many frames from `start` on.
pub fn pfns(start: u64, count: u64) -> PfnRange {
    PfnRange::between(Pfn::new(start), Pfn::new(start + count))
}

/// No deadline, as Linux has none.
pub fn for_ever() -> OfflineOptions {
    OfflineOptions {
        deadline: None,
        ..OfflineOptions::default()
    }
}

pub struct Lab {
    pub machine: Arc<Hotplug>,
    pub bench: Arc<Bench>,
    pub dimms: Vec<Option<DeviceId>>,
    callbacks: Callbacks,
    hogs: BTreeMap<String, Hog>,
    flight: Arc<Flight>,
    writer: Option<JoinHandle<String>>,
    listening: bool,
}

impl Lab {
    /// The machine behind the transcripts, with so many nodes possible.
    pub fn new(nodes: u16) -> Self {
        Self::with(like_linux(nodes))
    }

    pub fn with(config: MachineConfig) -> Self {
        let bench = Arc::new(Bench::default());
        let machine = Hotplug::new(config, bench.clone()).expect("a machine");
        let machine = Arc::new(machine);
        let flight = Arc::new(Flight::default());
        bench.take_memory();
        Self {
            callbacks: Callbacks::new(&machine, &flight),
            machine,
            bench,
            dimms: Vec::new(),
            hogs: BTreeMap::new(),
            flight,
            writer: None,
            listening: false,
        }
    }

    /// Runs a transcript: fails at the first command with an output that differs.
    pub fn run(&mut self, transcript: &str) {
        let mut lines = transcript.lines().peekable();
        while let Some(line) = lines.next() {
            let Some(commands) = line.strip_prefix("$ ") else {
                assert!(
                    line.is_empty() || line.starts_with("=="),
                    "output without a command: {line}"
                );
                continue;
            };
            let mut expected = Vec::new();
            while let Some(next) = lines.next_if(|next| !next.starts_with("$ ")) {
                if !next.is_empty() && !next.starts_with("==") {
                    expected.push(next);
                }
            }
            let got: Vec<String> = commands.split("; ").flat_map(|c| self.command(c)).collect();
            let violations = self.audit();
            assert_eq!(got, expected, "\n$ {commands}\n{}", got.join("\n"));
            assert_eq!(violations, [""; 0], "after {commands}");
        }
    }

    /// One command of a transcript.
    pub fn command(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        let number = |word: &str| word.parse::<u16>().expect("a node");
        match *words {
            ["plug", size, node] => vec![self.plug(size, number(node), None)],
            ["plug", size, node, at] => vec![self.plug(size, number(node), Some(at))],
            ["unplug", name] => vec![self.unplug(name)],
            ["ev"] => self.bench.take_events(),
            ["uev"] => self.uev(),
            ["cb"] => self.callbacks.take(),
            ["nb", ref words @ ..] => vec![self.callbacks.nb(words)],
            ["nodes"] => vec![text::nodes(&self.machine)],
            ["vz"] => vec![text::vz(&self.machine)],
            ["zones", node] => text::zones(&self.machine, number(node)),
            ["memtotal", node] => vec![text::memtotal(&self.machine, number(node))],
            ["blk", ref ids @ ..] => ids.iter().map(|id| self.blk(id)).collect(),
            ["r", ref files @ ..] => files.iter().map(|file| self.read(file)).collect(),
            ["w", value, file] => vec![self.writer(file, value)()],
            ["wt", seconds, value, file] => vec![self.wt(seconds, value, file)],
            ["wbg", value, file] => vec![self.wbg(value, file)],
            ["wfg"] => vec![self.wfg()],
            ["param", name, value] => vec![self.param(name, value)],
            ["param", name] => vec![self.read_param(name)],
            [kind @ ("hog" | "pin" | "thp"), name, megabytes, node] => {
                vec![self.hog(kind, name, megabytes, number(node))]
            }
            ["where", name] => {
                let nodes = self.hogs[name].nodes(&self.machine);
                vec![format!("where {name}:{nodes}")]
            }
            ["unpin", name] => {
                self.hogs[name].unpin();
                vec![format!("unpin {name}")]
            }
            ["unhog", name] => {
                let hog = self.hogs.remove(name).expect("a hog");
                hog.free(&self.machine);
                vec![format!("unhog {name}")]
            }
            _ => panic!("{command}: unknown command"),
        }
    }

    /// Adds a DIMM, named by the number of the attempt.
    pub fn plug(&mut self, size: &str, to: u16, at: Option<&str>) -> String {
        let name = self.dimms.len();
        let mut request = AddRequest::dimm(node(to), size.parse().expect("a size"));
        if let Some(at) = at {
            request = request.at(at.parse().expect("an address"));
        }
        let added = self.machine.add(&request);
        let blocks: String = match &added {
            Ok(report) => report.blocks.iter().map(|id| format!(" {id}")).collect(),
            Err(_) => " nothing".into(),
        };
        self.dimms.push(added.ok().map(|report| report.device));
        let at = at.map(|at| format!(" {at}")).unwrap_or_default();
        format!("plug {size} {to}{at} -> dimm{name}:{blocks}")
    }

    /// Asks for a removal as firmware does.
    pub fn unplug(&mut self, name: &str) -> String {
        let number = name
            .strip_prefix("dimm")
            .and_then(|n| n.parse::<usize>().ok());
        let device = number.and_then(|n| self.dimms[n]).expect("a DIMM");
        match self.machine.unplug(device, &for_ever()) {
            Ok(report) => {
                let blocks: String = report.blocks.iter().map(|id| format!(" {id}")).collect();
                format!("unplug {name} -> removed{blocks}")
            }
            Err(RemoveError::Offline(_)) => format!("unplug {name} -> refused"),
            Err(error) => panic!("unplug {name}: {error}"),
        }
    }

    fn uev(&mut self) -> Vec<String> {
        let lines = self.bench.take_uevents();
        if std::mem::replace(&mut self.listening, true) {
            return lines;
        }
        vec!["uev: listening".into()]
    }

    fn blk(&self, id: &str) -> String {
        text::blk(&self.machine, id.parse().expect("a block"))
    }

    /// `memory32/state: offline`.
    fn read(&self, file: &str) -> String {
        let (id, name) = block_file(file);
        let value = match name {
            "state" => {
                let block = self.machine.block(id).expect("the block is there");
                block.state().word().to_owned()
            }
            "valid_zones" => text::valid_zones(&self.machine, id),
            _ => panic!("{file}: no such file here"),
        };
        format!("{file}: {value}")
    }

    /// A write, ready to be done on any thread. It waits for one that is under way.
    fn writer(&self, file: &str, value: &str) -> impl FnOnce() -> String + use<> {
        let (machine, flight) = (self.machine.clone(), self.flight.clone());
        let (file, value) = (file.to_owned(), value.to_owned());
        move || {
            let result = write(&machine, &flight, &file, &value, &for_ever());
            format!("{file} <- {value} : {}", text::outcome(result))
        }
    }

    /// A write; the writer gets a signal after so many seconds.
    fn wt(&self, seconds: &str, value: &str, file: &str) -> String {
        let handle = CancelHandle::new();
        let options = OfflineOptions {
            cancel: Some(handle.clone()),
            ..for_ever()
        };
        let (bench, begun) = (Arc::downgrade(&self.bench), self.bench.seconds());
        let due = begun + seconds.parse::<u64>().expect("seconds");
        self.bench.on_pause(move |_| {
            if bench.upgrade().is_some_and(|bench| bench.seconds() >= due) {
                handle.cancel();
            }
        });
        let result = write(&self.machine, &self.flight, file, value, &options);
        let outcome = text::outcome(result);
        format!("{file} <- {value} (signal after {seconds}s) : {outcome}")
    }

    /// Begins a write and waits until it is on its way.
    fn wbg(&mut self, value: &str, file: &str) -> String {
        self.flight.begin();
        let flight = self.flight.clone();
        self.bench.on_pause(move |_| flight.paused());
        let (write, flight) = (self.writer(file, value), self.flight.clone());
        self.writer = Some(std::thread::spawn(move || {
            let line = write();
            flight.finish();
            line
        }));
        self.flight.wait_for_take_off();
        format!("begun: {file} <- {value}")
    }

    /// Lets the write go on and waits for its end.
    fn wfg(&mut self) -> String {
        self.flight.open();
        let writer = self.writer.take().expect("a write under way");
        writer.join().expect("the writer does not panic")
    }

    fn read_param(&self, name: &str) -> String {
        let policy = self.machine.view().policy;
        let value = match name {
            "online_policy" => policy.online.word().to_owned(),
            "auto_movable_ratio" => policy.auto_movable_ratio.to_string(),
            "auto_movable_numa_aware" if policy.auto_movable_numa_aware => "Y".into(),
            "auto_movable_numa_aware" => "N".into(),
            _ => panic!("{name}: no such parameter"),
        };
        format!("param {name}: {value}")
    }

    fn param(&self, name: &str, value: &str) -> String {
        let mut policy = self.machine.view().policy;
        match name {
            "online_policy" => {
                let all = [OnlinePolicy::ContigZones, OnlinePolicy::AutoMovable];
                let known = all.into_iter().find(|policy| policy.word() == value);
                policy.online = known.expect("a policy");
            }
            "auto_movable_ratio" => policy.auto_movable_ratio = value.parse().expect("a number"),
            "auto_movable_numa_aware" => policy.auto_movable_numa_aware = value == "Y",
            _ => panic!("{name}: no such parameter"),
        }
        self.machine.set_policy(policy);
        format!("param {name} <- {value} : rc=0")
    }

    fn hog(&mut self, kind: &str, name: &str, megabytes: &str, on: u16) -> String {
        let order = if kind == "thp" {
            Order::PAGEBLOCK
        } else {
            Order::ZERO
        };
        let size = megabytes.parse().expect("megabytes");
        let hog = Hog::new(&self.machine, name, size, node(on), order);
        if kind == "pin" {
            hog.pin();
        }
        self.hogs.insert(name.into(), hog);
        format!("{kind} {name} {megabytes}M on node {on}: ready")
    }

    /// What the machine finds wrong with itself. Asked for between operations only.
    pub fn audit(&self) -> Vec<String> {
        if self.writer.is_some() {
            return Vec::new();
        }
        let found = self.machine.audit();
        found.iter().map(ToString::to_string).collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.flight.open();
    }
}

fn block_file(file: &str) -> (BlockId, &str) {
    let (directory, name) = file.split_once('/').expect("a file of a block");
    let id = directory
        .strip_prefix("memory")
        .and_then(|id| id.parse().ok());
    (block(id.expect("a block")), name)
}

fn word_of(value: &str) -> Option<OnlineWord> {
    let all = [OnlineWord::Online, OnlineWord::Kernel, OnlineWord::Movable];
    all.into_iter().find(|word| word.word() == value)
}

/// Why a write failed, as far as a writer to sysfs tells the cases apart.
struct Failed {
    errno: Errno,
    busy: bool,
    already_there: bool,
}

impl From<OnlineError> for Failed {
    fn from(error: OnlineError) -> Self {
        Self {
            errno: error.errno(),
            busy: error == OnlineError::Busy,
            already_there: matches!(error, OnlineError::NotOffline(_)),
        }
    }
}

impl From<OfflineError> for Failed {
    fn from(error: OfflineError) -> Self {
        Self {
            errno: error.errno(),
            busy: error == OfflineError::Busy,
            already_there: matches!(error, OfflineError::NotOnline(_)),
        }
    }
}

/// One write; it waits while another transition is under way, as a writer to sysfs does.
fn write(
    machine: &Hotplug,
    flight: &Flight,
    file: &str,
    value: &str,
    options: &OfflineOptions,
) -> Result<(), Errno> {
    if file == "auto_online_blocks" {
        machine.set_auto_online(word_of(value));
        return Ok(());
    }
    let (id, name) = block_file(file);
    let online = |word| machine.online(id, word).map(drop).map_err(Failed::from);
    let offline = || machine.offline(id, options).map(drop).map_err(Failed::from);
    loop {
        let result = match (name, value) {
            ("state" | "online", "offline" | "0") => offline(),
            ("online", "1") => online(None),
            ("state", word) => online(Some(word_of(word).expect("an online word"))),
            _ => panic!("{file} <- {value}: no such file here"),
        };
        match result {
            Err(failed) if failed.busy => {
                flight.open();
                std::thread::yield_now();
            }
            // The boolean file: a move to where the block already is, is no error.
            Err(failed) if failed.already_there && name == "online" => return Ok(()),
            other => return other.map_err(|failed| failed.errno),
        }
    }
}
