//! What a callback can answer, and what is made of it.
//!
//! Linux packs answers into a number: `DONE` 0, `OK` 1, `STOP` 0x8001, `BAD` 0x8002, an errno
//! `e` as `0x8000 | (1 + e)`; bit 0x8000 ends the round, and the result of a round is the
//! answer of the last callback called. Hence `STOP` ends the round and is consent; a bare 2
//! refuses only if nobody answers after it; a bare negative errno has the stop bit and, being
//! negative, counts as consent. [`Answer::Raw`] keeps all of that for ports of C code.

use crate::error::Errno;
use alloc::string::String;

const STOP: u32 = 0x8000;
/// The largest error number there is on Linux.
const MAX_ERRNO: u16 = 4095;

/// A callback's answer.
///
/// ```
/// use memplug_core::{Answer, Errno};
///
/// assert_eq!(Answer::refuse("in use").error(), Some(Errno::EBUSY));
/// assert_eq!(Answer::Bad.error(), Some(Errno::EPERM));
/// assert!(Answer::Stop.stops() && Answer::Stop.error().is_none()); // consent
/// assert_eq!(Answer::Raw(0xffff_fff4).error(), None); // a bare -ENOMEM is consent, as in C
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Not concerned.
    Done,
    /// Consent.
    Ok,
    /// Consent, and nobody of lower priority is asked.
    Stop,
    /// Refusal without a reason (`EPERM`).
    Bad,
    /// Refusal, with an error number and a reason that will be shown. A number that is no error
    /// of Linux (0, or above 4095) is answered as `EPERM`: a refusal never turns into consent.
    Refuse(Errno, String),
    /// A number as a C callback would return it.
    Raw(u32),
}

impl Answer {
    /// A refusal with `EBUSY`, the usual one.
    pub fn refuse(reason: impl Into<String>) -> Self {
        Self::Refuse(Errno::EBUSY, reason.into())
    }

    /// The number that Linux would see.
    pub const fn raw(&self) -> u32 {
        match self {
            Self::Done => 0,
            Self::Ok => 1,
            Self::Stop => STOP | 1,
            Self::Bad => STOP | 2,
            Self::Refuse(errno, _) if matches!(errno.get(), 1..=MAX_ERRNO) => {
                STOP | (1 + errno.get() as u32)
            }
            Self::Refuse(..) => Self::Bad.raw(),
            Self::Raw(raw) => *raw,
        }
    }

    /// Whether it ends the round.
    pub const fn stops(&self) -> bool {
        self.raw() & STOP != 0
    }

    /// The error it comes to as the last answer of a round.
    pub fn error(&self) -> Option<Errno> {
        let raw = self.raw() as i32;
        let rest = if raw < 0 {
            return None;
        } else {
            raw & !(STOP as i32)
        };
        (rest > 1).then(|| Errno::new(u16::try_from(rest - 1).unwrap_or(u16::MAX)))
    }

    /// The reason given, if it is a refusal with one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Refuse(_, reason) => Some(reason),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As run on the real kernel.
    #[test]
    fn numbers_and_what_they_come_to() {
        for (answer, raw, stops, error) in [
            (Answer::Done, 0, false, None),
            (Answer::Ok, 1, false, None),
            (Answer::Stop, 0x8001, true, None),
            (Answer::Bad, 0x8002, true, Some(Errno::EPERM)),
            (
                Answer::Refuse(Errno::ENOMEM, String::new()),
                0x800d,
                true,
                Some(Errno::ENOMEM),
            ),
            (Answer::Raw(2), 2, false, Some(Errno::EPERM)),
            (Answer::Raw(0xffff_fff4), 0xffff_fff4, true, None),
        ] {
            assert_eq!(answer.raw(), raw);
            assert_eq!(answer.stops(), stops, "{answer:?}");
            assert_eq!(answer.error(), error, "{answer:?}");
        }
    }

    #[test]
    fn a_refusal_stays_one_whatever_its_number() {
        for number in 0..=u16::MAX {
            let answer = Answer::Refuse(Errno::new(number), String::new());
            let expected = match number {
                1..=4095 => Errno::new(number),
                _ => Errno::EPERM,
            };
            assert!(answer.stops(), "{number}");
            assert_eq!(answer.error(), Some(expected), "{number}");
        }
    }
}
