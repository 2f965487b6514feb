//! Plots as SVG, drawn by hand: ratios with their intervals, and curves.
//!
//! Text and lines only, a colour for each verdict that is told apart by its mark too, both axes
//! logarithmic. A plot is a few kilobytes, and is the same bytes for the same report.

use crate::report::{Comparison, Curve, Goal, Group};
use crate::table::number;
use std::fmt::Write;

const WIDTH: f64 = 800.0;
const LABELS: f64 = 370.0;
const ROW: f64 = 18.0;
const TOP: f64 = 44.0;
const MET: &str = "#2a7f3f";
const MISSED: &str = "#c0392b";
const PLAIN: &str = "#35506b";
const PALETTE: [&str; 6] = [
    "#35506b", "#c0392b", "#2a7f3f", "#b9770e", "#6c3483", "#117a8b",
];

/// A plot of the group: curves if it has any, ratios otherwise; nothing if it has neither.
pub(crate) fn svg(group: &Group) -> Option<String> {
    if !group.curves.is_empty() {
        return Some(curves(group));
    }
    let rows: Vec<&Comparison> = shown(group);
    (!rows.is_empty()).then(|| ratios(group, &rows))
}

/// The comparisons worth a row: of the many of one workload, the first contender beside the
/// first peer.
fn shown(group: &Group) -> Vec<&Comparison> {
    let mut rows: Vec<&Comparison> = Vec::new();
    for row in group.comparisons.iter().filter(|row| row.ratio.is_some()) {
        let part = row.name.ends_with(" get") || row.name.ends_with(" put");
        let again = |seen: &&Comparison| seen.name == row.name && seen.threads == row.threads;
        let repeated = group.name == "frames" && (part || rows.iter().any(again));
        if !repeated {
            rows.push(row);
        }
    }
    rows
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// From `from` to `to` on paper, over powers of ten around the values.
    fn around(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let logs = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) = logs.fold((f64::MAX, f64::MIN), |(low, high), log| {
            (low.min(log), high.max(log))
        });
        let (low, high) = if low > high {
            (0.0, 1.0)
        } else {
            (low.floor(), high.ceil())
        };
        Self {
            low,
            high: high.max(low + 1.0),
            from,
            to,
        }
    }

    fn at(&self, value: f64) -> f64 {
        let part = (value.max(1e-12).log10() - self.low) / (self.high - self.low);
        self.from + part.clamp(0.0, 1.0) * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        (self.low as i32..=self.high as i32).map(|power| 10f64.powi(power))
    }
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height:.0}\" \
         width=\"{WIDTH}\" height=\"{height:.0}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"8\" y=\"16\" font-size=\"13\" font-weight=\"bold\">{}</text>\n",
        escape(title)
    )
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let _ = writeln!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {style}/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(out: &mut String, at: (f64, f64), anchor: &str, words: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        at.0,
        at.1,
        escape(words)
    );
}

/// The number a goal sets for the ratio.
fn goal_of(row: &Comparison) -> Option<f64> {
    match row.goal? {
        Goal::RatioAtMost(ratio) | Goal::RatioAtLeast(ratio) => Some(ratio),
        Goal::RatioAtMostPlus(..) | Goal::AtMost(_) | Goal::AtLeast(_) => None,
    }
}

/// What a row is called: with our contender's name only where it tells two rows apart.
fn label(row: &Comparison, rows: &[&Comparison]) -> String {
    let peer = row.peer.as_deref().unwrap_or_default();
    let like = |other: &&&Comparison| (&other.name, other.threads) == (&row.name, row.threads);
    let ours = if rows.iter().filter(like).any(|other| other.ours != row.ours) {
        format!(" ({})", row.ours)
    } else {
        String::new()
    };
    format!("{}{ours} / {peer}, {}T", row.name, row.threads)
}

fn ratios(group: &Group, rows: &[&Comparison]) -> String {
    let height = TOP + rows.len() as f64 * ROW + 40.0;
    let bottom = height - 34.0;
    let intervals = rows.iter().filter_map(|row| row.ratio);
    let values = intervals.flat_map(|ratio| [ratio.low, ratio.high, 1.0]);
    let axis = Axis::around(values, LABELS + 10.0, WIDTH - 50.0);
    let mut out = open(height, &format!("{}: ratio to the peer", group.title));
    for tick in axis.ticks() {
        let x = axis.at(tick);
        let stroke = if tick == 1.0 {
            "stroke=\"#000000\""
        } else {
            "stroke=\"#dddddd\""
        };
        line(&mut out, (x, TOP - 10.0), (x, bottom), stroke);
        text(&mut out, (x, bottom + 14.0), "middle", &format!("{tick}"));
    }
    for (index, row) in rows.iter().enumerate() {
        let Some(ratio) = row.ratio else { continue };
        let y = TOP + index as f64 * ROW + 4.0;
        let colour = match row.met {
            Some(true) => MET,
            Some(false) => MISSED,
            None => PLAIN,
        };
        let label = label(row, rows);
        text(&mut out, (LABELS, y + 4.0), "end", &label);
        let thick = format!("stroke=\"{colour}\" stroke-width=\"3\" stroke-opacity=\"0.5\"");
        line(
            &mut out,
            (axis.at(ratio.low), y),
            (axis.at(ratio.high), y),
            &thick,
        );
        if let Some(goal) = goal_of(row) {
            let x = axis.at(goal);
            line(
                &mut out,
                (x, y - 7.0),
                (x, y + 7.0),
                "stroke=\"#666666\" stroke-dasharray=\"2\"",
            );
        }
        let fill = if row.met == Some(false) {
            "#ffffff"
        } else {
            colour
        };
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{fill}\" stroke=\"{colour}\"/>",
            axis.at(ratio.median)
        );
        text(
            &mut out,
            (WIDTH - 6.0, y + 4.0),
            "end",
            &number(ratio.median),
        );
    }
    let legend = "full: goal met or none; hollow: missed; dashes: goal; bar: 95 % interval";
    text(&mut out, (8.0, height - 6.0), "start", legend);
    out + "</svg>\n"
}

