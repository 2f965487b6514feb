//! How a machine is served.
//!
//! Nothing here is read from files or the environment; that is for the program that serves.

use memplug_interface::AnswerWord;
use memplug_varlink::Limits;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a machine is served.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the socket is made.
    pub socket: PathBuf,
    /// The group that may watch and subscribe.
    pub group: Option<u32>,
    /// Programs that are notifiers.
    pub hooks: Option<HookSettings>,
    /// What the server bears.
    pub limits: Limits,
}

impl Settings {
    /// At this path, for root and the owner only, without hooks.
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.into(),
            group: None,
            hooks: None,
            limits: Limits::default(),
        }
    }
}

/// Programs that are notifiers.
#[derive(Clone, Debug)]
pub struct HookSettings {
    /// Where they are.
    pub directory: PathBuf,
    /// Time for each call, unless the program declares its own.
    pub limit: Duration,
    /// What counts when it fails, unless the program declares its own.
    pub default_answer: AnswerWord,
}

impl HookSettings {
    /// Programs of this directory, 10 seconds each, consent if they fail.
    pub fn of(directory: &Path) -> Self {
        Self {
            directory: directory.into(),
            limit: Duration::from_secs(10),
            default_answer: AnswerWord::Ok,
        }
    }
}
