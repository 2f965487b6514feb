//! Being a notifier from another process: notices come over one connection, answers go over a
//! second one, and the callback runs on a thread between.

use crate::client::{Client, nothing_said, read};
use crate::error::ClientError;
use memplug_control::{Answer, MemoryEvent};
use memplug_interface::{
    AnswerParameters, AnswerWord, Notice, SubscribeParameters, SubscribeReply, method,
};
use memplug_varlink::Replies;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Under which name a process subscribes, and how.
#[derive(Clone, Debug)]
pub struct Subscriber(SubscribeParameters);

impl Subscriber {
    /// All events, priority 0, the service's time limit, consent when silent.
    pub fn named(name: impl Into<String>) -> Self {
        Self(SubscribeParameters {
            name: name.into(),
            ..SubscribeParameters::default()
        })
    }
    /// Higher is asked first.
    pub fn priority(mut self, priority: i32) -> Self {
        self.0.priority = Some(priority);
        self
    }
    /// These events only.
    pub fn events(mut self, events: impl Into<Vec<MemoryEvent>>) -> Self {
        self.0.events = Some(events.into());
        self
    }
    /// Time for an answer.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.0.limit_ms = Some(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        self
    }
    /// What counts when it stays silent.
    pub fn default_answer(mut self, answer: AnswerWord) -> Self {
        self.0.default_answer = Some(answer);
        self
    }
}

/// Under the name of this program.
impl From<i32> for Subscriber {
    fn from(priority: i32) -> Self {
        let program = std::env::args_os().next().unwrap_or_default();
        let name = std::path::Path::new(&program).file_name();
        let name = name.map(|name| name.to_string_lossy().chars().take(32).collect::<String>());
        Self::named(name.unwrap_or_else(|| "subscriber".into())).priority(priority)
    }
}

/// A place on the chain of a machine, until it is dropped.
#[derive(Debug)]
pub struct Subscription {
    stream: UnixStream,
    /// What its callback answers no longer counts.
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// Hangs up when dropped, also while a callback panics: the service need not wait for it then.
struct HangUp(UnixStream);

impl Drop for HangUp {
    fn drop(&mut self) {
        // The service may have hung up first.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

fn words(answer: Answer) -> (AnswerWord, Option<u16>, Option<String>) {
    match answer {
        Answer::Done => (AnswerWord::Done, None, None),
        Answer::Ok => (AnswerWord::Ok, None, None),
        Answer::Stop => (AnswerWord::Stop, None, None),
        Answer::Bad => (AnswerWord::Refuse, Some(1), None),
        Answer::Refuse { errno, reason } => {
            let errno = if (1..=4095).contains(&errno) {
                errno
            } else {
                1
            };
            (AnswerWord::Refuse, Some(errno), Some(reason))
        }
        // A number of C has no meaning across processes but its refusal.
        Answer::Raw(raw) if raw & 0x7fff > 1 => (AnswerWord::Refuse, Some(1), None),
        Answer::Raw(_) => (AnswerWord::Ok, None, None),
    }
}

/// Subscribes; the notices to come, and the secret that answers bear.
fn subscribed<'c>(
    client: &'c mut Client,
    subscriber: &SubscribeParameters,
) -> Result<(Replies<'c>, String), ClientError> {
    let mut replies = client.inner.call_more(&method("Subscribe"), subscriber)?;
    let first = replies.next().ok_or_else(nothing_said)??;
    let secret = read::<SubscribeReply>(first)?.subscription;
    Ok((replies, secret.ok_or_else(nothing_said)?))
}

impl Subscription {
    pub(crate) fn new(
        client: &Client,
        subscriber: Subscriber,
        mut callback: impl FnMut(&Notice) -> Answer + Send + 'static,
    ) -> Result<Self, ClientError> {
        let (mut notices, mut answers) = (client.again()?, client.again()?);
        let stream = || {
            let stream = notices.inner.try_clone_stream();
            stream.map_err(|error| ClientError::Call(error.into()))
        };
        let (stream, hang_up) = (stream()?, HangUp(stream()?));
        let over = Arc::new(AtomicBool::new(false));
        let is_over = over.clone();
        let (placed, place) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            let _hang_up = hang_up;
            let (replies, secret) = match subscribed(&mut notices, &subscriber.0) {
                Ok(subscribed) => subscribed,
                Err(error) => return drop(placed.send(Err(error))),
            };
            // Nobody waits for it only if this very call has panicked.
            let _ = placed.send(Ok(()));
            for reply in replies {
                let reply = reply
                    .map_err(ClientError::from)
                    .and_then(read::<SubscribeReply>);
                let Ok(SubscribeReply {
                    notice: Some(notice),
                    ..
                }) = reply
                else {
                    return;
                };
                let (answer, errno, reason) = words(callback(&notice));
                if is_over.load(Ordering::Acquire) {
                    return;
                }
                if notice.answer_within_ms.is_none() {
                    continue;
                }
                let parameters = AnswerParameters {
                    subscription: secret.clone(),
                    notice: notice.id,
                    answer,
                    errno,
                    reason: reason.map(|reason| reason.chars().take(256).collect()),
                };
                // One that comes too late is of no effect, as the interface says.
                let _ = answers.inner.call(&method("Answer"), &parameters);
            }
        });
        let mut subscription = Self {
            stream,
            over,
            thread: Some(thread),
        };
        match place.recv().unwrap_or_else(|_| Err(nothing_said())) {
            Ok(()) => Ok(subscription),
            Err(error) => {
                subscription.end();
                Err(error)
            }
        }
    }

    /// Whether the service still has it.
    pub fn is_alive(&self) -> bool {
        self.thread
            .as_ref()
            .is_some_and(|thread| !thread.is_finished())
    }

    fn end(&mut self) {
        self.over.store(true, Ordering::Release);
        // The service may have hung up first.
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take()
            // Dropped by its own callback, it ends when that returns.
            && thread.thread().id() != thread::current().id()
        {
            // A callback that panicked ended the subscription, and nothing else.
            let _ = thread.join();
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.end();
    }
}
