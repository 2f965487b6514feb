//! Calls with several replies: changes with their steps, and streams of events.
//!
//! A reply is a step, or the last one; fields that a newer service adds are not read.

use crate::client::{Client, nothing_said, read};
use crate::error::ClientError;
use memplug_control::Progress;
use memplug_interface::{Event, OfflineReply, WatchReply, method};
use memplug_varlink::Replies;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::os::fd::BorrowedFd;

/// A step of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was taken on, under this number.
    Begun(u64),
    /// A block is being emptied.
    Moving {
        /// Which, if the change is about blocks.
        block: Option<u64>,
        /// How far.
        progress: Progress,
    },
}

/// Calls a change, tells its steps, and gives its last reply.
pub(crate) fn changed<T: DeserializeOwned>(
    client: &mut Client,
    name: &str,
    parameters: &impl Serialize,
    mut tell: impl FnMut(Step),
) -> Result<T, ClientError> {
    let (mut last, mut ahead) = (None, Vec::new());
    for reply in client.inner.call_more(&method(name), parameters)? {
        let reply = reply?;
        // Shaped as the steps of every change are; other fields of a last reply are not read.
        let step = json!({
            "operation": reply.get("operation"),
            "block": reply.get("block"),
            "progress": reply.get("progress"),
        });
        if let Ok(step) = read::<OfflineReply>(step) {
            if let Some(operation) = step.operation {
                tell(Step::Begun(operation));
            }
            if let Some(progress) = step.progress {
                let block = step.block;
                tell(Step::Moving { block, progress });
            }
        }
        if let Some(Value::Array(done)) = reply.get("done") {
            ahead.extend_from_slice(done);
        }
        last = Some(reply);
    }
    let mut last = last.ok_or_else(nothing_said)?;
    if let Some(Value::Array(done)) = last.pointer_mut("/outcome/done") {
        ahead.append(done);
        *done = ahead;
    }
    read(last)
}

/// Everything that happens, one after the other.
#[derive(Debug)]
pub struct Watching<'c> {
    replies: Replies<'c>,
}

impl<'c> Watching<'c> {
    pub(crate) fn over(replies: Replies<'c>) -> Self {
        Self { replies }
    }

    /// Ends, too, as soon as the reader of `output` (a pipe or a socket) has closed it, without
    /// waiting for something to happen.
    pub fn while_read(self, output: BorrowedFd<'c>) -> Self {
        Self {
            replies: self.replies.while_read(output),
        }
    }
}

impl Iterator for Watching<'_> {
    type Item = Result<Event, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let reply: Value = match self.replies.next()? {
                Ok(reply) => reply,
                Err(error) => return Some(Err(error.into())),
            };
            match read::<WatchReply>(reply) {
                Ok(WatchReply { event: Some(event) }) => return Some(Ok(event)),
                Ok(WatchReply { event: None }) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
