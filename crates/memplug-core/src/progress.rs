//! How far an offline is, for observers.
//!
//! Told by the migration after each round, through the platform.

use memplug_units::{PageCount, Pfn};

/// How far a migration is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The frames to be emptied.
    pub start_pfn: Pfn,
    /// Pages still allocated there, as of the last count.
    pub pages_left: PageCount,
    /// Pages moved so far.
    pub pages_moved: PageCount,
    /// Bytes moved per second since the beginning; 0 without a clock.
    pub bytes_per_second: u64,
    /// Round, from 0.
    pub round: u32,
}
