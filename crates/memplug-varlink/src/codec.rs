//! From bytes to messages and back: each message ends with a NUL byte and is at most
//! [`MESSAGE_LIMIT`] bytes long without it.
//!
//! No input and output here. A decoder that met a message too long says so for ever: where the
//! next one would begin is not known until a stranger says so.

use serde::Serialize;

/// Longest message, without its NUL byte.
pub const MESSAGE_LIMIT: usize = 1 << 20;

/// A message is longer than [`MESSAGE_LIMIT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message is longer than {MESSAGE_LIMIT} bytes; ask for less at a time")]
pub struct TooLong;

/// Puts messages together from pieces.
///
/// ```
/// use memplug_varlink::Decoder;
/// let mut decoder = Decoder::default();
/// decoder.push(b"{}\0{\"method");
/// assert_eq!(decoder.take(), Ok(Some(b"{}".to_vec())));
/// assert_eq!(decoder.take(), Ok(None));
/// decoder.push(b"\":1}\0");
/// assert_eq!(decoder.take(), Ok(Some(b"{\"method\":1}".to_vec())));
/// ```
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
    /// Bytes before this are no part of what is to come.
    begin: usize,
    /// Bytes before this are known to hold no NUL.
    looked: usize,
    too_long: bool,
}

impl Decoder {
    /// Adds what came.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.too_long {
            return;
        }
        self.bytes.drain(..self.begin);
        self.looked -= self.begin;
        self.begin = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if all of it is there.
    ///
    /// # Errors
    /// [`TooLong`], from then on always.
    pub fn take(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        if self.too_long {
            return Err(TooLong);
        }
        let rest = self.bytes.get(self.looked..).unwrap_or_default();
        let end = rest.iter().position(|&byte| byte == 0);
        let end = end.map(|at| self.looked + at);
        let length = end.unwrap_or(self.bytes.len()) - self.begin;
        if length > MESSAGE_LIMIT {
            *self = Self {
                too_long: true,
                ..Self::default()
            };
            return Err(TooLong);
        }
        let Some(end) = end else {
            self.looked = self.bytes.len();
            return Ok(None);
        };
        let message = self.bytes.get(self.begin..end).map(<[u8]>::to_vec);
        self.begin = end + 1;
        self.looked = self.begin;
        Ok(message)
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.begin < self.bytes.len()
    }
}

/// A message with its NUL byte.
///
/// # Errors
/// [`TooLong`]. What cannot be written as JSON counts as that, too; plain data always can.
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, TooLong> {
    let mut bytes = serde_json::to_vec(message).map_err(|_| TooLong)?;
    if bytes.len() > MESSAGE_LIMIT {
        return Err(TooLong);
    }
    bytes.push(0);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All messages of a stream that comes in pieces.
    fn decoded(pieces: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, TooLong> {
        let (mut decoder, mut found) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.push(piece);
            while let Some(message) = decoder.take()? {
                found.push(message);
            }
        }
        Ok(found)
    }

    fn cut(stream: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
        at.extend([0, stream.len()]);
        at.sort_unstable();
        at.windows(2)
            .map(|pair| stream[pair[0]..pair[1]].to_vec())
            .collect()
    }

    proptest! {
        #[test]
        fn pieces_make_the_same_messages_as_the_whole(
            messages in prop::collection::vec(prop::collection::vec(1u8.., 0..40), 0..12),
            rest in prop::collection::vec(1u8.., 0..10),
            cuts in prop::collection::vec(any::<usize>(), 0..20),
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                stream.extend_from_slice(message);
                stream.push(0);
            }
            stream.extend_from_slice(&rest);
            prop_assert_eq!(decoded(&cut(&stream, &cuts)), Ok(messages));
        }

        #[test]
        fn what_is_written_reads_back(text in ".{0,200}", number in any::<i64>()) {
            let value = serde_json::json!({"text": text, "number": number});
            let bytes = encode(&value).expect("short");
            prop_assert_eq!(bytes.iter().filter(|&&byte| byte == 0).count(), 1);
            let messages = decoded(&[bytes]).expect("short");
            let read: serde_json::Value = serde_json::from_slice(&messages[0]).expect("JSON");
            prop_assert_eq!(read, value);
        }
    }

    #[test]
    fn the_limit_is_exact_and_final() {
        let mut decoder = Decoder::default();
        decoder.push(&vec![b'x'; MESSAGE_LIMIT]);
        assert_eq!(decoder.take(), Ok(None));
        decoder.push(&[0]);
        assert_eq!(
            decoder.take().map(|m| m.map(|m| m.len())),
            Ok(Some(MESSAGE_LIMIT))
        );
        decoder.push(&vec![b'x'; MESSAGE_LIMIT + 1]);
        assert_eq!(decoder.take(), Err(TooLong));
        decoder.push(b"\0{}\0");
        assert_eq!(decoder.take(), Err(TooLong));
        assert_eq!(
            encode(&"x".repeat(MESSAGE_LIMIT - 1)),
            Err(TooLong),
            "two quotes more"
        );
        assert!(encode(&"x".repeat(MESSAGE_LIMIT - 2)).is_ok());
    }
}
