//! What a run found: raw rounds, comparisons with goals, curves. Written and read as JSON.
//!
//! A measurement is one contender's rounds of one thing. A comparison sets two contenders of
//! the same thing beside each other, round by round, or one beside a fixed number, and says
//! whether a goal was met: by the median; the interval is there to see how sure that is.
//! Raw rounds are kept so that `compare` can work on them later.

use crate::grid::Grid;
use crate::statistics::{Interval, interval, median};
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// Version of the JSON document.
pub(crate) const FORMAT: u32 = 1;

/// Everything a run found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Version of the document.
    pub format: u32,
    /// Whether the workloads were the small ones.
    pub quick: bool,
    /// Rounds asked for.
    pub rounds: u32,
    /// The machine it ran on.
    pub machine: Machine,
    /// Peers that were not there, and why.
    pub missing: Vec<String>,
    /// What was found, group by group.
    pub groups: Vec<Group>,
}

/// Facts about the machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Processors this process may use.
    pub cpus: usize,
    /// Kernel release.
    pub kernel: String,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// The compiler the harness was built with and its target processor, if known.
    pub build: String,
    /// Seconds since 1970 at the beginning.
    pub started: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Load average of the last minute, before.
    pub load_before: f64,
    /// Load average of the last minute, after.
    pub load_after: f64,
}

/// One group of workloads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Its name on the command line.
    pub name: String,
    /// What it is about, in a line.
    pub title: String,
    /// Raw rounds.
    pub measurements: Vec<Measurement>,
    /// Comparisons, in the order to be shown.
    pub comparisons: Vec<Comparison>,
    /// Curves.
    pub curves: Vec<Curve>,
    /// Tables of what was found, beside the comparisons.
    #[serde(default)]
    pub grids: Vec<Grid>,
    /// Remarks: what was chosen, what was left out.
    pub notes: Vec<String>,
    /// Wrong data, or operations that failed. Not empty means the run failed.
    pub failures: Vec<String>,
}

/// The rounds of one contender at one thing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was done.
    pub name: String,
    /// Threads doing it.
    pub threads: usize,
    /// The contender that did it.
    pub contender: String,
    /// Unit of the values.
    pub unit: String,
    /// One value a round.
    pub values: Vec<f64>,
}

/// What a comparison is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Ours at most so many times the peer's.
    RatioAtMost(f64),
    /// Ours at least so many times the peer's.
    RatioAtLeast(f64),
    /// Ours at most so many times the peer's and a fixed amount more, in the unit of the values.
    RatioAtMostPlus(f64, f64),
    /// Ours at most a number.
    AtMost(f64),
    /// Ours at least a number.
    AtLeast(f64),
}

/// Two contenders beside each other, or one beside a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// What was done.
    pub name: String,
    /// Threads doing it.
    pub threads: usize,
    /// Unit of the values.
    pub unit: String,
    /// Our contender.
    pub ours: String,
    /// Median of its rounds, with interval.
    pub value: Interval,
    /// The peer, if there is one.
    pub peer: Option<String>,
    /// Median of its rounds.
    pub peer_value: Option<f64>,
    /// Median of the per-round ratios ours / peer, with interval.
    pub ratio: Option<Interval>,
    /// The goal, if there is one.
    pub goal: Option<Goal>,
    /// Whether the median met it.
    pub met: Option<bool>,
}

/// Values against a size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// What was done.
    pub name: String,
    /// What the horizontal axis counts.
    pub x: String,
    /// Unit of the values.
    pub unit: String,
    /// Size and median.
    pub points: Vec<(f64, f64)>,
    /// Fitted exponent; not there with fewer than two points.
    pub exponent: Option<f64>,
}

impl Goal {
    /// Whether it is met by these rounds.
    fn is_met(self, ours: &[f64], peer: &[f64]) -> bool {
        let rounds = || ours.iter().zip(peer);
        match self {
            Self::RatioAtMost(most) => median_of(rounds().map(|(a, b)| ratio(*a, *b))) <= most,
            Self::RatioAtLeast(least) => median_of(rounds().map(|(a, b)| ratio(*a, *b))) >= least,
            Self::RatioAtMostPlus(most, plus) => {
                median_of(rounds().map(|(a, b)| (a - plus) / b)) <= most
            }
            Self::AtMost(most) => median(ours) <= most,
            Self::AtLeast(least) => median(ours) >= least,
        }
    }

    /// As a table shows it.
    pub(crate) fn text(self, unit: &str) -> String {
        let text = match self {
            Self::RatioAtMost(most) => format!("<= {}", short(most)),
            Self::RatioAtLeast(least) => format!(">= {}", short(least)),
            Self::RatioAtMostPlus(most, plus) => {
                format!("<= {} + {} {unit}", short(most), short(plus))
            }
            Self::AtMost(most) => format!("<= {} {unit}", short(most)),
            Self::AtLeast(least) => format!(">= {} {unit}", short(least)),
        };
        text.trim_end().to_owned()
    }
}

