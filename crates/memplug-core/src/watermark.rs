//! Watermarks by Linux's formula.
//!
//! Kept apart from where they are enforced (the allocator) and from when they change (whenever
//! a zone gains or loses pages).

use memplug_frame::Watermarks;
use memplug_units::PageCount;

/// Linux's watermarks: `min_free` pages divided among the zones by their managed pages; low
/// and high a quarter of min, or a thousandth of the zone, above each other.
pub(crate) fn linux_watermarks(
    kernel: PageCount,
    all: PageCount,
    managed: PageCount,
    min_free_kbytes: Option<u64>,
) -> Watermarks {
    let kib = kernel.get().saturating_mul(4);
    let min_free = min_free_kbytes
        .unwrap_or_else(|| kib.saturating_mul(16).isqrt().clamp(128, 262_144).min(kib));
    let share = u128::from(min_free / 4) * u128::from(managed.get()) / u128::from(all.get().max(1));
    let min = u64::try_from(share).unwrap_or(u64::MAX).min(managed.get());
    let gap = (min / 4).max(managed.get() / 1000);
    Watermarks {
        min: PageCount::new(min),
        low: PageCount::new(min.saturating_add(gap)),
        high: PageCount::new(min.saturating_add(gap.saturating_mul(2))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_of_a_gibibyte() {
        let pages = PageCount::new(262_144);
        let marks = linux_watermarks(pages, pages, pages, None);
        assert_eq!(marks.min, PageCount::new(1024)); // 4 * sqrt(1 GiB in KiB) KiB
        assert_eq!(
            (marks.low, marks.high),
            (PageCount::new(1286), PageCount::new(1548))
        );
        let none = linux_watermarks(PageCount::ZERO, pages, pages, None);
        assert_eq!(none.min, PageCount::ZERO);
    }
}
