//! The record: events sent to the chain and uevents, as the lines of the transcripts.
//!
//! An event is there as soon as the chain is called with it; what the call came to is added when
//! it returns, to a line of its own if the first was taken meanwhile. Events are kept from the
//! beginning, uevents from the first time they are asked for. What nobody takes is bounded: the
//! oldest lines go.

use crate::change::{Notify, RoundReport};
use crate::event::{Happening, Subject, WatchEvent};
use crate::word::MemoryEvent;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

const LINES: usize = 100_000;

#[derive(Default)]
struct Lines {
    events: VecDeque<String>,
    /// Whether the last of them is of a call that has not returned.
    open: bool,
    uevents: Option<VecDeque<String>>,
}

#[derive(Default)]
pub(super) struct Record(Mutex<Lines>);

fn push(lines: &mut VecDeque<String>, line: String) {
    if lines.len() == LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}

/// The error that the call of the whole chain came to, as the number it returned shows it: the
/// answer of the last one called, of which only the low 15 bits are looked at.
fn error_of(round: &RoundReport) -> Option<i32> {
    let raw = round.calls.last()?.raw? as i32;
    let rest = raw.max(0) % 0x8000;
    (rest > 1).then(|| 1 - rest)
}

impl Record {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chain is being called.
    pub(super) fn begin(&self, event: MemoryEvent, notify: &Notify) {
        let mut lines = self.lines();
        push(&mut lines.events, format!("{event} {notify}"));
        lines.open = true;
    }

    /// The call returned.
    fn end(&self, round: &RoundReport) {
        let mut lines = self.lines();
        let open = std::mem::replace(&mut lines.open, false);
        let Some(error) = error_of(round) else { return };
        let outcome = format!(" -> {error}");
        match lines.events.back_mut() {
            Some(line) if open => *line += &outcome,
            _ => push(&mut lines.events, outcome),
        }
    }

    pub(super) fn keep(&self, event: &WatchEvent) {
        match &event.what {
            Happening::Round(round) => self.end(round),
            Happening::Uevent {
                subject: Subject::Block(_) | Subject::Node(_),
                ..
            } => {
                let line = event.uevent_line();
                if let (Some(line), Some(uevents)) = (line, &mut self.lines().uevents) {
                    push(uevents, line);
                }
            }
            _ => {}
        }
    }

    pub(super) fn take_events(&self) -> Vec<String> {
        let mut lines = self.lines();
        lines.open = false;
        std::mem::take(&mut lines.events).into()
    }

    pub(super) fn take_uevents(&self) -> Option<Vec<String>> {
        let before = self.lines().uevents.replace(VecDeque::new());
        before.map(Vec::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::CallReport;

    const NOTIFY: Notify = Notify {
        start_pfn: 1,
        nr_pages: 2,
        status_change_nid_normal: None,
        status_change_nid: Some(3),
    };

    fn returned(raw: u32) -> RoundReport {
        RoundReport {
            event: MemoryEvent::GoingOnline,
            notify: NOTIFY,
            calls: vec![CallReport {
                name: "a".into(),
                priority: 0,
                answer: None,
                raw: Some(raw),
                took_us: 0,
            }],
            errno: None,
        }
    }

    #[test]
    fn an_event_is_there_when_it_is_sent_and_its_outcome_when_it_returns() {
        let record = Record::default();
        let line = "GOING_ONLINE start_pfn=1 nr_pages=2 nid_normal=-1 nid=3";
        record.begin(MemoryEvent::GoingOnline, &NOTIFY);
        record.end(&returned(0x800d));
        assert_eq!(record.take_events(), [format!("{line} -> -12")]);
        record.begin(MemoryEvent::GoingOnline, &NOTIFY);
        assert_eq!(record.take_events(), [line]);
        record.end(&returned(0x8002));
        assert_eq!(record.take_events(), [" -> -1"]);
        for consent in [0, 1, 0x8001, 0xffff_fff4] {
            record.begin(MemoryEvent::GoingOnline, &NOTIFY);
            record.end(&returned(consent));
            assert_eq!(record.take_events(), [line], "{consent:#x}");
        }
    }
}
