//! What can go wrong above the core: making a machine, plugging, getting pages.
//!
//! What the core and the system-call edge say is passed on as it is.

use memplug_core::{AddError, MachineError, OnlineError, OwnerError, PageError, PlatformError};
use memplug_units::{BlockId, Bytes, GeometryError};

use crate::sys::ArenaError;

/// Why a machine was not made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The block size cannot be.
    #[error(transparent)]
    Geometry(#[from] GeometryError),
    /// No address space for it.
    #[error(transparent)]
    Arena(#[from] ArenaError),
    /// Boot memory is not whole pages, or all of it is more than can be counted.
    #[error("boot memory of {0} is not whole pages of the machine or too much; use a multiple")]
    BootSize(Bytes),
    /// The rest.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// Why a device was not plugged. Nothing is left of it.
#[derive(Debug, thiserror::Error)]
pub enum PlugError {
    /// It was not added.
    #[error(transparent)]
    Add(#[from] AddError),
    /// A block of it did not come online; the device was taken out again.
    #[error("{block} did not come online, the device was taken out again: {source}")]
    Online {
        /// The block.
        block: BlockId,
        /// The cause.
        source: OnlineError,
    },
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// No number for another owner.
    #[error(transparent)]
    Owner(#[from] OwnerError),
    /// No page.
    #[error(transparent)]
    Page(#[from] PageError),
}

/// An error of the edge as the core wants it.
pub(crate) fn platform_error(error: &dyn std::error::Error) -> PlatformError {
    PlatformError {
        errno: memplug_core::Errno::ENOMEM,
        reason: error.to_string(),
    }
}
