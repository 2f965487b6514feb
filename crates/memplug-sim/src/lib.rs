//! The simulator.
#![forbid(unsafe_code)]
mod contents;
mod model;
mod platform;
mod rng;
mod shape;
mod violation;
pub use model::Model;
pub use platform::*;
pub use violation::Violation;
