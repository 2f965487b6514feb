//! Calling callbacks that may panic.
//!
//! With `std` a panic is caught and becomes a [`Panicked`]; without it there is nothing to
//! catch it with, and it goes where the embedding kernel's panics go.

/// A callback panicked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Panicked;

#[cfg(feature = "std")]
pub(crate) fn guarded<R>(call: impl FnOnce() -> R) -> Result<R, Panicked> {
    // Callbacks are shared and only ever called through `&`: whatever one broke is its own. The
    // round itself changes nothing between two calls that a panic could leave half done.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).map_err(|_| Panicked)
}

#[cfg(not(feature = "std"))]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the same signature with and without std"
)]
pub(crate) fn guarded<R>(call: impl FnOnce() -> R) -> Result<R, Panicked> {
    Ok(call())
}
