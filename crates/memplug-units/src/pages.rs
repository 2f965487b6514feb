//! Page frame numbers, page counts, ranges of frames and allocation orders.
//!
//! Invariant: a [`PfnRange`] never wraps: its end is representable. Counts are frames of
//! [`Geometry::page_size`](crate::Geometry::page_size) bytes.

use core::fmt;

/// Order of a pageblock, the grain of isolation: 512 pages (2 MiB of 4 KiB pages).
pub const PAGEBLOCK_ORDER: u8 = 9;
/// Pages in a pageblock.
pub const PAGEBLOCK_PAGES: u64 = 1 << PAGEBLOCK_ORDER;
/// Order of the largest chunk of the page allocator: 1024 pages.
pub const MAX_ORDER: u8 = 10;

/// A page frame number: physical address divided by the page size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Pfn(u64);

impl Pfn {
    /// The frame with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }
    /// Its number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// The frame `count` frames on, if it is representable.
    pub const fn checked_add(self, count: PageCount) -> Option<Self> {
        match self.0.checked_add(count.0) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }
    /// Whether the frame is the first of a naturally aligned chunk of `order`.
    pub const fn is_aligned(self, order: Order) -> bool {
        self.0 & ((1 << order.get()) - 1) == 0
    }
}

impl fmt::Display for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl fmt::Debug for Pfn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pfn {:#x}", self.0)
    }
}

/// A number of pages.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PageCount(u64);

impl PageCount {
    /// No pages.
    pub const ZERO: Self = Self(0);

    /// This many pages.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// Sum, if it is representable.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }
    /// Difference, never below zero.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
    /// Sum, at most the largest number there is.
    pub const fn saturating_add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for PageCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pages", self.0)
    }
}

impl fmt::Debug for PageCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} pages", self.0)
    }
}

/// A range of frames, `start` inclusive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PfnRange {
    start: Pfn,
    count: PageCount,
}

impl PfnRange {
    /// The range, or `None` if its end cannot be represented.
    pub const fn new(start: Pfn, count: PageCount) -> Option<Self> {
        match start.0.checked_add(count.0) {
            Some(_) => Some(Self { start, count }),
            None => None,
        }
    }
    /// From `start` up to, not including, `end`; empty if `end` lies before `start`.
    pub const fn between(start: Pfn, end: Pfn) -> Self {
        Self {
            start,
            count: PageCount(end.0.saturating_sub(start.0)),
        }
    }
    /// First frame.
    pub const fn start(self) -> Pfn {
        self.start
    }
    /// First frame behind the range.
    pub const fn end(self) -> Pfn {
        Pfn(self.start.0 + self.count.0)
    }
    /// Number of frames.
    pub const fn count(self) -> PageCount {
        self.count
    }
    /// Whether there is no frame in it.
    pub const fn is_empty(self) -> bool {
        self.count.0 == 0
    }
    /// Whether `pfn` lies in it.
    pub const fn contains(self, pfn: Pfn) -> bool {
        pfn.0 >= self.start.0 && pfn.0 < self.end().0
    }
    /// Whether all of `other` lies in it.
    pub const fn contains_range(self, other: Self) -> bool {
        other.start.0 >= self.start.0 && other.end().0 <= self.end().0
    }
    /// Whether the two have a frame in common. An empty range intersects nothing.
    pub const fn intersects(self, other: Self) -> bool {
        !self.is_empty()
            && !other.is_empty()
            && self.start.0 < other.end().0
            && other.start.0 < self.end().0
    }
    /// What both have in common, if anything.
    pub fn intersection(self, other: Self) -> Option<Self> {
        if !self.intersects(other) {
            return None;
        }
        Some(Self::between(
            self.start.max(other.start),
            self.end().min(other.end()),
        ))
    }
    /// Its frames, in order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Pfn> {
        (self.start.0..self.end().0).map(Pfn)
    }
}

impl fmt::Display for PfnRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:#x}-{:#x}",
            self.start.0,
            self.end().0.saturating_sub(1)
        )
    }
}

impl fmt::Debug for PfnRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "pfns {self}")
    }
}

/// Order of a chunk: it holds 2^order pages and is aligned to its size. At most [`MAX_ORDER`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Order(u8);

/// Why an order was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("order {order} is above the largest, {MAX_ORDER}; ask for several smaller chunks")]
pub struct OrderError {
    /// The order asked for.
    pub order: u8,
}

impl Order {
    /// A single page.
    pub const ZERO: Self = Self(0);
    /// A whole pageblock.
    pub const PAGEBLOCK: Self = Self(PAGEBLOCK_ORDER);
    /// The largest chunk.
    pub const MAX: Self = Self(MAX_ORDER);

    /// The order, if there are chunks of it.
    ///
    /// # Errors
    /// [`OrderError`] above [`MAX_ORDER`].
    pub const fn new(order: u8) -> Result<Self, OrderError> {
        if order > MAX_ORDER {
            Err(OrderError { order })
        } else {
            Ok(Self(order))
        }
    }
    /// Its number.
    pub const fn get(self) -> u8 {
        self.0
    }
    /// Pages in a chunk of this order.
    pub const fn pages(self) -> PageCount {
        PageCount(1 << self.0)
    }
    /// All orders, smallest first.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        (0..=MAX_ORDER).map(Self)
    }
}

impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "order {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u64, count: u64) -> PfnRange {
        PfnRange::new(Pfn::new(start), PageCount::new(count)).expect("small numbers")
    }

    #[test]
    fn a_range_never_wraps() {
        assert!(PfnRange::new(Pfn::new(u64::MAX), PageCount::new(1)).is_none());
        assert!(PfnRange::new(Pfn::new(u64::MAX), PageCount::ZERO).is_some());
        assert!(PfnRange::between(Pfn::new(9), Pfn::new(3)).is_empty());
    }

    #[test]
    fn orders_end_at_ten() {
        assert_eq!(Order::new(10).map(Order::pages), Ok(PageCount::new(1024)));
        assert_eq!(Order::new(11), Err(OrderError { order: 11 }));
    }

    proptest! {
        #[test]
        fn intersection_is_what_both_contain(a in 0u64..64, n in 0u64..64, b in 0u64..64, m in 0u64..64) {
            let (x, y) = (range(a, n), range(b, m));
            let both = (0..200).filter(|&p| x.contains(Pfn::new(p)) && y.contains(Pfn::new(p))).count();
            prop_assert_eq!(x.intersection(y).map_or(0, |r| r.count().get()), both as u64);
            prop_assert_eq!(x.intersects(y), both > 0);
        }
    }
}
