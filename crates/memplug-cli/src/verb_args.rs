//! What can be typed to a machine that is served: one struct a verb.
//!
//! Shapes only, as in `args`; blocks and columns are read here since their grammar is small.

use clap::{Args, Subcommand, ValueEnum};
use memplug_units::Bytes;
use std::path::PathBuf;
use std::time::Duration;

/// What lsmem and chmem print behind their name, as util-linux has it.
const VERSION: &str = concat!("from memplug ", env!("CARGO_PKG_VERSION"));

/// Where the machine is.
#[derive(Clone, Debug, Args)]
pub(crate) struct SocketArg {
    /// The socket of the machine [default: $MEMPLUG_SOCKET, else memplug.sock in
    /// $XDG_RUNTIME_DIR, else /run/memplug.sock]
    #[arg(long, value_name = "PATH", help_heading = "Machine")]
    pub(crate) socket: Option<PathBuf>,
}

/// How an answer is shown, and of which machine.
#[derive(Clone, Debug, Args)]
pub(crate) struct ShowArgs {
    /// Print it as one JSON document
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) socket: SocketArg,
}

/// Memory blocks, as lsmem prints them.
#[derive(Debug, Args)]
#[command(display_name = "lsmem", version = VERSION, after_help = "\
Columns: RANGE SIZE STATE REMOVABLE BLOCK NODE ZONES as lsmem has them; of a served machine also
USED MOVABLE STUCK (bytes), OWNER (with the most pages) and EVENT (the latest). A list that begins
with + is added to the default.

Exit statuses: 0 listed; 2 what was asked for cannot be (the one difference: lsmem ends with 1, and
so does this command as a link of the name lsmem); 1 and 77 as for every verb.

Examples:
  memplug ls
  memplug ls -a -o +NODE,ZONES,USED,OWNER
  memplug ls -J | jq '.memory[] | select(.state == \"offline\")'")]
pub(crate) struct LsArgs {
    /// List each block instead of ranges
    #[arg(short, long)]
    pub(crate) all: bool,
    /// Print sizes in bytes
    #[arg(short, long)]
    pub(crate) bytes: bool,
    /// Print JSON
    #[arg(short = 'J', long, conflicts_with_all = ["pairs", "raw"])]
    pub(crate) json: bool,
    /// Print key="value" pairs
    #[arg(short = 'P', long, conflicts_with = "raw")]
    pub(crate) pairs: bool,
    /// Print without alignment
    #[arg(short, long)]
    pub(crate) raw: bool,
    /// Print no headings
    #[arg(short, long)]
    pub(crate) noheadings: bool,
    /// Print these columns
    #[arg(short, long, value_name = "LIST")]
    pub(crate) output: Option<String>,
    /// Print all columns that lsmem has
    #[arg(long)]
    pub(crate) output_all: bool,
    /// Split ranges where these columns differ, or none [default: the columns printed]
    #[arg(short = 'S', long, value_name = "LIST", conflicts_with = "all")]
    pub(crate) split: Option<String>,
    /// Read the tree below this directory instead of a served machine
    #[arg(short = 's', long, value_name = "DIR", conflicts_with = "socket")]
    pub(crate) sysroot: Option<PathBuf>,
    /// Print the summary: never, always or only
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_missing_value = "only")]
    pub(crate) summary: Option<Summary>,
    #[command(flatten)]
    pub(crate) at: SocketArg,
}

/// When to print the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Summary {
    /// Not
    Never,
    /// Behind the list
    Always,
    /// Instead of it
    Only,
}

/// Adds memory to a machine.
#[derive(Debug, Args)]
#[command(after_help = "\
The blocks are offline, unless the policy auto_online_blocks says otherwise.

Examples:
  memplug add --node 1 --size 1G
  memplug add --size 256M --at 0x100000000 --json")]
pub(crate) struct AddArgs {
    /// Its size, in whole blocks
    #[arg(long, value_name = "SIZE")]
    pub(crate) size: Bytes,
    /// Its node
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) node: u32,
    /// Its physical address [default: the lowest free place from 4 GiB on]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) at: Option<Bytes>,
    /// Without a memory group of its own
    #[arg(long)]
    pub(crate) no_group: bool,
    #[command(flatten)]
    pub(crate) how: ChangeArgs,
}