fn curves(group: &Group) -> String {
    let (height, left, right) = (430.0, 60.0, WIDTH - 250.0);
    let bottom = height - 44.0;
    let points = || group.curves.iter().flat_map(|curve| &curve.points);
    let nanos = |curve: &Curve, y: f64| if curve.unit == "us" { y * 1e3 } else { y };
    let x_axis = Axis::around(points().map(|(x, _)| *x), left, right);
    let all = group
        .curves
        .iter()
        .flat_map(|curve| curve.points.iter().map(move |(_, y)| nanos(curve, *y)));
    let y_axis = Axis::around(all, bottom, TOP);
    let mut out = open(height, &group.title);
    for tick in x_axis.ticks() {
        let x = x_axis.at(tick);
        line(&mut out, (x, TOP), (x, bottom), "stroke=\"#dddddd\"");
        text(&mut out, (x, bottom + 14.0), "middle", &number(tick));
    }
    for tick in y_axis.ticks() {
        let y = y_axis.at(tick);
        line(&mut out, (left, y), (right, y), "stroke=\"#dddddd\"");
        let words = match tick {
            t if t >= 1e6 => format!("{} ms", t / 1e6),
            t if t >= 1e3 => format!("{} us", t / 1e3),
            t => format!("{t} ns"),
        };
        text(&mut out, (left - 4.0, y + 4.0), "end", &words);
    }
    let x_name = group.curves.first().map_or("", |curve| &curve.x);
    text(
        &mut out,
        ((left + right) / 2.0, bottom + 32.0),
        "middle",
        x_name,
    );
    let mut labels: Vec<(f64, String, &str)> = Vec::new();
    for (curve, colour) in group.curves.iter().zip(PALETTE.iter().cycle()) {
        let place = |(x, y): &(f64, f64)| (x_axis.at(*x), y_axis.at(nanos(curve, *y)));
        let places: Vec<(f64, f64)> = curve.points.iter().map(place).collect();
        let style = format!("stroke=\"{colour}\" stroke-width=\"2\"");
        for pair in places.windows(2) {
            line(&mut out, pair[0], pair[1], &style);
        }
        for (x, y) in &places {
            let _ = writeln!(
                out,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
            );
        }
        let exponent = curve
            .exponent
            .map_or_else(String::new, |e| format!(" (n^{e:.2})"));
        let end = places.last().map_or(bottom, |(_, y)| *y);
        labels.push((end, format!("{}{exponent}", curve.name), colour));
    }
    // Labels beside the ends of their curves, moved apart where they would meet.
    labels.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = TOP;
    for (end, words, colour) in labels {
        let y = end.max(free);
        free = y + 14.0;
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            right + 8.0,
            y + 4.0,
            escape(&words)
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn plots_are_closed_and_show_every_row() {
        let mut group = report(&[4.0, 4.5, 60.0]).groups.remove(0);
        let curves = svg(&group).expect("it has a curve");
        assert!(curves.starts_with("<svg") && curves.ends_with("</svg>\n"));
        assert!(
            curves.contains("ls (n^1.00)") && curves.contains("10 us"),
            "{curves}"
        );
        group.curves.clear();
        let ratios = svg(&group).expect("it has a ratio");
        assert!(
            ratios.contains("pair / peer, 1T") && ratios.contains(MET),
            "{ratios}"
        );
        assert_eq!(ratios.matches("<circle").count(), 1);
        group.comparisons.clear();
        assert!(svg(&group).is_none());
    }

    #[test]
    fn axes_hold_their_values() {
        let axis = Axis::around([0.2, 30.0].into_iter(), 0.0, 300.0);
        assert_eq!(axis.ticks().count(), 4);
        assert_eq!(
            (axis.at(0.1), axis.at(1.0), axis.at(100.0)),
            (0.0, 100.0, 300.0)
        );
        assert_eq!(axis.at(1e9), 300.0);
        assert!(Axis::around([].into_iter(), 0.0, 1.0).at(1.0).is_finite());
        assert_eq!(escape("a < b & c"), "a &lt; b &amp; c");
    }
}
