//! Real memory behind the frames: the core's platform.
//!
//! Physical address `a` of the machine lives at `arena base + a`. Each device has a backing of
//! its own, mapped at its place while it is plugged. Committing may be lazy (the system gives
//! pages when they are touched) or at once; offlining always gives the memory back.
//!
//! Before memory is committed the system is asked how much it still has, so that a machine
//! larger than the system is refused with a message and not killed; `overcommit` turns that off.
//! Lock order: `devices` is a leaf; no system call of length is made under it but those of the
//! device itself.

use crate::builder::Commit;
use crate::error::platform_error;
use crate::sys::{Access, Arena, Backing, BackingKind, Place, rss};
use crate::watch::Watchers;
use memplug_core::{Observation, Platform, PlatformError, Step};
use memplug_units::{Bytes, Geometry, NodeId, PfnRange};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A device's memory, as the system counts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Its frames.
    pub range: PfnRange,
    /// Its node.
    pub node: NodeId,
    /// What it is made of.
    pub backing: BackingKind,
    /// Bytes the system holds for it now: allocated blocks of the file, or resident pages.
    pub held: Bytes,
}

/// The memory of a machine, as the system counts it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Device by device, ascending.
    pub devices: Vec<DeviceMemory>,
}

impl MemoryUse {
    /// Bytes held for all devices.
    pub fn held(&self) -> Bytes {
        Bytes::new(self.devices.iter().map(|device| device.held.get()).sum())
    }
}

struct Device {
    range: PfnRange,
    node: NodeId,
    backing: Backing,
}

pub(crate) struct Memory {
    pub(crate) arena: Arena,
    geometry: Geometry,
    kinds: Vec<BackingKind>,
    commit: Commit,
    overcommit: bool,
    devices: Mutex<BTreeMap<u64, Arc<Device>>>,
    pub(crate) watchers: Arc<Watchers>,
    started: Instant,
}

impl Memory {
    pub(crate) fn new(
        arena: Arena,
        geometry: Geometry,
        kinds: Vec<BackingKind>,
        commit: Commit,
        overcommit: bool,
    ) -> Self {
        Self {
            arena,
            geometry,
            kinds,
            commit,
            overcommit,
            devices: Mutex::new(BTreeMap::new()),
            watchers: Arc::new(Watchers::default()),
            started: Instant::now(),
        }
    }

