//! What the simulator finds wrong.
//!
//! A word for the promise, to sort by, and everything that is needed to see why.

use std::fmt;

/// A promise that was not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which: a word for what was checked, or the id of an invariant of the core.
    pub promise: &'static str,
    /// What was found.
    pub detail: String,
}

impl Violation {
    pub(crate) fn new(promise: &'static str, detail: String) -> Self {
        Self { promise, detail }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.detail)
    }
}
