//! What the process holds, as the system counts it, and that a device's memory really went back.
//!
//! The process's resident size falls late and by a little more or less than memory was given
//! back: counters lag, other memory of the process comes and goes. What the backing of a device
//! holds is exact, but ends with the device; so it is also looked at when the last block is
//! offline and the device still there.

use memplug::core::Observation;
use memplug::{Machine, MemoryEvent, NodeId, PfnRange, Watch};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The node of boot memory.
pub(crate) const NODE0: NodeId = NodeId::new(0);
/// The node that has memory only while a device is plugged.
pub(crate) const NODE1: NodeId = NodeId::new(1);

/// Memory at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sample {
    /// Resident in the process, all of it.
    pub(crate) rss: u64,
    /// Held for boot memory.
    pub(crate) boot: u64,
    /// Held for the device.
    pub(crate) device: u64,
}

impl Sample {
    /// As of now.
    pub(crate) fn take(machine: &Machine) -> Self {
        let of = machine.memory_use();
        let held = |node| {
            let here = of.devices.iter().filter(|device| device.node == node);
            here.map(|device| device.held.get()).sum()
        };
        Self {
            rss: resident(),
            boot: held(NODE0),
            device: held(NODE1),
        }
    }
}

/// Resident bytes of the process; 0 if the system does not tell.
pub(crate) fn resident() -> u64 {
    memplug::resident().map_or(0, |resident| resident.total())
}

/// Memory over a whole run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MemoryRecord {
    pub(crate) before: Sample,
    pub(crate) after: Sample,
    /// The most of each, not at the same moment.
    pub(crate) peak: Sample,
}

impl MemoryRecord {
    /// One more sample.
    pub(crate) fn see(&mut self, sample: Sample) {
        self.peak.boot = self.peak.boot.max(sample.boot);
        self.peak.device = self.peak.device.max(sample.device);
        self.see_resident(sample.rss);
    }

    /// One more resident size; cheaper than a whole sample.
    pub(crate) fn see_resident(&mut self, rss: u64) {
        self.peak.rss = self.peak.rss.max(rss);
    }
}

/// What one unplug gave back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct GivenBack {
    /// Just before it.
    pub(crate) before: Sample,
    /// A while after it.
    pub(crate) after: Sample,
    /// Held for the device when all its blocks were offline, if that was seen.
    pub(crate) when_offline: Option<u64>,
}

/// Below this a fall of the resident size cannot be told from its ordinary ups and downs.
const VISIBLE: u64 = 16 << 20;

impl GivenBack {
    /// By how much the resident size fell, not counting what boot memory gained meanwhile.
    pub(crate) fn resident_fell(&self) -> u64 {
        let gained = self.after.boot.saturating_sub(self.before.boot);
        let fell = self.before.rss.saturating_add(gained);
        fell.saturating_sub(self.after.rss)
    }

    /// Whether at least half of what the device held went back to the system.
    pub(crate) fn is_enough(&self) -> bool {
        let half = self.before.device / 2;
        if self.after.device > 0 {
            return false;
        }
        let emptied = self.when_offline.is_some_and(|held| held <= half);
        let visible = self.before.device >= VISIBLE;
        emptied || (visible && self.resident_fell() >= half)
    }
}

/// Looks at a device at the moment when the last of its blocks is offline.
pub(crate) struct LastBlock {
    held: Arc<Mutex<Option<u64>>>,
    _watch: Watch,
}

impl LastBlock {
    /// Watches the device of `range`, which has so many blocks online.
    pub(crate) fn watch(machine: &Machine, range: PfnRange, blocks: u64) -> Self {
        let held = Arc::new(Mutex::new(None));
        let found = held.clone();
        let gone = Mutex::new(BTreeSet::new());
        // The watch holds the machine it watches, until it is dropped.
        let watched = machine.clone();
        let watch = machine.watch(move |observation| {
            let Observation::Round(round) = observation else {
                return;
            };
            let start = round.notify.start_pfn;
            if !range.contains(start) {
                return;
            }
            let mut gone = gone.lock().unwrap_or_else(PoisonError::into_inner);
            match round.event {
                MemoryEvent::Offline => gone.insert(start),
                MemoryEvent::Online => gone.remove(&start),
                _ => return,
            };
            if gone.len() as u64 == blocks {
                let of = watched.memory_use();
                let device = of.devices.iter().find(|device| device.range == range);
                let held = device.map(|device| device.held.get());
                *found.lock().unwrap_or_else(PoisonError::into_inner) = held;
            }
        });
        Self {
            held,
            _watch: watch,
        }
    }

    /// What the device held then, if that moment came.
    pub(crate) fn held(&self) -> Option<u64> {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug::{Bytes, OfflineOptions, OnlineWord};

    const M: u64 = 1 << 20;

    fn sample(rss: u64, boot: u64, device: u64) -> Sample {
        let [rss, boot, device] = [rss, boot, device].map(|of| of * M);
        Sample { rss, boot, device }
    }

    #[test]
    fn what_is_kept_is_not_given_back() {
        let before = sample(300, 100, 190);
        let back = |after, when_offline| GivenBack {
            before,
            after,
            when_offline,
        };
        assert!(back(sample(110, 100, 0), None).is_enough());
        assert!(back(sample(300, 100, 0), Some(0)).is_enough());
        assert!(
            back(sample(210, 200, 0), None).is_enough(),
            "boot memory gained"
        );
        assert!(!back(sample(300, 100, 0), None).is_enough());
        assert!(!back(sample(300, 100, 0), Some(190 * M)).is_enough());
        assert!(
            !back(sample(110, 100, 190), Some(0)).is_enough(),
            "still there"
        );
    }

    #[test]
    fn the_last_block_is_looked_at_when_it_is_offline() {
        let size = |blocks: u64| Bytes::new(blocks << 21);
        let builder = Machine::builder().nodes(2).block_size(size(1));
        let machine = builder.boot(NODE0, size(1)).build().expect("a machine");
        let dimm = machine
            .plug(NODE1, size(2), OnlineWord::Movable)
            .expect("a device");
        let pool = machine.pool("pages").expect("a pool");
        let request = memplug::PageRequest::movable(NODE1).only_node();
        let page = pool.zeroed(&request).expect("a page");
        assert!(Sample::take(&machine).device > 0);
        drop(page);
        let last = LastBlock::watch(&machine, dimm.range, 2);
        let options = OfflineOptions::default();
        machine
            .offline(dimm.blocks[0], &options)
            .expect("the first block");
        assert_eq!(last.held(), None);
        machine.unplug(dimm.device, &options).expect("the device");
        assert_eq!(last.held(), Some(0));
        assert_eq!(Sample::take(&machine).device, 0);
    }
}
