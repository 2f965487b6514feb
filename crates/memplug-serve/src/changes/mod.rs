//! The methods that change something.
//!
//! A change runs on a thread of its own while that of the connection passes progress on and
//! looks whether the caller is still there: one that goes away cancels what it began.
//!
//! - `blocks`: bringing several blocks online or offline, all or none or as many as can be.
//! - this file: the calls.

mod blocks;

use crate::operations::{Ticket, Told};
use crate::parameters::read;
use crate::service::Machine;
use crate::watching::LOOKS;
use blocks::Blocks;
use memplug_control::{Control, ControlError, PolicyName, Progress, TargetChoice};
use memplug_interface::{
    AddParameters, AddReply, CancelParameters, Failed, Mode, OfflineParameters, OfflineReply,
    OnlineParameters, OnlineReply, Outcome, PolicyReply, RemoveParameters, RemoveReply,
    SetPolicyParameters, Target, errors,
};
use memplug_varlink::Exchange;
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

/// Progress that waits for a caller; more of it is left out.
const PROGRESS: usize = 16;

/// Blocks that went are told of so many at a time.
const DONE_AT_A_TIME: usize = 2048;

enum Message {
    Progress(Value),
    Ended(Result<Value, Box<Failed>>),
}

/// What a running change has: its place in the list, and a way to tell progress.
struct Running {
    control: Arc<dyn Control>,
    ticket: Ticket,
    told: SyncSender<Message>,
    wants_more: bool,
}

impl Running {
    /// Tells of blocks that went ahead of an outcome that is too long for one message.
    fn tell_ahead(&self, outcome: &mut Outcome) {
        while outcome.done.len() > DONE_AT_A_TIME {
            let rest = outcome.done.split_off(DONE_AT_A_TIME);
            let part = std::mem::replace(&mut outcome.done, rest);
            if self.wants_more {
                // Nobody waits any more if the connection's thread is gone.
                let _ = self.told.send(Message::Progress(json!({ "done": part })));
            }
        }
    }

    /// Progress in the words of `shape`, as often as it comes (`memplug-control` paces it).
    fn progress(&self, shape: impl Fn(&Progress) -> Value + Send + Sync + 'static) -> Told {
        let told = self.told.clone();
        Arc::new(move |progress| {
            // A caller that reads slowly gets less of it.
            let _ = told.try_send(Message::Progress(shape(progress)));
        })
    }
}

fn value(of: &impl Serialize) -> Value {
    serde_json::to_value(of).unwrap_or_default()
}

/// Runs a change and answers with what it came to.
fn run<T: Serialize>(
    machine: &Machine,
    exchange: &mut Exchange<'_>,
    deadline_ms: Option<u64>,
    change: impl FnOnce(&Running) -> Result<T, Box<Failed>> + Send + 'static,
) {
    let Some(ticket) = machine
        .operations
        .begin(deadline_ms.map(Duration::from_millis))
    else {
        return exchange.error(errors::STOPPING, &json!({}));
    };
    let operation = ticket.operation().clone();
    let (told, messages) = sync_channel(PROGRESS);
    let running = Running {
        control: machine.control.clone(),
        ticket,
        told,
        wants_more: exchange.wants_more(),
    };
    let span = tracing::info_span!(
        "operation",
        id = operation.id(),
        method = exchange.method(),
        uid = exchange.peer().uid
    );
    let thread = thread::Builder::new().name("operation".into());
    let begun = thread.spawn(move || {
        let _entered = span.enter();
        let ended = change(&running).map(|done| value(&done));
        let Running { ticket, told, .. } = running;
        drop(ticket);
        // Nobody waits any more if the connection's thread is gone.
        let _ = told.send(Message::Ended(ended));
    });
    if let Err(error) = begun {
        let error = ControlError::Platform {
            errno: 11,
            message: format!("no thread for the operation: {error}; try again"),
        };
        return crate::service::failed(exchange, &error);
    }
    exchange.reply_continues(&json!({ "operation": operation.id() }));
    loop {
        match messages.recv_timeout(LOOKS) {
            Ok(Message::Progress(progress)) => exchange.reply_continues(&progress),
            Ok(Message::Ended(Ok(done))) => return exchange.reply(&done),
            Ok(Message::Ended(Err(failed))) => return exchange.error(errors::FAILED, &*failed),
            Err(RecvTimeoutError::Timeout) => {}
            // The change panicked; the connection ends without an answer.
            Err(RecvTimeoutError::Disconnected) => return exchange.hangup().hang_up(),
        }
        if exchange.is_gone() {
            operation.cancel();
        }
    }
}

