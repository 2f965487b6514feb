//! Subscribers and their time limits.
//!
//! Without a limit a callback runs on the thread of the transaction. With one it runs on a
//! thread of its own, which gets the notices in order; a subscriber that has not answered in time
//! counts as its default, and hears the rest when it comes back. So a silent subscriber costs its
//! limit once an event, and one that never comes back costs nothing but a full queue.

use super::{convert, journal::Journal, us};
use crate::control::Guard;
use crate::error::ControlError;
use crate::subscribe::{Answer, Callback, Notice, SubscriberInfo, SubscriberSpec};
use memplug::core::SubscriberStats;
use memplug::{Geometry, Machine};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

/// Notices that wait for a subscriber that is slow.
const QUEUE: usize = 64;
/// Longest name.
const NAME_BYTES: usize = SubscriberSpec::NAME_BYTES;

struct Entry {
    name: String,
    priority: i32,
    timeouts: AtomicU64,
}

/// What is kept of the limits.
#[derive(Default)]
pub(super) struct Limits(Mutex<Vec<Weak<Entry>>>);

type Job = (Notice, Sender<Answer>);

/// A callback on a thread of its own.
struct Elsewhere {
    queue: SyncSender<Job>,
    limit: Duration,
    default: Answer,
    entry: Arc<Entry>,
}

impl Elsewhere {
    fn ask(&self, notice: Notice) -> Answer {
        let (answer, answered) = channel();
        let asked = self.queue.try_send((notice, answer)).is_ok();
        let given = asked
            .then(|| answered.recv_timeout(self.limit).ok())
            .flatten();
        given.unwrap_or_else(|| {
            self.entry.timeouts.fetch_add(1, Ordering::Relaxed);
            self.default.clone()
        })
    }
}

fn serve(callback: &Callback, jobs: &Receiver<Job>) {
    for (notice, answer) in jobs {
        // Nobody waits any more for an answer that comes too late.
        let _ = answer.send(callback(&notice));
    }
}

impl Limits {
    pub(super) fn subscribe(
        &self,
        machine: &Machine,
        journal: &Arc<Journal>,
        spec: &SubscriberSpec,
        callback: Callback,
    ) -> Result<Guard, ControlError> {
        let name_fits = (1..=NAME_BYTES).contains(&spec.name.len());
        if !name_fits || spec.name.contains(char::is_control) {
            return Err(ControlError::BadValue {
                name: "the name of a subscriber".into(),
                value: spec.name.chars().take(NAME_BYTES).collect(),
                takes: "1 to 64 bytes without control characters".into(),
                range: false,
            });
        }
        let entry = Arc::new(Entry {
            name: spec.name.clone(),
            priority: spec.priority,
            timeouts: AtomicU64::new(0),
        });
        let ask = asker(spec, callback, &entry)?;
        let (journal, wanted) = (Arc::downgrade(journal), spec.clone());
        let geometry = *machine.hotplug().geometry();
        let called = move |notice: &memplug::Notice<'_>| {
            if !wanted.wants(notice.event.into()) {
                return memplug::Answer::Done;
            }
            let txn = journal.upgrade().and_then(|journal| journal.current());
            convert::core_answer(ask(notice_of(notice, &geometry, txn)))
        };
        let registration = machine.subscribe(&spec.name, spec.priority, called);
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.retain(|entry| entry.strong_count() > 0);
        entries.push(Arc::downgrade(&entry));
        Ok(Guard::new((registration, entry)))
    }

    pub(super) fn info(&self, stats: SubscriberStats) -> SubscriberInfo {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mine = entries.iter().filter_map(Weak::upgrade);
        let mut mine =
            mine.filter(|entry| entry.name == stats.name && entry.priority == stats.priority);
        let timeouts = mine
            .next()
            .map(|entry| entry.timeouts.load(Ordering::Relaxed));
        SubscriberInfo {
            name: stats.name,
            priority: stats.priority,
            calls: stats.calls,
            refusals: stats.refusals,
            panics: stats.panics,
            timeouts: timeouts.unwrap_or(0),
            last_refusal: stats.last_refusal,
            last_us: us(stats.last),
            longest_us: us(stats.longest),
        }
    }
}

type Ask = Box<dyn Fn(Notice) -> Answer + Send + Sync>;

/// How the callback is asked: here, or elsewhere with a limit.
fn asker(
    spec: &SubscriberSpec,
    callback: Callback,
    entry: &Arc<Entry>,
) -> Result<Ask, ControlError> {
    let Some(limit) = spec.limit_ms else {
        return Ok(Box::new(move |notice| callback(&notice)));
    };
    let (queue, jobs) = sync_channel(QUEUE);
    let thread = std::thread::Builder::new().name("subscriber".into());
    let begun = thread.spawn(move || serve(&callback, &jobs));
    begun.map_err(|error| ControlError::Platform {
        errno: 11,
        message: format!("no thread for subscriber {}: {error}; try again", spec.name),
    })?;
    let elsewhere = Elsewhere {
        queue,
        limit: Duration::from_millis(limit),
        default: spec.default_answer.clone(),
        entry: entry.clone(),
    };
    Ok(Box::new(move |notice| elsewhere.ask(notice)))
}

fn notice_of(notice: &memplug::Notice<'_>, geometry: &Geometry, txn: Option<u64>) -> Notice {
    Notice {
        txn,
        event: notice.event.into(),
        notify: convert::notify(notice.notify),
        block: geometry.block_of(notice.notify.start_pfn).get(),
        node: u32::from(notice.node.get()),
        zone: notice.zone.into(),
    }
}
