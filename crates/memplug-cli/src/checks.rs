//! What had to hold, and whether it did. A run passes if no check failed.
//!
//! A check that the run did not come to is not failed: then something else is, or the run was
//! interrupted.

use crate::figures;
use crate::json::{Check, CheckResult};
use crate::ledger::Ledger;
use crate::readers::Met;
use crate::schedule::Record;
use std::time::Duration;

/// What the checks look at, when all is over.
pub(crate) struct Evidence<'a> {
    pub(crate) record: &'a Record,
    pub(crate) met: &'a Met,
    pub(crate) ledger: &'a Ledger,
    /// Violated invariants, in words.
    pub(crate) audit: &'a [String],
    /// What became of the events file, if there was one.
    pub(crate) events: Option<Result<u64, String>>,
}

/// An unplug this short may fall between two reads of a thread that had to wait for a processor.
const TOO_SHORT: Duration = Duration::from_millis(50);

/// All checks, in the order of the report.
pub(crate) fn checks(of: &Evidence<'_>) -> Vec<Check> {
    let mut checks = vec![
        verify(of.met),
        served(of.met),
        operations(of.record),
        refusal(of.record),
        deadline(of.record),
        notified(of.ledger),
        under_load(of.record),
        given_back(of.record),
        undone(of.record),
        sound(of.audit),
    ];
    checks.extend(of.events.as_ref().map(events_file));
    checks
}

fn check(name: &str, passed: bool, detail: String) -> Check {
    let result = if passed {
        CheckResult::Passed
    } else {
        CheckResult::Failed
    };
    Check {
        name: name.to_owned(),
        result,
        detail,
    }
}

/// One that needs something to have happened.
fn reached(name: &str, happened: bool, passed: bool, detail: String) -> Check {
    if happened {
        return check(name, passed, detail);
    }
    Check {
        name: name.to_owned(),
        result: CheckResult::NotReached,
        detail: "the run ended before".to_owned(),
    }
}

fn first_of(errors: &[String]) -> String {
    errors
        .first()
        .map_or_else(String::new, |first| format!("; first: {first}"))
}

fn verify(met: &Met) -> Check {
    let detail = format!("verify errors: {}", met.verify_errors);
    if met.verify_errors == 0 {
        return check("verify", true, detail);
    }
    check("verify", false, detail + &first_of(&met.errors))
}

fn served(met: &Met) -> Check {
    if met.failed_reads == 0 {
        return check("served", true, "every read gave a page".to_owned());
    }
    let failed = format!("{} reads gave none", met.failed_reads);
    check("served", false, failed + &first_of(&met.errors))
}

fn operations(record: &Record) -> Check {
    let unexpected = record.operations.iter().find(|of| !of.expected);
    if let Some(of) = unexpected {
        let detail = of.detail.as_deref().unwrap_or("no reason given");
        let words = format!("{} {}: {detail}", of.name, of.target);
        return check("operations", false, words);
    }
    let count = record.operations.len();
    check(
        "operations",
        true,
        format!("all {count} came to what they should"),
    )
}

fn refusal(record: &Record) -> Check {
    let seen = record.refusals.iter().filter(|seen| **seen).count();
    let all = record.refusals.len();
    let detail = format!("{seen} of {all} refused onlines were cancelled for those who were told");
    reached("refusal", all > 0, seen == all, detail)
}

fn deadline(record: &Record) -> Check {
    let seen = record.deadlines.iter().filter(|seen| **seen).count();
    let all = record.deadlines.len();
    let detail = format!("{seen} of {all} pinned offlines met the deadline and named the pin");
    reached("deadline", all > 0, seen == all, detail)
}

fn notified(ledger: &Ledger) -> Check {
    let faults = ledger.faults();
    if let Some(first) = faults.first() {
        let words = format!("{} faults; first: {first}", faults.len());
        return check("notified", false, words);
    }
    let detail = format!(
        "all {} announcements ended exactly once for each subscriber; {} were refused",
        ledger.ended(),
        ledger.refusals()
    );
    reached("notified", ledger.calls() > 0, true, detail)
}

fn under_load(record: &Record) -> Check {
    let starved = |(took, reads): &&(Duration, u64)| *reads == 0 && *took >= TOO_SHORT;
    let starved = record.unplugs.iter().filter(starved).count();
    let reads: u64 = record.unplugs.iter().map(|(_, reads)| reads).sum();
    let detail = match starved {
        0 => format!(
            "{} reads ended while devices were unplugged",
            figures::count(reads)
        ),
        _ => format!("no read ended during {starved} unplugs"),
    };
    reached(
        "under_load",
        !record.unplugs.is_empty(),
        starved == 0,
        detail,
    )
}

