//! Other processes as notifiers.
//!
//! A subscriber's notices wait in a queue for the thread of its connection; the thread of the
//! transaction waits for the answer, for no longer than the subscriber's limit, its life, and
//! the operation's own time. At events that cannot be refused nobody is waited for. A subscriber
//! with a full queue is expelled: its connection ends, its place on the chain is given up.
//!
//! Whatever is listed, audited or answered names a subscriber by its name only. So a subscriber with
//! a name that another has already gets a number behind it, for as long as it is subscribed.

use crate::audit::{Audit, Fate};
use crate::operations::{self, Operations};
use crate::parameters::read;
use crate::service::{Machine, answer as answer_with, failed};
use crate::watching::LOOKS;
use memplug_control::{Answer, ControlError, Notice as Told, SubscriberSpec};
use memplug_interface::{
    AnswerParameters, AnswerWord, Notice, Notifier, NotifiersReply, Sort, SubscribeParameters,
    SubscribeReply, errors,
};
use memplug_varlink::{Exchange, Hangup};
use serde_json::json;
use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Notices that wait for a subscriber.
const QUEUE: usize = 64;
/// Subscribers at a time; each delays whatever is done by up to its limit.
const SUBSCRIBERS: usize = 128;
/// Time for an answer, unless declared.
const DEFAULT_LIMIT_MS: u64 = 5_000;
/// Longest time for an answer that can be declared.
const LONGEST_LIMIT_MS: u64 = 600_000;
/// So often the thread that waits for an answer looks whether the operation should end.
const SLICE: Duration = Duration::from_millis(20);
/// Longest reason of a refusal.
const REASON_BYTES: usize = 1024;

#[derive(Default)]
struct State {
    last: u64,
    /// The notice that waits for an answer, and the answer.
    waiting: Option<(u64, Option<Answer>)>,
    dead: bool,
}

pub(crate) struct Subscriber {
    name: String,
    priority: i32,
    uid: u32,
    limit: Duration,
    default: Answer,
    queue: SyncSender<Notice>,
    hangup: Hangup,
    state: Mutex<State>,
    changed: Condvar,
}

impl Subscriber {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is not waited for any more.
    fn die(&self) {
        self.state().dead = true;
        self.changed.notify_all();
    }

    fn send(&self, notice: Notice) -> bool {
        let sent = self.queue.try_send(notice).is_ok();
        if !sent {
            tracing::warn!(name = self.name, "expelled: its queue is full");
            self.die();
            self.hangup.hang_up();
        }
        sent
    }

    /// Tells it, on the thread of the transaction, and waits for its answer if one counts.
    fn tell(&self, told: &Told, audit: &Audit, operations: &Operations) -> Answer {
        let refusable = told.event.is_refusable();
        let mut state = self.state();
        if state.dead {
            audit.note(&self.name, self.priority, Fate::Died);
            return Answer::Done;
        }
        state.last += 1;
        let id = state.last;
        state.waiting = refusable.then_some((id, None));
        drop(state);
        let within = u64::try_from(self.limit.as_millis()).unwrap_or(u64::MAX);
        let sent = self.send(Notice {
            id,
            txn: told.txn,
            event: told.event,
            notify: told.notify,
            block: told.block,
            node: told.node,
            zone: told.zone,
            answer_within_ms: refusable.then_some(within),
        });
        if refusable && sent {
            return self.wait(told, audit, operations);
        }
        if !sent {
            audit.note(&self.name, self.priority, Fate::Died);
        }
        Answer::Done
    }

    fn wait(&self, told: &Told, audit: &Audit, operations: &Operations) -> Answer {
        let until = Instant::now() + self.limit;
        let mut state = self.state();
        loop {
            if let Some((_, Some(_))) = &state.waiting {
                let answer = state.waiting.take().and_then(|(_, answer)| answer);
                return answer.unwrap_or_default();
            }
            if state.dead {
                state.waiting = None;
                audit.note(&self.name, self.priority, Fate::Died);
                return Answer::Done;
            }
            let left = until.saturating_duration_since(Instant::now());
            let overdue = operations.is_overdue();
            if left.is_zero() || overdue {
                state.waiting = None;
                audit.note(&self.name, self.priority, Fate::Silent);
                if !operations::ends_by_itself(told.event, overdue) {
                    return self.default.clone();
                }
                drop(state);
                operations.waited_for(&self.name, told);
                return Answer::Done;
            }
            let waited = self.changed.wait_timeout(state, left.min(SLICE));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes the answer to a notice. Whether one was waited for.
    fn answer(&self, notice: u64, answer: Answer) -> bool {
        let mut state = self.state();
        let waits = matches!(state.waiting, Some((id, None)) if id == notice);
        if waits {
            state.waiting = Some((notice, Some(answer)));
            self.changed.notify_all();
        }
        waits
    }
}

/// Subscribers by their secret.
#[derive(Default)]
pub(crate) struct Subscribers(Mutex<HashMap<String, Arc<Subscriber>>>);

/// A listed subscriber; gone from the list when dropped.
struct Listed<'s> {
    list: &'s Subscribers,
    secret: String,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.list.list().remove(&self.secret);
    }
}

