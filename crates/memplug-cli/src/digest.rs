//! What a page must be: the first half of its BLAKE3 digest.
//!
//! 128 bits are more than enough to see damage, which is all that is wanted here, and half the
//! memory. The last page of a file is digested as far as the file reaches into it.

/// The digest of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Digest([u8; 16]);

impl Digest {
    /// The digest of these bytes.
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let whole = blake3::hash(bytes);
        let mut half = [0; 16];
        half.copy_from_slice(&whole.as_bytes()[..16]);
        Self(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_and_a_missing_byte_show() {
        let mut page = vec![7; 4096];
        let digest = Digest::of(&page);
        assert_eq!(Digest::of(&page), digest);
        assert_ne!(Digest::of(&page[..4095]), digest);
        page[4095] ^= 1;
        assert_ne!(Digest::of(&page), digest);
    }
}
