//! `memplug chmem`, also as a program of the name chmem: chmem's grammar, messages and statuses,
//! over a served machine.
//!
//! A size takes the lowest blocks to enable and the highest to disable, and goes on past those
//! that fail; a range tries each of its blocks. Without a zone, Movable is taken where a block
//! can go there. Each block is looked at when its turn comes: those before it may have changed
//! where it can go.
//!
//! `grammar`: what is to be enabled or disabled. `getopt`: command lines as chmem reads them.

mod getopt;
mod grammar;

use crate::ls::human;
use crate::remote::{connect, print};
use crate::verb_args::ChmemArgs;
use getopt::BAD_USAGE;
use grammar::{Bad, What, parse};
use memplug_client::{Block, Client, ClientError, OfflineParameters, OnlineParameters, Target};
use memplug_control::{OnlineWord, zone_words};
use memplug_interface::ListBlocksParameters;
use std::io::{self, Write};
use std::process::ExitCode;

/// chmem's statuses.
const FAILED: u8 = 1;
const SOME: u8 = 64;

fn warn(text: &str) {
    // A closed standard error leaves the status to tell.
    let _ = writeln!(io::stderr(), "chmem: {text}");
}

/// The system's words for an error number.
fn strerror(errno: u32) -> String {
    let text = io::Error::from_raw_os_error(i32::try_from(errno).unwrap_or(22)).to_string();
    let end = text.find(" (os error").unwrap_or(text.len());
    text.get(..end).unwrap_or_default().to_owned()
}

/// Zones that chmem knows, whether a machine has them or not.
const ZONES: [&str; 6] = ["DMA", "DMA32", "Normal", "Highmem", MOVABLE, "Device"];
const MOVABLE: &str = "Movable";

struct Chmem<'c> {
    client: &'c mut Client,
    enable: bool,
    zone: Option<&'static str>,
    verbose: bool,
    block_size: u64,
}

impl Chmem<'_> {
    fn name(&self, block: &Block) -> String {
        let start = block.info.id.saturating_mul(self.block_size);
        let end = start.saturating_add(self.block_size - 1);
        format!(
            "Memory Block {} (0x{start:016x}-0x{end:016x})",
            block.info.id
        )
    }

    /// Whether it is as wanted already; one on its way out counts as offline.
    fn is_so(&self, block: &Block) -> bool {
        let word = block.info.state.word();
        if self.enable {
            word == "online"
        } else {
            word == "offline"
        }
    }

    /// What chmem makes of `valid_zones`: to enable, the zone's name stands anywhere in it; to
    /// disable, at its beginning. So `DMA` goes for `DMA32`, too.
    fn fits_zone(&self, block: &Block) -> bool {
        let Some(zone) = self.zone else {
            return true;
        };
        let (zones, zone) = (zone_text(block), zone.to_ascii_lowercase());
        match self.enable {
            true => zones.contains(&zone),
            false => zones.starts_with(&zone),
        }
    }

    /// The block as it is now; `None` if it is gone.
    fn now(&mut self, block: &Block) -> Result<Option<Block>, ClientError> {
        let parameters = ListBlocksParameters {
            blocks: Some(vec![block.info.id]),
            usage: None,
        };
        match self.client.blocks(&parameters) {
            Ok(mut blocks) => Ok(blocks.pop()),
            Err(error) if error.failed().is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn change(&mut self, block: &Block) -> Result<(), ClientError> {
        let what = Target::blocks([block.info.id]);
        if !self.enable {
            let parameters = OfflineParameters {
                what,
                ..OfflineParameters::default()
            };
            return self.client.offline_telling(&parameters, |_| {}).map(drop);
        }
        let word = match self.zone {
            Some(MOVABLE) => OnlineWord::OnlineMovable,
            Some(_) => OnlineWord::OnlineKernel,
            None if zone_text(block).contains("movable") => OnlineWord::OnlineMovable,
            None => OnlineWord::Online,
        };
        let parameters = OnlineParameters {
            what,
            word: Some(word),
            ..OnlineParameters::default()
        };
        self.client.online_telling(&parameters, |_| {}).map(drop)
    }

    fn say(&self, block: &Block, what: &str) {
        if self.verbose {
            print(&format!("{} {what}\n", self.name(block)));
        }
    }

    /// As many blocks; what is left of them.
    fn size(&mut self, blocks: &[Block], count: u64) -> Result<u64, ClientError> {
        let mut left = count;
        let (able, ended) = if self.enable {
            ("enable", "enabled")
        } else {
            ("disable", "disabled")
        };
        let mut order: Vec<&Block> = blocks.iter().collect();
        if !self.enable {
            order.reverse();
        }
        for block in order {
            if left == 0 {
                break;
            }
            let Some(block) = self.now(block)? else {
                continue;
            };
            if self.is_so(&block) || !self.fits_zone(&block) {
                continue;
            }
            match self.change(&block) {
                Ok(()) => {
                    self.say(&block, ended);
                    left -= 1;
                }
                Err(error) if error.failed().is_some() => {
                    self.say(&block, &format!("{able} failed"))
                }
                Err(error) => return Err(error),
            }
        }
        if left > 0 {
            let did = human((count - left).saturating_mul(self.block_size));
            warn(&format!("Could only {able} {did} of memory"));
        }
        Ok(left)
    }

    /// Every block of a range; how many there were to do, and are left.
    fn range(
        &mut self,
        blocks: &[Block],
        first: u64,
        last: u64,
    ) -> Result<(u64, u64), ClientError> {
        let count = (last - first).saturating_add(1);
        let mut left = count;
        let (able, ended) = if self.enable {
            ("enable", "enabled")
        } else {
            ("disable", "disabled")
        };
        for block in blocks
            .iter()
            .filter(|block| (first..=last).contains(&block.info.id))
        {
            let Some(block) = &self.now(block)? else {
                continue;
            };
            if self.is_so(block) {
                self.say(block, &format!("already {ended}"));
                left -= 1;
                continue;
            }
            if !self.fits_zone(block) {
                warn(&format!(
                    "{} {able} failed: Zone mismatch",
                    self.name(block)
                ));
                continue;
            }
            match self.change(block) {
                Ok(()) => {
                    self.say(block, ended);
                    left -= 1;
                }
                Err(error) => {
                    let Some(failed) = error.failed() else {
                        return Err(error);
                    };
                    let why = strerror(failed.failure.errno.unwrap_or(16));
                    warn(&format!("{} {able} failed: {why}", self.name(block)));
                }
            }
        }
        Ok((count, left))
    }
}

/// Its zones as `valid_zones` has them, in small letters.
fn zone_text(block: &Block) -> String {
    zone_words(&block.info.valid_zones).to_ascii_lowercase()
}

fn zone_of(name: Option<&str>) -> Result<Option<&'static str>, Bad> {
    let Some(name) = name else {
        return Ok(None);
    };
    let found = ZONES
        .into_iter()
        .find(|zone| zone.eq_ignore_ascii_case(name));
    found
        .map(Some)
        .ok_or_else(|| Bad::Usage(format!("unknown memory zone: {name}")))
}

