//! Streams of events: each caller that watches has a bounded queue, and is expelled when it is
//! full. The thread that tells an event puts it into the queues and goes on.

use crate::service::Machine;
use memplug_interface::{Event, WatchReply, errors};
use memplug_varlink::Exchange;
use serde_json::json;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Events that wait for a caller: a device of thousands of blocks tells of each at once.
const QUEUE: usize = 16 << 10;
/// So long a queue is waited on before it is seen whether the caller is still there.
pub(crate) const LOOKS: Duration = Duration::from_millis(25);

type Queue = SyncSender<Arc<Event>>;

/// Callers that watch.
#[derive(Default)]
pub(crate) struct Watchers {
    list: Mutex<(Vec<(u64, Queue)>, u64)>,
}

impl Watchers {
    fn list(&self) -> MutexGuard<'_, (Vec<(u64, Queue)>, u64)> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn count(&self) -> usize {
        self.list().0.len()
    }

    /// Tells all; one with a full queue is expelled.
    pub(crate) fn tell(&self, event: Event) {
        let event = Arc::new(event);
        self.list()
            .0
            .retain(|(_, queue)| match queue.try_send(event.clone()) {
                Ok(()) => true,
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => false,
            });
    }
}

/// Answers `Watch` until the caller goes away.
pub(crate) fn watch(machine: &Machine, exchange: &mut Exchange<'_>) {
    if !exchange.needs_more() {
        return;
    }
    let watchers = &machine.watchers;
    let (queue, events) = sync_channel(QUEUE);
    let id = {
        let mut list = watchers.list();
        list.1 += 1;
        let id = list.1;
        list.0.push((id, queue));
        id
    };
    exchange.reply_continues(&WatchReply::default());
    loop {
        match events.recv_timeout(LOOKS) {
            Ok(event) => exchange.reply_continues(&json!({ "event": &*event })),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                let message = "events came faster than they were read; watch again and read faster";
                exchange.error(errors::EXPELLED, &json!({ "message": message }));
                break;
            }
        }
        if exchange.is_gone() {
            break;
        }
    }
    watchers.list().0.retain(|(other, _)| *other != id);
}
