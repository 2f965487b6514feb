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
/// config
pub fn machine_config(seed: u64) -> (memplug_core::MachineConfig, memplug_core::units::BlockId) {
    let shape = shape::Shape::random(&mut rng::Rng::new(seed));
    (shape.config, shape.first)
}