/// How a change is made and told.
#[derive(Clone, Debug, Args)]
pub(crate) struct ChangeArgs {
    /// Give up after this time, waiting for other operations included
    #[arg(long, value_name = "TIME", value_parser = crate::args::duration)]
    pub(crate) deadline: Option<Duration>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Which blocks.
#[derive(Clone, Debug, Args)]
pub(crate) struct WhichArgs {
    /// Blocks: 32, 32-35, memory32, or several with commas
    #[arg(value_name = "BLOCKS", value_parser = blocks,
          conflicts_with_all = ["size", "device"])]
    pub(crate) blocks: Vec<Blocks>,
    /// So many bytes, whichever blocks are cheapest
    #[arg(long, value_name = "SIZE", conflicts_with = "device")]
    pub(crate) size: Option<Bytes>,
    /// All blocks of a node; with --size or BLOCKS, only those of it
    #[arg(long, value_name = "N")]
    pub(crate) node: Option<u32>,
    /// All blocks of a device
    #[arg(long, value_name = "N")]
    pub(crate) device: Option<u32>,
}

/// Which blocks are to go, and where their pages.
#[derive(Clone, Debug, Args)]
pub(crate) struct GoArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    /// Where their pages go
    #[arg(long, value_name = "WHERE", value_enum)]
    pub(crate) placement: Option<Placement>,
}

/// All or some.
#[derive(Clone, Debug, Args)]
pub(crate) struct ModeArgs {
    /// All of them, or put back what went (default)
    #[arg(long, conflicts_with = "best_effort")]
    pub(crate) exact: bool,
    /// As many as can be; exit status 64 if some stay
    #[arg(long)]
    pub(crate) best_effort: bool,
}

/// Brings blocks online.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memplug online 32-35
  memplug online --device 1 --movable
  memplug online --size 1G --node 1 --best-effort")]
pub(crate) struct OnlineArgs {
    #[command(flatten)]
    pub(crate) which: WhichArgs,
    /// To a zone that may hold unmovable pages
    #[arg(long, conflicts_with = "movable")]
    pub(crate) kernel: bool,
    /// To zone Movable
    #[arg(long)]
    pub(crate) movable: bool,
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
    #[command(flatten)]
    pub(crate) how: ChangeArgs,
}

/// Where pages of a block that goes are put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Placement {
    /// Other nodes, as Linux does
    LeaveNode,
    /// Other nodes first, then the same
    LeaveNodeFirst,
    /// The same node first
    SameNodeFirst,
}

/// Takes blocks offline.
#[derive(Debug, Args)]
#[command(after_help = "\
Ctrl-C ends it and everything is put back (exit status 130).

Examples:
  memplug offline 33
  memplug offline --size 2G --node 1 --deadline 30s
  memplug offline --device 1 --best-effort --json
  memplug offline --size 2G --dry-run")]
pub(crate) struct OfflineArgs {
    #[command(flatten)]
    pub(crate) go: GoArgs,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) mode: ModeArgs,
    #[command(flatten)]
    pub(crate) how: ChangeArgs,
}

/// Removes a device.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memplug remove 1
  memplug remove 1 --offline-first --deadline 1min")]
pub(crate) struct RemoveArgs {
    /// The device, as memplug status numbers them
    #[arg(value_name = "DEVICE")]
    pub(crate) device: u32,
    /// Take its blocks offline first; if one stays, those that went are put back
    #[arg(long)]
    pub(crate) offline_first: bool,
    #[command(flatten)]
    pub(crate) how: ChangeArgs,
}

/// Says what a change would meet, and changes nothing.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(subcommand)]
    pub(crate) what: PlanWhat,
}

/// What to plan.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanWhat {
    /// The cheapest blocks to take offline, what would move where, and what stands in the way
    Offline(PlanOfflineArgs),
}

/// Plans an offline.
#[derive(Debug, Args)]
#[command(after_help = "\
Exit statuses: 0 it would work as far as can be seen; 75 something stands in the way.

Examples:
  memplug plan offline --size 2G --node 1
  memplug plan offline 32-40 --json")]
