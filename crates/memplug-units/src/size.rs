//! Sizes in bytes, and how people write them.
//!
//! `128M`, `1GiB`, `4096`, `0x8000000`: binary multiples only (1K = 1024), upper or lower case,
//! with or without `iB`/`B`. Left out: fractions and decimal multiples, which would be guesses.

use core::fmt;
use core::str::FromStr;

/// A number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Bytes(u64);

/// Why a size could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseBytesError {
    /// Nothing, or only blanks.
    #[error("a size is missing; write one like 512M or 1G")]
    Empty,
    /// Not digits.
    #[error("not a number; write a size like 512M, 1G or 0x8000000")]
    NotANumber,
    /// Digits followed by something that is no unit.
    #[error("unknown unit; use K, M, G, T or P (binary multiples)")]
    UnknownUnit,
    /// More bytes than 64 bits can count.
    #[error("more than 2^64-1 bytes; write a smaller size")]
    TooLarge,
}

impl Bytes {
    /// No bytes.
    pub const ZERO: Self = Self(0);

    /// This many bytes.
    pub const fn new(count: u64) -> Self {
        Self(count)
    }
    /// This many KiB, if representable.
    pub const fn kib(count: u64) -> Option<Self> {
        Self::scaled(count, 10)
    }
    /// This many MiB, if representable.
    pub const fn mib(count: u64) -> Option<Self> {
        Self::scaled(count, 20)
    }
    /// This many GiB, if representable.
    pub const fn gib(count: u64) -> Option<Self> {
        Self::scaled(count, 30)
    }
    const fn scaled(count: u64, shift: u32) -> Option<Self> {
        match count.checked_mul(1 << shift) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// Sum, if representable.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(n) => Some(Self(n)),
            None => None,
        }
    }
}

impl FromStr for Bytes {
    type Err = ParseBytesError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        if text.is_empty() {
            return Err(ParseBytesError::Empty);
        }
        let hex = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
        let (digits, radix) = hex.map_or((text, 10), |rest| (rest, 16));
        let end = digits
            .find(|c: char| !c.is_digit(radix))
            .unwrap_or(digits.len());
        let (number, unit) = digits.split_at(end);
        if number.is_empty() {
            return Err(ParseBytesError::NotANumber);
        }
        let number = u64::from_str_radix(number, radix).map_err(|_| ParseBytesError::TooLarge)?;
        let shift = unit_shift(unit.trim_start()).ok_or(ParseBytesError::UnknownUnit)?;
        number
            .checked_mul(1 << shift)
            .map(Self)
            .ok_or(ParseBytesError::TooLarge)
    }
}

fn unit_shift(unit: &str) -> Option<u32> {
    let mut letters = unit.chars();
    let shift = match letters.next().map(|c| c.to_ascii_uppercase()) {
        None => return Some(0),
        Some('B') => return letters.next().is_none().then_some(0),
        Some('K') => 10,
        Some('M') => 20,
        Some('G') => 30,
        Some('T') => 40,
        Some('P') => 50,
        Some(_) => return None,
    };
    let rest = letters.as_str();
    (rest.is_empty() || rest.eq_ignore_ascii_case("B") || rest.eq_ignore_ascii_case("iB"))
        .then_some(shift)
}

/// The largest unit that divides the number: `128M`, `1G`, `1536K`, `17`.
impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (shift, unit) in [(50, "P"), (40, "T"), (30, "G"), (20, "M"), (10, "K")] {
            if self.0 != 0 && self.0.is_multiple_of(1 << shift) {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} bytes")
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::string::ToString;
    use proptest::prelude::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("128M", 128 << 20),
            ("1g", 1 << 30),
            ("2 GiB", 2 << 30),
            ("3kb", 3 << 10),
            ("0x8000000", 128 << 20),
            ("7B", 7),
            (" 16T ", 16 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Bytes::new(bytes)), "{text}");
        }
    }

    #[test]
    fn garbage_is_named() {
        for (text, error) in [
            ("", ParseBytesError::Empty),
            ("  ", ParseBytesError::Empty),
            ("G", ParseBytesError::NotANumber),
            ("-1", ParseBytesError::NotANumber),
            ("0x", ParseBytesError::NotANumber),
            ("1.5G", ParseBytesError::UnknownUnit),
            ("1 furlong", ParseBytesError::UnknownUnit),
            ("1GG", ParseBytesError::UnknownUnit),
            ("18446744073709551616", ParseBytesError::TooLarge),
            ("18446744073709551615K", ParseBytesError::TooLarge),
        ] {
            assert_eq!(text.parse::<Bytes>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back(n in any::<u64>()) {
            prop_assert_eq!(Bytes::new(n).to_string().parse(), Ok(Bytes::new(n)));
        }

        #[test]
        fn no_input_panics(text in ".*") {
            let _ = text.parse::<Bytes>();
        }
    }
}
