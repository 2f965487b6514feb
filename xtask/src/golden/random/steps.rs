//! The steps of a random scenario: what is done, and what is looked at after it.
//!
//! Each step leaves no slow callback, no background write and no pinned page behind. What could
//! go on for ever is done with a signal to its writer.

use super::rng::Rng;
use super::world::World;

/// Where DIMMs go that will be refused: within the recorder's room for DIMMs, behind the others.
const REFUSED: u64 = 20 << 30;
const STATE_WORDS: [&str; 4] = ["online", "online_kernel", "online_movable", "offline"];
const EVENTS: [&str; 6] = [
    "GOING_ONLINE",
    "ONLINE",
    "CANCEL_ONLINE",
    "GOING_OFFLINE",
    "OFFLINE",
    "CANCEL_OFFLINE",
];
const ANSWERS: [&str; 16] = [
    "OK",
    "OK",
    "DONE",
    "STOP",
    "BAD",
    "-12",
    "-16",
    "-1",
    "-5",
    "-28",
    "raw:2",
    "raw:-12",
    "raw:0x8005",
    "raw:3",
    "raw:0x10002",
    "7",
];
const JUNK: [&str; 22] = [
    "ONLINE",
    "Online",
    " online",
    "online ",
    "onlinex",
    "onlin",
    "online_",
    "online-movable",
    "movable",
    "kernel",
    "online_kernel ",
    "going-offline",
    "",
    "0",
    "1",
    "none",
    "offlin",
    "offline_",
    "Offline",
    "on",
    "2",
    "online\tx",
];
const BOOLEAN: [&str; 30] = [
    "0", "1", "0", "1", "0", "1", "y", "Y", "n", "N", "yes", "no", "t", "T", "f", "F", "true",
    "false", "on", "off", "oN", "oFf", "o", "", "2", "-1", "x", " 1", "10", "01",
];

/// A scenario in the making.
pub struct Scene {
    pub rng: Rng,
    pub world: World,
    pub lines: Vec<String>,
}

impl Scene {
    fn say(&mut self, line: impl Into<String>) {
        self.lines.push(line.into());
    }

    fn node(&mut self) -> u32 {
        // Below the count of nodes, which is small.
        self.rng.below(self.world.shape.nodes as usize) as u32
    }

    fn block(&mut self) -> Option<u64> {
        let ids = self.world.ids();
        self.rng.pick(&ids)
    }

    /// One random step, and a look.
    pub fn step(&mut self) {
        let before = self.lines.len();
        match self.rng.below(100) {
            0..=13 => self.plug(),
            14..=19 => self.unplug(),
            20..=52 => self.state(),
            53..=63 => self.boolean(),
            64..=67 => self.junk(),
            68..=72 => self.settings(),
            73..=82 => self.callback(),
            83..=87 => self.hog(),
            88..=90 => self.pinned(),
            91..=93 => self.kept(),
            94..=96 => self.in_the_middle(),
            _ => self.files(),
        }
        if self.lines.len() > before {
            self.look();
        }
    }

    fn look(&mut self) {
        let node = self.node();
        let block = self.block().unwrap_or(32);
        for (times, line) in [
            (60, "ev".to_owned()),
            (60, "vz".to_owned()),
            (25, "nodes".to_owned()),
            (20, "uev".to_owned()),
            (30, format!("zones {node}")),
            (15, format!("blk {block}")),
        ] {
            if self.rng.percent(times) {
                self.say(line);
            }
        }
        // Boot memory is counted by machine, not by behaviour.
        if node != 0 && !self.world.shape.machine.contains("--node-mem") && self.rng.percent(20) {
            self.say(format!("memtotal {node}"));
        }
        if !self.world.callbacks.is_empty() {
            self.say("cb");
        }
        let hogs: Vec<String> = self
            .world
            .hogs
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
        for name in hogs {
            self.say(format!("where {name}"));
        }
    }

    fn plug(&mut self) {
        let node = self.node();
        if self.rng.percent(6) {
            // Not whole blocks, at a place of its own above all others.
            let size = self.rng.word(&["64M", "192M", "2M", "130M"]);
            let at = REFUSED + ((self.world.dimms.len() as u64) << 28);
            self.world.dimms.push(None);
            return self.say(format!("plug {size} {node} {at:#x}"));
        }
        let count = [1, 1, 2, 2, 3, 4][self.rng.below(6)];
        if !self.world.can_plug(node, count) {
            return;
        }
        let at = self.world.plug(node, count);
        let at = at.map(|at| format!(" {at:#x}")).unwrap_or_default();
        self.say(format!("plug {}M {node}{at}", count * 128));
    }

