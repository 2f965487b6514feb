//! How far an area's word of wholly free pageblocks can be relied on.
//!
//! A pageblock that becomes free has to show in the word, and a second locked instruction for each
//! that is put back is what an order 9 costs beside its tag. So in an area that is used up, whose
//! word is zero, the first that comes back *opens* it: all pageblocks are shown, and those that
//! come after it find their bit set. The area is *loose* then. Whoever wants to take from it, or
//! counts it, looks at the tags once and *tidies* it up; from then on its word is exact again.
//!
//! That is a bet that all will come back before the next is taken. Where only some do, bits that
//! are there for some and not for others cost more than they save; an area that lost its bet is
//! not opened again before it is seen wholly free. It is not lost, and who only counts does not tidy up,
//! where those that have come back are neighbours: so do all come back to an area that was used up in
//! order, and a count finds it half-way.
//!
//! ```text
//! exact ──open──▶ opening ──opened──▶ loose ──tidy──▶ tidying ──tidied──▶ exact
//!   ▲               ▲                   │                 │
//!   │               └───────open────────┘               lost
//! whole                                                   ▼
//!   └──────────────────────────────────────────────── cautious
//! ```
//!
//! I-FRAME-7: a word shows a pageblock that is not free only if its area is opening, loose or
//! being tidied, or a processor takes from it (`whole.rs`), or someone is between taking the tag and
//! clearing the bit or between setting the bit and looking at the tag once more. So a word is counted
//! as it stands if it was exact before and after the look at it, and there was no opening in between:
//! their number stands beside the state.

use crate::FrameTable;
use crate::sync::{AtomicU64, Ordering};
use crate::table::Area;

/// What an area's word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// What it shows is free, but for what processors take from the area.
    Exact = 0,
    /// Someone is about to show all.
    Opening = 1,
    /// It may show what is not free.
    Loose = 2,
    /// Someone looks at the tags.
    Tidying = 3,
    /// Exact, and not to be opened.
    Cautious = 4,
}

/// What happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    /// The area was used up and a pageblock comes back.
    Open,
    /// All are shown.
    Opened,
    /// Somebody wants to rely on it.
    Tidy,
    /// What was not free, if anything, is not shown any more.
    Tidied,
    /// The same, and it was much.
    Lost,
    /// All of its pageblocks are free.
    Whole,
}

impl Shown {
    /// The one transition function.
    const fn after(self, event: Event) -> Option<Self> {
        match (self, event) {
            (Self::Exact | Self::Loose, Event::Open) => Some(Self::Opening),
            (Self::Opening, Event::Opened) => Some(Self::Loose),
            (Self::Loose, Event::Tidy) => Some(Self::Tidying),
            (Self::Tidying, Event::Tidied) | (Self::Cautious, Event::Whole) => Some(Self::Exact),
            (Self::Tidying, Event::Lost) => Some(Self::Cautious),
            _ => None,
        }
    }

    #[inline]
    const fn of(word: u64) -> Self {
        match word & STATE {
            0 => Self::Exact,
            1 => Self::Opening,
            2 => Self::Loose,
            3 => Self::Tidying,
            _ => Self::Cautious,
        }
    }

    const fn is_exact(self) -> bool {
        matches!(self, Self::Exact | Self::Cautious)
    }
}

const STATE: u64 = 7;
/// Openings are counted above the state.
const OPENING: u64 = 8;
/// A bet is lost when one pageblock in so many is not free.
const LOST: u32 = 8;

/// Tries one transition; whether it was this thread that made it.
#[inline]
fn apply(word: &AtomicU64, event: Event) -> bool {
    let now = word.load(Ordering::SeqCst);
    let Some(next) = Shown::of(now).after(event) else {
        return false;
    };
    let opened = if event == Event::Open { OPENING } else { 0 };
    let next = (now & !STATE).wrapping_add(opened) | next as u64;
    // One try: who loses leaves it to the one who wins.
    word.compare_exchange(now, next, Ordering::SeqCst, Ordering::Relaxed)
        .is_ok()
}

impl Area<'_> {
    /// The word of whole ones, if it is exact.
    #[inline]
    pub(crate) fn exact_whole(&self) -> Option<u64> {
        let before = self.shown().load(Ordering::SeqCst);
        let word = self.whole().load(Ordering::SeqCst);
        let exact = Shown::of(before).is_exact();
        (exact && self.shown().load(Ordering::SeqCst) == before).then_some(word)
    }
}

impl FrameTable {
    /// Shows all pageblocks of an area that is used up, one of which has just become free; tells
    /// what its word was, or nothing if someone else is at it, and nothing is done then.
    pub(crate) fn open(&self, area: &Area<'_>) -> Option<u64> {
        if !apply(area.shown(), Event::Open) {
            return None;
        }
        let all = self.directory.full_area();
        let before = area.whole().fetch_or(all, Ordering::SeqCst);
        apply(area.shown(), Event::Opened);
        Some(before)
    }

