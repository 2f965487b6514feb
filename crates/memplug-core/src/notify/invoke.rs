//! Calling a callback that may panic.
//!
//! With `std` a panic is caught and becomes a [`Panicked`]; without it there is nothing to
//! catch it with, and it goes where the embedding kernel's panics go.

use super::answer::Answer;
use super::chain::{Callback, Notice};

/// A callback panicked.
pub(crate) struct Panicked;

#[cfg(feature = "std")]
pub(crate) fn invoke(callback: &Callback, notice: &Notice<'_>) -> Result<Answer, Panicked> {
    // The callback is shared and only ever called through `&`: whatever it broke is its own.
    let call = std::panic::AssertUnwindSafe(|| callback(notice));
    std::panic::catch_unwind(call).map_err(|_| Panicked)
}

#[cfg(not(feature = "std"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the same signature with and without std"
)]
pub(crate) fn invoke(callback: &Callback, notice: &Notice<'_>) -> Result<Answer, Panicked> {
    Ok(callback(notice))
}
