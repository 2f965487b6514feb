//! A memory fence that all processors pass which run threads of this process.
//!
//! `membarrier(2)`, private and expedited: the far side of a handshake whose near side must cost
//! nothing. Readers of the page cache (`shared/readers.rs`) and the pagesets of threads that have a
//! processor to themselves are made of it. A process says once that it will ask for it; a system
//! that refuses that has none, and both do without.

use memplug_core::ProcessorFence;
use rustix::thread::{MembarrierCommand, membarrier};
use std::io::Write;
use std::sync::OnceLock;

/// Whether there is one.
pub(crate) fn can_be_had() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok())
}

/// Makes all processors pass a fence; false if the system does not.
pub(crate) fn everyone_passes() -> bool {
    membarrier(MembarrierCommand::PrivateExpedited).is_ok()
}

/// For machines of the core, as those of this crate have it: [`Platform::processor_fence`]. `None`
/// where the system has none.
///
/// [`Platform::processor_fence`]: memplug_core::Platform::processor_fence
#[must_use]
pub fn processor_fence() -> Option<ProcessorFence> {
    can_be_had().then(|| ProcessorFence::new(pass))
}

/// The same for those who cannot do without any more.
fn pass() {
    // It cannot fail once it was granted, unless a filter of system calls was put up since. The slow
    // one is another command, which such a filter may know.
    if !everyone_passes() && membarrier(MembarrierCommand::Global).is_err() {
        // Going on would hand out pages twice.
        let _ = writeln!(
            std::io::stderr(),
            "memplug: membarrier(2) was granted and is refused now; allow it, then start again"
        );
        std::process::abort();
    }
}
