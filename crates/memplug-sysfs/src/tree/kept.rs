//! What a device keeps besides its memory: the words of its `power` directory, and which of the
//! devices that had its number it is.
//!
//! Nothing here takes part in hotplug. What was kept of a device is nothing to a later one of the
//! same number: blocks are told apart by the device they came with, nodes by how often one of
//! that number went, which a watcher counts. One lock, held for a look or a change only.

use super::Tree;
use super::place::Place;
use super::table::What;
use memplug_control::{Control, Guard, Happening, Subject, UeventAction, same_word};
use rustix::io::Errno;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Words of one `power` directory.
#[derive(Clone, Copy, Debug, Default)]
struct Power {
    identity: u64,
    /// Told to stay on: `control` says `on`.
    forbidden: bool,
    /// To be suspended beside others: `async` says `enabled`.
    beside: bool,
}

#[derive(Default)]
struct Inside {
    power: HashMap<Place, Power>,
    nodes_gone: HashMap<u32, u64>,
}

pub(super) struct Kept {
    inside: Arc<Mutex<Inside>>,
    _watch: Option<Guard>,
}

fn locked(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Kept {
    pub(super) fn new(control: &dyn Control) -> Self {
        let inside: Arc<Mutex<Inside>> = Arc::default();
        let counts = inside.clone();
        // Without a watch, nodes of one number cannot be told apart; all else is as it should be.
        let watch = control.watch(Box::new(move |event| {
            let Happening::Uevent {
                action: UeventAction::Remove,
                subject: Subject::Node(node),
                extra,
            } = &event.what
            else {
                return;
            };
            // One that says more was made up by a writer.
            if extra.is_empty() {
                *locked(&counts).nodes_gone.entry(*node).or_default() += 1;
            }
        }));
        Self {
            inside,
            _watch: watch.ok(),
        }
    }

    /// How many nodes of this number went.
    pub(super) fn nodes_gone(&self, node: u32) -> u64 {
        let inside = locked(&self.inside);
        inside.nodes_gone.get(&node).copied().unwrap_or(0)
    }

    /// What is kept for a directory, of this life of its block or node.
    fn power(&self, directory: Place, identity: u64) -> Power {
        locked(&self.inside).power(directory, identity)
    }

    /// Changes it, in one step: two words can be written at the same time.
    fn change_power(&self, directory: Place, identity: u64, change: impl FnOnce(&mut Power)) {
        let mut inside = locked(&self.inside);
        let mut power = inside.power(directory, identity);
        change(&mut power);
        inside.power.insert(directory, power);
    }
}

impl Inside {
    fn power(&self, directory: Place, identity: u64) -> Power {
        let kept = self.power.get(&directory).copied();
        let mine = kept.filter(|power| power.identity == identity);
        mine.unwrap_or(Power {
            identity,
            ..Power::default()
        })
    }
}

impl Tree {
    /// The text of a file in a `power` directory that can change.
    pub(super) fn read_power(&self, file: Place, what: What) -> Result<&'static str, Errno> {
        let directory = file.parent().ok_or(Errno::INVAL)?;
        let power = self.kept.power(directory, self.identity(file)?);
        Ok(match (what, power.forbidden, power.beside) {
            (What::PowerControl, false, _) => "auto\n",
            (What::PowerControl, true, _) => "on\n",
            (What::PowerUsage, false, _) => "0\n",
            (What::PowerUsage, true, _) => "1\n",
            (What::PowerEnabled, false, _) => "disabled\n",
            (What::PowerEnabled, true, _) => "disabled & forbidden\n",
            (What::PowerAsync, _, false) => "disabled\n",
            (What::PowerAsync, _, true) => "enabled\n",
            // There is no delay where nothing suspends by itself.
            _ => return Err(Errno::IO),
        })
    }

    pub(super) fn write_power(&self, file: Place, what: What, text: &[u8]) -> Result<(), Errno> {
        let directory = file.parent().ok_or(Errno::INVAL)?;
        let one_of = |no: &str, yes: &str| match (same_word(text, no), same_word(text, yes)) {
            (true, _) => Ok(false),
            (_, true) => Ok(true),
            _ => Err(Errno::INVAL),
        };
        if let (What::PowerControl, Some(block)) = (what, file.block_of()) {
            // The device is locked while it moves.
            let settled = self.control().settled(block);
            settled.map_err(|_| Errno::NODEV)?;
        }
        let identity = self.identity(file).map_err(|_| Errno::NODEV)?;
        let change = |change: &dyn Fn(&mut Power)| {
            self.kept.change_power(directory, identity, change);
        };
        match what {
            What::PowerControl => {
                let forbidden = one_of("auto", "on")?;
                change(&|power| power.forbidden = forbidden);
            }
            What::PowerAsync => {
                let beside = one_of("disabled", "enabled")?;
                change(&|power| power.beside = beside);
            }
            // There is no delay where nothing suspends by itself.
            _ => return Err(Errno::IO),
        }
        Ok(())
    }
}