impl Subscribers {
    fn list(&self) -> MutexGuard<'_, HashMap<String, Arc<Subscriber>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters what `make` makes of a name that is free: the one wanted, if nobody here has it, nor
    /// any of `others`.
    fn enter(
        &self,
        wanted: &str,
        others: &HashSet<String>,
        make: impl FnOnce(String) -> Subscriber,
    ) -> Result<(Listed<'_>, Arc<Subscriber>), ControlError> {
        let mut list = self.list();
        if list.len() >= SUBSCRIBERS {
            return Err(ControlError::Unsupported {
                what: format!("more than {SUBSCRIBERS} subscribers"),
                remedy: "end one first".into(),
            });
        }
        let secret = secret()?;
        let taken = |name: &str| others.contains(name) || list.values().any(|one| one.name == name);
        let subscriber = Arc::new(make(free_name(wanted, taken)));
        list.insert(secret.clone(), subscriber.clone());
        drop(list);
        Ok((Listed { list: self, secret }, subscriber))
    }

    fn uid(&self, name: &str, priority: i32) -> Option<u32> {
        let list = self.list();
        let mut all = list.values();
        let found = all.find(|one| one.name == name && one.priority == priority);
        found.map(|one| one.uid)
    }
}

/// The name, or with the lowest number that makes it one nobody has: `name#2`. A long one is cut.
fn free_name(wanted: &str, taken: impl Fn(&str) -> bool) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2u64;
    while taken(&name) {
        let behind = format!("#{number}");
        let mut end = SubscriberSpec::NAME_BYTES.saturating_sub(behind.len());
        end = end.min(wanted.len());
        while !wanted.is_char_boundary(end) {
            end -= 1;
        }
        name = format!("{}{behind}", wanted.get(..end).unwrap_or_default());
        number += 1;
    }
    name
}

