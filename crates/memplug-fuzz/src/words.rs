//! What is likely to be understood: words that files take, with what may stand around them.
//!
//! Arbitrary bytes alone are refused at the first letter; from words, whatever drives this gets
//! further, and bends them from there.

use arbitrary::{Result, Unstructured};

/// Words that some file takes, or nearly.
const WORDS: [&str; 40] = [
    "online",
    "offline",
    "online_kernel",
    "online_movable",
    "going-offline",
    "1",
    "0",
    "y",
    "N",
    "on",
    "off",
    "o",
    "-12",
    "-4095",
    "-1",
    "301",
    "0x10",
    "010",
    "4294967295",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "contig-zones",
    "auto-movable",
    "auto",
    "enabled",
    "disabled",
    "add",
    "remove",
    "change",
    "bind",
    "change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed",
    "change fe4d7c9d-b8c6-4a70-9ef1-3d8a58d18eed A=1 b=C",
    "0x100000000",
    "0x107fff000",
    "0xfff000000000",
    "2M",
    "2048kB",
    "",
    "+",
];

const BEHIND: [&str; 8] = ["", "\n", "", "\n\n", " ", "\0", "\0junk", "x"];

/// Bytes to write to a file.
pub(crate) fn written(u: &mut Unstructured<'_>) -> Result<Vec<u8>> {
    Ok(match u.int_in_range(0..=7)? {
        0 => {
            let len = u.int_in_range(0..=64)?;
            u.bytes(usize::min(len, u.len()))?.to_vec()
        }
        1 => {
            let (letter, len) = (u.arbitrary()?, u.int_in_range(4090..=4100)?);
            vec![letter; len]
        }
        2 => {
            let mut bytes = u.choose(&WORDS)?.as_bytes().to_vec();
            if !bytes.is_empty() {
                let at = u.choose_index(bytes.len())?;
                bytes[at] = u.arbitrary()?;
            }
            bytes
        }
        _ => format!("{}{}", u.choose(&WORDS)?, u.choose(&BEHIND)?).into_bytes(),
    })
}

/// An offset: at the beginning, not far, or anywhere.
pub(crate) fn offset(u: &mut Unstructured<'_>) -> Result<u64> {
    Ok(match u.int_in_range(0..=3)? {
        0 => 0,
        1 | 2 => u64::from(u.arbitrary::<u8>()?),
        _ => u.arbitrary()?,
    })
}
