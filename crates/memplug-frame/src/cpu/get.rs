//! Getting chunks.
//!
//! | step | what it costs |
//! |---|---|
//! | the row that the slot names ([`Cpus::get_cached`]) | one compare-and-swap |
//! | another row of the same pageblock | a few loads more |
//! | then zone by zone: where a chunk was put back last | a claim without a reservation |
//! | the lowest pageblock that serves the class and has room | it is reserved |
//! | while wholly free pageblocks are few: a quarter of one that serves other owners | it is shared |
//! | a wholly free pageblock | it is reserved |
//! | a quarter of any; a page of any (`pageblocks/mixed.rs`) | the lock of the tables |
//!
//! If all that fails, all reservations in the zone are given up and the steps are tried once more. So
//! a request fails only if no zone it allows has a free aligned chunk above its watermark, as far as no
//! other CPU gets or frees there meanwhile: a pageblock that another CPU is just taking or sharing is
//! not waited for.
//!
//! Near a zone's watermarks the same steps are taken, but nothing is reserved.

use super::Cpus;
use super::slot::Slot;
use crate::AllocError;
use crate::RequestKey;
use crate::class::Class;
use crate::pageblocks::rows::ROW_ORDER;
use crate::pageblocks::tag::Tag;
use crate::pageblocks::{Claim, Pageblock, QUARTER_PAGES, Quarter, join, may_share, split_pfn};
use crate::sync::Ordering;
use crate::zones::{Admit, Paid, Place, Reserves, Visit, Whole, ZoneId};
use memplug_units::{CpuId, Order, Pfn};

/// What is wanted.
///
/// ```
/// use memplug_frame::{Class, FrameTable, MigrateType, Request, RequestKey, Reserves, ZoneId};
/// use memplug_units::{Bytes, CpuId, Geometry, Order, PageCount, Pfn, PfnRange};
///
/// // Two blocks of 2 MiB: the first in the zone "normal", the second in "movable".
/// let geometry = Geometry::with_block_size(Bytes::new(2 << 20))?;
/// let table = FrameTable::new(&geometry, PageCount::new(1024), 2, 1)?;
/// let (normal, movable) = (ZoneId::new(0), ZoneId::new(1));
/// table.online(PfnRange::between(Pfn::new(0), Pfn::new(512)), normal)?;
/// table.online(PfnRange::between(Pfn::new(512), Pfn::new(1024)), movable)?;
///
/// // Movable pages may lie in either zone, and rather in the second.
/// let request = Request {
///     class: Class::new(table.add_owner()?, MigrateType::Movable, Order::PAGEBLOCK),
///     key: RequestKey::new(1),
///     zones: &[movable, normal],
///     reserves: Reserves::Keep,
/// };
/// assert_eq!(table.get(CpuId::new(0), &request), Ok(Pfn::new(512)));
/// assert_eq!(table.get(CpuId::new(0), &request), Ok(Pfn::new(0)));
/// assert!(table.get(CpuId::new(0), &request).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Owner, migrate type and order.
    pub class: Class,
    /// Equal keys mean equal `zones`.
    pub key: RequestKey,
    /// Where it may come from, the most wanted zone first.
    pub zones: &'a [ZoneId],
    /// Whether the reserves may be used.
    pub reserves: Reserves,
}

/// Times that a request goes back from a zone's exact mode to the easy one before it gives up.
const TURNS: u32 = 8;
/// Chunks that make a pageblock worth a reservation.
const WORTH_RESERVING: u64 = 4;

impl Cpus {
    /// The fast path: a chunk from the CPU's reservation, if it has one that fits.
    #[inline(always)]
    pub(crate) fn get_cached(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        let cpu = self.number(cpu);
        // A stale slot is caught by the look at the tag after the claim. Acquire: the CPU that filled
        // it knew the pad of all chunks, which is read before the chunk here.
        let slot = Slot::from_bits(self.slot(cpu, class)?.load(Ordering::Acquire));
        if !slot.serves(key) {
            return None;
        }
        let order = class.order();
        if order.get() > ROW_ORDER {
            return self.get_granted(cpu, class, slot);
        }
        let expected = slot.expected(class, cpu);
        let blocks = &self.zones.blocks;
        self.got(blocks.claim_in_row(slot.row_number(), order, expected))
    }

    /// Orders 9 and 10: from the area that the CPU was granted in the zone wanted most.
    #[inline(never)] // leaves the way of order 0 few registers to save
    fn get_granted(&self, cpu: CpuId, class: Class, slot: Slot) -> Option<Pfn> {
        if class.order() < Order::PAGEBLOCK {
            return None;
        }
        let place = self.zones.place(slot.zone())?;
        let (pageblock, _) = self.zones.take_granted(&place, cpu, Whole::Chunk(class))?;
        Some(join(pageblock, 0))
    }

