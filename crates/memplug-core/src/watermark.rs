//! Watermarks by Linux's formula.
//!
//! Kept apart from where they are enforced (the allocator) and from when they change (whenever
//! a zone gains or loses pages).

use memplug_frame::Watermarks;
use memplug_units::PageCount;

/// What the zones of a machine have watermarks from.
pub(crate) struct WatermarkShare {
    /// Pages to be kept free on the whole machine.
    min_free: u64,
    /// Managed pages of all zones.
    all: u64,
}

impl WatermarkShare {
    /// `kernel`: the managed pages of kernel zones, `all` of all zones.
    pub(crate) fn new(kernel: PageCount, all: PageCount, min_free_kbytes: Option<u64>) -> Self {
        let kib = kernel.get().saturating_mul(4);
        let min_free = min_free_kbytes
            .unwrap_or_else(|| kib.saturating_mul(16).isqrt().clamp(128, 262_144).min(kib));
        Self {
            min_free: min_free / 4,
            all: all.get().max(1),
        }
    }

    /// The watermarks of a zone: what is to be kept free divided by managed pages; low and high
    /// a quarter of min, or a thousandth of the zone, above each other.
    pub(crate) fn of(&self, managed: PageCount) -> Watermarks {
        let managed = managed.get();
        let min = match self.min_free.checked_mul(managed) {
            Some(product) => product / self.all,
            // Seldom: a division of 128 bits is a loop.
            None => {
                let product = u128::from(self.min_free) * u128::from(managed);
                u64::try_from(product / u128::from(self.all)).unwrap_or(u64::MAX)
            }
        };
        let min = min.min(managed);
        let gap = (min / 4).max(managed / 1000);
        Watermarks {
            min: PageCount::new(min),
            low: PageCount::new(min.saturating_add(gap)),
            high: PageCount::new(min.saturating_add(gap.saturating_mul(2))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watermarks_of_a_gibibyte() {
        let pages = PageCount::new(262_144);
        let marks = WatermarkShare::new(pages, pages, None).of(pages);
        assert_eq!(marks.min, PageCount::new(1024)); // 4 * sqrt(1 GiB in KiB) KiB
        assert_eq!(
            (marks.low, marks.high),
            (PageCount::new(1286), PageCount::new(1548))
        );
        let none = WatermarkShare::new(PageCount::ZERO, pages, None).of(pages);
        assert_eq!(none.min, PageCount::ZERO);
    }
}
