//! How the tables of a machine are laid out: sizes that are chosen once, when the table is made.
//!
//! All layers read it while they are made, and none keeps it.

/// How a table is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableConfig {
    /// Pageblocks in an area, at most (a power of two up to 64). Zone borders inside a block (boot
    /// memory: DMA ends at 16 MiB) must be area borders; smaller areas cost 32 bytes each.
    pub area_pageblocks: u64,
    /// One table of 2 KiB for a mixed pageblock is kept in reserve for so many pageblocks. When all
    /// are in use, what needs one fails ([`SplitError::NoTable`](crate::SplitError::NoTable)) or goes elsewhere.
    pub pageblocks_per_table: u64,
}

impl Default for TableConfig {
    fn default() -> Self {
        Self {
            area_pageblocks: 64,
            pageblocks_per_table: 256,
        }
    }
}
