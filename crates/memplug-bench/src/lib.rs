//! Measures memplug beside its peers, in one process, in rounds that take turns.
//!
//! What is claimed of speed is a ratio between two things measured in the same run, with its
//! interval; a time by itself says more of the machine than of the program. Wrong data or a
//! failed operation fails the run, slowness never does.
//!
//! - `statistics`: medians and bootstrap intervals. `rounds`: turns. `threads`: processors.
//! - `report`: what was found, as JSON. `table`, `grid`: as text. `plot`: as SVG. `document`: in the
//!   documents. `compare`: beside another run. `machine`: where it was found.
//! - `peers`: what is measured. `workload`: get and put. `groups`: everything, one a file.
//! - `bare`: the system's own calls. `shelf`: pages that are moved. `memory`: for peers.
//!
//! A peer that the repository does not hold comes in from outside: a crate made for the run
//! calls [`main_with`] with it. Unsafe code: the calls into allocators written in C, and raw
//! copies as baselines.

mod bare;
mod compare;
mod document;
mod grid;
mod groups;
pub mod hot_paths;
mod machine;
mod memory;
mod options;
mod peers;
mod plot;
mod report;
mod rounds;
mod shelf;
mod statistics;
mod table;
mod threads;
mod workload;

pub use memory::AlignedBytes;
pub use options::main_with;
pub use peers::absent::Absent;
pub use peers::{Ask, Frames, Outsider, PageAllocator};
