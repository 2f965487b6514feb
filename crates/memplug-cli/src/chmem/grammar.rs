//! What chmem's one argument means: a size, a range of addresses, or with `-b` of blocks.
//!
//! Numbers are read as util-linux reads them: blanks and a `+` in front are passed over, sizes
//! have C's bases, and a fraction is worked out digit by digit with whole numbers, so that
//! `0.125G` is some bytes short of 128 MiB. Empty parts of a range are as if they were not there.
//! Where chmem itself crashes, on an argument without any part, this says that it cannot be.

use crate::ls::human;

/// Why nothing was begun: chmem's words.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// In the usage; more is told about how to ask for help.
    Usage(String),
    /// In what was asked for.
    Line(String),
}

/// What to enable or disable.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum What {
    /// So many blocks.
    Count(u64),
    /// From the first to the last block.
    Range(u64, u64),
}

/// Why text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoNumber {
    Invalid,
    TooLarge,
}

impl NoNumber {
    const fn words(self) -> &'static str {
        match self {
            Self::Invalid => "Invalid argument",
            Self::TooLarge => "Numerical result out of range",
        }
    }
}

fn is_space(letter: char) -> bool {
    matches!(letter, ' ' | '\t'..='\r')
}

/// A number at the front and what is behind it, as C reads it; base 0 finds out for itself.
fn front(text: &str, base: u32) -> Result<(u64, &str), NoNumber> {
    let text = text.trim_start_matches(is_space);
    let text = text.strip_prefix('+').unwrap_or(text);
    let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    let hex = hex.filter(|rest| rest.starts_with(|c: char| c.is_ascii_hexdigit()));
    let (digits, base) = match (hex, base) {
        (Some(rest), 0 | 16) => (rest, 16),
        (_, 0) if text.starts_with('0') => (text, 8),
        (_, 0) => (text, 10),
        _ => (text, base),
    };
    let end = digits.find(|c: char| !c.is_digit(base));
    let (digits, rest) = digits.split_at(end.unwrap_or(digits.len()));
    if digits.is_empty() {
        return Err(NoNumber::Invalid);
    }
    let number = u64::from_str_radix(digits, base).map_err(|_| NoNumber::TooLarge)?;
    Ok((number, rest))
}

/// A whole number and nothing behind it.
fn whole(text: &str, base: u32) -> Result<u64, NoNumber> {
    match front(text, base)? {
        (number, "") => Ok(number),
        _ => Err(NoNumber::Invalid),
    }
}

/// Digits behind a point, without zeroes in front, and how many of those there were.
#[derive(Clone, Copy)]
struct Fraction {
    digits: u64,
    zeroes: usize,
}

impl Fraction {
    /// What it is of a unit: each digit for itself, from the last one on, rounded down.
    fn of(self, unit: u64) -> u64 {
        let (mut digits, mut scale) = (self.digits, 10u64);
        let widen = |digits: &mut u64, scale: &mut u64| match scale.checked_mul(10) {
            Some(wider) => *scale = wider,
            None => *digits /= 10,
        };
        while scale < digits {
            widen(&mut digits, &mut scale);
        }
        for _ in 0..self.zeroes {
            widen(&mut digits, &mut scale);
        }
        let (mut sum, mut place) = (0u64, 1u64);
        while digits > 0 {
            let part = scale.checked_div(place).unwrap_or(0);
            let share = part.checked_div(digits % 10).unwrap_or(0);
            sum = sum.wrapping_add(unit.checked_div(share).unwrap_or(0));
            digits /= 10;
            place = place.wrapping_mul(10);
        }
        sum
    }

    /// The fraction in front of a unit, and the unit.
    fn front(text: &str) -> Result<(Self, &str), NoNumber> {
        let rest = text.trim_start_matches('0');
        let zeroes = text.len() - rest.len();
        let (digits, unit) = match rest.starts_with(|c: char| c.is_ascii_digit()) {
            true => front(rest, 10)?,
            false => (0, rest),
        };
        Ok((Self { digits, zeroes }, unit))
    }
}

/// The base and the power of a unit: a letter alone or with `iB` is binary, with `B` decimal.
fn unit_of(unit: &str) -> Option<(u64, u32)> {
    let mut letters = unit.chars();
    let letter = letters.next()?.to_ascii_uppercase();
    let power = "KMGTPEYZ".find(letter)?;
    let base = match letters.as_str() {
        "" | "iB" | "ib" => 1024,
        "B" | "b" => 1000,
        _ => return None,
    };
    Some((base, u32::try_from(power).ok()? + 1))
}