    fn unplug(&mut self) {
        let there: Vec<usize> = (0..self.world.dimms.len())
            .filter(|dimm| self.world.dimms[*dimm].is_some())
            .collect();
        let Some(dimm) = self.rng.pick(&there) else {
            return;
        };
        self.world.unplug(dimm);
        self.say(format!("unplug dimm{dimm}"));
    }

    fn state(&mut self) {
        let Some(id) = self.block() else { return };
        let word = self.rng.word(&STATE_WORDS);
        let onlines = word != "offline";
        match onlines {
            true => self.world.online(id, word),
            false => self.world.offline(id),
        }
        self.say(format!("w {word} $M/memory{id}/state"));
    }

    fn boolean(&mut self) {
        let Some(id) = self.block() else { return };
        let word = self.rng.word(&BOOLEAN);
        match word.as_bytes() {
            [b'1' | b'y' | b'Y' | b't' | b'T', ..] | [b'o' | b'O', b'n' | b'N', ..] => {
                self.world.online(id, "online");
            }
            _ => self.world.offline(id),
        }
        self.say(format!("w {} $M/memory{id}/online", quoted(word)));
    }

    fn junk(&mut self) {
        let id = self.block().unwrap_or(99);
        let word = quoted(self.rng.word(&JUNK));
        let file = self
            .rng
            .word(&["state", "state", "phys_index", "valid_zones", "removable"]);
        let file = match self.rng.below(5) {
            0 => "auto_online_blocks".to_owned(),
            1 => format!("memory{}/state", id + 64),
            _ => format!("memory{id}/{file}"),
        };
        self.say(format!("w {word} $M/{file}"));
    }

    fn settings(&mut self) {
        let line = match self.rng.below(5) {
            0 | 1 => {
                let word = self.rng.word(&[
                    "online",
                    "online_kernel",
                    "online_movable",
                    "offline",
                    "offline",
                    "offline",
                ]);
                self.world.auto_online = word.into();
                format!("w {word} $M/auto_online_blocks")
            }
            2 => format!(
                "param online_policy {}",
                self.rng
                    .word(&["contig-zones", "auto-movable", "auto-movable", "x"])
            ),
            3 => format!(
                "param auto_movable_ratio {}",
                self.rng
                    .word(&["0", "12", "25", "26", "50", "100", "301", "x", "0x20"])
            ),
            _ => format!(
                "param auto_movable_numa_aware {}",
                self.rng.word(&["Y", "N", "0", "on", "maybe"])
            ),
        };
        self.say(line);
    }

    fn callback(&mut self) {
        let known = self.world.callbacks.clone();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let Some(name) = self.rng.pick(&known).filter(|_| self.rng.percent(70)) else {
            if known.len() < 4 {
                let name = self.world.name("c");
                let priority = [0, 0, 1, 7, -3, 200][self.rng.below(6)];
                self.say(format!("nb add {name} {priority}"));
                self.world.callbacks.push(name);
            }
            return;
        };
        let (event, answer) = (self.rng.word(&EVENTS), self.rng.word(&ANSWERS));
        match self.rng.below(12) {
            0 => {
                self.world.callbacks.retain(|other| other != name);
                self.say(format!("nb del {name}"));
            }
            1 => self.say(format!("nb again {name}")),
            2 => {
                let peek = self.rng.below(2);
                self.say(format!("nb peek {name} {peek}"));
            }
            3 => {
                let node = self.node();
                self.say(format!("nb alloc {name} {node}"));
            }
            4..=6 => {
                self.world.vetoes = false;
                for name in known {
                    self.say(format!("nb set {name} ANY OK"));
                }
            }
            _ => {
                self.world.vetoes = true;
                self.say(format!("nb set {name} {event} {answer}"));
            }
        }
    }

    /// Blocks of a node that surely are online and movable, if nothing else of it is online.
    fn only_movable(&mut self) -> Option<(u32, u64)> {
        let blocks: Vec<(u32, u64)> = (self.world.blocks.iter())
            .filter(|(_, block)| block.movable && !block.kernel && !block.offline)
            .map(|(id, block)| (block.node, *id))
            .collect();
        let (node, id) = self.rng.pick(&blocks)?;
        let others = self.world.blocks.iter();
        let alone = others
            .filter(|(_, other)| other.node == node && (other.kernel || other.movable))
            .count()
            == 1;
        let boot = self.world.shape.machine.contains("--node-mem");
        (alone && !boot && !self.world.is_used(node) && self.world.hogs.len() < 2)
            .then_some((node, id))
    }

