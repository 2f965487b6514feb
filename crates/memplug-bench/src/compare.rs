//! What changed between two runs.
//!
//! Where there is a peer, the ratios to it are compared, so that a machine in another mood does
//! not look like a change; where there is none, the values. A change is one with a 95 % interval
//! that does not hold 1, and is larger than two per cent; everything else is the same.

use crate::report::{Comparison, Group, Report};
use crate::statistics::{Interval, interval_of_quotient};
use crate::table::number;

/// Changes up to this part are the same, however sure.
const SMALL: f64 = 0.02;

/// What became of one comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Faster,
    Slower,
    Same,
}

struct Change {
    label: String,
    basis: &'static str,
    quotient: Interval,
    verdict: Verdict,
}

/// The rounds a comparison rests on: ratios to its peer, or values.
fn basis(group: &Group, row: &Comparison) -> Option<Vec<f64>> {
    let ours = group.rounds(&row.name, row.threads, &row.ours)?;
    let Some(peer) = &row.peer else {
        return Some(ours.to_vec());
    };
    let peer = group.rounds(&row.name, row.threads, peer)?;
    Some(ours.iter().zip(peer).map(|(a, b)| a / b).collect())
}

fn same_row(a: &Comparison, b: &Comparison) -> bool {
    (&a.name, a.threads, &a.ours, &a.peer) == (&b.name, b.threads, &b.ours, &b.peer)
}

fn verdict(quotient: Interval, more_is_better: bool) -> Verdict {
    let sure = quotient.low > 1.0 || quotient.high < 1.0;
    if !sure || (quotient.median - 1.0).abs() <= SMALL {
        Verdict::Same
    } else if (quotient.median > 1.0) == more_is_better {
        Verdict::Faster
    } else {
        Verdict::Slower
    }
}

fn changes(old: &Report, new: &Report) -> (Vec<Change>, Vec<String>) {
    let (mut changes, mut only_new) = (Vec::new(), Vec::new());
    for group in &new.groups {
        let before = old.groups.iter().find(|found| found.name == group.name);
        for row in &group.comparisons {
            let peer = row
                .peer
                .as_ref()
                .map_or_else(String::new, |peer| format!(" / {peer}"));
            let label = format!(
                "{}: {} ({}{peer}), {}T",
                group.name, row.name, row.ours, row.threads
            );
            let old_rounds = before.and_then(|before| {
                let found = before
                    .comparisons
                    .iter()
                    .find(|found| same_row(found, row))?;
                basis(before, found)
            });
            let Some((old_rounds, rounds)) = old_rounds.zip(basis(group, row)) else {
                only_new.push(label);
                continue;
            };
            let quotient = interval_of_quotient(&rounds, &old_rounds);
            changes.push(Change {
                label,
                basis: if row.peer.is_some() { "ratio" } else { "value" },
                quotient,
                verdict: verdict(quotient, row.unit == "1/s"),
            });
        }
    }
    (changes, only_new)
}

/// The table that `compare` prints.
pub(crate) fn text(old: &Report, new: &Report) -> String {
    let (changes, only_new) = changes(old, new);
    let width = changes
        .iter()
        .map(|change| change.label.chars().count())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    if old.quick != new.quick {
        text +=
            "one run is quick and the other is not: their workloads differ, and so may ratios\n";
    }
    for wanted in [Verdict::Slower, Verdict::Faster, Verdict::Same] {
        for change in changes.iter().filter(|change| change.verdict == wanted) {
            let Interval { median, low, high } = change.quotient;
            let word = match wanted {
                Verdict::Slower => "slower",
                Verdict::Faster => "faster",
                Verdict::Same => "same",
            };
            text += &format!(
                "{word:<6}  {:<width$}  {} new / old {}  ({} .. {})\n",
                change.label,
                change.basis,
                number(median),
                number(low),
                number(high)
            );
        }
    }
    for label in only_new {
        text += &format!("new     {label}\n");
    }
    let count = |wanted| {
        changes
            .iter()
            .filter(|change| change.verdict == wanted)
            .count()
    };
    text += &format!(
        "{} slower, {} faster, {} same\n",
        count(Verdict::Slower),
        count(Verdict::Faster),
        count(Verdict::Same)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn slower_faster_and_same_are_told() {
        let old = report(&[4.0, 4.1, 4.2, 4.0, 4.1]);
        for (rounds, ends) in [
            ([8.0, 8.1, 8.3, 8.0, 8.2], "2 slower, 0 faster, 0 same\n"),
            ([2.0, 2.1, 2.0, 2.2, 2.0], "0 slower, 2 faster, 0 same\n"),
            ([4.1, 4.0, 4.0, 4.2, 4.1], "0 slower, 0 faster, 2 same\n"),
            ([4.15; 5], "0 slower, 0 faster, 2 same\n"), // sure, but small
        ] {
            let text = text(&old, &report(&rounds));
            assert!(text.ends_with(ends), "{text}");
        }
    }

    #[test]
    fn more_a_second_is_faster() {
        let quotient = |median| Interval {
            median,
            low: median - 0.1,
            high: median + 0.1,
        };
        assert_eq!(verdict(quotient(2.0), true), Verdict::Faster);
        assert_eq!(verdict(quotient(2.0), false), Verdict::Slower);
        assert_eq!(verdict(quotient(0.5), true), Verdict::Slower);
        assert_eq!(verdict(quotient(1.05), true), Verdict::Same);
    }

    #[test]
    fn what_was_not_there_before_is_new() {
        let mut old = report(&[4.0]);
        old.groups.clear();
        let text = text(&old, &report(&[4.0]));
        assert!(text.starts_with("new     frames: pair"), "{text}");
        old.quick = false;
        let text = super::text(&old, &report(&[4.0]));
        assert!(text.starts_with("one run is quick"), "{text}");
    }
}
