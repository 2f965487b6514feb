//! Units, ids and geometry of pluggable memory.
//!
//! Every quantity of the system has a type of its own, private inside: a page frame number
//! ([`Pfn`]) cannot be mistaken for a number of pages ([`PageCount`]) or of bytes ([`Bytes`]).
//! They are converted into each other in one place, [`Geometry`], which is a value and not a
//! set of constants, so that one program can hold machines of different block sizes.
//!
//! Invariants: arithmetic never wraps. What can overflow returns `Option` or an error.
//! Left out: architectures with page blocks of other than 512 pages.
#![no_std]
#![forbid(unsafe_code)]

mod geometry;
mod ids;
mod pages;
mod size;

pub use geometry::{Geometry, GeometryError};
pub use ids::{BlockId, CpuId, DeviceId, GroupId, NodeId, OwnerId, SectionNr};
pub use pages::{
    MAX_ORDER, Order, OrderError, PAGEBLOCK_ORDER, PAGEBLOCK_PAGES, PageCount, Pfn, PfnRange,
};
pub use size::{Bytes, ParseBytesError};
