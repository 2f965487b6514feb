//! `memplug policy`, `notifiers`, `status`.
//!
//! Tables are for people; programs take `--json`, which is what the interface answers.

use crate::exit::Status;
use crate::ls::human;
use crate::remote::{Trouble, connect, print, print_json};
use crate::verb_args::{NotifiersArgs, PolicyArgs, StatusArgs};
use memplug_control::{PolicyChange, PolicyName, PolicySettings};
use memplug_interface::{AnswerGiven, AuditRecord, Notifier};
use std::fmt::Write;

fn settings(policy: &PolicySettings, names: &[PolicyName]) -> String {
    let line = |&name: &PolicyName| format!("{}={}\n", name.name(), policy.get(name).shown());
    names.iter().map(line).collect()
}

fn name_of(text: &str) -> Result<PolicyName, Trouble> {
    if FIXED.contains(&text) {
        return Err(Trouble::Usage(format!(
            "{text} is fixed while a machine is served; set it in its machine file"
        )));
    }
    PolicyName::of(text).map_err(|error| Trouble::Usage(error.to_string()))
}

/// Settings that are there from the start, and stay.
const FIXED: [&str; 2] = ["movable_node", "memmap_on_memory"];

fn fixed(policy: &PolicySettings, name: &str) -> String {
    let is = match name {
        "movable_node" => policy.movable_node,
        _ => policy.memmap_on_memory,
    };
    format!("{name}={}\n", if is { "Y" } else { "N" })
}

/// Runs `memplug policy`. Every setting is looked at before the first is changed.
pub(crate) fn policy(args: &PolicyArgs) -> Result<Status, Trouble> {
    let mut shown = Vec::new();
    let mut changes = Vec::new();
    for setting in &args.settings {
        match setting.split_once('=') {
            None if FIXED.contains(&setting.as_str()) => shown.push(Err(setting.as_str())),
            None => shown.push(Ok(name_of(setting)?)),
            Some((name, value)) => {
                let name = name_of(name)?;
                let parsed = PolicyChange::parse(name, value.as_bytes());
                parsed.map_err(|error| Trouble::Usage(error.to_string()))?;
                changes.push((name, value));
            }
        }
    }
    let mut client = connect(&args.show.socket)?;
    for (name, value) in &changes {
        client.set_policy(name.name(), value)?;
    }
    let policy = client.policy()?;
    if args.show.json {
        print_json(&policy);
    } else if args.settings.is_empty() {
        let fixed: String = FIXED.iter().map(|name| fixed(&policy, name)).collect();
        print(&(settings(&policy, &PolicyName::ALL) + &fixed));
    } else {
        let lines = shown.iter().map(|one| match one {
            Ok(name) => settings(&policy, &[*name]),
            Err(name) => fixed(&policy, name),
        });
        print(&lines.collect::<String>());
    }
    Ok(Status::Passed)
}

