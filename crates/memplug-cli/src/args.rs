//! What can be typed.
//!
//! Only the shape of each value is checked here; whether values fit each other, the files and the
//! system is the business of `sizes`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use memplug::Bytes;
use std::path::PathBuf;
use std::time::Duration;

/// Memory hotplug, shown and checked on real memory.
#[derive(Debug, Parser)]
#[command(name = "memplug", version, about, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves files from memory that is plugged and unplugged meanwhile, and checks every page
    Run(RunArgs),
}

/// Exit statuses: 0 every check passed; 1 a check failed; 2 what was asked for cannot be;
/// 130 interrupted and undone.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Sizes: 512M, 1GiB, 4096, 0x200000 (binary multiples). Times: 300ms, 12s, 2min.

Exit statuses: 0 every check passed; 1 a check failed; 2 what was asked for cannot be, nothing was
begun; 130 interrupted, and everything undone."
)]
pub(crate) struct RunArgs {
    /// Files and directories to serve
    #[arg(value_name = "PATH", default_value = ".")]
    pub(crate) paths: Vec<PathBuf>,
    /// Serve no more than this of the files
    #[arg(long, value_name = "SIZE", default_value = "512M")]
    pub(crate) max_bytes: Bytes,
    /// Memory block, a power of two from 2M to 2G [default: about an eighth of the files]
    #[arg(long, value_name = "SIZE")]
    pub(crate) block: Option<Bytes>,
    /// Memory of node 0, there from the start, in whole blocks [default: about 40 % of the files]
    #[arg(long, value_name = "SIZE")]
    pub(crate) boot: Option<Bytes>,
    /// Memory plugged on node 1, in whole blocks [default: about 80 % of the files]
    #[arg(long, value_name = "SIZE")]
    pub(crate) device: Option<Bytes>,
    /// Threads that read [default: one for each processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Time for everything but the first read; the cycle is repeated while it fits in
    #[arg(long, value_name = "TIME", default_value = "12s", value_parser = duration)]
    pub(crate) duration: Duration,
    /// Time for each phase of a cycle [default: a quarter of the duration, at most 3s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) phase: Option<Duration>,
    /// Longest time for emptying one block when the device is unplugged
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub(crate) deadline: Duration,
    /// Exponent of the Zipf distribution of reads over pages; 0 is uniform
    #[arg(long, value_name = "EXP", default_value_t = 0.9, value_parser = exponent)]
    pub(crate) zipf: f64,
    /// Seed of the readers' choices
    #[arg(long, value_name = "N", default_value_t = 2007)]
    pub(crate) seed: u64,
    /// What the memory is made of: auto, memfd, tmpfs (huge pages), anon, hugetlb, or for the
    /// device a PATH (with a slash): a directory, a new file or a DAX device
    #[arg(long, value_name = "KIND", default_value = "auto", value_parser = backing)]
    pub(crate) backing: BackingChoice,
    /// When memory is taken from the system
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = CommitChoice::Lazily)]
    pub(crate) commit: CommitChoice,
    /// Write every event to FILE, one JSON object a line
    #[arg(long, value_name = "FILE")]
    pub(crate) events: Option<PathBuf>,
    /// Print the report as one JSON document; live lines go to standard error
    #[arg(long)]
    pub(crate) json: bool,
    /// Print no live lines
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What the memory is to be made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BackingChoice {
    /// Huge pages on a private tmpfs if that can be had, else a memory file.
    Auto,
    /// A memory file.
    Memfd,
    /// Huge pages on a private tmpfs.
    Tmpfs,
    /// Anonymous memory.
    Anon,
    /// The system's huge page pool.
    Hugetlb,
    /// A file or device, for node 1 only.
    Path(PathBuf),
}

/// When memory is taken from the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CommitChoice {
    /// Page by page as it is used
    Lazily,
    /// All of a block when it comes online
    AtOnce,
}

impl CommitChoice {
    /// As typed.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Lazily => "lazily",
            Self::AtOnce => "at-once",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum ValueError {
    #[error("not a time; write one like 300ms, 12s or 2min")]
    NotATime,
    #[error("no time at all; use 1ms or more")]
    NoTime,
    #[error("not an exponent; use a number from 0 (uniform) to 10")]
    NotAnExponent,
    #[error("no such kind; use auto, memfd, tmpfs, anon, hugetlb or a path with a slash")]
    NoSuchBacking,
}

fn duration(text: &str) -> Result<Duration, ValueError> {
    let time = humantime::parse_duration(text).map_err(|_| ValueError::NotATime)?;
    if time < Duration::from_millis(1) {
        return Err(ValueError::NoTime);
    }
    Ok(time)
}

fn exponent(text: &str) -> Result<f64, ValueError> {
    let exponent = text.parse().ok().filter(|e| (0.0..=10.0).contains(e));
    exponent.ok_or(ValueError::NotAnExponent)
}

fn backing(text: &str) -> Result<BackingChoice, ValueError> {
    Ok(match text {
        "auto" => BackingChoice::Auto,
        "memfd" => BackingChoice::Memfd,
        "tmpfs" => BackingChoice::Tmpfs,
        "anon" => BackingChoice::Anon,
        "hugetlb" => BackingChoice::Hugetlb,
        path if path.contains('/') => BackingChoice::Path(path.into()),
        _ => return Err(ValueError::NoSuchBacking),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parser_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn values_that_cannot_be_are_named() {
        for text in ["", "12q", "-1s", "99999999999999999999s", "NaN"] {
            assert_eq!(duration(text), Err(ValueError::NotATime), "{text}");
        }
        for text in ["0s", "999us"] {
            assert_eq!(duration(text), Err(ValueError::NoTime), "{text}");
        }
        for text in ["", "x", "-0.1", "10.1", "NaN", "inf"] {
            assert_eq!(exponent(text), Err(ValueError::NotAnExponent), "{text}");
        }
        assert_eq!(backing("paper"), Err(ValueError::NoSuchBacking));
        assert_eq!(backing("./m"), Ok(BackingChoice::Path("./m".into())));
    }
}
