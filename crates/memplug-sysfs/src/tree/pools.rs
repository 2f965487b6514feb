//! A node's pools of huge pages, which are always empty, and its `compact` file.
//!
//! No machine of ours hands out huge pages from a pool. A wish for some is taken, as Linux takes
//! it when memory is short, and comes to nothing; a number that is none is refused.

use super::Tree;
use super::place::Place;
use super::table::What;
use rustix::io::Errno;

/// The one size that pages of a pool may be split into.
const SPLIT: u64 = 2 << 20;

/// Digits at the front as a number, and what is behind them; `None` if it is too large.
fn digits(text: &[u8]) -> (Option<u64>, &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let number = digits.iter().try_fold(0u64, |number, digit| {
        number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    (number, rest)
}

/// Whether it is a whole number in decimal: too large comes before what is behind it.
fn count(text: &[u8]) -> Result<(), Errno> {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (number, rest) = digits(text);
    match (number, rest) {
        _ if rest.len() == text.len() => Err(Errno::INVAL),
        (None, _) => Err(Errno::RANGE),
        (Some(_), b"" | b"\n") => Ok(()),
        _ => Err(Errno::INVAL),
    }
}

/// A size with a letter behind it, in any base; what follows is not looked at.
fn size(text: &[u8]) -> u64 {
    let (base, text) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (16, rest),
        [b'0', rest @ ..] => (8, rest),
        _ => (10, text),
    };
    let digit = |byte: &u8| char::from(*byte).to_digit(base);
    let end = text.iter().position(|byte| digit(byte).is_none());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    let number = digits.iter().filter_map(digit).fold(0u64, |number, digit| {
        number
            .wrapping_mul(u64::from(base))
            .wrapping_add(u64::from(digit))
    });
    let letter = rest.first().map_or(b' ', u8::to_ascii_uppercase);
    let power = b"KMGTPE".iter().position(|&known| known == letter);
    power.map_or(number, |power| number << (10 * (power + 1)))
}

impl Tree {
    /// Writes a file of a node's that takes a wish and changes nothing.
    pub(super) fn write_wish(&self, file: Place, what: What, text: &[u8]) -> Result<(), Errno> {
        self.check(file).map_err(|_| Errno::NODEV)?;
        match what {
            What::Compact => Ok(()),
            What::PoolSize | What::Demote => count(text),
            What::DemoteSize if size(text) == SPLIT => Ok(()),
            _ => Err(Errno::INVAL),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_and_sizes_may_have_a_letter() {
        for good in ["0", "5\n", "+010", "18446744073709551615"] {
            assert_eq!(count(good.as_bytes()), Ok(()), "{good}");
        }
        for bad in ["", "\n", "+", "-1", "0x5", "5 ", "5\n\n", "++1"] {
            assert_eq!(count(bad.as_bytes()), Err(Errno::INVAL), "{bad}");
        }
        for large in ["18446744073709551616", "99999999999999999999x"] {
            assert_eq!(count(large.as_bytes()), Err(Errno::RANGE), "{large}");
        }
        for two_mib in ["2M", "2048kB\n", "2097152", "0x200000", "010000000 x"] {
            assert_eq!(size(two_mib.as_bytes()), SPLIT, "{two_mib}");
        }
        for other in ["", "2", "1G", "M", "x2M", "4M", "99999999999999999999E"] {
            assert_ne!(size(other.as_bytes()), SPLIT, "{other}");
        }
    }
}
