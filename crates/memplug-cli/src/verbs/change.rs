//! `memplug add`, `online`, `offline`, `remove`.
//!
//! Standard output tells what was done, standard error why something was not; the status follows
//! from what the machine answered, never from words.

use super::bar::Bar;
use super::plan;
use super::which::{placement, some, target};
use crate::exit::{Status, complain};
use crate::remote::{
    Interruptible, Trouble, connect, numbers, print, print_json, status_of_failure,
};
use crate::verb_args::{AddArgs, ChangeArgs, ModeArgs, OfflineArgs, OnlineArgs, RemoveArgs};
use memplug_client::{
    AddParameters, Client, ClientError, Mode, OfflineParameters, OnlineParameters, Outcome,
    PlanParameters, RemoveParameters, Step,
};
use memplug_control::OnlineWord;
use memplug_interface::GroupWord;
use memplug_units::Bytes;
use serde::Serialize;
use serde_json::json;

fn deadline_ms(how: &ChangeArgs) -> Option<u64> {
    let ms = how.deadline?.as_millis();
    Some(u64::try_from(ms).unwrap_or(u64::MAX))
}

fn mode(args: &ModeArgs) -> Option<Mode> {
    match (args.exact, args.best_effort) {
        (_, true) => Some(Mode::BestEffort),
        (true, false) => Some(Mode::Exact),
        (false, false) => None,
    }
}

/// Runs a change with Ctrl-C heard and progress shown; a failure is also printed as a document
/// if one was asked for.
fn change<T: Serialize>(
    client: &mut Client,
    how: &ChangeArgs,
    call: impl FnOnce(&mut Client, &mut dyn FnMut(Step)) -> Result<T, ClientError>,
) -> Result<T, Trouble> {
    let interruptible = Interruptible::listen(&how.show.socket)?;
    let bar = Bar::new(how.show.json);
    let done = call(client, &mut |step| {
        interruptible.note(&step);
        bar.show(&step);
    });
    drop(bar);
    if let (Err(ClientError::Failed(failed)), true) = (&done, how.show.json) {
        print_json(&json!({ "error": failed }));
    }
    Ok(done?)
}

fn ms(us: u64) -> String {
    format!("{}.{:03} ms", us / 1000, us % 1000)
}

/// Runs `memplug add`.
pub(crate) fn add(args: &AddArgs) -> Result<Status, Trouble> {
    some(args.size)?;
    let mut client = connect(&args.how.show.socket)?;
    let parameters = AddParameters {
        node: args.node,
        size: args.size.get(),
        at: args.at.map(|at| at.get()),
        group: args.no_group.then_some(GroupWord::None),
        deadline_ms: deadline_ms(&args.how),
        ..AddParameters::default()
    };
    let report = change(&mut client, &args.how, |client, tell| {
        client.add_telling(&parameters, tell)
    })?;
    if args.how.show.json {
        print_json(&report);
        return Ok(Status::Passed);
    }
    print(&format!(
        "device{}: {} at {:#x}, blocks {}\n",
        report.device,
        Bytes::new(report.size),
        report.start,
        span(&report.blocks)
    ));
    for block in &report.auto_online {
        match (&block.zone, &block.error) {
            (Some(zone), _) => print(&format!("memory{} online in {zone}\n", block.block)),
            (None, Some(error)) => complain(error),
            (None, None) => {}
        }
    }
    Ok(Status::Passed)
}

/// `32-35`, or what it is.
fn span(blocks: &[u64]) -> String {
    match blocks {
        [only] => only.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => "none".into(),
    }
}

/// Tells what a change of blocks came to.
fn tell(outcome: &Outcome, how: &ChangeArgs, state: &str) -> Status {
    let partly = !outcome.failures.is_empty() || outcome.missing_bytes > 0;
    if how.show.json {
        print_json(outcome);
    } else {
        for done in &outcome.done {
            let (block, zone, took) = (done.block, done.zone, ms(done.took_us));
            print(&match done.moved_pages {
                0 => format!("memory{block} {state}: {zone}, {took}\n"),
                moved => format!("memory{block} {state}: {zone}, {moved} pages moved, {took}\n"),
            });
        }
        if outcome.done.is_empty() && outcome.skipped.is_empty() && !partly {
            print("no block there; nothing to do\n");
        }
        if !outcome.skipped.is_empty() {
            print(&format!("{state} already: {}\n", numbers(&outcome.skipped)));
        }
    }
    for failure in &outcome.failures {
        complain(&failure.message);
    }
    if !partly {
        return Status::Passed;
    }
    if outcome.missing_bytes > 0 {
        let did = Bytes::new(outcome.bytes);
        let missing = Bytes::new(outcome.missing_bytes);
        let remedy = match state {
            "offline" => "memplug plan offline says what is in the way",
            _ => "ask for less, or add memory",
        };
        complain(&format!("{did} {state}, {missing} missing; {remedy}"));
    }
    match (outcome.done.is_empty(), outcome.failures.first()) {
        (true, Some(failure)) => status_of_failure(failure),
        _ => Status::Partly,
    }
}

/// Runs `memplug online`.
pub(crate) fn online(args: &OnlineArgs) -> Result<Status, Trouble> {
    let mut client = connect(&args.how.show.socket)?;
    let (what, node) = target(&args.which, &mut client)?;
    let parameters = OnlineParameters {
        what,
        node,
        word: match (args.kernel, args.movable) {
            (true, _) => Some(OnlineWord::OnlineKernel),
            (_, true) => Some(OnlineWord::OnlineMovable),
            (false, false) => None,
        },
        mode: mode(&args.mode),
        deadline_ms: deadline_ms(&args.how),
    };
    let outcome = change(&mut client, &args.how, |client, tell| {
        client.online_telling(&parameters, tell)
    })?;
    Ok(tell(&outcome, &args.how, "online"))
}

/// Runs `memplug offline`.
pub(crate) fn offline(args: &OfflineArgs) -> Result<Status, Trouble> {
    let mut client = connect(&args.how.show.socket)?;
    let (what, node) = target(&args.go.which, &mut client)?;
    let placement = placement(args.go.placement);
    if args.dry_run {
        let parameters = PlanParameters {
            what,
            node,
            placement,
        };
        return plan::show(&mut client, &parameters, args.how.show.json, false);
    }
    let parameters = OfflineParameters {
        what,
        node,
        placement,
        mode: mode(&args.mode),
        deadline_ms: deadline_ms(&args.how),
    };
    let outcome = change(&mut client, &args.how, |client, tell| {
        client.offline_telling(&parameters, tell)
    })?;
    Ok(tell(&outcome, &args.how, "offline"))
}

/// Runs `memplug remove`.
pub(crate) fn remove(args: &RemoveArgs) -> Result<Status, Trouble> {
    let mut client = connect(&args.how.show.socket)?;
    let parameters = RemoveParameters {
        device: args.device,
        offline_first: Some(args.offline_first),
        deadline_ms: deadline_ms(&args.how),
    };
    let removed = change(&mut client, &args.how, |client, tell| {
        client.remove_telling(&parameters, tell)
    })?;
    if args.how.show.json {
        print_json(&removed);
    } else {
        let (device, blocks) = (removed.device, span(&removed.blocks));
        print(&format!(
            "device{device} removed: blocks {blocks}, {}\n",
            ms(removed.took_us)
        ));
    }
    Ok(Status::Passed)
}
