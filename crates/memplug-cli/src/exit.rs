//! Exit statuses, and how bad input is told: one line on standard error, cause then remedy.
//!
//! The statuses are promised in `docs/RUN.md` and `docs/CLI.md`; scripts depend on them.

use crate::figures::one_line;
use clap::error::ErrorKind;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// Every check passed.
    Passed,
    /// A check failed.
    Failed,
    /// Nothing was begun: what was asked for cannot be.
    BadInput,
    /// Interrupted; all of it undone, and no check failed.
    Interrupted,
    /// A notifier refused.
    Refused,
    /// Some of it was done, and stays.
    Partly,
    /// Something stands in the way now.
    Busy,
    /// The user may not.
    NoPermission,
    /// The deadline passed; all of it undone.
    Deadline,
}

impl Status {
    /// What the process exits with.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::BadInput => 2,
            Self::Refused => 3,
            Self::Partly => 64,
            Self::Busy => 75,
            Self::NoPermission => 77,
            Self::Deadline => 124,
            Self::Interrupted => 130,
        }
    }
}

/// Ends a verb: prints why it did not begin, if it did not.
pub(crate) fn tell<E: Error>(result: Result<Status, E>) -> ExitCode {
    let status = result.unwrap_or_else(|error| {
        complain(&error.to_string());
        Status::BadInput
    });
    ExitCode::from(status.code())
}

/// Ends a command line that cannot be understood, or that asks for help.
pub(crate) fn not_understood(error: &clap::Error, program: &str) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // Nobody is left to tell if this cannot be printed.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            complain("no command; write memplug run PATH, or see memplug --help");
            ExitCode::from(Status::BadInput.code())
        }
        _ => {
            complain(&cause(&error.to_string(), program));
            ExitCode::from(Status::BadInput.code())
        }
    }
}

/// Prints one line on standard error.
pub(crate) fn complain(text: &str) {
    complain_as("memplug", text);
}

/// Prints one line on standard error, as the program of that name.
pub(crate) fn complain_as(program: &str, text: &str) {
    // A closed standard error leaves the status to tell.
    let _ = writeln!(io::stderr(), "{program}: {}", one_line(text));
}

/// The first paragraph of a message of the argument parser, as one line with the remedy.
pub(crate) fn cause(text: &str, program: &str) -> String {
    let lines = text.lines().map(str::trim);
    let paragraph: Vec<&str> = lines.take_while(|line| !line.is_empty()).collect();
    let paragraph = paragraph.join(" ");
    let cause = paragraph.strip_prefix("error: ").unwrap_or(&paragraph);
    if cause.contains("; ") {
        return cause.to_owned();
    }
    format!("{cause}; see {program} --help")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_the_parser_become_one_line() {
        let long = "error: the argument '--a' cannot be used with:\n  --b\n\nUsage: x\n\nFor more";
        assert_eq!(
            cause(long, "memplug"),
            "the argument '--a' cannot be used with: --b; see memplug --help"
        );
        assert_eq!(
            cause("error: bad; use 4K\n\nMore", "memplug"),
            "bad; use 4K"
        );
    }
}
