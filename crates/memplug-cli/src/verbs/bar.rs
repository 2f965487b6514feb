//! Progress of a change, on a terminal only.
//!
//! Never part of the output: nothing is drawn where standard error is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use memplug_client::Step;
use std::io::{self, IsTerminal};

/// A bar on standard error, or nothing.
pub(super) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(super) fn new(quiet: bool) -> Self {
        if quiet || !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = "{prefix} {wide_bar} {pos}/{len} pages {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    pub(super) fn show(&self, step: &Step) {
        let (Some(bar), Step::Moving { block, progress }) = (&self.0, step) else {
            return;
        };
        if let Some(block) = block {
            bar.set_prefix(format!("memory{block}"));
        }
        bar.set_length(progress.pages_moved.saturating_add(progress.pages_left));
        bar.set_position(progress.pages_moved);
        bar.set_message(format!("{}/s", crate::ls::human(progress.bytes_per_second)));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
