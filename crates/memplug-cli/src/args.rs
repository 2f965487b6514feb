//! What can be typed.
//!
//! Only the shape of each value is checked here; whether values fit each other, the files and the
//! system is the business of `sizes`.

use crate::verb_args::{
    AddArgs, ChmemArgs, CompletionArgs, LsArgs, ManArgs, NotifiersArgs, OfflineArgs, OnlineArgs,
    PlanArgs, PolicyArgs, RemoveArgs, StatusArgs, WatchArgs, WhyArgs,
};
use clap::{Args, Parser, Subcommand, ValueEnum};
use memplug_units::Bytes;
use std::path::PathBuf;
use std::time::Duration;

/// Memory hotplug, shown and checked on real memory.
#[derive(Debug, Parser)]
#[command(
    name = "memplug",
    version,
    about,
    max_term_width = 100,
    after_help = "\
Exit statuses: 0 done; 1 failed, or it is so already; 2 what was asked for cannot be, nothing was
changed (also: a block that can never go, memory where there is some); 3 a notifier refused;
64 partly done; 75 something stands in the way now; 77 not permitted; 124 the deadline passed;
130 interrupted, and everything undone.

--socket PATH may stand before the verb or behind it.

Examples:
  memplug serve --machine machine.toml &
  memplug add --node 1 --size 1G
  memplug online --device 1 --movable
  memplug plan offline --size 512M
  memplug offline --size 512M --deadline 30s"
)]
pub(crate) struct Cli {
    /// The socket of the machine, also before the verb. Verbs that have it show it.
    #[arg(long, value_name = "PATH", global = true, hide = true)]
    pub(crate) socket: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serves files from memory that is plugged and unplugged meanwhile, and checks every page
    Run(RunArgs),
    /// Serves a machine until it is told to stop
    Serve(ServeArgs),
    /// Lists memory blocks as lsmem does
    Ls(LsArgs),
    /// Adds memory to a machine
    Add(AddArgs),
    /// Brings blocks online
    Online(OnlineArgs),
    /// Takes blocks offline
    Offline(OfflineArgs),
    /// Removes a device
    Remove(RemoveArgs),
    /// Says what an offline would meet, and changes nothing
    #[command(arg_required_else_help = false)]
    Plan(PlanArgs),
    /// Says which owners have pages in a block, and what keeps it from going
    Why(WhyArgs),
    /// Prints everything that happens
    Watch(WatchArgs),
    /// Shows or changes settings
    Policy(PolicyArgs),
    /// Lists notifiers in calling order, and what they answered
    Notifiers(NotifiersArgs),
    /// Shows the machine as a whole
    Status(StatusArgs),
    /// Enables or disables memory as chmem does
    Chmem(ChmemArgs),
    /// Prints completions for a shell
    Completion(CompletionArgs),
    /// Prints the manual
    Man(ManArgs),
    /// Gives one command to the bench of a served machine
    Workload(WorkloadArgs),
}

/// A machine in a process of its own.
#[derive(Debug, Args)]
#[command(after_help = "\
Prints one line, ready, when everything is up. SIGTERM and SIGINT end it: what waits is cancelled
and undone, the tree is unmounted. SIGHUP reads the [policy] of the machine file and the hooks anew.

Exit statuses: 0 told to stop; 2 what was asked for cannot be.

Examples:
  memplug serve --machine machine.toml --group memwatch --hooks /etc/memplug/hooks.d
  memplug serve --machine machine.toml --sysfs /run/memplug/sysfs")]
pub(crate) struct ServeArgs {
    /// The machine, as a TOML file [default: one node without memory]
    #[arg(long, value_name = "FILE")]
    pub(crate) machine: Option<PathBuf>,
    /// Mount its tree of files here: memory/, node/ and what belongs to them
    #[arg(long, value_name = "DIR")]
    pub(crate) sysfs: Option<PathBuf>,
    /// Serve a bench for scenarios here: DIMMs, memory in use, callbacks
    #[arg(long, value_name = "SOCKET")]
    pub(crate) workload: Option<PathBuf>,
    /// Make the socket for other processes here [default: $MEMPLUG_SOCKET, else memplug.sock in
    /// $XDG_RUNTIME_DIR, else /run/memplug.sock]
    #[arg(long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Members of this group may watch and subscribe: a name or a number
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// Programs of this directory are notifiers
    #[arg(long, value_name = "DIR")]
    pub(crate) hooks: Option<PathBuf>,
    /// Time each of them has for a call
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration,
          requires = "hooks")]
    pub(crate) hook_limit: Duration,
    /// What counts when one of them fails: ok or refuse
    #[arg(long, value_name = "ANSWER", value_enum, default_value_t = HookDefault::Ok,
          requires = "hooks")]
    pub(crate) hook_default: HookDefault,
    /// What goes to the log on standard error, as tracing filters write it
    #[arg(long, value_name = "FILTER", default_value = "info")]
    pub(crate) log: String,
}

/// What counts when a hook fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum HookDefault {
    /// Consent
    Ok,
    /// Refusal
    Refuse,
}

/// One command of the bench.
#[derive(Debug, Args)]
#[command(
    allow_negative_numbers = true,
    after_help = "\
Commands: plug SIZE NODE [ADDRESS]; unplug NAME; hog|pin|thp NAME MIB NODE; unhog|unpin|where|blocks
NAME; nb WORDS; ev; uev; cb. Without a socket: wt SECONDS VALUE FILE, a write whose writer catches
a signal meanwhile.

Exit statuses: 0 done, also if it was refused; 1 no answer, or none in time; 2 it cannot be
understood; 77 not permitted."
)]
pub(crate) struct WorkloadArgs {
    /// The socket of the bench
    #[arg(long, value_name = "SOCKET")]
    pub(crate) socket: Option<PathBuf>,
    /// Wait for the answer no longer than this; what was begun goes on
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) timeout: Option<u64>,
    /// The command
    #[arg(
        value_name = "WORD",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub(crate) words: Vec<String>,
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
pub(crate) enum ValueError {
    #[error("not a time; write one like 300ms, 12s or 2min")]
    NotATime,
    #[error("no time at all; use 1ms or more")]
    NoTime,
    #[error("not an exponent; use a number from 0 (uniform) to 10")]
    NotAnExponent,
    #[error("no such kind; use auto, memfd, tmpfs, anon, hugetlb or a path with a slash")]
    NoSuchBacking,
}

pub(crate) fn duration(text: &str) -> Result<Duration, ValueError> {
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
