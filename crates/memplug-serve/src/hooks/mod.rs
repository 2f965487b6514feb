//! Programs of a directory as notifiers, in the manner of illumos RCM.
//!
//! Each executable file with a name that begins with a letter or a digit is a notifier. Its priority
//! is the number its name begins with (`50-drain`: 50; none: 0); equal ones are called by name. It
//! gets the event's name and the block's number as arguments, all else in the environment.
//! Exit status 0 is consent and 3 a refusal with the reason on standard output; anything else,
//! and running out of time (TERM, then KILL), counts as the declared default.
//!
//! A line `# memplug: events=going_offline,offline limit=5s default=refuse` among the first 4 KiB
//! of a script declares what differs from the service's settings.
//!
//! - `program`: which files are taken, and what they declare. `run`: one call.

mod program;
mod run;

use crate::audit::{Audit, Fate};
use crate::operations::{self, Operations};
use crate::settings::HookSettings;
use crate::subscribers::default_answer;
use memplug_control::{Answer, Control, ControlError, Guard, Notice, SubscriberSpec};
use program::Program;
use run::Ended;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// Why hooks, or one of them, are not used.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// A file or directory cannot be read.
    #[error("{}: {source}; give a directory of programs", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It belongs to a stranger.
    #[error("{}: belongs to user {uid}; it must be root's or the service's own", .path.display())]
    Stranger {
        /// Which.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others may write to it.
    #[error("{}: others may write to it (mode {mode:o}); run chmod go-w on it", .path.display())]
    Writable {
        /// Which.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no file, or nobody may run it.
    #[error("{}: not an executable file; run chmod +x on it or take it away", .path.display())]
    NotAProgram {
        /// Which.
        path: PathBuf,
    },
    /// What it declares cannot be understood.
    #[error("{}: {word:?} cannot be understood; declare events, limit and default", .path.display())]
    Declaration {
        /// Which.
        path: PathBuf,
        /// The word.
        word: String,
    },
    /// The chain does not take it.
    #[error("{}: {source}", .path.display())]
    Chain {
        /// Which.
        path: PathBuf,
        /// Why.
        source: ControlError,
    },
}

/// Hooks in place, until they are dropped.
pub(crate) struct Hooks {
    _guards: Vec<Guard>,
}

impl Hooks {
    /// Puts the programs of a directory on the chain. One that cannot be used is told of in the
    /// log and left out.
    pub(crate) fn load(
        settings: &HookSettings,
        control: &dyn Control,
        owner: u32,
        audit: &Arc<Audit>,
        operations: &Operations,
    ) -> Result<Self, HookError> {
        let directory = &settings.directory;
        let read = |source| HookError::Read {
            path: directory.clone(),
            source,
        };
        program::check_owner(directory, owner)?;
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(read)? {
            paths.push(entry.map_err(read)?.path());
        }
        paths.sort();
        let mut guards = Vec::new();
        for path in paths {
            let placed = Program::read(&path, owner, settings).and_then(|program| match program {
                Some(program) => place(program, control, audit, operations).map(Some),
                None => Ok(None),
            });
            match placed {
                Ok(guard) => guards.extend(guard),
                Err(error) => tracing::error!("hook left out: {error}"),
            }
        }
        tracing::info!(hooks = guards.len(), "hooks are in place");
        Ok(Self { _guards: guards })
    }
}

fn place(
    program: Program,
    control: &dyn Control,
    audit: &Arc<Audit>,
    operations: &Operations,
) -> Result<Guard, HookError> {
    let spec = SubscriberSpec {
        events: program.events.clone(),
        ..SubscriberSpec::new(program.name.clone(), program.priority)
    };
    let path = program.path.clone();
    let (audit, operations) = (audit.clone(), operations.clone());
    let callback = move |notice: &Notice| call(&program, notice, &audit, &operations);
    control
        .subscribe(&spec, Box::new(callback))
        .map_err(|source| HookError::Chain { path, source })
}

/// Calls a program. At events that cannot be refused what it says is of no effect.
fn call(program: &Program, notice: &Notice, audit: &Audit, operations: &Operations) -> Answer {
    let ended = run::run(program, notice, &|| operations.is_overdue());
    let note = |fate| audit.note(&program.name, program.priority, fate);
    let answer = match ended {
        Ended::Consent => Answer::Ok,
        Ended::Refusal(reason) => Answer::refuse(reason),
        Ended::Overdue if operations::ends_by_itself(notice.event, true) => {
            note(Fate::Silent);
            operations.waited_for(&program.name, notice);
            Answer::Done
        }
        Ended::OutOfTime | Ended::Overdue => {
            tracing::warn!(name = program.name, "hook ran out of time");
            note(Fate::Silent);
            default_answer(program.default, "it ran out of time, which counts as no")
        }
        Ended::Failed(why) => {
            tracing::warn!(name = program.name, "hook failed: {why}");
            note(Fate::Died);
            default_answer(
                program.default,
                &format!("it failed ({why}), which counts as no"),
            )
        }
    };
    if notice.event.is_refusable() {
        answer
    } else {
        Answer::Done
    }
}