    /// A chunk for the request, from wherever it allows.
    #[inline(never)] // leaves callers of the fast path few registers to save
    pub(crate) fn get(&self, cpu: CpuId, request: &Request<'_>) -> Result<Pfn, AllocError> {
        let class = request.class;
        let (cpu, order, owner) = (self.number(cpu), class.order(), class.owner());
        if !self.knows(owner) {
            return Err(AllocError::UnknownOwner { owner });
        }
        if order == Order::MAX && self.zones.area_pageblocks() < 2 {
            // Two pageblocks would be of two blocks.
            return Err(AllocError::NoMemory { order });
        }
        if order >= Order::PAGEBLOCK {
            self.note_first_zone(cpu, request);
        } else if let Some(pfn) = self.get_reserved(cpu, class, request.key) {
            return Ok(pfn);
        }
        let zones = request.zones.iter();
        zones
            .filter_map(|&zone| self.zones.place(zone))
            .find_map(|place| self.get_from(&place, cpu, request))
            .ok_or(AllocError::NoMemory { order })
    }

    /// Next time the zone wanted most is found without the list.
    fn note_first_zone(&self, cpu: CpuId, request: &Request<'_>) {
        if let Some(word) = self.slot(cpu, request.class)
            && let Some(&zone) = request.zones.first()
        {
            let slot = Slot::of_zone(request.key, zone).into_bits();
            if word.load(Ordering::Relaxed) != slot {
                word.store(slot, Ordering::SeqCst);
            }
        }
    }

    /// What a claim came to; what it changed is noted.
    #[inline(always)]
    fn got(&self, claim: Claim) -> Option<Pfn> {
        match claim {
            Claim::Got(pfn) => Some(pfn),
            Claim::Full => None,
            Claim::Lost(change) => {
                self.note(change);
                None
            }
        }
    }

    /// From any row of the reserved pageblock; gives the reservation up if it is full.
    #[inline(never)]
    fn get_reserved(&self, cpu: CpuId, class: Class, key: RequestKey) -> Option<Pfn> {
        let word = self.slot(cpu, class)?;
        let slot = Slot::from_bits(word.load(Ordering::Acquire));
        if !slot.serves(key) {
            return None;
        }
        let blocks = &self.zones.blocks;
        let claim = if slot.shared() {
            blocks.claim_in_quarter(slot.quarter(), class, true)
        } else {
            let tag = Tag::from_bits(slot.expected(class, cpu).bits);
            blocks.claim(slot.pageblock(), class, tag, slot.row())
        };
        let Some(pfn) = self.got(claim) else {
            self.evict(cpu, class, slot);
            return None;
        };
        let next = slot.with_row(split_pfn(pfn).1 / 64);
        let (from, to) = (slot.into_bits(), next.into_bits());
        let _ = word.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed);
        Some(pfn)
    }

    /// From one zone.
    fn get_from(&self, place: &Place<'_>, cpu: CpuId, request: &Request<'_>) -> Option<Pfn> {
        let search = |exact| Search {
            cpus: self,
            place,
            cpu,
            request,
            exact,
        };
        let mut given_up = false;
        for _ in 0..TURNS {
            place.begin();
            if !place.is_near() {
                if let Some(pfn) = search(false).run() {
                    return Some(pfn);
                }
                if !given_up && place.has_reserved() {
                    given_up = true;
                    self.drain_zone(place.id);
                    continue;
                }
                if !place.is_short() {
                    return None;
                }
                place.turn_near();
                self.drain_zone(place.id);
                place.begin();
            }
            let order = request.class.order();
            match self.zones.admit(place, order, request.reserves) {
                Admit::Exact => return search(true).run(),
                Admit::Closed => return None,
                Admit::Easy => {}
            }
        }
        None
    }
}

/// One request's way through one zone.
struct Search<'a> {
    cpus: &'a Cpus,
    place: &'a Place<'a>,
    cpu: CpuId,
    request: &'a Request<'a>,
    /// It has paid for itself, and may hold nothing in advance.
    exact: bool,
}

/// Where a request for a chunk of order 0 to 8 looks.
#[derive(Clone, Copy)]
enum Step {
    Recent,
    Partial,
    Quarter,
    Whole,
    Mixed,
}

const STEPS: [Step; 5] = [
    Step::Recent,
    Step::Partial,
    Step::Whole,
    Step::Quarter,
    Step::Mixed,
];
/// While few pageblocks are wholly free.
const SCARCE_STEPS: [Step; 5] = [
    Step::Recent,
    Step::Partial,
    Step::Quarter,
    Step::Whole,
    Step::Mixed,
];