fn go(args: &ChmemArgs) -> Result<Result<u8, Bad>, ClientError> {
    if let Err(bad) = getopt::exclusive(args.enable, args.disable) {
        return Ok(Err(bad));
    }
    let Some(what) = args.what.as_deref().filter(|_| args.enable || args.disable) else {
        return Ok(Err(Bad::Usage(BAD_USAGE.into())));
    };
    let mut client = match connect(&args.socket) {
        Ok(client) => client,
        Err(trouble) => return Ok(Err(Bad::Line(trouble.to_string()))),
    };
    let block_size = client.machine()?.block_size.max(1);
    let what = match parse(what, args.blocks, block_size) {
        Ok(what) => what,
        Err(bad) => return Ok(Err(bad)),
    };
    // Last, as chmem does: whatever else is wrong is complained of before.
    let zone = match zone_of(args.zone.as_deref()) {
        Ok(zone) => zone,
        Err(bad) => return Ok(Err(bad)),
    };
    let blocks = client.blocks(&ListBlocksParameters::default())?;
    let mut chmem = Chmem {
        client: &mut client,
        enable: args.enable,
        zone,
        verbose: args.verbose,
        block_size,
    };
    let (count, left) = match what {
        What::Count(count) => (count, chmem.size(&blocks, count)?),
        What::Range(first, last) => chmem.range(&blocks, first, last)?,
    };
    Ok(Ok(match left {
        0 => 0,
        left if left == count => FAILED,
        _ => SOME,
    }))
}

/// Runs `memplug chmem`.
pub(crate) fn run(args: &ChmemArgs) -> ExitCode {
    let status = match go(args) {
        Ok(Ok(status)) => status,
        Ok(Err(Bad::Line(line))) => {
            warn(&line);
            FAILED
        }
        Ok(Err(Bad::Usage(line))) => return usage(&line),
        Err(error) => {
            warn(&error.to_string());
            FAILED
        }
    };
    match crate::remote::unprinted() {
        Some(line) if status == 0 => {
            warn(&line);
            ExitCode::from(FAILED)
        }
        _ => ExitCode::from(status),
    }
}

/// For a command line that the verb's own arguments do not take: chmem may take it, or has words
/// of its own for what is wrong. With none of them, `line` is said.
pub(crate) fn bad_usage(line: &str) -> ExitCode {
    match getopt::read(std::env::args_os()) {
        Ok(args) => run(&args),
        Err(Bad::Usage(said)) if said == BAD_USAGE => usage(line),
        Err(Bad::Usage(said)) => usage(&said),
        Err(Bad::Line(said)) => {
            warn(&said);
            ExitCode::from(FAILED)
        }
    }
}

fn usage(line: &str) -> ExitCode {
    warn(line);
    // A closed standard error leaves the status to tell.
    let _ = writeln!(io::stderr(), "Try 'chmem --help' for more information.");
    ExitCode::from(FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_words_of_the_system() {
        assert_eq!(strerror(16), "Device or resource busy");
    }
}
