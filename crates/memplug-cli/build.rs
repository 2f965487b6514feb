//! Generates manual pages and completions from the grammar of the command line.
//!
//! The grammar is the very source of the command, so the two cannot differ. What is generated
//! goes into the command itself, which prints it.
#![allow(
    dead_code,
    reason = "values that were typed are read by the command only"
)]

#[path = "src/args.rs"]
mod args;
#[path = "src/verb_args.rs"]
mod verb_args;

use clap::{Command, CommandFactory};
use clap_complete::{Shell, generate_to};
use std::env;
use std::fmt::Write;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn page(command: &Command, name: &str, out: &Path, index: &mut String) -> io::Result<()> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    let path = out.join(name);
    fs::write(&path, text)?;
    writeln!(
        index,
        "    ({name:?}, include_str!({:?})),",
        path.display().to_string()
    )
    .map_err(io::Error::other)
}

fn pages(command: &Command, name: &str, out: &Path, index: &mut String) -> io::Result<()> {
    page(command, &format!("{name}.1"), out, index)?;
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if verb.get_name() == "help" {
            continue;
        }
        let name = format!("{name}-{}", verb.get_name());
        // clap wants names that live for ever; a build is short.
        let title: &'static str = String::leak(name.clone());
        let titled = verb
            .clone()
            .name(title)
            .display_name(title)
            .version(env!("CARGO_PKG_VERSION"));
        pages(&titled, &name, out, index)?;
    }
    Ok(())
}

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=src/args.rs");
    println!("cargo::rerun-if-changed=src/verb_args.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or(io::ErrorKind::NotFound)?);
    let mut command = args::Cli::command();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut command, "memplug", &out)?;
    }
    let mut index = String::from("&[\n");
    pages(
        &args::Cli::command().disable_help_subcommand(true),
        "memplug",
        &out,
        &mut index,
    )?;
    index.push(']');
    fs::write(out.join("pages.rs"), index)
}
