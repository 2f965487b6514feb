//! Results as text: aligned columns for a terminal, and the same columns as Markdown.
//!
//! One row a comparison. Ratios are ours over the peer's, so below 1 is better for times and
//! above 1 for rates; the goal column says which.

use crate::report::{Comparison, Group};

const HEAD: [&str; 8] = [
    "",
    "threads",
    "ours",
    "",
    "peer",
    "ratio",
    "95 % interval",
    "goal",
];

/// A number with three or four digits that count.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        "-".into()
    } else if size >= 100.0 || value == value.trunc() {
        let digits = format!("{value:.0}");
        let mut grouped = String::new();
        for (index, digit) in digits.chars().enumerate() {
            let left = digits.len() - index;
            if index > 0 && left.is_multiple_of(3) && !grouped.ends_with('-') {
                grouped.push(' ');
            }
            grouped.push(digit);
        }
        grouped
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

/// The cells of a comparison, in the order of the head.
fn cells(row: &Comparison) -> [String; 8] {
    let shown = row.ratio.unwrap_or(row.value);
    let verdict = match row.met {
        Some(true) => " met",
        Some(false) => " missed",
        None => "",
    };
    let goal = row
        .goal
        .map_or_else(String::new, |goal| goal.text(&row.unit));
    let beside = match (&row.peer, row.peer_value) {
        (Some(name), Some(value)) => (name.clone(), format!("{} {}", number(value), row.unit)),
        _ => (String::new(), String::new()),
    };
    [
        format!("{} ({})", row.name, row.ours),
        row.threads.to_string(),
        format!("{} {}", number(row.value.median), row.unit),
        beside.0,
        beside.1,
        row.ratio
            .map_or_else(String::new, |ratio| number(ratio.median)),
        format!("{} .. {}", number(shown.low), number(shown.high)),
        format!("{goal}{verdict}"),
    ]
}

/// A group for a terminal.
pub(crate) fn text(group: &Group) -> String {
    let rows: Vec<[String; 8]> = group.comparisons.iter().map(cells).collect();
    let head = HEAD.map(str::to_owned);
    let width = |column: usize| {
        let all = rows.iter().chain([&head]);
        all.map(|row| row[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; 8] = std::array::from_fn(width);
    let line = |row: &[String; 8]| {
        let cells =
            row.iter()
                .zip(widths)
                .enumerate()
                .map(|(column, (cell, width))| match column {
                    0 | 3 | 7 => format!("{cell:<width$}"),
                    _ => format!("{cell:>width$}"),
                });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = format!("== {}: {}\n", group.name, group.title);
    if !rows.is_empty() {
        text += &line(&head);
    }
    rows.iter().for_each(|row| text += &line(row));
    group.grids.iter().for_each(|grid| text += &grid.text());
    for curve in &group.curves {
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|(x, y)| format!("{}: {}", number(*x), number(*y)))
            .collect();
        let exponent = curve
            .exponent
            .map_or_else(String::new, |e| format!("  exponent {e:.2}"));
        text += &format!(
            "{} ({}): {}{exponent}\n",
            curve.name,
            curve.unit,
            points.join(", ")
        );
    }
    for note in &group.notes {
        text += &format!("note: {note}\n");
    }
    for failure in &group.failures {
        text += &format!("FAILED: {failure}\n");
    }
    text
}

/// A group as Markdown.
pub(crate) fn markdown(group: &Group) -> String {
    let mut text = String::new();
    if !group.comparisons.is_empty() {
        text +=
            "| workload | threads | memplug | peer | its value | ratio | 95 % interval | goal |\n";
        text += "|---|---|---|---|---|---|---|---|\n";
    }
    for row in &group.comparisons {
        text += &format!("| {} |\n", cells(row).join(" | "));
    }
    if !group.curves.is_empty() {
        text += "\n| against size | unit | at each size | exponent |\n|---|---|---|---|\n";
    }
    for curve in &group.curves {
        let points: Vec<String> = curve
            .points
            .iter()
            .map(|(x, y)| format!("{}: {}", number(*x), number(*y)))
            .collect();
        let exponent = curve
            .exponent
            .map_or_else(|| "-".into(), |e| format!("{e:.2}"));
        text += &format!(
            "| {} | {} | {} | {exponent} |\n",
            curve.name,
            curve.unit,
            points.join(", ")
        );
    }
    group.grids.iter().for_each(|grid| text += &grid.markdown());
    for remark in group.notes.iter().chain(&group.failures) {
        text += &format!("\n- {remark}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn numbers_keep_the_digits_that_count() {
        for (value, shown) in [
            (0.1234, "0.123"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (1234.4, "1 234"),
            (1_234_567.0, "1 234 567"),
            (3.0, "3"),
            (-123.4, "-123"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), shown);
        }
    }

    #[test]
    fn tables_say_met_and_missed() {
        let report = report(&[4.0, 4.5, 5.0]);
        let text = text(&report.groups[0]);
        assert!(
            text.contains("0.450") && text.contains("<= 0.5 met"),
            "{text}"
        );
        assert!(text.contains("<= 3 ns missed"), "{text}");
        assert!(text.contains("exponent 1.00"), "{text}");
        let markdown = markdown(&report.groups[0]);
        assert!(
            markdown.contains("| pair (memplug) | 1 | 4.50 ns | peer |"),
            "{markdown}"
        );
    }
}
