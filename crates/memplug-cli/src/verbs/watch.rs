//! `memplug watch`: everything that happens, line by line.
//!
//! Each line is written at once; the stream ends with Ctrl-C, the machine, or the reader: it is seen
//! without another event that the reader is gone.

use crate::exit::Status;
use crate::remote::{Trouble, connect};
use crate::verb_args::WatchArgs;
use memplug_client::{Event, What};
use serde::Serialize;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// An event as a line of JSON: a version of the shape, then the event.
#[derive(Serialize)]
struct Line<'e> {
    schema: u32,
    #[serde(flatten)]
    event: &'e Event,
}

fn word(of: Option<impl Serialize>) -> String {
    let value = of
        .and_then(|of| serde_json::to_value(of).ok())
        .unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

/// One line for people.
fn line(event: &Event) -> String {
    let ms = event.at_us / 1000;
    let txn = event.txn.map_or("-".into(), |txn| txn.to_string());
    let took = event.took_us.unwrap_or(0);
    let what = match event.what {
        What::Begun => {
            let target = event.target.unwrap_or(0);
            format!("{} {target}", word(event.operation))
        }
        What::Round => round(event),
        What::Progress => event.progress.map_or_else(String::new, |progress| {
            format!(
                "{} pages moved, {} left",
                progress.pages_moved, progress.pages_left
            )
        }),
        What::Uevent => {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            format!("uevent {} {}", text(&event.action), text(&event.devpath))
        }
        What::Ended if event.ok == Some(true) => format!("done, {took} us"),
        What::Ended => {
            let message = event.message.as_deref().unwrap_or("no words");
            format!("not done, {took} us: {message}")
        }
        What::Policy => {
            let text = |field: &Option<String>| field.clone().unwrap_or_default();
            format!("policy {}={}", text(&event.name), text(&event.value))
        }
    };
    format!("{:>6}.{:03} {txn:>5} {what}", ms / 1000, ms % 1000)
}

fn round(event: &Event) -> String {
    let name = event.event.map_or("", |event| event.name());
    let notify = event
        .notify
        .map(|notify| notify.to_string())
        .unwrap_or_default();
    let calls = event.calls.iter().flatten().map(|call| {
        let answer = word(call.answer);
        let how = match (call.died, call.silent) {
            (true, _) => " (died)",
            (_, true) => " (silent)",
            (false, false) => "",
        };
        let reason = call
            .reason
            .as_deref()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        format!("; {} {answer}{how} {} us{reason}", call.name, call.took_us)
    });
    format!("{name} {notify}{}", calls.collect::<String>())
}

/// Runs `memplug watch`.
pub(crate) fn run(args: &WatchArgs) -> Result<Status, Trouble> {
    let mut client = connect(&args.socket)?;
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut out = io::stdout().lock();
    let output = io::stdout();
    // Between events nothing is written, so that a pipe nobody reads would not show.
    for event in client.watch()?.while_read(output.as_fd()) {
        let event = event?;
        let text = match args.json {
            true => serde_json::to_string(&Line {
                schema: 1,
                event: &event,
            })
            .unwrap_or_default(),
            false => line(&event),
        };
        match writeln!(out, "{text}").and_then(|()| out.flush()) {
            Ok(()) => {}
            // The reader has heard enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => break,
            Err(error) => {
                let line = format!("standard output: {error}; give one that can be written");
                return Err(Trouble::Here(line));
            }
        }
        left -= 1;
        if left == 0 {
            break;
        }
    }
    Ok(Status::Passed)
}