/// Answers `Add`.
pub(crate) fn add(machine: &Arc<Machine>, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<AddParameters>(exchange) else {
        return;
    };
    let Ok(spec) = parameters.spec() else {
        return exchange.invalid_parameter("group_id");
    };
    run(machine, exchange, parameters.deadline_ms, move |running| {
        let attempt = running.ticket.attempt(TargetChoice::default(), None);
        let added = running.ticket.ended(running.control.add(&spec, &attempt));
        let mut added = added.map_err(|error| Box::new(Failed::from(&error)))?;
        // The last one may be the failure that ended it.
        let last = added.auto_online.len().saturating_sub(1);
        added.auto_online.drain(last.min(DONE_AT_A_TIME)..last);
        Ok(AddReply {
            operation: None,
            added: Some(added),
        })
    });
}

/// What every change of blocks is asked with.
struct Asked {
    what: Target,
    node: Option<u32>,
    mode: Option<Mode>,
    placement: Option<TargetChoice>,
    deadline_ms: Option<u64>,
}

/// Runs a change of blocks.
fn run_blocks<T: Serialize>(
    machine: &Machine,
    exchange: &mut Exchange<'_>,
    asked: &Asked,
    change: impl FnOnce(&Blocks<'_>) -> Result<T, Box<Failed>> + Send + 'static,
) {
    let Ok(what) = asked.what.what() else {
        return exchange.invalid_parameter("what");
    };
    let (node, mode) = (asked.node, asked.mode.unwrap_or_default());
    let placement = asked.placement.unwrap_or_default();
    run(machine, exchange, asked.deadline_ms, move |running| {
        change(&Blocks {
            running,
            mode,
            what,
            node,
            placement,
        })
    });
}

/// Answers `Online`.
pub(crate) fn online(machine: &Arc<Machine>, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<OnlineParameters>(exchange) else {
        return;
    };
    let (word, asked) = (
        parameters.word,
        Asked {
            what: parameters.what,
            node: parameters.node,
            mode: parameters.mode,
            placement: None,
            deadline_ms: parameters.deadline_ms,
        },
    );
    run_blocks(machine, exchange, &asked, move |blocks| {
        let mut outcome = blocks.online(word)?;
        blocks.running.tell_ahead(&mut outcome);
        Ok(OnlineReply {
            outcome: Some(outcome),
            ..OnlineReply::default()
        })
    });
}

/// Answers `Offline`.
pub(crate) fn offline(machine: &Arc<Machine>, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<OfflineParameters>(exchange) else {
        return;
    };
    let asked = Asked {
        what: parameters.what,
        node: parameters.node,
        mode: parameters.mode,
        placement: parameters.placement,
        deadline_ms: parameters.deadline_ms,
    };
    run_blocks(machine, exchange, &asked, |blocks| {
        let mut outcome = blocks.offline()?;
        blocks.running.tell_ahead(&mut outcome);
        Ok(OfflineReply {
            outcome: Some(outcome),
            ..OfflineReply::default()
        })
    });
}

/// Answers `Remove`.
pub(crate) fn remove(machine: &Arc<Machine>, exchange: &mut Exchange<'_>) {
    let Some(parameters) = read::<RemoveParameters>(exchange) else {
        return;
    };
    let how = parameters.how();
    run(machine, exchange, parameters.deadline_ms, move |running| {
        let progress = running.progress(|progress| json!({ "progress": progress }));
        let attempt = running
            .ticket
            .attempt(TargetChoice::default(), Some(progress));
        let removed = running.control.remove(parameters.device, how, &attempt);
        let removed = running.ticket.ended(removed);
        let report = removed.map_err(|error| Box::new(Failed::from(&error)))?;
        Ok(RemoveReply {
            removed: Some(report.into()),
            ..RemoveReply::default()
        })
    });
}

/// Answers `Cancel`.
pub(crate) fn cancel(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(CancelParameters { operation }) = read(exchange) else {
        return;
    };
    if machine.operations.cancel(operation) {
        exchange.reply(&json!({}));
    } else {
        exchange.error(
            errors::NO_SUCH_OPERATION,
            &json!({ "operation": operation }),
        );
    }
}

/// Answers `SetPolicy`.
pub(crate) fn set_policy(machine: &Machine, exchange: &mut Exchange<'_>) {
    let Some(SetPolicyParameters { name, value }) = read(exchange) else {
        return;
    };
    let set = PolicyName::of(&name).and_then(|name| {
        machine.control.set_policy(name, &value)?;
        machine.control.policy()
    });
    crate::service::answer(exchange, set.map(|policy| PolicyReply { policy }));
}
