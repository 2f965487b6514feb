//! Events as a file: one JSON object a line, as they happen.
//!
//! Written on the thread of the operation, so a line is flushed but not synced. The first failure
//! to write is kept, nothing more is written then, and the run says so at the end.

use memplug::core::{Action, Subject, Uevent};
use memplug::{Answer, BlockId, NodeId, Progress, RoundReport, ZoneKind};
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A file that takes events.
pub(crate) struct EventsFile {
    path: PathBuf,
    state: Mutex<State>,
}

struct State {
    out: BufWriter<File>,
    written: u64,
    failed: Option<io::Error>,
}

#[derive(Serialize)]
struct Line<'a> {
    t_seconds: f64,
    #[serde(flatten)]
    what: What<'a>,
}

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum What<'a> {
    Round {
        event: &'static str,
        block: String,
        node: Option<u16>,
        zone: Option<&'static str>,
        start_pfn: u64,
        nr_pages: u64,
        status_change_nid_normal: Option<u16>,
        status_change_nid: Option<u16>,
        calls: Vec<CallLine<'a>>,
        error: Option<String>,
    },
    Uevent {
        action: &'static str,
        subject: String,
    },
    Progress {
        start_pfn: u64,
        pages_left: u64,
        pages_moved: u64,
        bytes_per_second: u64,
        round: u32,
    },
}

#[derive(Serialize)]
struct CallLine<'a> {
    name: &'a str,
    priority: i32,
    answer: &'static str,
    reason: Option<&'a str>,
    errno: Option<String>,
    took_ns: u64,
}

impl EventsFile {
    /// Makes the file, or empties it.
    pub(crate) fn create(path: &Path) -> io::Result<Self> {
        let out = BufWriter::new(File::create(path)?);
        Ok(Self {
            path: path.to_owned(),
            state: Mutex::new(State {
                out,
                written: 0,
                failed: None,
            }),
        })
    }

    /// An event and what everyone answered.
    pub(crate) fn round(
        &self,
        at: Duration,
        round: &RoundReport,
        block: BlockId,
        place: Option<(NodeId, ZoneKind)>,
    ) {
        let calls = round.calls.iter().map(|call| CallLine {
            name: &call.name,
            priority: call.priority,
            answer: call.answer.as_ref().map_or("panicked", answer_word),
            reason: call.answer.as_ref().and_then(Answer::reason),
            errno: error_of(call.answer.as_ref()),
            took_ns: u64::try_from(call.took.as_nanos()).unwrap_or(u64::MAX),
        });
        let notify = &round.notify;
        self.write(
            at,
            What::Round {
                event: round.event.name(),
                block: block.to_string(),
                node: place.map(|(node, _)| node.get()),
                zone: place.map(|(_, zone)| zone.name()),
                start_pfn: notify.start_pfn.get(),
                nr_pages: notify.nr_pages.get(),
                status_change_nid_normal: notify.status_change_nid_normal.map(NodeId::get),
                status_change_nid: notify.status_change_nid.map(NodeId::get),
                calls: calls.collect(),
                error: round.error.map(|errno| errno.to_string()),
            },
        );
    }

    /// A block or node came or went.
    pub(crate) fn uevent(&self, at: Duration, uevent: Uevent) {
        let action = match uevent.action {
            Action::Add => "add",
            Action::Remove => "remove",
            Action::Online => "online",
            Action::Offline => "offline",
        };
        let subject = match uevent.subject {
            Subject::Block(block) => block.to_string(),
            Subject::Node(node) => node.to_string(),
        };
        self.write(at, What::Uevent { action, subject });
    }

    /// An offline is on its way.
    pub(crate) fn progress(&self, at: Duration, progress: &Progress) {
        self.write(
            at,
            What::Progress {
                start_pfn: progress.start_pfn.get(),
                pages_left: progress.pages_left.get(),
                pages_moved: progress.pages_moved.get(),
                bytes_per_second: progress.bytes_per_second,
                round: progress.round,
            },
        );
    }

    fn write(&self, at: Duration, what: What<'_>) {
        let line = Line {
            t_seconds: at.as_secs_f64(),
            what,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.failed.is_some() {
            return;
        }
        match state.line(&line) {
            Ok(()) => state.written += 1,
            Err(error) => state.failed = Some(error),
        }
    }

    /// Lines written, or why it stopped.
    pub(crate) fn outcome(&self) -> Result<u64, String> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &state.failed {
            None => Ok(state.written),
            Some(error) => Err(format!(
                "{}: {error} after {} events; make room or choose another file",
                self.path.display(),
                state.written
            )),
        }
    }
}

impl State {
    fn line(&mut self, line: &Line<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

/// What a subscriber said, in a word.
pub(crate) fn answer_word(answer: &Answer) -> &'static str {
    match answer {
        Answer::Done => "done",
        Answer::Ok => "ok",
        Answer::Stop => "stop",
        Answer::Bad | Answer::Refuse(..) => "refused",
        Answer::Raw(_) if answer.error().is_some() => "refused",
        Answer::Raw(_) => "raw",
    }
}

fn error_of(answer: Option<&Answer>) -> Option<String> {
    answer
        .and_then(Answer::error)
        .map(|errno| errno.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_at_the_end() {
        let Ok(file) = EventsFile::create(Path::new("/dev/full")) else {
            return;
        };
        let uevent = Uevent {
            action: Action::Add,
            subject: Subject::Node(NodeId::new(1)),
        };
        assert_eq!(file.outcome(), Ok(0));
        file.uevent(Duration::ZERO, uevent);
        file.uevent(Duration::ZERO, uevent);
        let outcome = file.outcome().expect_err("no room");
        assert!(outcome.contains("after 0 events"), "{outcome}");
    }

    #[test]
    fn answers_have_words() {
        let refused = Answer::refuse("x");
        for (answer, word) in [
            (Answer::Done, "done"),
            (Answer::Stop, "stop"),
            (Answer::Bad, "refused"),
            (refused, "refused"),
            (Answer::Raw(0x8002), "refused"),
            (Answer::Raw(1), "raw"),
        ] {
            assert_eq!(answer_word(&answer), word);
        }
    }
}
