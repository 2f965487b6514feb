//! The command under other names: a link called `chmem` or `lsmem` is that program, with its
//! grammar, its usage lines and its statuses, over a served machine.
//!
//! Only the name of the link decides, never the directory it lies in. Whatever keeps lsmem from
//! listing is its status 1, where `memplug ls` tells usage (2) and permission (77) apart.

use crate::exit::{self, Status};
use crate::verb_args::{ChmemArgs, LsArgs};
use crate::{chmem, ls, remote};
use clap::{Args, Command, CommandFactory};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

fn parsed<A: Args>(name: &'static str, typed: &[OsString]) -> Result<A, clap::Error> {
    let command = A::augment_args(Command::new(name).bin_name(name));
    A::from_arg_matches(&command.try_get_matches_from(typed)?)
}

fn lsmem(typed: &[OsString]) -> ExitCode {
    let failed = ExitCode::from(Status::Failed.code());
    let args: LsArgs = match parsed("lsmem", typed) {
        Ok(args) => args,
        Err(error) if !error.use_stderr() => return exit::not_understood(&error, "lsmem"),
        Err(error) => {
            exit::complain_as("lsmem", &exit::cause(&error.to_string(), "lsmem"));
            return failed;
        }
    };
    match ls::run(&args) {
        Ok(status) => match remote::unprinted() {
            None => ExitCode::from(status.code()),
            Some(line) => {
                exit::complain_as("lsmem", &line);
                failed
            }
        },
        Err(trouble) => {
            exit::complain_as("lsmem", &trouble.to_string());
            failed
        }
    }
}

fn chmem(typed: &[OsString]) -> ExitCode {
    match parsed::<ChmemArgs>("chmem", typed) {
        Ok(args) => chmem::run(&args),
        Err(error) if !error.use_stderr() => exit::not_understood(&error, "chmem"),
        Err(_) => chmem::bad_usage("bad usage"),
    }
}

/// The command with the verbs that were typed, `memplug plan offline`: its help is of use.
pub(crate) fn of_verb(typed: &[OsString]) -> String {
    let (root, mut name) = (crate::args::Cli::command(), "memplug".to_owned());
    let mut command = &root;
    for word in typed.iter().skip(1).filter_map(|word| word.to_str()) {
        if let Some(verb) = command.find_subcommand(word) {
            name = format!("{name} {word}");
            command = verb;
        }
    }
    name
}

/// Whether these arguments are for chmem as a verb: its errors are chmem's, too.
pub(crate) fn is_chmem(typed: &[OsString]) -> bool {
    let mut words = typed.iter().skip(1);
    let mut word = words.next();
    while let Some(option) = word.filter(|word| word.to_string_lossy().starts_with("--socket")) {
        // Its value is the next word, or behind an equals sign.
        word = if option == "--socket" {
            words.nth(1)
        } else {
            words.next()
        };
    }
    word.is_some_and(|verb| verb == "chmem")
}

/// Runs the program that this process is called as; `None` if that is memplug.
pub(crate) fn run(typed: &[OsString]) -> Option<ExitCode> {
    let program = typed.first().map(Path::new).and_then(Path::file_name)?;
    match program.to_str()? {
        "lsmem" => Some(lsmem(typed)),
        "chmem" => Some(chmem(typed)),
        _ => None,
    }
}