/// Rows as columns, two spaces apart.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| {
        let cells = rows.iter().filter_map(|row| row.get(at));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, &width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn heads(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

fn word(of: impl serde::Serialize) -> String {
    let value = serde_json::to_value(of).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn notifier(one: &Notifier) -> Vec<String> {
    let info = &one.info;
    vec![
        info.priority.to_string(),
        info.name.clone(),
        word(one.sort),
        info.calls.to_string(),
        info.refusals.to_string(),
        info.timeouts.to_string(),
        format!("{} us", info.longest_us),
        info.last_refusal.clone().unwrap_or_default(),
    ]
}

fn answered(by: &AnswerGiven) -> String {
    let answer = by.answer.map_or("panicked".into(), word);
    match (by.died, by.silent) {
        (true, _) => format!("{answer} (died)"),
        (_, true) => format!("{answer} (silent)"),
        (false, false) => answer,
    }
}

fn record(record: &AuditRecord) -> Vec<String> {
    let by = &record.by;
    vec![
        format!(
            "{}.{:03}",
            record.at_us / 1_000_000,
            record.at_us / 1000 % 1000
        ),
        record.txn.map_or("-".into(), |txn| txn.to_string()),
        record.event.name().into(),
        format!("memory{}", record.block),
        by.name.clone(),
        answered(by),
        format!("{} us", by.took_us),
        by.reason.clone().unwrap_or_default(),
    ]
}

/// Runs `memplug notifiers`.
pub(crate) fn notifiers(args: &NotifiersArgs) -> Result<Status, Trouble> {
    let mut client = connect(&args.show.socket)?;
    if args.audit || args.refusals {
        let records = client.audit(args.refusals)?;
        if args.show.json {
            print_json(&records);
            return Ok(Status::Passed);
        }
        let names = [
            "TIME", "TXN", "EVENT", "BLOCK", "NAME", "ANSWER", "TOOK", "REASON",
        ];
        let rows = std::iter::once(heads(&names)).chain(records.iter().map(record));
        print(&columns(&rows.collect::<Vec<_>>()));
        return Ok(Status::Passed);
    }
    let all = client.notifiers()?;
    if args.show.json {
        print_json(&all);
        return Ok(Status::Passed);
    }
    let names = [
        "PRIORITY",
        "NAME",
        "SORT",
        "CALLS",
        "REFUSALS",
        "TIMEOUTS",
        "LONGEST",
        "LAST-REFUSAL",
    ];
    let rows = std::iter::once(heads(&names)).chain(all.iter().map(notifier));
    print(&columns(&rows.collect::<Vec<_>>()));
    Ok(Status::Passed)
}

/// Runs `memplug status`.
pub(crate) fn status(args: &StatusArgs) -> Result<Status, Trouble> {
    let status = connect(&args.show.socket)?.status()?;
    if args.show.json {
        print_json(&status);
        return Ok(Status::Passed);
    }
    let machine = &status.machine;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        text,
        "{} blocks of {}, {} online ({}); the system holds {}",
        status.blocks,
        human(machine.block_size),
        status.blocks_online,
        human(status.bytes_online),
        human(status.bytes_held)
    );
    let backings = match status.backings.as_slice() {
        [] => "nothing yet".into(),
        some => some.join(", "),
    };
    let _ = writeln!(text, "backing: {backings}");
    let _ = writeln!(
        text,
        "{} notifiers, {} watchers, {} operations under way; up {} s",
        status.notifiers,
        status.watchers,
        status.operations,
        status.uptime_ms / 1000
    );
    let pages = |pages: u64| human(pages.saturating_mul(machine.page_size));
    let names = [
        "ZONE", "SPANNED", "PRESENT", "MANAGED", "FREE", "MIN", "LOW", "HIGH",
    ];
    let mut rows = vec![heads(&names)];
    let zones = status.nodes.iter().flat_map(|node| &node.zones);
    for zone in zones.filter(|zone| zone.info.spanned_pages > 0) {
        let (info, usage) = (&zone.info, zone.usage.clone().unwrap_or_default());
        rows.push(vec![
            format!("node{} {}", info.node, info.zone),
            pages(info.spanned_pages),
            pages(info.present_pages),
            pages(info.managed_pages),
            pages(usage.free_pages.saturating_add(usage.cached_pages)),
            pages(usage.min_pages),
            pages(usage.low_pages),
            pages(usage.high_pages),
        ]);
    }
    text += &columns(&rows);
    let mut rows = vec![heads(&[
        "DEVICE", "NODE", "START", "SIZE", "HELD", "BACKING",
    ])];
    for device in &status.devices {
        rows.push(vec![
            device.id.to_string(),
            device.node.to_string(),
            format!("{:#x}", device.start),
            human(device.size),
            human(device.held),
            device.backing.clone(),
        ]);
    }
    text += &columns(&rows);
    text += &settings(&status.policy, &PolicyName::ALL);
    print(&text);
    Ok(Status::Passed)
}