fn given_back(record: &Record) -> Check {
    let all = &record.given_back;
    let kept = all.iter().find(|of| !of.is_enough());
    let of = kept.or(all.last()).copied().unwrap_or_default();
    let when_offline = of
        .when_offline
        .map_or_else(|| "unknown".to_owned(), figures::bytes);
    let detail = format!(
        "the device held {}, {when_offline} once offline; resident fell by {}",
        figures::bytes(of.before.device),
        figures::bytes(of.resident_fell()),
    );
    reached("given_back", !all.is_empty(), kept.is_none(), detail)
}

fn undone(record: &Record) -> Check {
    match &record.left_behind {
        Some(words) => check("undone", false, words.clone()),
        None => check("undone", true, "no device is left".to_owned()),
    }
}

fn sound(audit: &[String]) -> Check {
    match audit.first() {
        Some(first) => {
            let words = format!("{} invariants violated; first: {first}", audit.len());
            check("sound", false, words)
        }
        None => check("sound", true, "no invariant is violated".to_owned()),
    }
}

fn events_file(outcome: &Result<u64, String>) -> Check {
    match outcome {
        Ok(lines) => check("events", true, format!("{lines} events written")),
        Err(error) => check("events", false, error.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{Operation, OperationResult};
    use crate::memory::{GivenBack, Sample};

    fn failed(of: &Evidence<'_>) -> Vec<String> {
        let all = checks(of).into_iter();
        let failed = all.filter(|check| check.result == CheckResult::Failed);
        failed.map(|check| check.name).collect()
    }

    fn good() -> Record {
        Record {
            refusals: vec![true],
            deadlines: vec![true],
            given_back: vec![GivenBack {
                when_offline: Some(0),
                ..GivenBack::default()
            }],
            unplugs: vec![(Duration::from_secs(1), 5)],
            ..Record::default()
        }
    }

    fn with(change: impl FnOnce(&mut Record, &mut Met)) -> Vec<String> {
        let (mut record, mut met) = (good(), Met::default());
        change(&mut record, &mut met);
        failed(&Evidence {
            record: &record,
            met: &met,
            ledger: &Ledger::default(),
            audit: &[],
            events: None,
        })
    }

    #[test]
    fn a_good_run_fails_nothing() {
        assert_eq!(with(|_, _| {}), [""; 0]);
    }

    #[test]
    fn a_run_that_came_to_nothing_fails_nothing() {
        assert_eq!(with(|record, _| *record = Record::default()), [""; 0]);
    }

    #[test]
    fn each_fault_fails_its_check() {
        assert_eq!(with(|_, met| met.verify_errors = 1), ["verify"]);
        assert_eq!(with(|_, met| met.failed_reads = 1), ["served"]);
        assert_eq!(with(|record, _| record.refusals.push(false)), ["refusal"]);
        assert_eq!(with(|record, _| record.deadlines.push(false)), ["deadline"]);
        let second = Duration::from_secs(1);
        assert_eq!(
            with(|record, _| record.unplugs.push((second, 0))),
            ["under_load"]
        );
        let kept = GivenBack {
            before: Sample {
                device: 1 << 30,
                ..Sample::default()
            },
            ..GivenBack::default()
        };
        assert_eq!(
            with(|record, _| record.given_back.push(kept)),
            ["given_back"]
        );
        let left = Some("device0 is still there".to_owned());
        assert_eq!(with(|record, _| record.left_behind = left), ["undone"]);
        let operation = Operation {
            cycle: 1,
            name: "add".to_owned(),
            target: "1G".to_owned(),
            result: OperationResult::Failed,
            expected: false,
            detail: None,
            blocks: 1,
            bytes: 1,
            seconds: 1.0,
            pages_moved: 0,
            pages_dropped: 0,
            moved_bytes_per_second: 0,
            reads: 0,
            reads_per_second: 0,
        };
        assert_eq!(
            with(|record, _| record.operations.push(operation)),
            ["operations"]
        );
    }

    #[test]
    fn audit_and_events_fail_theirs() {
        let evidence = Evidence {
            record: &good(),
            met: &Met::default(),
            ledger: &Ledger::default(),
            audit: &["I-ZONE-2: x".to_owned()],
            events: Some(Err("full".to_owned())),
        };
        assert_eq!(failed(&evidence), ["sound", "events"]);
    }
}
