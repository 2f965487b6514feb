//! Subscribing, answering, and the audit.
//!
//! Answers are words with operands beside them, since Varlink has no words with operands inside.

use memplug_control::{Answer, CallReport, MemoryEvent, Notify, SubscriberInfo, ZoneName};
use serde::{Deserialize, Serialize};

/// An answer, without what goes with a refusal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerWord {
    /// Not concerned.
    Done,
    /// Consent.
    #[default]
    Ok,
    /// Consent, and nobody of lower priority is asked.
    Stop,
    /// Refusal.
    Refuse,
}

impl AnswerWord {
    /// As the control plane has it; `errno` and `reason` go with a refusal.
    pub fn answer(self, errno: Option<u16>, reason: Option<String>) -> Answer {
        match self {
            Self::Done => Answer::Done,
            Self::Ok => Answer::Ok,
            Self::Stop => Answer::Stop,
            Self::Refuse => Answer::Refuse {
                errno: errno.unwrap_or(16),
                reason: reason.unwrap_or_else(|| "no reason given".into()),
            },
        }
    }
}

/// Parameters of `Subscribe`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscribeParameters {
    /// Its name.
    pub name: String,
    /// Higher is asked first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// Wanted events; all if absent or none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<Vec<MemoryEvent>>,
    /// Time for an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_ms: Option<u64>,
    /// What counts when it stays silent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_answer: Option<AnswerWord>,
}

/// What a notifier is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// To answer with.
    pub id: u64,
    /// The transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<u64>,
    /// The event.
    pub event: MemoryEvent,
    /// Its argument.
    pub notify: Notify,
    /// The block.
    pub block: u64,
    /// The node of the memory.
    pub node: u32,
    /// The zone it comes to or goes from.
    pub zone: ZoneName,
    /// Time for the answer; absent if none is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_within_ms: Option<u64>,
}

/// Reply of `Subscribe`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscribeReply {
    /// To answer with, in the first reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// A notice, in each further one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notice: Option<Notice>,
}

/// Parameters of `Answer`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerParameters {
    /// The subscription.
    pub subscription: String,
    /// The notice.
    pub notice: u64,
    /// The answer.
    pub answer: AnswerWord,
    /// Of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<u16>,
    /// Of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What kind of notifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// In the machine's own process.
    Callback,
    /// Another process.
    Subscriber,
    /// A program of the hook directory.
    Hook,
}

/// A notifier and what is kept of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notifier {
    /// What the control plane keeps.
    #[serde(flatten)]
    pub info: SubscriberInfo,
    /// What kind.
    pub sort: Sort,
    /// The user of a subscriber.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
}

/// Reply of `ListNotifiers`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifiersReply {
    /// Notifiers in the order of calling.
    pub notifiers: Vec<Notifier>,
}

/// One call of one notifier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerGiven {
    /// The notifier.
    pub name: String,
    /// At which priority.
    pub priority: i32,
    /// The answer; absent if it panicked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerWord>,
    /// Of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<u32>,
    /// Of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It did not answer in time.
    pub silent: bool,
    /// It went away meanwhile.
    pub died: bool,
    /// Time it took.
    pub took_us: u64,
}

impl From<&CallReport> for AnswerGiven {
    fn from(call: &CallReport) -> Self {
        let (answer, errno, reason) = match &call.answer {
            None => (None, None, None),
            Some(Answer::Done) => (Some(AnswerWord::Done), None, None),
            Some(Answer::Ok) => (Some(AnswerWord::Ok), None, None),
            Some(Answer::Stop) => (Some(AnswerWord::Stop), None, None),
            Some(Answer::Bad) => (Some(AnswerWord::Refuse), Some(1), None),
            Some(Answer::Refuse { errno, reason }) => {
                let errno = Some(u32::from(*errno));
                (Some(AnswerWord::Refuse), errno, Some(reason.clone()))
            }
            Some(Answer::Raw(_)) => match call.refused_with() {
                Some(errno) => (Some(AnswerWord::Refuse), Some(errno), None),
                None => (Some(AnswerWord::Ok), None, None),
            },
        };
        Self {
            name: call.name.clone(),
            priority: call.priority,
            answer,
            errno,
            reason,
            silent: false,
            died: false,
            took_us: call.took_us,
        }
    }
}

/// What a number that a callback answered comes to.
trait RefusedWith {
    fn refused_with(&self) -> Option<u32>;
}

impl RefusedWith for CallReport {
    fn refused_with(&self) -> Option<u32> {
        // As the chain reads it: the stop bit dropped, what is above one is an error.
        let raw = self.raw? & 0x7fff;
        (raw > 1).then(|| raw - 1)
    }
}

/// An answer, kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Since the machine began.
    pub at_us: u64,
    /// The transaction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<u64>,
    /// The event.
    pub event: MemoryEvent,
    /// The block.
    pub block: u64,
    /// The notifier, and what it answered.
    pub by: AnswerGiven,
}

/// Parameters of `Audit`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditParameters {
    /// Refusals only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusals: Option<bool>,
}

/// Reply of `Audit`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditReply {
    /// Records, oldest first.
    pub records: Vec<AuditRecord>,
}
