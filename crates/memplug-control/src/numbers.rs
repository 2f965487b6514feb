//! How a Linux kernel reads words, numbers and truth from what is written to its files.
//!
//! A file's handler gets a C string: what comes after a NUL byte does not count. Words are
//! compared whole, less one newline at the end. Truth looks at one or two letters. Numbers are
//! whole, in the base their prefix says.

/// Why a text is no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// It is not a number at all (EINVAL).
    #[error("not a number; write digits, or 0x and hexadecimal digits")]
    Junk,
    /// It is one, but too large (ERANGE).
    #[error("too large a number; write a smaller one")]
    Range,
}

/// What a file's handler sees of the bytes written: everything before the first NUL.
pub fn text_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|&byte| byte == 0);
    &bytes[..end.unwrap_or(bytes.len())]
}

/// Whether `text` is `word`, perhaps with one newline behind it.
pub fn same_word(text: &[u8], word: &str) -> bool {
    text.strip_suffix(b"\n").unwrap_or(text) == word.as_bytes()
}

/// Truth as Linux reads it: the first letter decides, after an `o` the second.
///
/// ```
/// use memplug_control::bool_of;
/// assert_eq!([b"yes".as_slice(), b"0x1", b"oFF", b"ok"].map(bool_of),
///     [Some(true), Some(false), Some(false), None]);
/// ```
pub fn bool_of(text: &[u8]) -> Option<bool> {
    match text {
        [b'y' | b'Y' | b't' | b'T' | b'1', ..] => Some(true),
        [b'n' | b'N' | b'f' | b'F' | b'0', ..] => Some(false),
        [b'o' | b'O', b'n' | b'N', ..] => Some(true),
        [b'o' | b'O', b'f' | b'F', ..] => Some(false),
        _ => None,
    }
}

/// A whole number: decimal, `0x` hexadecimal or `0` octal, an optional `+`, an optional newline.
///
/// # Errors
/// [`NumberError`]: no number, or above `max`.
pub fn unsigned_of(text: &[u8], max: u64) -> Result<u64, NumberError> {
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (digits, base) = match text {
        [b'0', b'x' | b'X', rest @ ..] if rest.first().is_some_and(u8::is_ascii_hexdigit) => {
            (rest, 16)
        }
        [b'0', rest @ ..] if rest.first().is_some_and(u8::is_ascii_digit) => (rest, 8),
        _ => (text, 10),
    };
    let mut number: Option<u64> = None;
    let mut rest = digits;
    while let [digit, behind @ ..] = rest
        && let Some(digit) = char::from(*digit).to_digit(base)
    {
        let so_far = number.unwrap_or(0).checked_mul(u64::from(base));
        let so_far = so_far.and_then(|number| number.checked_add(u64::from(digit)));
        // Too large for any number, whatever is behind it.
        number = Some(so_far.ok_or(NumberError::Range)?);
        rest = behind;
    }
    match (number, rest) {
        (Some(number), b"" | b"\n") if number <= max => Ok(number),
        (Some(_), b"" | b"\n") => Err(NumberError::Range),
        _ => Err(NumberError::Junk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_base() {
        for (text, number) in [
            ("0\n", Ok(0)),
            ("301", Ok(301)),
            ("+7\n", Ok(7)),
            ("0x1F\n", Ok(31)),
            ("010", Ok(8)),
            ("", Err(NumberError::Junk)),
            ("\n", Err(NumberError::Junk)),
            ("-1", Err(NumberError::Junk)),
            ("1 ", Err(NumberError::Junk)),
            ("1\n\n", Err(NumberError::Junk)),
            ("0x", Err(NumberError::Junk)),
            ("08", Err(NumberError::Junk)),
            ("4294967295", Ok(4_294_967_295)),
            ("4294967296", Err(NumberError::Range)),
            ("99999999999999999999999", Err(NumberError::Range)),
            ("9999999999999999999999x", Err(NumberError::Range)),
            ("4294967296x", Err(NumberError::Junk)),
        ] {
            assert_eq!(
                unsigned_of(text.as_bytes(), u64::from(u32::MAX)),
                number,
                "{text:?}"
            );
        }
    }

    #[test]
    fn words_are_compared_whole() {
        assert!(same_word(b"online\n", "online") && same_word(b"online", "online"));
        for text in [
            "online\n\n",
            "online ",
            " online",
            "Online",
            "online\r\n",
            "onlin",
            "",
        ] {
            assert!(!same_word(text.as_bytes(), "online"), "{text:?}");
        }
        assert_eq!(text_of(b"online\0junk"), b"online");
    }
}