    fn devices(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Device>>> {
        self.devices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Offset in the arena of a range, and its length, in bytes.
    pub(crate) fn span(&self, range: PfnRange) -> Result<(u64, u64), PlatformError> {
        let start = self.geometry.address_of(range.start());
        let len = self.geometry.bytes(range.count());
        start
            .zip(len)
            .map(|(start, len)| (start.get(), len.get()))
            .ok_or_else(|| PlatformError {
                errno: memplug_core::Errno::E2BIG,
                reason: format!("{range} has no addresses; use lower ones"),
            })
    }

    /// The device that holds `range`, where it is mapped and which bytes of it that is.
    fn part(&self, range: PfnRange) -> Result<(Arc<Device>, u64, Range<u64>), PlatformError> {
        let (start, len) = self.span(range)?;
        let devices = self.devices();
        let (&base, device) = devices
            .range(..=start)
            .next_back()
            .filter(|(_, device)| device.range.contains_range(range))
            .ok_or_else(|| PlatformError {
                errno: memplug_core::Errno::ENOENT,
                reason: format!("no device holds {range}; plug one"),
            })?;
        let from = start - base;
        Ok((device.clone(), base, from..from + len))
    }

    /// Refuses what the system does not have. `promised`: what devices plugged before may still
    /// take, since untouched memory does not show yet.
    fn check_available(&self, wanted: u64, promised: u64) -> Result<(), PlatformError> {
        if self.overcommit {
            return Ok(());
        }
        // A system that does not tell what it has is taken at its word when it commits.
        let Ok(available) = rss::available_bytes() else {
            return Ok(());
        };
        let left = available.saturating_sub(promised);
        if wanted <= left {
            return Ok(());
        }
        let (wanted, left) = (Bytes::new(wanted), Bytes::new(left >> 20 << 20));
        Err(PlatformError {
            errno: memplug_core::Errno::ENOMEM,
            reason: format!("{wanted} wanted, the system has {left} left; ask for less"),
        })
    }

    /// Bytes that the devices there are may still take from the system.
    fn promised(&self) -> u64 {
        let devices = self.held().devices.into_iter();
        let open = devices
            .filter(|device| uses_memory(&device.backing))
            .map(|device| {
                let len = self.geometry.bytes(device.range.count());
                len.map_or(0, Bytes::get).saturating_sub(device.held.get())
            });
        open.fold(0, u64::saturating_add)
    }

    /// What the node's devices are made of; a piece that does not fit huge pages gets small
    /// ones.
    fn kind_for(&self, node: NodeId, len: u64) -> BackingKind {
        let kind = self.kinds.get(usize::from(node.get())).cloned();
        match kind.unwrap_or(BackingKind::Memfd) {
            BackingKind::HugeTmpfs if !len.is_multiple_of(2 << 20) => BackingKind::Memfd,
            kind => kind,
        }
    }

    /// What the system holds now.
    pub(crate) fn held(&self) -> MemoryUse {
        let devices: Vec<_> = self
            .devices()
            .iter()
            .map(|(at, d)| (*at, d.clone()))
            .collect();
        let devices = devices.into_iter().map(|(base, device)| {
            let place = Place {
                arena: &self.arena,
                base,
            };
            DeviceMemory {
                range: device.range,
                node: device.node,
                backing: device.backing.kind().clone(),
                held: Bytes::new(device.backing.allocated_bytes(place).unwrap_or(0)),
            }
        });
        MemoryUse {
            devices: devices.collect(),
        }
    }
}

/// Whether the kind takes what `available_bytes` counts: the huge page pool is set aside
/// already, and a file or DAX device brings its own.
fn uses_memory(kind: &BackingKind) -> bool {
    match kind {
        BackingKind::HugeTmpfs | BackingKind::Memfd | BackingKind::Anonymous => true,
        BackingKind::Hugetlb { .. } | BackingKind::File(_) => false,
    }
}

impl Platform for Memory {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn attach(&self, range: PfnRange, node: NodeId) -> Result<(), PlatformError> {
        let (start, len) = self.span(range)?;
        let kind = self.kind_for(node, len);
        if uses_memory(&kind) {
            self.check_available(len, self.promised())?;
        }
        let backing = Backing::create(kind, len);
        let backing = backing.map_err(|error| platform_error(&error))?;
        let mapped = self.arena.map(start, &backing, Access::ReadWrite);
        mapped.map_err(|error| platform_error(&error))?;
        self.devices().insert(
            start,
            Arc::new(Device {
                range,
                node,
                backing,
            }),
        );
        Ok(())
    }

    fn detach(&self, range: PfnRange) {
        let Ok((start, len)) = self.span(range) else {
            return;
        };
        let gone = self.devices().remove(&start);
        if let Err(error) = self.arena.unmap(start, len) {
            // The memory itself goes with the backing; what stays is an unused mapping.
            debug_assert!(false, "{error}");
        }
        drop(gone);
    }

    fn commit(&self, range: PfnRange) -> Result<(), PlatformError> {
        let (device, base, part) = self.part(range)?;
        if uses_memory(device.backing.kind()) {
            self.check_available(part.end - part.start, 0)?;
        }
        let huge = matches!(device.backing.kind(), BackingKind::Hugetlb { .. });
        if self.commit == Commit::Lazily && !huge {
            return Ok(());
        }
        let place = Place {
            arena: &self.arena,
            base,
        };
        device
            .backing
            .commit_now(place, part.clone())
            .map_err(|error| {
                // Part of it may be committed: nothing may be left of the try.
                let _ = device.backing.discard(place, part);
                platform_error(&error)
            })
    }

    fn discard(&self, range: PfnRange) -> Result<(), PlatformError> {
        let (device, base, part) = self.part(range)?;
        let place = Place {
            arena: &self.arena,
            base,
        };
        match device.backing.discard(place, part) {
            // A DAX device is memory of its own: there is nobody to give it back to.
            Err(crate::sys::BackingError::CannotDiscard { .. }) => Ok(()),
            other => other.map_err(|error| platform_error(&error)),
        }
    }

    fn pause(&self, round: u32) {
        // Long enough for an owner to finish what it is at, short enough not to be felt.
        let micros = 100u64 << round.min(6);
        std::thread::sleep(Duration::from_micros(micros));
    }

    fn checkpoint(&self, _: Step) -> Result<(), PlatformError> {
        Ok(())
    }

    fn observe(&self, observation: &Observation<'_>) {
        self.watchers.tell(observation);
    }
}
