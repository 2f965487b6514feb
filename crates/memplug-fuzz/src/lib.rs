//! What is done with arbitrary bytes: each function here takes some, does with a fresh machine
//! what they say, and panics if anything is not as it must be.
//!
//! The same functions are run by coverage-guided fuzzing (`fuzz/`, `cargo xtask fuzz`) and, on
//! random bytes and on the inputs kept in `fuzz/corpus`, by the tests of this crate. What they
//! expect everywhere: no panic, no hang, an answer where one is owed, and nothing changed by what
//! is refused.
//!
//! - [`files`]: opening, reading, writing and setting attributes of the files of the view.
//! - [`requests`]: the bytes of FUSE requests, well-formed and not.
//! - [`methods`]: calls of every Varlink method of a served machine.
//! - [`wire`]: bytes sent to a Varlink service, and cut into messages.
//! - `machine`: the machine, and all that could change of it. `kernel`: the other side of a FUSE
//!   conversation. `words`: what is likely to be understood.
//!
//! Left out: mounting, and time: a hang is found by what runs this, by its limit.
#![forbid(unsafe_code)]

mod files;
mod kernel;
mod machine;
mod methods;
mod requests;
mod wire;
mod words;

pub use files::files;
pub use kernel::{Kernel, errno, number, request};
pub use machine::{FILE, plugged, plugged_into};
pub use methods::methods;
pub use requests::requests;
pub use wire::wire;
