//! `memplug chmem`, also as a program of the name chmem: chmem's grammar, messages and statuses,
//! over a served machine.
//!
//! A size takes the lowest blocks to enable and the highest to disable, and goes on past those
//! that fail; a range tries each of its blocks. Without a zone, Movable is taken where a block
//! can go there.

use crate::ls::human;
use crate::remote::{connect, print};
use crate::verb_args::ChmemArgs;
use memplug_client::{Block, Client, ClientError, OfflineParameters, OnlineParameters, Target};
use memplug_control::{OnlineWord, ZoneName};
use memplug_interface::ListBlocksParameters;
use std::io::{self, Write};
use std::process::ExitCode;

/// chmem's statuses.
const FAILED: u8 = 1;
const SOME: u8 = 64;

/// Why nothing was begun: chmem's words.
#[derive(Debug, PartialEq, Eq)]
enum Bad {
    Usage(String),
    Line(String),
}

/// What to enable or disable.
#[derive(Debug, PartialEq, Eq)]
enum What {
    /// So many blocks.
    Count(u64),
    /// From the first to the last block.
    Range(u64, u64),
}

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

/// A size as util-linux reads it: a unit alone or with `iB` is binary, with `B` decimal.
fn size_of(text: &str) -> Option<u64> {
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(rest) => (rest, 16),
        None => (text, 10),
    };
    let end = digits
        .find(|c: char| !c.is_digit(radix))
        .unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    let whole = u128::from(u64::from_str_radix(number, radix).ok()?);
    let (fraction, unit) = match rest.strip_prefix('.') {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
    };
    let mut letters = unit.chars();
    let power = match letters.next() {
        None => 0,
        Some(letter) => {
            let at = "KMGTPE".find(letter.to_ascii_uppercase())?;
            u32::try_from(at).ok()? + 1
        }
    };
    let base: u128 = match letters.as_str() {
        "" | "iB" => 1024,
        "B" if power > 0 => 1000,
        _ => return None,
    };
    let unit = base.pow(power);
    let fraction = match fraction {
        "" => 0,
        digits if digits.len() <= 9 => {
            unit * digits.parse::<u128>().ok()? / 10u128.pow(u32::try_from(digits.len()).ok()?)
        }
        _ => return None,
    };
    u64::try_from(whole.checked_mul(unit)?.checked_add(fraction)?).ok()
}

fn number(text: &str, what: &str) -> Result<u64, Bad> {
    let parsed = text.parse();
    parsed.map_err(|_| Bad::Line(format!("Failed to parse {what}: '{text}'")))
}

fn address(text: &str, which: &str) -> Result<u64, Bad> {
    let Some(digits) = text.strip_prefix("0x") else {
        return Err(Bad::Line(format!("Invalid {which} address format: {text}")));
    };
    let parsed = u64::from_str_radix(digits, 16);
    parsed.map_err(|_| Bad::Line(format!("Failed to parse {which} address: '{text}'")))
}

fn parse(text: &str, use_blocks: bool, block_size: u64) -> Result<What, Bad> {
    let parts: Vec<&str> = text.split('-').collect();
    let aligned = human(block_size);
    let (first, last) = match parts.as_slice() {
        [only] if use_blocks => {
            let block = number(only, "block number")?;
            (block, block)
        }
        [only] => {
            let failed = || Bad::Line(format!("Failed to parse size: '{only}': Invalid argument"));
            let mut size = size_of(only).ok_or_else(failed)?;
            if only.ends_with(|c: char| c.is_ascii_digit()) {
                size = size.checked_mul(1 << 20).ok_or_else(failed)?;
            }
            if !size.is_multiple_of(block_size) {
                let line = format!("Size must be aligned to memory block size ({aligned})");
                return Err(Bad::Line(line));
            }
            return Ok(What::Count(size / block_size));
        }
        [first, last] if use_blocks => (number(first, "start")?, number(last, "end")?),
        [first, last] => {
            let (start, end) = (address(first, "start")?, address(last, "end")?);
            if !start.is_multiple_of(block_size) || !end.wrapping_add(1).is_multiple_of(block_size)
            {
                return Err(Bad::Line(format!(
                    "Start address and (end address + 1) must be aligned to memory block size \
                     ({aligned})"
                )));
            }
            (start / block_size, end / block_size)
        }
        _ => return Err(Bad::Line(format!("Invalid parameter: {text}"))),
    };
    match first <= last {
        true => Ok(What::Range(first, last)),
        false => Err(Bad::Line(format!("Invalid range: {text}"))),
    }
}

