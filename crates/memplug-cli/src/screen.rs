//! Where live lines go: standard output, or standard error when a document is printed; and a line
//! of status at the bottom, on a terminal only.
//!
//! Without a terminal the status is a plain line now and then. What is printed never decides
//! anything: a screen that is closed is not an error.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A plain status line no more often than this.
const PLAIN_STATUS: Duration = Duration::from_secs(1);

/// Where live lines go.
pub(crate) struct Screen {
    started: Instant,
    quiet: bool,
    to_error: bool,
    bar: Option<ProgressBar>,
    last_status: Mutex<Instant>,
}

impl Screen {
    /// A screen; `quiet` shows nothing, `document` leaves standard output alone.
    pub(crate) fn new(quiet: bool, document: bool) -> Self {
        let bar = (!quiet && io::stderr().is_terminal()).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            started: Instant::now(),
            quiet,
            to_error: document,
            bar,
            last_status: Mutex::new(Instant::now()),
        }
    }

    /// Time since it was made, which all lines carry.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// One line.
    pub(crate) fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        let at = self.elapsed().as_secs_f64();
        let line = format!("{at:>8.3}s {text}\n");
        let print = || {
            // A reader that went away is not our business.
            let _ = if self.to_error {
                io::stderr().write_all(line.as_bytes())
            } else {
                io::stdout().write_all(line.as_bytes())
            };
        };
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// What is going on.
    pub(crate) fn status(&self, text: &dyn Fn() -> String) {
        if self.quiet {
            return;
        }
        if let Some(bar) = &self.bar {
            bar.set_message(text());
            bar.tick();
            return;
        }
        let mut last = self
            .last_status
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= PLAIN_STATUS {
            *last = Instant::now();
            drop(last);
            self.line(&text());
        }
    }

    /// Takes the status away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
