//! What a watcher sees, flat: one type with fields that are there as `what` says.
//!
//! The shape of a line of `memplug watch -J`, too; fields are only ever added.

use crate::notifier::AnswerGiven;
use memplug_control::{Happening, MemoryEvent, Notify, Operation, Progress, WatchEvent};
use serde::{Deserialize, Serialize};

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// A transaction began.
    Begun,
    /// An event was sent to the chain.
    Round,
    /// An offline is moving pages.
    Progress,
    /// A uevent.
    Uevent,
    /// A transaction ended.
    Ended,
    /// A setting was changed.
    Policy,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its number.
    pub seq: u64,
    /// Since the machine began.
    pub at_us: u64,
    /// The transaction it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txn: Option<u64>,
    /// What.
    pub what: What,
    /// `begun`: what is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// `begun`: to what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<u64>,
    /// `round`: the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<MemoryEvent>,
    /// `round`: its argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// `round`: the calls, in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<Vec<AnswerGiven>>,
    /// `round`: what it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<u32>,
    /// `progress`: how far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// `uevent`: what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<String>,
    /// `uevent`: the path of its device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devpath: Option<String>,
    /// `uevent`: memory or node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subsystem: Option<String>,
    /// `uevent`: further fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra: Option<Vec<String>>,
    /// `ended`: whether it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// `ended`: the kind of its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `ended`: its error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// `ended`: time it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// `policy`: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `policy`: its value now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

impl Event {
    fn bare(seq: u64, at_us: u64, txn: Option<u64>, what: What) -> Self {
        Self {
            seq,
            at_us,
            txn,
            what,
            operation: None,
            target: None,
            event: None,
            notify: None,
            calls: None,
            errno: None,
            progress: None,
            action: None,
            devpath: None,
            subsystem: None,
            extra: None,
            ok: None,
            kind: None,
            message: None,
            took_us: None,
            name: None,
            value: None,
        }
    }
}

impl From<&WatchEvent> for Event {
    fn from(event: &WatchEvent) -> Self {
        let bare = |what| Self::bare(event.seq, event.at_us, event.txn, what);
        match &event.what {
            Happening::Begun { operation, target } => Self {
                operation: Some(*operation),
                target: Some(*target),
                ..bare(What::Begun)
            },
            Happening::Round(round) => Self {
                event: Some(round.event),
                notify: Some(round.notify),
                calls: Some(round.calls.iter().map(AnswerGiven::from).collect()),
                errno: round.errno,
                ..bare(What::Round)
            },
            Happening::Progress(progress) => Self {
                progress: Some(*progress),
                ..bare(What::Progress)
            },
            Happening::Uevent {
                action,
                subject,
                extra,
            } => Self {
                action: Some(action.word().into()),
                devpath: Some(subject.devpath()),
                subsystem: Some(subject.subsystem().into()),
                extra: (!extra.is_empty()).then(|| extra.clone()),
                ..bare(What::Uevent)
            },
            Happening::Ended {
                ok,
                kind,
                message,
                took_us,
            } => Self {
                ok: Some(*ok),
                kind: kind.clone(),
                message: message.clone(),
                took_us: Some(*took_us),
                ..bare(What::Ended)
            },
            Happening::Policy { name, value } => Self {
                name: Some(name.clone()),
                value: Some(value.clone()),
                ..bare(What::Policy)
            },
        }
    }
}

/// Reply of `Watch`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchReply {
    /// Something that happened; absent in the first reply.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Event>,
}