struct Chmem<'c> {
    client: &'c mut Client,
    enable: bool,
    zone: Option<ZoneName>,
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

    fn fits_zone(&self, block: &Block) -> bool {
        let zones = &block.info.valid_zones;
        match (self.zone, self.enable) {
            (None, _) => true,
            (Some(zone), true) => zones.contains(&zone),
            (Some(zone), false) => zones.first() == Some(&zone),
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
        let movable = block.info.valid_zones.contains(&ZoneName::Movable);
        let word = match self.zone {
            Some(ZoneName::Movable) => OnlineWord::OnlineMovable,
            Some(_) => OnlineWord::OnlineKernel,
            None if movable => OnlineWord::OnlineMovable,
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
            if self.is_so(block) || !self.fits_zone(block) {
                continue;
            }
            match self.change(block) {
                Ok(()) => {
                    self.say(block, ended);
                    left -= 1;
                }
                Err(error) if error.failed().is_some() => {
                    self.say(block, &format!("{able} failed"))
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

fn zone_of(name: Option<&str>) -> Result<Option<ZoneName>, Bad> {
    let Some(name) = name else {
        return Ok(None);
    };
    let found = ZoneName::ALL
        .into_iter()
        .find(|zone| zone.name().eq_ignore_ascii_case(name));
    found
        .map(Some)
        .ok_or_else(|| Bad::Usage(format!("unknown memory zone: {name}")))
}

fn go(args: &ChmemArgs) -> Result<Result<u8, Bad>, ClientError> {
    if args.enable && args.disable {
        let line = "mutually exclusive arguments: --disable --enable";
        return Ok(Err(Bad::Line(line.into())));
    }
    let Some(what) = args.what.as_deref().filter(|_| args.enable || args.disable) else {
        return Ok(Err(Bad::Usage("bad usage".into())));
    };
    let zone = match zone_of(args.zone.as_deref()) {
        Ok(zone) => zone,
        Err(bad) => return Ok(Err(bad)),
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
        Ok(Err(Bad::Usage(line))) => return bad_usage(&line),
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

/// Ends with chmem's words for a command line that cannot be.
pub(crate) fn bad_usage(line: &str) -> ExitCode {
    warn(line);
    // A closed standard error leaves the status to tell.
    let _ = writeln!(io::stderr(), "Try 'chmem --help' for more information.");
    ExitCode::from(FAILED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: u64 = 128 << 20;

    #[test]
    fn the_grammar_is_that_of_chmem() {
        let good = |text, blocks| parse(text, blocks, BLOCK).expect("fine");
        assert_eq!(good("1g", false), What::Count(8));
        assert_eq!(good("256", false), What::Count(2));
        assert_eq!(good("0.5G", false), What::Count(4));
        assert_eq!(good("0x80", false), What::Count(1));
        assert_eq!(good("33", true), What::Range(33, 33));
        assert_eq!(good("33-40", true), What::Range(33, 40));
        assert_eq!(good("0x100000000-0x107ffffff", false), What::Range(32, 32));
        for (text, blocks, line) in [
            ("x", false, "Failed to parse size: 'x': Invalid argument"),
            (
                "1.5furlong",
                false,
                "Failed to parse size: '1.5furlong': Invalid argument",
            ),
            (
                "100M",
                false,
                "Size must be aligned to memory block size (128M)",
            ),
            ("1-2", false, "Invalid start address format: 1"),
            ("0x0-2", false, "Invalid end address format: 2"),
            (
                "0x1-0x7ffffff",
                false,
                "Start address and (end address + 1) must be aligned to memory block size (128M)",
            ),
            ("1-2-3", true, "Invalid parameter: 1-2-3"),
            ("5-4", true, "Invalid range: 5-4"),
            ("x", true, "Failed to parse block number: 'x'"),
            ("1-x", true, "Failed to parse end: 'x'"),
        ] {
            let bad = parse(text, blocks, BLOCK).expect_err(text);
            assert_eq!(bad, Bad::Line(line.into()));
        }
    }

    #[test]
    fn errors_have_the_words_of_the_system() {
        assert_eq!(strerror(16), "Device or resource busy");
    }
}