    fn hog(&mut self) {
        if let Some(at) = self
            .rng
            .percent(50)
            .then(|| self.rng.below(self.world.hogs.len()))
            && at < self.world.hogs.len()
        {
            let (name, _) = self.world.hogs.remove(at);
            return self.say(format!("unhog {name}"));
        }
        if let Some((node, _)) = self.only_movable() {
            let name = self.world.name("h");
            let (kind, size) = (
                self.rng.word(&["hog", "hog", "thp"]),
                [8, 16, 24][self.rng.below(3)],
            );
            self.say(format!("{kind} {name} {size} {node}"));
            self.world.hogs.push((name, node));
        }
    }

    fn pinned(&mut self) {
        let Some((node, id)) = self.only_movable() else {
            return;
        };
        let name = self.world.name("p");
        self.say(format!("pin {name} 8 {node}"));
        self.say(format!("wt 1 offline $M/memory{id}/state"));
        self.say(format!("where {name}"));
        self.say("ev");
        self.say(format!("unpin {name}"));
        self.say(format!("w 0 $M/memory{id}/online"));
        self.say(format!("unhog {name}"));
        self.world.offline(id);
    }

    fn kept(&mut self) {
        let ids = self.world.ids();
        let free: Vec<u64> = ids
            .into_iter()
            .filter(|id| {
                let block = self.world.blocks[id];
                let alone = self
                    .world
                    .blocks
                    .values()
                    .filter(|other| other.node == block.node && (other.kernel || other.movable))
                    .count()
                    == 0;
                let boot = self.world.shape.machine.contains("--node-mem");
                alone && block.offline && !boot && !self.world.is_used(block.node)
            })
            .collect();
        let Some(id) = self.rng.pick(&free).filter(|_| !self.world.vetoes) else {
            return;
        };
        let name = self.world.name("k");
        let (keep, word) = (
            1 + self.rng.below(2),
            self.rng.word(&["online_kernel", "online_movable"]),
        );
        for line in [
            format!("nb add {name} 3"),
            format!("nb keep {name} {keep}"),
            format!("w {word} $M/memory{id}/state"),
            "cb".into(),
            format!("wt 1 offline $M/memory{id}/state"),
            "cb".into(),
            "ev".into(),
            format!("blk {id}"),
            format!("nb drop {name}"),
            format!("w offline $M/memory{id}/state"),
            format!("nb del {name}"),
        ] {
            self.say(line);
        }
    }

    /// What others see in the middle of a transition.
    fn in_the_middle(&mut self) {
        let Some(id) = self.block() else { return };
        let Some(other) = self.block() else { return };
        let block = self.world.blocks[&id];
        if self.world.is_used(block.node) {
            return;
        }
        let name = self.world.name("s");
        let event = self.rng.word(&EVENTS);
        let word = self.rng.word(&STATE_WORDS);
        let priority = [9, -9][self.rng.below(2)];
        self.say(format!("nb add {name} {priority}"));
        self.say(format!("nb delay {name} {event} 3000"));
        self.say(format!("wbg {word} $M/memory{id}/state 0.7"));
        self.say(format!("r $M/memory{id}/state $M/memory{id}/valid_zones"));
        for line in ["vz", "nodes", "cb", "uev", "ev"] {
            if self.rng.percent(50) {
                self.say(line);
            }
        }
        match word {
            "offline" => self.world.offline(id),
            _ => self.world.online(id, word),
        }
        let then = self.rng.word(&["offline", "online_movable", "online"]);
        let how = self.rng.below(4);
        match (how, then) {
            (0 | 1, "offline") => self.world.offline(other),
            (0 | 1, _) => self.world.online(other, then),
            _ => {}
        }
        match how {
            0 => self.say(format!("w {then} $M/memory{other}/state")),
            1 => self.say(format!("wt 1 {then} $M/memory{other}/state")),
            2 => self.say(format!("r $M/memory{id}/online $M/memory{other}/online")),
            _ => {}
        }
        self.say("wfg");
        self.say(format!("nb del {name}"));
        self.say("cb");
    }

    fn files(&mut self) {
        let Some(id) = self.block() else { return };
        let node = self.world.blocks[&id].node;
        self.say(format!(
            "[ ! -d $M/memory{id} ] || x $M/memory{id}/{{state,online,phys_index,phys_device,removable,valid_zones}}"
        ));
        self.say("x $N/online $N/has_memory $N/has_normal_memory $N/has_cpu $N/possible");
        self.say(format!(
            "r $N/node{node}/memory{id}/valid_zones $M/memory{id}/node{node}/memory{id}/state"
        ));
        self.say(format!("w change $M/memory{id}/uevent"));
    }
}

fn quoted(word: &str) -> String {
    format!("'{word}'")
}
