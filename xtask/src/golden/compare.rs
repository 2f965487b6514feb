//! The verdict on one scenario: what it printed against the transcript.
//!
//! Comments are left out, except what the first line says of the machine behind the name of the
//! system (`mem`, `nodes possible`, `cpus`, `block_size_bytes`, `boot blocks`), and the command
//! line.

use similar::TextDiff;

const MACHINE: &str = "# machine: ";
const COMMAND_LINE: &str = "# command line: ";

/// The lines that count.
fn counted(text: &str) -> String {
    let mut counted = String::new();
    for line in text.lines() {
        if let Some(machine) = line.strip_prefix(MACHINE) {
            let shared = machine.split_once(", ").map_or("", |(_, rest)| rest);
            counted += &format!("{MACHINE}…, {shared}\n");
        } else if line.starts_with(COMMAND_LINE) || !line.starts_with('#') {
            counted += line;
            counted.push('\n');
        }
    }
    counted.truncate(counted.trim_end().len());
    counted.push('\n');
    counted
}

/// A unified diff, or nothing if they agree.
pub fn difference(golden: &str, printed: &str) -> Option<String> {
    let (golden, printed) = (counted(golden), counted(printed));
    if golden == printed {
        return None;
    }
    let diff = TextDiff::from_lines(&golden, &printed);
    let mut unified = diff.unified_diff();
    let unified = unified.context_radius(3).header("golden", "memplug");
    Some(unified.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_do_not_count_and_the_machine_does() {
        let golden = "# machine: linux 6.1 x86_64, mem 1G, cpus 2\na\n# kernel log: 0 warnings\n\n";
        assert_eq!(
            difference(golden, "# machine: memplug, mem 1G, cpus 2\na\n"),
            None
        );
        for other in [
            "# machine: memplug, mem 2G, cpus 2\na\n",
            "a\n",
            "# machine: m, mem 1G, cpus 2\nb\n",
        ] {
            let diff = difference(golden, other).expect("they differ");
            assert!(diff.starts_with("--- golden\n+++ memplug\n@@"), "{diff}");
        }
    }
}