impl Search<'_> {
    fn run(&self) -> Option<Pfn> {
        let class = self.request.class;
        if class.order() >= Order::PAGEBLOCK {
            let (pageblock, _) = self.take_whole(Whole::Chunk(class))?;
            return Some(join(pageblock, 0));
        }
        let steps = match may_share(class) && self.place.is_scarce() {
            true => SCARCE_STEPS,
            false => STEPS,
        };
        // Once credit lacks, no step more is taken.
        let tried = steps.into_iter().map_while(|step| {
            let more = !self.place.is_short();
            more.then(|| self.try_step(step))
        });
        tried.flatten().next()
    }

    fn try_step(&self, step: Step) -> Option<Pfn> {
        match step {
            Step::Recent => self.at_recent(),
            Step::Partial => self.in_partial(),
            Step::Quarter => self.in_quarter(),
            Step::Whole => self.in_whole(),
            Step::Mixed => self.in_mixed(),
        }
    }

    fn pages(&self) -> u64 {
        self.request.class.order().pages().get()
    }

    /// Pays for `all` the pages that a reservation holds, or for the chunk alone.
    fn pay(&self, all: u64) -> Paid {
        if self.exact {
            return Paid::Least;
        }
        let zones = &self.cpus.zones;
        zones.pay(self.place, self.cpu, all, self.pages())
    }

    /// Where a chunk of the class was put back last.
    fn at_recent(&self) -> Option<Pfn> {
        let home = Some(self.cpu);
        self.at_noted(home).or_else(|| self.at_noted(None))
    }

    fn at_noted(&self, home: Option<CpuId>) -> Option<Pfn> {
        let (class, recent) = (self.request.class, &self.cpus.recent);
        let row = recent.row(home, class)?;
        let (pageblock, zones) = (row >> 3, &self.cpus.zones);
        let tag = zones.blocks.tag(pageblock)?;
        // The zone after the tag: a tag of this generation means this zone from here on.
        if !zones.is_in(pageblock, self.place.id) {
            return None;
        }
        let claimed = if !self.exact && !zones.pay_for_one(self.place, self.cpu, self.pages()) {
            return None;
        } else if tag.is_open_to(class) {
            zones
                .blocks
                .claim(pageblock, class, tag, (row & 7) as usize)
        } else {
            match zones.blocks.own_quarter(pageblock, tag, class) {
                Some(quarter) => zones.blocks.claim_in_quarter(quarter, class, false),
                None => Claim::Full,
            }
        };
        let got = self.cpus.got(claimed);
        if got.is_none() {
            recent.forget(home, class);
        }
        got
    }

    /// In the lowest pageblock that serves the class and has room.
    fn in_partial(&self) -> Option<Pfn> {
        let class = self.request.class;
        let zones = &self.cpus.zones;
        zones.find_room(self.place, self.cpu, class, |pageblock, tag| {
            if self.place.is_short() {
                Visit::Pass
            } else if tag.is_open_to(class) {
                self.in_open(pageblock, tag)
            } else {
                self.in_own_quarter(pageblock, tag)
            }
        })
    }

    fn in_open(&self, pageblock: Pageblock, tag: Tag) -> Visit<Pfn> {
        let (class, zones) = (self.request.class, &self.cpus.zones);
        let room = zones.blocks.room(pageblock);
        if room == 0 {
            return Visit::Full;
        }
        if !zones.blocks.has_run(pageblock, class.order()) {
            return Visit::Pass;
        }
        let worth = room >= WORTH_RESERVING * self.pages();
        let claim = match self.pay(if worth { room } else { self.pages() }) {
            Paid::Nothing => return Visit::Pass,
            Paid::All if worth => {
                let Some(reserved) = zones.blocks.reserve(pageblock, tag, self.cpu) else {
                    self.place.refund(self.cpu, room);
                    return Visit::Pass;
                };
                zones.unlist_partial(pageblock);
                return match self.begin(pageblock, reserved) {
                    Some(pfn) => Visit::Found(pfn),
                    None => Visit::Pass,
                };
            }
            Paid::All | Paid::Least => zones.blocks.claim(pageblock, class, tag, 0),
        };
        match self.cpus.got(claim) {
            Some(pfn) => Visit::Found(pfn),
            None => Visit::Pass,
        }
    }

    /// The first chunk of a pageblock that the CPU has reserved, or that is open in exact mode.
    fn begin(&self, pageblock: Pageblock, tag: Tag) -> Option<Pfn> {
        let (class, blocks) = (self.request.class, &self.cpus.zones.blocks);
        let got = self.cpus.got(blocks.claim(pageblock, class, tag, 0));
        if tag.reserved() {
            let row = got.map_or(0, |pfn| split_pfn(pfn).1 / 64);
            let slot = Slot::reserved(self.request.key, pageblock, tag, row);
            self.cpus.install(self.place, self.cpu, class, slot);
        } else {
            self.cpus.note(blocks.settle(pageblock));
        }
        got
    }

    fn in_own_quarter(&self, pageblock: Pageblock, tag: Tag) -> Visit<Pfn> {
        let (class, blocks) = (self.request.class, &self.cpus.zones.blocks);
        let Some(quarter) = blocks.own_quarter(pageblock, tag, class) else {
            return match blocks.room(pageblock) {
                0 => Visit::Full,
                _ => Visit::Pass,
            };
        };
        let reserve = match self.pay(QUARTER_PAGES) {
            Paid::Nothing => return Visit::Pass,
            Paid::Least => false,
            Paid::All => blocks.reserve_shared(pageblock, tag),
        };
        match self
            .cpus
            .got(blocks.claim_in_quarter(quarter, class, reserve))
        {
            Some(pfn) => Visit::Found(self.hold_quarter(quarter, pfn, reserve)),
            None => Visit::Pass,
        }
    }

    fn hold_quarter(&self, quarter: Quarter, pfn: Pfn, reserved: bool) -> Pfn {
        if reserved {
            let slot = Slot::of_quarter(self.request.key, quarter, split_pfn(pfn).1 / 64);
            let cpus = self.cpus;
            cpus.install(self.place, self.cpu, self.request.class, slot);
        }
        pfn
    }

    /// In a free quarter of a pageblock that serves other owners.
    fn in_quarter(&self) -> Option<Pfn> {
        let class = self.request.class;
        if !may_share(class) {
            return None;
        }
        let paid = self.pay(QUARTER_PAGES);
        if paid == Paid::Nothing {
            return None;
        }
        let reserve = paid == Paid::All;
        let zones = &self.cpus.zones;
        let found = zones.find_quarter(self.place, class, reserve);
        let Some((quarter, pfn)) = found else {
            self.refund(paid, QUARTER_PAGES);
            return None;
        };
        Some(self.hold_quarter(quarter, pfn, reserve))
    }

    /// In a wholly free pageblock.
    fn in_whole(&self) -> Option<Pfn> {
        let class = self.request.class;
        let cpu = (!self.exact).then_some(self.cpu);
        let (pageblock, tag) = self.take_whole(Whole::Serve(class, cpu))?;
        if may_share(class) {
            self.cpus.zones.show_color(pageblock, tag);
        }
        self.begin(pageblock, tag)
    }

    fn take_whole(&self, what: Whole) -> Option<(Pageblock, Tag)> {
        let zones = &self.cpus.zones;
        if self.exact {
            return zones.take_paid(self.place, self.cpu, what);
        }
        let granted = zones.take_granted(self.place, self.cpu, what);
        granted.or_else(|| zones.take_new(self.place, self.cpu, what))
    }

    /// A chunk of any pageblock that no CPU holds, rather of one of the same migrate type.
    fn in_mixed(&self) -> Option<Pfn> {
        let (class, zones) = (self.request.class, &self.cpus.zones);
        let paid = self.pay(self.pages());
        if paid == Paid::Nothing {
            return None;
        }
        let get = |pageblock, tag: Tag, alike: bool| {
            let unlike = alike && tag.migrate_type() != class.migrate_type();
            if unlike || !zones.blocks.has_run(pageblock, class.order()) {
                return match zones.blocks.room(pageblock) {
                    0 => Visit::Full,
                    _ => Visit::Pass,
                };
            }
            if tag.is_open_to(class) {
                // Beyond the reach of the search for room: it needs no table.
                let claim = zones.blocks.claim(pageblock, class, tag, 0);
                return self.cpus.got(claim).map_or(Visit::Pass, Visit::Found);
            }
            let (got, change) = zones.blocks.get_mixed(pageblock, tag, class);
            zones.note(change);
            got.map_or(Visit::Pass, Visit::Found)
        };
        let find = |alike| zones.find_any(self.place, |at, tag| get(at, tag, alike));
        let got = find(true).or_else(|| find(false));
        if got.is_none() {
            self.refund(paid, self.pages());
        }
        got
    }

    fn refund(&self, paid: Paid, all: u64) {
        match paid {
            Paid::All => self.place.refund(self.cpu, all),
            Paid::Least if !self.exact => self.place.refund(self.cpu, self.pages()),
            Paid::Least | Paid::Nothing => {}
        }
    }
}
