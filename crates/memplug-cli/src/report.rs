//! The report for people: tables of operations, phases and memory, and the checks.
//!
//! Made from the document, so both say the same. Operations of the same kind are one row over all
//! cycles; rates are over all of them, the time is that of the longest.

use crate::figures::{byte_rate, bytes, count, seconds, time};
use crate::json::{Check, CheckResult, MemorySample, Operation, OperationResult, Outcome, Report};
use comfy_table::{CellAlignment, Table, presets};
use std::time::Duration;

/// The report as text, ending with a line break.
pub(crate) fn text(report: &Report) -> String {
    let mut out = String::from("\n");
    out += &format!("{}\n\n", operations(&report.operations));
    out += &format!("{}\n\n", phases(report));
    out += &format!("{}\n\n", memory(report));
    let reads = &report.reads;
    let cache = &report.cache;
    out += &format!(
        "reads {}: {} from memory, {} from disk; pages evicted {}, moved {}, dropped cold {}\n",
        count(reads.total),
        count(cache.hits),
        count(cache.misses),
        count(cache.evicted),
        count(cache.moved),
        count(cache.dropped_cold),
    );
    if reads.pages_changed_on_disk > 0 {
        let pages = count(reads.pages_changed_on_disk);
        out += &format!("changed on disk: {pages} pages, not counted as errors\n");
    }
    out.push('\n');
    for check in &report.checks {
        out += &line_of(check);
    }
    for error in &reads.errors {
        out += &format!("        {error}\n");
    }
    out + &last_lines(report)
}

fn last_lines(report: &Report) -> String {
    let held = |of: &&Check| of.result == CheckResult::Passed;
    let passed = report.checks.iter().filter(held).count();
    let outcome = match report.outcome {
        Outcome::Passed => "passed",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted, and undone",
    };
    let cycles = if report.cycles == 1 {
        "cycle"
    } else {
        "cycles"
    };
    format!(
        "\nverify errors: {}\n{outcome}: {passed} of {} checks, {} {cycles}, {}\n",
        report.verify_errors,
        report.checks.len(),
        report.cycles,
        seconds(report.seconds),
    )
}

fn line_of(check: &Check) -> String {
    let mark = match check.result {
        CheckResult::Passed => "ok",
        CheckResult::Failed => "FAILED",
        CheckResult::NotReached => "-",
    };
    format!("{mark:<7} {:<11} {}\n", check.name, check.detail)
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().copied());
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// The table without the blanks at the ends of its lines.
fn trimmed(table: &Table) -> String {
    let text = table.to_string();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    lines.join("\n")
}

/// Operations of one kind.
struct Kind<'a> {
    name: String,
    all: Vec<&'a Operation>,
}

fn kinds(operations: &[Operation]) -> Vec<Kind<'_>> {
    let mut kinds: Vec<Kind<'_>> = Vec::new();
    for operation in operations {
        let result = match operation.result {
            OperationResult::Done => "",
            OperationResult::Refused => ", refused",
            OperationResult::Deadline => ", deadline passed",
            OperationResult::Cancelled => ", cancelled",
            OperationResult::Failed => ", failed",
        };
        let name = format!("{}{result}", operation.name);
        match kinds.iter_mut().find(|kind| kind.name == name) {
            Some(kind) => kind.all.push(operation),
            None => kinds.push(Kind {
                name,
                all: vec![operation],
            }),
        }
    }
    kinds
}

fn operations(operations: &[Operation]) -> String {
    let mut table = table(&[
        "operation",
        "times",
        "blocks",
        "memory",
        "longest",
        "moved",
        "dropped",
        "moved/s",
        "reads/s",
    ]);
    for kind in kinds(operations) {
        let sum = |of: fn(&Operation) -> u64| kind.all.iter().map(|o| of(o)).sum::<u64>();
        let times: Vec<f64> = kind.all.iter().map(|of| of.seconds).collect();
        let longest = times.iter().copied().fold(0.0, f64::max);
        let all: f64 = times.iter().sum();
        let rate = |count: u64| {
            if all > 0.0 {
                (count as f64 / all) as u64
            } else {
                0
            }
        };
        let moved = sum(|of| of.pages_moved);
        let dropped = sum(|of| of.pages_dropped);
        let first = kind.all.first();
        table.add_row([
            kind.name.clone(),
            kind.all.len().to_string(),
            first.map_or(0, |of| of.blocks).to_string(),
            bytes(first.map_or(0, |of| of.bytes)),
            seconds(longest),
            count(moved),
            count(dropped),
            byte_rate(rate(moved.saturating_mul(crate::files::PAGE))),
            count(rate(sum(|of| of.reads))),
        ]);
    }
    trimmed(&table)
}

fn phases(report: &Report) -> String {
    let mut table = table(&[
        "phase",
        "time",
        "reads",
        "reads/s",
        "median",
        "99 %",
        "99.9 %",
        "worst read",
    ]);
    let latency = |nanos| time(Duration::from_nanos(nanos));
    for phase in &report.phases {
        table.add_row([
            phase.name.clone(),
            seconds(phase.seconds),
            count(phase.reads),
            count(phase.reads_per_second),
            latency(phase.median_ns),
            latency(phase.p99_ns),
            latency(phase.p999_ns),
            latency(phase.worst_ns),
        ]);
    }
    trimmed(&table)
}

fn memory(report: &Report) -> String {
    let mut table = table(&["memory", "before", "at the peak", "after"]);
    let of = &report.memory;
    let mut row = |name: &str, part: fn(&MemorySample) -> u64| {
        let cells = [&of.before, &of.peak, &of.after].map(|sample| bytes(part(sample)));
        table.add_row([[name.to_owned()].as_slice(), &cells].concat());
    };
    row("resident", |sample| sample.rss_bytes);
    row("held for node0", |sample| sample.boot_held_bytes);
    row("held for node1", |sample| sample.device_held_bytes);
    trimmed(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_a_kind_are_one_row() {
        let operation = |cycle, name: &str, result, seconds| Operation {
            cycle,
            name: name.to_owned(),
            target: "x".to_owned(),
            result,
            expected: true,
            detail: None,
            blocks: 6,
            bytes: 384 << 20,
            seconds,
            pages_moved: 256,
            pages_dropped: 1000,
            moved_bytes_per_second: 0,
            reads: 10,
            reads_per_second: 0,
        };
        let all = [
            operation(1, "online", OperationResult::Refused, 0.001),
            operation(1, "unplug", OperationResult::Done, 0.25),
            operation(2, "unplug", OperationResult::Done, 0.75),
        ];
        let text = operations(&all);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[1].contains("online, refused"), "{text}");
        let words: Vec<&str> = lines[2].split_whitespace().collect();
        assert_eq!(
            words,
            [
                "unplug", "2", "6", "384.0", "MiB", "750ms", "512", "2,000", "2.0", "MiB/s", "20"
            ]
        );
    }
}