    /// Makes the word of a loose area exact; whether it was this thread that did.
    #[inline]
    pub(crate) fn tidy(&self, area: &Area<'_>) -> bool {
        Shown::of(area.shown().load(Ordering::SeqCst)) == Shown::Loose && self.tidy_loose(area)
    }

    /// The pageblocks of an area that is not exact that are free, and as far as it can be the word
    /// shows no more afterwards, unless they are neighbours and more may follow.
    #[cold]
    pub(crate) fn tidied(&self, area: &Area<'_>) -> u64 {
        let free = self.whole_in(area);
        if free != self.directory.full_area() && is_run(free) {
            return free;
        }
        self.tidy(area);
        let exact = area.exact_whole();
        exact.unwrap_or_else(|| self.whole_in(area))
    }

    /// The same, but an area that only some pageblocks have come back to is left as it is: the others
    /// would not find their bits set.
    #[cold]
    pub(crate) fn looked_through(&self, area: &Area<'_>) -> u64 {
        let free = self.whole_in(area);
        if free == self.directory.full_area() {
            self.tidy(area);
        }
        free
    }

    #[cold]
    fn tidy_loose(&self, area: &Area<'_>) -> bool {
        if !apply(area.shown(), Event::Tidy) {
            return false;
        }
        let taken = self.clear_taken(area);
        let lost = u64::from(taken * LOST) > self.directory.area_pageblocks();
        apply(area.shown(), if lost { Event::Lost } else { Event::Tidied })
    }

    /// To be called when the first pageblock is taken from an area: the word that it then had.
    #[inline]
    pub(crate) fn note_begun(&self, area: &Area<'_>, word: u64) {
        if word == self.directory.full_area()
            && Shown::of(area.shown().load(Ordering::SeqCst)) == Shown::Cautious
        {
            apply(area.shown(), Event::Whole);
        }
    }
}

/// Whether the bits that are set are neighbours, one at least.
const fn is_run(bits: u64) -> bool {
    bits != 0 && {
        let run = bits >> bits.trailing_zeros();
        run & run.wrapping_add(1) == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{Class, MigrateType, Request, RequestKey, Reserves, ZoneId};
    use memplug_units::{CpuId, Geometry, Order, PageCount, Pfn, PfnRange};

    #[test]
    fn every_state_with_every_event() {
        use Event::{Lost, Open, Opened, Tidied, Tidy, Whole};
        use Shown::{Cautious, Exact, Loose, Opening, Tidying};
        let legal = [
            (Exact, Open, Opening),
            (Opening, Opened, Loose),
            (Loose, Open, Opening),
            (Loose, Tidy, Tidying),
            (Tidying, Tidied, Exact),
            (Tidying, Lost, Cautious),
            (Cautious, Whole, Exact),
        ];
        for state in [Exact, Opening, Loose, Tidying, Cautious] {
            for event in [Open, Opened, Tidy, Tidied, Lost, Whole] {
                let after = legal.iter().find(|of| (of.0, of.1) == (state, event));
                assert_eq!(state.after(event), after.map(|of| of.2));
                let word = AtomicU64::new(state as u64 + 8 * OPENING);
                assert_eq!(apply(&word, event), after.is_some());
                let now = word.into_inner();
                assert_eq!(Shown::of(now), after.map_or(state, |of| of.2));
                let opened = u64::from(event == Open && after.is_some());
                assert_eq!(now / OPENING, 8 + opened);
            }
        }
    }

    #[test]
    fn neighbours_are_a_run() {
        for (bits, run) in [
            (0, false),
            (1, true),
            (6, true),
            (5, false),
            (u64::MAX, true),
        ] {
            assert_eq!(is_run(bits), run, "{bits:b}");
        }
        assert!(is_run(1 << 63) && !is_run(1 << 63 | 1));
    }

    #[test]
    fn a_count_leaves_the_bet_open_while_neighbours_come_back() {
        let (zone, pages) = (ZoneId::new(0), PageCount::new(64 * 512));
        let table = FrameTable::new(&Geometry::default(), pages, 1, 1).expect("small");
        let all = PfnRange::between(Pfn::new(0), Pfn::new(pages.get()));
        table.online(all, zone).expect("within the limit");
        let order = Order::PAGEBLOCK;
        let owner = table.add_owner().expect("the first");
        let request = Request {
            class: Class::new(owner, MigrateType::Movable, order),
            key: RequestKey::new(0),
            zones: &[zone],
            reserves: Reserves::Keep,
        };
        while table.get(CpuId::new(0), &request).is_ok() {}
        let area = table.directory.area(0).expect("described");
        let state = || Shown::of(area.shown().load(Ordering::SeqCst));
        let put = |at: u64| assert_eq!(table.put(Pfn::new(at * 512), order, owner), Ok(()));
        for (at, free) in [(8, 0x100), (9, 0x300), (7, 0x380)] {
            put(at);
            assert_eq!((table.tidied(&area), state()), (free, Shown::Loose));
        }
        put(40);
        let free = 0x380 | 1 << 40;
        assert_eq!((table.tidied(&area), state()), (free, Shown::Cautious));
        assert_eq!(area.whole().load(Ordering::SeqCst), free);
    }
}