pub(crate) struct PlanOfflineArgs {
    #[command(flatten)]
    pub(crate) go: GoArgs,
    /// List every block that was left out, those that can never go too
    #[arg(short, long)]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Says which owners have pages in a block, and what keeps it from going.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: memplug why 33")]
pub(crate) struct WhyArgs {
    /// The block: 33 or memory33
    #[arg(value_name = "BLOCK", value_parser = block)]
    pub(crate) block: u64,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Prints everything that happens, until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memplug watch
  memplug watch -J | jq 'select(.what == \"round\") | .calls'")]
pub(crate) struct WatchArgs {
    /// One JSON object a line
    #[arg(short = 'J', long)]
    pub(crate) json: bool,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    #[command(flatten)]
    pub(crate) socket: SocketArg,
}

/// Shows settings, or changes them.
#[derive(Debug, Args)]
#[command(after_help = "\
Settings: auto_online_blocks (offline, online, online_kernel, online_movable), online_policy
(contig-zones, auto-movable), auto_movable_ratio (percent), auto_movable_numa_aware (Y, N).

Examples:
  memplug policy
  memplug policy auto_movable_ratio
  memplug policy online_policy=auto-movable auto_movable_ratio=200")]
pub(crate) struct PolicyArgs {
    /// A setting to show, or to change with =VALUE
    #[arg(value_name = "NAME[=VALUE]")]
    pub(crate) settings: Vec<String>,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Lists notifiers in the order of calling.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memplug notifiers
  memplug notifiers --refusals")]
pub(crate) struct NotifiersArgs {
    /// Print the latest answers instead, oldest first
    #[arg(long)]
    pub(crate) audit: bool,
    /// Print the latest refusals instead, oldest first
    #[arg(long, conflicts_with = "audit")]
    pub(crate) refusals: bool,
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Shows the machine as a whole: backing, nodes, zones, watermarks, what the system holds for it.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: memplug status --json | jq .bytes_held")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) show: ShowArgs,
}

/// Sets a size or range of memory online or offline, as chmem does.
#[derive(Debug, Args)]
#[command(display_name = "chmem", version = VERSION, after_help = "\
SIZE[m|M|g|G|...] without a unit is MiB; RANGE is 0x<start>-0x<end>; with -b BLOCKRANGE is
<first>-<last>. Exit statuses are chmem's: 0 done, 1 failed, 64 partly done.

Examples:
  memplug chmem -e 1G
  memplug chmem -d -b 33-34 -v")]
pub(crate) struct ChmemArgs {
    /// Enable memory
    #[arg(short, long)]
    pub(crate) enable: bool,
    /// Disable memory
    #[arg(short, long)]
    pub(crate) disable: bool,
    /// Use memory blocks
    #[arg(short, long)]
    pub(crate) blocks: bool,
    /// Select a memory zone
    #[arg(short, long, value_name = "NAME")]
    pub(crate) zone: Option<String>,
    /// Say what is done
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// SIZE, RANGE or BLOCKRANGE
    #[arg(value_name = "SIZE|RANGE|BLOCKRANGE")]
    pub(crate) what: Option<String>,
    #[command(flatten)]
    pub(crate) socket: SocketArg,
}

/// Prints completions for a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Example: memplug completion bash > /etc/bash_completion.d/memplug")]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// A shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Prints the manual page, or writes all pages to a directory.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  memplug man | man -l -
  memplug man /usr/local/share/man/man1")]
pub(crate) struct ManArgs {
    /// Write memplug.1 and one page a verb here
    #[arg(value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

/// Blocks from the first to the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blocks(pub(crate) Vec<(u64, u64)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BlocksError {
    #[error("not a block; write a number as in 33 or memory33")]
    NotABlock,
    #[error("ends before it begins; write the lower block first")]
    Backwards,
}

fn block(text: &str) -> Result<u64, BlocksError> {
    let digits = text.strip_prefix("memory").unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| digits.parse().ok()).flatten();
    number.ok_or(BlocksError::NotABlock)
}

fn blocks(text: &str) -> Result<Blocks, BlocksError> {
    let ranges = text.split(',').map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (block(first)?, block(last)?);
        if first > last {
            return Err(BlocksError::Backwards);
        }
        Ok((first, last))
    });
    ranges.collect::<Result<_, _>>().map(Blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_numbers_names_and_ranges() {
        assert_eq!(blocks("32"), Ok(Blocks(vec![(32, 32)])));
        assert_eq!(
            blocks("memory32,34-36"),
            Ok(Blocks(vec![(32, 32), (34, 36)]))
        );
        assert_eq!(blocks("36-34"), Err(BlocksError::Backwards));
        for text in [
            "",
            "x",
            "-1",
            "1-",
            "+1",
            "0x20",
            "1,,2",
            "99999999999999999999",
        ] {
            assert_eq!(blocks(text), Err(BlocksError::NotABlock), "{text}");
        }
    }
}