/// A size in bytes.
fn size_of(text: &str) -> Result<u64, NoNumber> {
    let (number, rest) = front(text, 0)?;
    if rest.is_empty() {
        return Ok(number);
    }
    let (fraction, unit) = match rest.strip_prefix('.') {
        Some(rest) => Fraction::front(rest)?,
        None => (
            Fraction {
                digits: 0,
                zeroes: 0,
            },
            rest,
        ),
    };
    let (base, power) = unit_of(unit).ok_or(NoNumber::Invalid)?;
    let mut size = number;
    for _ in 0..power {
        size = size.checked_mul(base).ok_or(NoNumber::TooLarge)?;
    }
    Ok(size.wrapping_add(fraction.of(base.saturating_pow(power))))
}

fn number(text: &str, base: u32, what: &str) -> Result<u64, Bad> {
    whole(text, base).map_err(|why| {
        let line = format!("Failed to parse {what}: '{text}'");
        Bad::Line(match why {
            NoNumber::Invalid => line,
            NoNumber::TooLarge => format!("{line}: {}", why.words()),
        })
    })
}

fn address(text: &str, which: &str) -> Result<(), Bad> {
    match text.chars().nth(1) {
        Some('x') => Ok(()),
        _ => Err(Bad::Line(format!("Invalid {which} address format: {text}"))),
    }
}

fn size(text: &str, block_size: u64) -> Result<What, Bad> {
    let mut size = size_of(text).map_err(|why| {
        let why = why.words();
        Bad::Line(format!("Failed to parse size: '{text}': {why}"))
    })?;
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        size = size.wrapping_mul(1 << 20);
    }
    if !size.is_multiple_of(block_size) {
        let aligned = human(block_size);
        let line = format!("Size must be aligned to memory block size ({aligned})");
        return Err(Bad::Line(line));
    }
    Ok(What::Count(size / block_size))
}

fn addresses(first: &str, last: &str, block_size: u64) -> Result<(u64, u64), Bad> {
    address(first, "start")?;
    address(last, "end")?;
    let start = number(first, 16, "start address")?;
    let end = number(last, 16, "end address")?;
    if start.is_multiple_of(block_size) && end.wrapping_add(1).is_multiple_of(block_size) {
        return Ok((start / block_size, end / block_size));
    }
    let aligned = human(block_size);
    Err(Bad::Line(format!(
        "Start address and (end address + 1) must be aligned to memory block size ({aligned})"
    )))
}

/// What the argument means.
pub(super) fn parse(text: &str, use_blocks: bool, block_size: u64) -> Result<What, Bad> {
    let parts: Vec<&str> = text.split('-').filter(|part| !part.is_empty()).collect();
    let (first, last) = match parts.as_slice() {
        [only] if use_blocks => {
            let block = number(only, 10, "block number")?;
            (block, block)
        }
        [only] => return size(only, block_size),
        [first, last] if use_blocks => (number(first, 10, "start")?, number(last, 10, "end")?),
        [first, last] => addresses(first, last, block_size)?,
        _ => return Err(Bad::Line(format!("Invalid parameter: {text}"))),
    };
    match first <= last {
        true => Ok(What::Range(first, last)),
        false => Err(Bad::Line(format!("Invalid range: {text}"))),
    }
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
        assert_eq!(good("0200", false), What::Count(1));
        assert_eq!(good("33", true), What::Range(33, 33));
        assert_eq!(good("33-40", true), What::Range(33, 40));
        assert_eq!(good(" +33--40-", true), What::Range(33, 40));
        assert_eq!(good("0x100000000-0x107ffffff", false), What::Range(32, 32));
    }

    #[test]
    fn what_it_is_not_is_said_in_chmems_words() {
        for (text, blocks, line) in [
            ("x", false, "Failed to parse size: 'x': Invalid argument"),
            (
                "1.5m2",
                false,
                "Failed to parse size: '1.5m2': Invalid argument",
            ),
            (
                "17179869184G",
                false,
                "Failed to parse size: '17179869184G': Numerical result out of range",
            ),
            (
                "100M",
                false,
                "Size must be aligned to memory block size (128M)",
            ),
            (
                "0.125G",
                false,
                "Size must be aligned to memory block size (128M)",
            ),
            ("1-2", false, "Invalid start address format: 1"),
            ("0x0-2", false, "Invalid end address format: 2"),
            ("0x-0x1", false, "Failed to parse start address: '0x'"),
            (
                "0x1-0x7ffffff",
                false,
                "Start address and (end address + 1) must be aligned to memory block size (128M)",
            ),
            ("1-2-3", true, "Invalid parameter: 1-2-3"),
            ("--", true, "Invalid parameter: --"),
            ("5-4", true, "Invalid range: 5-4"),
            ("x", true, "Failed to parse block number: 'x'"),
            ("1-x", true, "Failed to parse end: 'x'"),
            (
                "18446744073709551616",
                true,
                "Failed to parse block number: '18446744073709551616': Numerical result out of range",
            ),
        ] {
            let bad = parse(text, blocks, BLOCK).expect_err(text);
            assert_eq!(bad, Bad::Line(line.into()));
        }
    }
}
