//! A simulator of cache coherence, told of each access by the words of the allocator's `sync` module.
//!
//! Each access of a counted word names its line (address / 64) and its kind. The simulator keeps, for
//! each line, which of up to 256 CPUs have a copy, by the rules of MESI, and counts what the access
//! would have cost the CPU that makes it. One thread drives all CPUs: [`run_on`] says which CPU makes
//! the accesses that follow. A run is deterministic as far as the heap places allocations alike.
//!
//! | access of a CPU | copies before | counted as | copies after |
//! |---|---|---|---|
//! | load | one of its own | hit | the same |
//! | load | of other CPUs only | transfer | one of its own besides |
//! | store, read-modify-write | its own alone (Modified or Exclusive) | hit | the same |
//! | store, read-modify-write | of other CPUs too, or only | transfer | its own alone |
//! | any | none | miss | its own alone (Exclusive or Modified) |
//!
//! Modified and Exclusive cost the same and are one state here. A load of a line that other CPUs share
//! is a transfer too, as if a sharer forwarded it (MESIF). A store that takes the copies of many CPUs
//! is one transfer; each of those CPUs pays for its own when it comes back. A compare-and-swap that
//! fails wants the line as one that succeeds does. A lock is a read-modify-write and a store.
//!
//! What the model does not see:
//!
//! - Time: no contention and no queueing for a line, no spinning, no overlap of misses. A transfer
//!   costs the same whatever its distance: no NUMA nodes, no shared cache levels.
//! - The inside of operations: the driver switches CPUs between operations, so no operation sees a
//!   race, repeats a compare-and-swap, or loses a line half-way.
//! - Store buffers, prefetch, speculation, and hardware that fetches lines in pairs.
//! - Capacity and associativity: a CPU keeps a line until another takes it, so a miss is only ever the
//!   first access of a line.
//! - Whatever is not an atomic word or a lock of `sync`: plain fields, pointers in `OnceBox`, what a lock
//!   guards. If a plain field shares a line with a written word, the model misses its readers.

use memplug_frame::sync::counted::{self, Access, Kind};
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::panic::Location;

/// CPUs that can be simulated.
pub const CPUS: usize = 256;

/// Bytes of a line, as a power of two.
const LINE_SHIFT: u32 = 6;

/// Accesses since [`count_anew`], of all CPUs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The CPU had the line as it needed it.
    pub hits: u64,
    /// The line, or the right to write it, came from other CPUs.
    pub transfers: u64,
    /// No CPU had the line.
    pub misses: u64,
    /// Copies that transfers for a write took from other CPUs.
    pub invalidated: u64,
}

impl Counts {
    /// Accesses that the caches of the CPU alone could not serve.
    pub const fn all_misses(&self) -> u64 {
        self.transfers + self.misses
    }
}

/// A line of source that made lines of cache move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mover {
    /// File of the access.
    pub file: &'static str,
    /// Line in that file.
    pub line: u32,
    /// Transfers that the access caused.
    pub transfers: u64,
    /// Different lines of cache that it made move.
    pub lines: u64,
}

/// The CPUs that have a copy of a line, as bits.
#[derive(Clone, Copy, Default)]
struct Copies([u64; CPUS / 64]);

impl Copies {
    fn only(cpu: usize) -> Self {
        let mut only = Self::default();
        only.add(cpu);
        only
    }
    fn has(&self, cpu: usize) -> bool {
        self.0[cpu / 64] >> (cpu % 64) & 1 == 1
    }
    fn others(&self, cpu: usize) -> u64 {
        let all: u32 = self.0.iter().map(|word| word.count_ones()).sum();
        u64::from(all) - u64::from(self.has(cpu))
    }
    fn add(&mut self, cpu: usize) {
        self.0[cpu / 64] |= 1 << (cpu % 64);
    }
}

/// A multiplication spreads the numbers of lines well enough.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }
    fn write_usize(&mut self, value: usize) {
        let mixed = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ mixed >> 32;
    }
}

/// Where an access stands in the source.
type Place = &'static Location<'static>;

type Map<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

#[derive(Default)]
struct Simulator {
    cpu: usize,
    lines: Map<usize, Copies>,
    counts: Counts,
    /// How often each access (by the address of its place) made each line move.
    moved: Map<(usize, usize), (Place, u64)>,
}

impl Simulator {
    fn access(&mut self, access: &Access) {
        let Access {
            address,
            kind,
            place,
        } = *access;
        let (cpu, line) = (self.cpu, address >> LINE_SHIFT);
        let Some(copies) = self.lines.get_mut(&line) else {
            self.lines.insert(line, Copies::only(cpu));
            self.counts.misses += 1;
            return;
        };
        let own = Copies::only(cpu);
        let hit = match kind {
            Kind::Load => copies.has(cpu),
            Kind::Store | Kind::Change => copies.0 == own.0,
        };
        if hit {
            self.counts.hits += 1;
            return;
        }
        match kind {
            Kind::Load => copies.add(cpu),
            Kind::Store | Kind::Change => {
                self.counts.invalidated += copies.others(cpu);
                *copies = own;
            }
        }
        self.counts.transfers += 1;
        let site = (std::ptr::from_ref(place).addr(), line);
        self.moved.entry(site).or_insert((place, 0)).1 += 1;
    }
}

thread_local! {
    static SIMULATOR: RefCell<Simulator> = RefCell::default();
}

fn with<R>(f: impl FnOnce(&mut Simulator) -> R) -> R {
    SIMULATOR.with(|simulator| f(&mut simulator.borrow_mut()))
}

/// From now on this CPU makes the accesses of this thread.
///
/// # Panics
/// If the number is not below [`CPUS`].
pub fn run_on(cpu: usize) {
    assert!(cpu < CPUS, "CPU {cpu} of {CPUS}");
    with(|simulator| simulator.cpu = cpu);
}

/// Empties all caches and counters of this thread, and listens to the words: for a new machine.
pub fn restart() {
    counted::observe(|access| with(|simulator| simulator.access(access)));
    with(|simulator| *simulator = Simulator::default());
}

/// Sets the counters to 0. The caches stay as they are.
pub fn count_anew() {
    with(|simulator| {
        simulator.counts = Counts::default();
        simulator.moved.clear();
    });
}

/// What was counted.
pub fn counts() -> Counts {
    with(|simulator| simulator.counts)
}

/// Transfers of the line that moved most often: they can only happen one after the other.
pub fn busiest_line() -> u64 {
    with(|simulator| {
        let mut by_line: Map<usize, u64> = Map::default();
        for (&(_, line), &(_, transfers)) in &simulator.moved {
            *by_line.entry(line).or_default() += transfers;
        }
        by_line.into_values().max().unwrap_or(0)
    })
}

/// The lines of source that caused the most transfers, at most `most` of them.
pub fn movers(most: usize) -> Vec<Mover> {
    let mut movers: Vec<Mover> = with(|simulator| {
        let mut by_place: HashMap<(&'static str, u32), (u64, u64)> = HashMap::new();
        for &(place, transfers) in simulator.moved.values() {
            let of = by_place.entry((place.file(), place.line())).or_default();
            *of = (of.0 + transfers, of.1 + 1);
        }
        let places = by_place.into_iter();
        places
            .map(|((file, line), (transfers, lines))| Mover {
                file,
                line,
                transfers,
                lines,
            })
            .collect()
    });
    movers.sort_by_key(|mover| (u64::MAX - mover.transfers, mover.file, mover.line));
    movers.truncate(most);
    movers
}