/// A goal's number in as few digits as say it.
fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.2e}").parse().unwrap_or(value);
    rounded.to_string()
}

/// Ours over the peer's. Counts can be 0: two zeros are equal, and beside a zero alone all else is
/// very much.
fn ratio(ours: f64, peer: f64) -> f64 {
    const VERY_MUCH: f64 = 1e6;
    if ours == peer {
        1.0
    } else {
        (ours / peer).min(VERY_MUCH)
    }
}

fn median_of(values: impl Iterator<Item = f64>) -> f64 {
    median(&values.collect::<Vec<_>>())
}

impl Group {
    /// An empty group.
    pub(crate) fn new(name: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a round's value to the measurement of this name.
    pub(crate) fn record(
        &mut self,
        name: &str,
        threads: usize,
        contender: &str,
        unit: &str,
        value: f64,
    ) {
        match self.position(name, threads, contender) {
            Some(at) => self.measurements[at].values.push(value),
            None => self.measurements.push(Measurement {
                name: name.to_owned(),
                threads,
                contender: contender.to_owned(),
                unit: unit.to_owned(),
                values: vec![value],
            }),
        }
    }

    fn position(&self, name: &str, threads: usize, contender: &str) -> Option<usize> {
        self.measurements.iter().position(|found| {
            found.name == name && found.threads == threads && found.contender == contender
        })
    }

    /// The rounds of a contender.
    pub(crate) fn rounds(&self, name: &str, threads: usize, contender: &str) -> Option<&[f64]> {
        self.position(name, threads, contender)
            .map(|at| &*self.measurements[at].values)
    }

    /// Compares two contenders; nothing is added if either was not measured.
    pub(crate) fn compare(
        &mut self,
        name: &str,
        threads: usize,
        ours: &str,
        peer: &str,
        goal: Option<Goal>,
    ) {
        let found = self
            .rounds(name, threads, ours)
            .zip(self.rounds(name, threads, peer));
        let Some((our_rounds, peer_rounds)) = found else {
            return;
        };
        let ratios: Vec<f64> = our_rounds
            .iter()
            .zip(peer_rounds)
            .map(|(a, b)| ratio(*a, *b))
            .collect();
        let comparison = Comparison {
            name: name.to_owned(),
            threads,
            unit: self.unit(name, threads, ours),
            ours: ours.to_owned(),
            value: interval(our_rounds),
            peer: Some(peer.to_owned()),
            peer_value: Some(median(peer_rounds)),
            ratio: Some(interval(&ratios)),
            goal,
            met: goal.map(|goal| goal.is_met(our_rounds, peer_rounds)),
        };
        self.comparisons.push(comparison);
    }

    /// Shows one contender, beside a number if there is a goal.
    pub(crate) fn show(&mut self, name: &str, threads: usize, ours: &str, goal: Option<Goal>) {
        let Some(rounds) = self.rounds(name, threads, ours) else {
            return;
        };
        let comparison = Comparison {
            name: name.to_owned(),
            threads,
            unit: self.unit(name, threads, ours),
            ours: ours.to_owned(),
            value: interval(rounds),
            peer: None,
            peer_value: None,
            ratio: None,
            goal,
            met: goal.map(|goal| goal.is_met(rounds, &[])),
        };
        self.comparisons.push(comparison);
    }

    fn unit(&self, name: &str, threads: usize, contender: &str) -> String {
        self.position(name, threads, contender)
            .map_or_else(String::new, |at| self.measurements[at].unit.clone())
    }
}

impl Report {
    /// Whether anything was wrong: data, or operations that failed. Time never is.
    pub fn failed(&self) -> bool {
        self.groups.iter().any(|group| !group.failures.is_empty())
    }

    /// Reads a report from a file.
    ///
    /// # Errors
    /// When the file cannot be read or is no report of this format.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read {}; check the path", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is no report", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let report: Self = serde_json::from_str(text)
            .context("not the JSON that `--json` writes; make the file anew")?;
        ensure!(
            report.format == FORMAT,
            "its format is {}, this harness reads {FORMAT}; make the file anew",
            report.format
        );
        Ok(report)
    }

    /// As JSON text, numbers cut to six digits.
    pub(crate) fn to_json(&self) -> Result<String> {
        let mut value = serde_json::to_value(self)?;
        shorten(&mut value);
        let mut text = serde_json::to_string_pretty(&value)?;
        text.push('\n');
        Ok(join_numbers(&text))
    }

    /// Writes it to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, self.to_json()?)
            .with_context(|| format!("cannot write {}; check the path", path.display()))
    }
}