/// 128 bits that nobody guesses.
fn secret() -> Result<String, ControlError> {
    let mut bytes = [0u8; 16];
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    if filled != Ok(bytes.len()) {
        return Err(ControlError::Platform {
            errno: 11,
            message: "the system has no random numbers; try again".into(),
        });
    }
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

fn limit_of(parameters: &SubscribeParameters) -> Option<u64> {
    let limit = parameters.limit_ms.unwrap_or(DEFAULT_LIMIT_MS);
    (1..=LONGEST_LIMIT_MS).contains(&limit).then_some(limit)
}

/// Answers `Subscribe` until the caller goes away.
pub(crate) fn subscribe(machine: &Arc<Machine>, exchange: &mut Exchange<'_>) {
    if !exchange.needs_more() {
        return;
    }
    let Some(parameters) = read::<SubscribeParameters>(exchange) else {
        return;
    };
    let Some(limit_ms) = limit_of(&parameters) else {
        return exchange.invalid_parameter("limit_ms");
    };
    if parameters.name.starts_with("hook:") {
        return exchange.invalid_parameter("name");
    }
    let (queue, notices) = sync_channel(QUEUE);
    let default = parameters.default_answer.unwrap_or_default();
    let (peer, hangup) = (exchange.peer().uid, exchange.hangup());
    let make = |name| Subscriber {
        priority: parameters.priority.unwrap_or(0),
        uid: peer,
        limit: Duration::from_millis(limit_ms),
        default: default.answer(None, Some("it stayed silent, which counts as no".into())),
        queue,
        hangup,
        state: Mutex::default(),
        changed: Condvar::new(),
        name,
    };
    let entered = machine.control.subscribers().and_then(|others| {
        let others = others.into_iter().map(|other| other.name).collect();
        machine.subscribers.enter(&parameters.name, &others, make)
    });
    let (listed, subscriber) = match entered {
        Ok(entered) => entered,
        Err(error) => return failed(exchange, &error),
    };
    let spec = SubscriberSpec {
        events: parameters.events.unwrap_or_default(),
        ..SubscriberSpec::new(subscriber.name.clone(), subscriber.priority)
    };
    let (told, audit, operations) = (
        subscriber.clone(),
        machine.audit.clone(),
        machine.operations.clone(),
    );
    let callback = Box::new(move |notice: &Told| told.tell(notice, &audit, &operations));
    let guard = match machine.control.subscribe(&spec, callback) {
        Ok(guard) => guard,
        Err(error) => return failed(exchange, &error),
    };
    tracing::info!(name = subscriber.name, uid = subscriber.uid, "subscribed");
    exchange.reply_continues(&SubscribeReply {
        subscription: Some(listed.secret.clone()),
        notice: None,
    });
    deliver(&notices, exchange);
    subscriber.die();
    drop(guard);
    machine.audit.forget(&subscriber.name, subscriber.priority);
    tracing::info!(name = subscriber.name, uid = subscriber.uid, "unsubscribed");
}

/// Hands notices on until the caller is gone.
fn deliver(notices: &Receiver<Notice>, exchange: &mut Exchange<'_>) {
    while !exchange.is_gone() {
        match notices.recv_timeout(LOOKS) {
            Ok(notice) => exchange.reply_continues(&SubscribeReply {
                subscription: None,
                notice: Some(notice),
            }),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Answers `Answer`.
pub(crate) fn answer(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<AnswerParameters>(exchange) else {
        return;
    };
    if parameters
        .errno
        .is_some_and(|errno| !(1..=4095).contains(&errno))
    {
        return exchange.invalid_parameter("errno");
    }
    if parameters
        .reason
        .as_ref()
        .is_some_and(|reason| reason.len() > REASON_BYTES)
    {
        return exchange.invalid_parameter("reason");
    }
    let found = machine
        .subscribers
        .list()
        .get(&parameters.subscription)
        .cloned();
    let uid = exchange.peer().uid;
    let Some(subscriber) = found.filter(|one| uid == 0 || uid == one.uid) else {
        let message = "no such subscription of yours; it ended, or was never there";
        return exchange.error(errors::NO_SUCH_SUBSCRIPTION, &json!({ "message": message }));
    };
    let reason = parameters.reason.map(|reason| one_line(&reason));
    let answer = parameters.answer.answer(parameters.errno, reason);
    if subscriber.answer(parameters.notice, answer) {
        exchange.reply(&json!({}));
    } else {
        exchange.error(
            errors::NO_SUCH_NOTICE,
            &json!({ "notice": parameters.notice }),
        );
    }
}

/// A text of strangers as one line without control characters.
pub(crate) fn one_line(text: &str) -> String {
    let clean = text.split_whitespace().collect::<Vec<_>>().join(" ");
    clean.chars().filter(|c| !c.is_control()).collect()
}

/// Answers `ListNotifiers`.
pub(crate) fn list(machine: &Machine, exchange: &mut Exchange<'_>) {
    let found = machine.control.subscribers().map(|all| {
        let notifiers = all.into_iter().map(|mut info| {
            let uid = machine.subscribers.uid(&info.name, info.priority);
            info.timeouts += machine.audit.silences(&info.name, info.priority);
            let sort = match uid {
                Some(_) => Sort::Subscriber,
                None if info.name.starts_with("hook:") => Sort::Hook,
                None => Sort::Callback,
            };
            Notifier { info, sort, uid }
        });
        NotifiersReply {
            notifiers: notifiers.collect(),
        }
    });
    answer_with(exchange, found);
}

/// What counts when a notifier fails, with these words for a refusal.
pub(crate) fn default_answer(word: AnswerWord, why: &str) -> Answer {
    word.answer(None, Some(why.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_taken_gets_the_lowest_free_number() {
        let named = |wanted: &str, taken: &[&str]| free_name(wanted, |name| taken.contains(&name));
        assert_eq!(named("a", &[]), "a");
        assert_eq!(named("a", &["a"]), "a#2");
        assert_eq!(named("a", &["a", "a#3"]), "a#2");
        assert_eq!(named("a", &["a", "a#2"]), "a#3");
        assert_eq!(named("a#2", &["a", "a#2"]), "a#2#2");
        let long = "\u{e9}".repeat(32);
        let numbered = named(&long, &[&long]);
        assert_eq!(numbered, format!("{}#2", "\u{e9}".repeat(31)));
        assert!(numbered.len() <= SubscriberSpec::NAME_BYTES);
    }
}
