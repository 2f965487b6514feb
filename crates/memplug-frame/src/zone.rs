//! What the allocator keeps for a zone: which areas are in it, where free memory may be found,
//! and its watermarks.
//!
//! Three bitmaps with one bit an area. *present*: the area is online in this zone. *whole* and
//! *partial*: the area's word of that name is perhaps not zero. The bit is set after the word
//! became non-zero and cleared only by a searcher that found zero and then looks once more
//! (I-FRAME-3: a non-zero area word has its zone bit set as soon as no one is between the two).
//!
//! The watermarks are numbers only; what is done at them stands in `watermark.rs`.

use crate::TableError;
use crate::sync::{AtomicI64, AtomicU64, Ordering, handshake, zeroed_words};
use alloc::boxed::Box;
use memplug_units::PageCount;
use once_cell::race::OnceBox;

/// A zone of the machine: node times zones-a-node plus the zone's place in its node, as the
/// layer above numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ZoneId(u16);

impl ZoneId {
    /// The zone with this number.
    pub const fn new(number: u16) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u16 {
        self.0
    }
    pub(crate) const fn from_index(index: usize) -> Self {
        Self(index as u16)
    }
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Free pages at which something happens.
///
/// ```
/// use memplug_frame::{
///     Class, FrameTable, MigrateType, Request, RequestKey, Reserves, Watermarks, ZoneId,
/// };
/// use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
///
/// let geometry = Geometry::with_block_size(Bytes::new(2 << 20))?;
/// let table = FrameTable::new(&geometry, PageCount::new(512), 1, 1)?;
/// let zone = ZoneId::new(0);
/// table.online(PfnRange::between(Pfn::new(0), Pfn::new(512)), zone)?;
/// let [min, low, high] = [100, 200, 300].map(PageCount::new);
/// table.set_watermarks(zone, Watermarks { min, low, high });
///
/// let class = Class::new(table.add_owner()?, MigrateType::Movable, Order::ZERO);
/// let get = |reserves| {
///     let (key, zones) = (RequestKey::new(0), &[zone]);
///     table.get(CpuId::new(0), &Request { class, key, zones, reserves })
/// };
/// while get(Reserves::Keep).is_ok() {}
/// assert_eq!(table.zone_counts(zone).free, min);
/// assert!(table.is_pressed(zone)); // reclaim is asked for since "low" was passed
/// assert!(get(Reserves::Use).is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watermarks {
    /// Below it only requests that may use the reserves are served.
    pub min: PageCount,
    /// Below it reclaim is asked for.
    pub low: PageCount,
    /// Reclaim is done when so many are free.
    pub high: PageCount,
}

/// A bitmap with a lower bound of where bits may be.
pub(crate) struct AreaSet {
    words: Box<[AtomicU64]>,
    hint: AtomicU64,
}

impl AreaSet {
    fn new(areas: u64) -> Result<Self, TableError> {
        let words = zeroed_words(areas.div_ceil(64) as usize).map_err(|_| TableError::NoMemory)?;
        Ok(Self {
            words,
            hint: AtomicU64::new(0),
        })
    }

    pub(crate) fn insert(&self, area: u64) {
        let (at, bit) = (area / 64, 1 << (area % 64));
        let word = &self.words[at as usize];
        handshake();
        if word.load(Ordering::SeqCst) & bit == 0 {
            word.fetch_or(bit, Ordering::SeqCst);
        }
        if self.hint.load(Ordering::Relaxed) > at {
            self.hint.fetch_min(at, Ordering::Relaxed);
        }
    }

    /// Takes the area out, unless `still` says, looked at afterwards, that it belongs in.
    pub(crate) fn remove_unless(&self, area: u64, still: impl Fn() -> bool) {
        let bit = 1 << (area % 64);
        self.words[(area / 64) as usize].fetch_and(!bit, Ordering::SeqCst);
        handshake();
        if still() {
            self.insert(area);
        }
    }

    /// The first `Some` of `visit` over the areas of the set, lowest first from the hint on and
    /// then those before it.
    pub(crate) fn find<R>(&self, mut visit: impl FnMut(u64) -> Option<R>) -> Option<R> {
        let hint = (self.hint.load(Ordering::Relaxed) as usize).min(self.words.len());
        let behind = (hint..self.words.len()).chain(0..hint);
        let mut first = None;
        for at in behind {
            let mut word = self.words[at].load(Ordering::SeqCst);
            if word != 0 && first.is_none() && at >= hint {
                first = Some(at);
                self.hint.store(at as u64, Ordering::Relaxed);
            }
            while word != 0 {
                let area = at as u64 * 64 + u64::from(word.trailing_zeros());
                if let Some(found) = visit(area) {
                    return Some(found);
                }
                word &= word - 1;
            }
        }
        None
    }
}

/// The bitmaps of a zone, made when it first gets memory.
pub(crate) struct ZoneMap {
    pub(crate) present: AreaSet,
    pub(crate) whole: AreaSet,
    pub(crate) partial: AreaSet,
}

/// One zone.
pub(crate) struct ZoneFrames {
    map: OnceBox<ZoneMap>,
    /// Wholly free pageblocks that are not isolated. Changed where a tag says so, not where a
    /// bit in an area changes: a taker can lose what it took.
    pub(crate) whole_blocks: AtomicI64,
    pub(crate) min: AtomicU64,
    pub(crate) low: AtomicU64,
    pub(crate) high: AtomicU64,
    /// Pages handed out one by one, ever.
    pub(crate) taken: AtomicU64,
    /// What `taken` may come to before the free pages must be counted again.
    pub(crate) allowed: AtomicU64,
    /// 1 while pages are handed out one by one, without reservations.
    pub(crate) careful: AtomicU64,
    /// 1 while free pages were last counted below the low watermark.
    pub(crate) pressed: AtomicU64,
}

impl ZoneFrames {
    pub(crate) fn new() -> Self {
        Self {
            map: OnceBox::new(),
            whole_blocks: AtomicI64::new(0),
            min: AtomicU64::new(0),
            low: AtomicU64::new(0),
            high: AtomicU64::new(0),
            taken: AtomicU64::new(0),
            allowed: AtomicU64::new(0),
            careful: AtomicU64::new(0),
            pressed: AtomicU64::new(0),
        }
    }

    /// The bitmaps, if the zone ever had memory.
    pub(crate) fn map(&self) -> Option<&ZoneMap> {
        self.map.get()
    }

    pub(crate) fn ensure(&self, areas: u64) -> Result<&ZoneMap, TableError> {
        self.map.get_or_try_init(|| {
            Ok(Box::new(ZoneMap {
                present: AreaSet::new(areas)?,
                whole: AreaSet::new(areas)?,
                partial: AreaSet::new(areas)?,
            }))
        })
    }
}
