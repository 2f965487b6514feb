//! The calling side of a connection.
//!
//! One call at a time; a caller that waits for the replies of one makes the next on another
//! connection. Replies may be as long as messages may be.

use crate::codec::{Decoder, TooLong, encode};
use crate::message::{Call, Reply, read_object};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use serde::Serialize;
use serde_json::{Map, Value};
use std::io::{self, Read, Write};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service answered an error.
    #[error("the service answered {error}; see its interface for what that means")]
    Answered {
        /// Its name.
        error: String,
        /// What it says.
        parameters: Map<String, Value>,
    },
    /// The connection failed.
    #[error("the connection failed: {0}; see whether the service runs")]
    Connection(#[from] io::Error),
    /// The service hung up.
    #[error("the service hung up before it answered; see its log")]
    Closed,
    /// A message was too long.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// What came is no reply.
    #[error("the service's answer cannot be read: {0}; is it a Varlink service?")]
    NotAReply(serde_json::Error),
    /// The parameters are no JSON object.
    #[error("the parameters of a call are not an object; give a struct or a map")]
    NotParameters,
}

/// A connection to a service.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    decoder: Decoder,
}

fn parameters(of: &impl Serialize) -> Result<Map<String, Value>, CallError> {
    match serde_json::to_value(of) {
        Ok(Value::Object(map)) => Ok(map),
        Ok(Value::Null) => Ok(Map::new()),
        _ => Err(CallError::NotParameters),
    }
}

impl Client {
    /// Connects to the socket at `path`.
    ///
    /// # Errors
    /// When nobody listens there or this process may not connect.
    pub fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self::over(UnixStream::connect(path)?))
    }

    /// Speaks over a stream that is there.
    pub fn over(stream: UnixStream) -> Self {
        Self {
            stream,
            decoder: Decoder::default(),
        }
    }

    /// Waits no longer than this for each piece of an answer.
    ///
    /// # Errors
    /// When the system refuses, as it does no time at all.
    pub fn set_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(limit)
    }

    /// The stream underneath, for hanging up from elsewhere.
    ///
    /// # Errors
    /// When the process has too many files open.
    pub fn try_clone_stream(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    fn send(&mut self, call: &Call) -> Result<(), CallError> {
        let bytes = encode(call)?;
        Ok(self.stream.write_all(&bytes)?)
    }

    fn receive(&mut self) -> Result<Reply, CallError> {
        self.receive_for(None)?.ok_or(CallError::Closed)
    }

    /// The next reply; `None` if the reader of `output` went before one came.
    fn receive_for(&mut self, output: Option<BorrowedFd<'_>>) -> Result<Option<Reply>, CallError> {
        let mut piece = [0; 16 << 10];
        loop {
            if let Some(message) = self.decoder.take()? {
                return read_object(&message)
                    .map(Some)
                    .map_err(CallError::NotAReply);
            }
            if let Some(output) = output
                && self.reader_goes_first(output)?
            {
                return Ok(None);
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Err(CallError::Closed),
                Ok(count) => self.decoder.push(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits until there is something to read, or nobody reads `output` any more: `true`. Of
    /// both, what is to be read counts less, since nobody would see it.
    fn reader_goes_first(&self, output: BorrowedFd<'_>) -> io::Result<bool> {
        let limit = self.stream.read_timeout()?;
        // A limit that cannot be written down is none.
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = [
            PollFd::new(&self.stream, PollFlags::IN),
            PollFd::from_borrowed_fd(output, PollFlags::empty()),
        ];
        if retry_on_intr(|| poll(&mut fds, limit.as_ref()))? == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        Ok(fds[1].revents().intersects(gone))
    }

    /// Calls and waits for the one reply.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, method: &str, with: &impl Serialize) -> Result<Value, CallError> {
        self.send(&Call {
            method: method.into(),
            parameters: parameters(with)?,
            ..Call::default()
        })?;
        let reply = self.receive()?;
        read(reply).map(|(value, _)| value)
    }

    /// Calls and waits for nothing.
    ///
    /// # Errors
    /// [`CallError`] if it could not be sent.
    pub fn call_oneway(&mut self, method: &str, with: &impl Serialize) -> Result<(), CallError> {
        self.send(&Call {
            method: method.into(),
            parameters: parameters(with)?,
            oneway: true,
            ..Call::default()
        })
    }

    /// Calls and hands out the replies one by one.
    ///
    /// # Errors
    /// [`CallError`] if it could not be sent.
    pub fn call_more(
        &mut self,
        method: &str,
        with: &impl Serialize,
    ) -> Result<Replies<'_>, CallError> {
        self.send(&Call {
            method: method.into(),
            parameters: parameters(with)?,
            more: true,
            ..Call::default()
        })?;
        Ok(Replies {
            client: self,
            output: None,
            ended: false,
        })
    }
}

fn read(reply: Reply) -> Result<(Value, bool), CallError> {
    match reply.error {
        None => Ok((Value::Object(reply.parameters), reply.continues)),
        Some(error) => Err(CallError::Answered {
            error,
            parameters: reply.parameters,
        }),
    }
}

/// The replies to one call, in order; ends after the last one or the first error.
#[derive(Debug)]
pub struct Replies<'c> {
    client: &'c mut Client,
    output: Option<BorrowedFd<'c>>,
    ended: bool,
}

impl<'c> Replies<'c> {
    /// Ends, too, as soon as the other end of `output`, a pipe or a socket, is closed: nobody reads
    /// then what the replies are for. Whatever has no other end, as a file, changes nothing.
    pub fn while_read(self, output: BorrowedFd<'c>) -> Self {
        Self {
            output: Some(output),
            ..self
        }
    }
}

impl Iterator for Replies<'_> {
    type Item = Result<Value, CallError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let reply = self.client.receive_for(self.output).transpose();
        let reply = reply.map(|reply| reply.and_then(read));
        self.ended = !matches!(reply, Some(Ok((_, true))));
        reply.map(|reply| reply.map(|(value, _)| value))
    }
}
