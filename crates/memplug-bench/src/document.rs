//! The generated parts of docs/PERFORMANCE.md, and the files beside it.
//!
//! What stands between `<!-- results:NAME -->` and `<!-- end -->` is replaced; all other text
//! is left as it is. A group without a place in the document is an error, so that none is
//! forgotten. Only a run of all groups may be written, so that tables and raw rounds agree.

use crate::peers::ours::CORE;
use crate::report::{Group, Report};
use crate::{plot, table};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// The document, from the folder of documents.
const DOCUMENT: &str = "PERFORMANCE.md";
/// Where the plots and the raw rounds lie.
const FOLDER: &str = "perf";
const END: &str = "<!-- end -->";

/// Writes raw rounds, plots and tables.
///
/// # Errors
/// When a file cannot be read or written, or a group has no place in the document.
pub(crate) fn write(report: &Report, docs: &Path) -> Result<()> {
    report.write(&docs.join(FOLDER).join("results.json"))?;
    plots(report, &docs.join(FOLDER))?;
    let path = docs.join(DOCUMENT);
    let text = fs::read_to_string(&path)
        .with_context(|| format!("cannot read {}; restore it", path.display()))?;
    let mut text = replace(&text, "machine", &machine(report))?;
    for group in &report.groups {
        text = replace(&text, &group.name, &section(group))?;
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a plot of each group that can have one.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn plots(report: &Report, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)
        .with_context(|| format!("cannot make {}; check the path", folder.display()))?;
    for group in &report.groups {
        if let Some(svg) = plot::svg(group) {
            let path = folder.join(format!("{}.svg", group.name));
            fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}

fn machine(report: &Report) -> String {
    let facts = &report.machine;
    let mut text = format!(
        "{}, {} processors, {} GiB, Linux {}; {} rounds{}, {:.0} s; built for {}; load average \
         {:.2} before, {:.2} after.\n",
        facts.cpu,
        facts.cpus,
        facts.memory_mib.div_ceil(1024),
        facts.kernel,
        report.rounds,
        if report.quick {
            " of small workloads (quick)"
        } else {
            ""
        },
        facts.seconds,
        facts.build,
        facts.load_before,
        facts.load_after,
    );
    for missing in &report.missing {
        text += &format!("\n- {missing}\n");
    }
    text
}

fn section(group: &Group) -> String {
    let plot = plot::svg(group).map_or_else(String::new, |_| {
        format!("![{}]({FOLDER}/{}.svg)\n\n", group.title, group.name)
    });
    plot + &table::markdown(&shortened(group))
}

/// Without the parts of sums, and without the core beside peers that the table itself is beside:
/// those are in the raw rounds.
fn shortened(group: &Group) -> Group {
    let mut short = group.clone();
    if group.name == "frames" {
        short.comparisons.retain(|row| {
            let part = row.name.ends_with(" get") || row.name.ends_with(" put");
            let scale = row.ours == CORE && row.peer.as_deref() != Some("llfree");
            !part && !scale
        });
    }
    short
}

/// Replaces what stands between the marks of `name`.
fn replace(text: &str, name: &str, by: &str) -> Result<String> {
    let mark = format!("<!-- results:{name} -->");
    let place = || format!("{DOCUMENT} has no {mark} followed by {END}; add them");
    let (before, rest) = text.split_once(&mark).with_context(place)?;
    let (_, after) = rest.split_once(END).with_context(place)?;
    Ok(format!("{before}{mark}\n{}\n{END}{after}", by.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::report;

    #[test]
    fn only_what_stands_between_the_marks_changes() {
        let text =
            "a\n<!-- results:x -->\nold\n<!-- end -->\nb\n<!-- results:y -->\n<!-- end -->\n";
        let once = replace(text, "x", "new\n").expect("it has the marks");
        assert_eq!(once, text.replace("old", "new"));
        assert_eq!(replace(&once, "x", "new\n").expect("still"), once);
        assert!(replace(text, "z", "").is_err());
        assert!(replace("<!-- results:x -->", "x", "").is_err());
    }

    #[test]
    fn a_run_is_written_to_all_places() {
        let folder = tempfile::tempdir().expect("a folder");
        let report = report(&[4.0, 4.5, 5.0]);
        let error = write(&report, folder.path()).expect_err("no document");
        assert!(error.to_string().contains("restore it"), "{error}");
        let marks = "<!-- results:machine -->\n<!-- end -->\n<!-- results:frames -->\n<!-- end -->";
        fs::write(folder.path().join(DOCUMENT), marks).expect("written");
        write(&report, folder.path()).expect("a document");
        let text = fs::read_to_string(folder.path().join(DOCUMENT)).expect("read");
        assert!(
            text.contains("perf/frames.svg") && text.contains("| pair (memplug) |"),
            "{text}"
        );
        assert!(
            text.contains("peer") && text.contains("- llfree: not given"),
            "{text}"
        );
        let raw = Report::read(&folder.path().join("perf/results.json")).expect("raw rounds");
        assert_eq!(raw, report);
    }
}
