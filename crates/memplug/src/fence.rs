//! A memory fence that all CPUs pass which run threads of this process.
//!
//! `membarrier(2)`, private and expedited: the far side of a handshake with a near side that must cost
//! nothing. Readers of the page cache (`shared/readers.rs`) are made of it. A process says once that it
//! will ask for it; where the system refuses that, readers pass a fence themselves.

use rustix::thread::{MembarrierCommand, membarrier};
use std::sync::OnceLock;

/// Whether there is one.
pub(crate) fn can_be_had() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok())
}

/// Makes all CPUs pass a fence; false if the system does not.
pub(crate) fn everyone_passes() -> bool {
    membarrier(MembarrierCommand::PrivateExpedited).is_ok()
}