/// Cuts every fraction to six significant digits: the rest is noise, and bytes in the tree.
fn shorten(value: &mut serde_json::Value) {
    use serde_json::Value;
    match value {
        Value::Array(items) => items.iter_mut().for_each(shorten),
        Value::Object(fields) => fields.values_mut().for_each(shorten),
        Value::Number(number) if number.is_f64() => {
            let exact = number.as_f64().unwrap_or(0.0);
            let short: f64 = format!("{exact:.5e}").parse().unwrap_or(exact);
            *value = serde_json::json!(short);
        }
        _ => {}
    }
}

/// Puts lists of plain numbers on one line.
fn join_numbers(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut open: Option<usize> = None;
    for line in text.lines() {
        let bare = line.trim();
        if bare.ends_with('[') {
            open = Some(lines.len());
        } else if bare.starts_with(']') {
            if let Some(from) = open.take() {
                let items: Vec<String> = lines.drain(from + 1..).map(|l| l.trim().into()).collect();
                if let Some(first) = lines.last_mut() {
                    first.push_str(&items.join(" "));
                    first.push_str(bare);
                }
                continue;
            }
        } else if !bare
            .trim_end_matches(',')
            .parse::<f64>()
            .is_ok_and(f64::is_finite)
        {
            open = None;
        }
        lines.push(line.to_owned());
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A report of one group in which ours takes `ours` and the peer 10.
    pub(crate) fn report(ours: &[f64]) -> Report {
        let mut group = Group::new("frames", "a title");
        for value in ours {
            group.record("pair", 1, "memplug", "ns", *value);
            group.record("pair", 1, "peer", "ns", 10.0);
        }
        group.compare("pair", 1, "memplug", "peer", Some(Goal::RatioAtMost(0.5)));
        group.show("pair", 1, "memplug", Some(Goal::AtMost(3.0)));
        group.curves.push(Curve {
            name: "ls".into(),
            x: "blocks".into(),
            unit: "us".into(),
            points: vec![(10.0, 1.0), (100.0, 10.25)],
            exponent: Some(1.0),
        });
        Report {
            format: FORMAT,
            quick: true,
            rounds: 3,
            machine: Machine::default(),
            missing: vec!["llfree: not given".into()],
            groups: vec![group],
        }
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        let report = report(&[4.0, 4.5, 5.25]);
        let text = report.to_json().expect("numbers and texts");
        assert_eq!(Report::parse(&text).expect("its own output"), report);
        assert!(text.contains("\"values\": [4.0, 4.5, 5.25]"), "{text}");
    }

    #[test]
    fn other_formats_and_other_texts_are_refused() {
        let mut other = report(&[1.0]);
        other.format = FORMAT + 1;
        let text = other.to_json().expect("numbers and texts");
        let error = Report::parse(&text).expect_err("another format");
        assert!(error.to_string().contains("make the file anew"));
        assert!(Report::parse("{}").is_err());
    }

    #[test]
    fn goals_go_by_the_median_of_the_rounds_ratios() {
        let found = &report(&[4.0, 4.5, 60.0]).groups[0].comparisons;
        assert_eq!((found[0].met, found[1].met), (Some(true), Some(false)));
        assert_eq!(found[0].ratio.map(|ratio| ratio.median), Some(0.45));
        let (ours, peer) = ([20.0; 3], [10.0; 3]);
        assert!(!Goal::RatioAtMost(1.3).is_met(&ours, &peer));
        assert!(Goal::RatioAtMostPlus(1.3, 10.0).is_met(&ours, &peer));
        assert!(!Goal::RatioAtMostPlus(1.3, 6.0).is_met(&ours, &peer));
        assert!(Goal::RatioAtLeast(2.0).is_met(&ours, &peer));
        assert!(!Goal::RatioAtLeast(2.1).is_met(&ours, &peer));
        assert!(Goal::AtLeast(20.0).is_met(&ours, &[]) && !Goal::AtLeast(20.1).is_met(&ours, &[]));
    }

    #[test]
    fn counts_that_are_zero_can_be_compared() {
        assert!(Goal::RatioAtMost(1.0).is_met(&[0.0], &[0.0]));
        assert!(Goal::RatioAtLeast(1.0).is_met(&[0.0], &[0.0]));
        assert!(!Goal::RatioAtMost(1.0).is_met(&[1.0], &[0.0]));
        assert!(!Goal::RatioAtLeast(0.5).is_met(&[0.0], &[1.0]));
    }

    #[test]
    fn a_peer_that_was_not_measured_is_left_out() {
        let mut group = Group::new("frames", "");
        group.record("pair", 1, "memplug", "ns", 1.0);
        group.compare("pair", 1, "memplug", "llfree", None);
        assert!(group.comparisons.is_empty());
    }
}
