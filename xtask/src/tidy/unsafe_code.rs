//! `unsafe` is said only where the data allows it, and never without its reason.
//!
//! The roots of all other crates forbid it, so that the compiler keeps the rule. Wherever it
//! is said, a comment with the word for it (`SAFETY:`, or `# Safety` over a function) stands
//! in the six lines above, or in the comment directly above however long that is. In the crates
//! of `say-why`, each file that says `unsafe` also has a line that tells why it must.

use super::Violation;
use crate::config::FILE;
use crate::functions::{line_of, words};
use crate::project::Project;
use crate::source::Source;

const RULE: &str = "unsafe";

/// How far above a reason may stand.
const LINES_ABOVE: usize = 6;

pub fn check(project: &Project) -> Vec<Violation> {
    project
        .tree
        .rust()
        .flat_map(|file| check_file(project, file))
        .collect()
}

fn check_file(project: &Project, file: &Source) -> Vec<Violation> {
    let config = &project.config.r#unsafe;
    let listed = |list: &[String]| {
        file.crate_name()
            .is_some_and(|name| list.iter().any(|l| l == name))
    };
    let mut found = Vec::new();
    if !listed(&config.allowed) && project.is_root(&file.path) && !forbids(file) {
        found.push(Violation::new(
            RULE,
            (&file.path, 1),
            "the root of the crate does not forbid unsafe code",
            format!("write #![forbid(unsafe_code)], or list the crate under [unsafe] in {FILE}"),
        ));
    }
    let said: Vec<usize> = words(&file.code, "unsafe").collect();
    if let (Some(&first), true) = (said.first(), listed(&config.say_why))
        && !file
            .comments
            .lines()
            .any(|line| line.trim_start().starts_with("// UNSAFETY:"))
    {
        found.push(Violation::new(
            RULE,
            (&file.path, line_of(&file.code, first)),
            "the file says unsafe and not why",
            "add a line `// UNSAFETY:` with what cannot be done without",
        ));
    }
    let lines = said
        .into_iter()
        .filter(|&at| needs_reason(&file.code[at..]));
    let lines = lines
        .map(|at| line_of(&file.code, at))
        .filter(|&line| !has_reason(file, line));
    found.extend(lines.map(|line| {
        let remedy =
            "say above it how each duty is met: `// SAFETY: ...`, or `# Safety` in its docs";
        Violation::new(RULE, (&file.path, line), "unsafe without a reason", remedy)
    }));
    found
}

fn forbids(file: &Source) -> bool {
    let dense: String = file.code.split_whitespace().collect();
    dense.contains("#![forbid(unsafe_code)]")
}

/// Blocks, functions, implementations and traits do; types of function pointers do not.
fn needs_reason(code: &str) -> bool {
    let rest = code["unsafe".len()..].trim_start();
    let mut words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_'));
    match words.next() {
        Some("fn") => {
            let name = rest["fn".len()..].trim_start();
            name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        }
        Some("impl" | "trait") => true,
        Some("extern") => extern_needs_reason(rest),
        _ => rest.starts_with('{'),
    }
}

/// Whether `extern "C" fn` goes on with a name, or `extern "C"` with a block.
fn extern_needs_reason(rest: &str) -> bool {
    let after = rest["extern".len()..]
        .trim_start()
        .trim_start_matches(['"', ' ']);
    match after.strip_prefix("fn") {
        Some(name) => name
            .trim_start()
            .starts_with(|c: char| c.is_alphabetic() || c == '_'),
        None => after.starts_with('{'),
    }
}

fn has_reason(file: &Source, line: usize) -> bool {
    let comments: Vec<&str> = file.comments.lines().collect();
    let code: Vec<&str> = file.code.lines().collect();
    let says = |index: usize| comments.get(index).is_some_and(|text| is_reason(text));
    let index = line - 1;
    if (index.saturating_sub(LINES_ABOVE)..=index).any(says) {
        return true;
    }
    let is_above = |index: &usize| {
        let code = code.get(*index).map_or("", |text| text.trim());
        let comment = comments
            .get(*index)
            .is_some_and(|text| !text.trim().is_empty());
        code.starts_with("#[") || (code.is_empty() && comment)
    };
    (0..index).rev().take_while(is_above).any(says)
}

/// Whether a comment gives one; the word of a whole file, which ends alike, does not count.
fn is_reason(comment: &str) -> bool {
    let mut safety = words(comment, "SAFETY");
    comment.contains("# Safety") || safety.any(|at| comment[at..].starts_with("SAFETY:"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    const CONFIG: &str = "[unsafe]\nallowed = [\"edge\", \"bare\"]\nsay-why = [\"edge\"]\n";

    fn found(path: &str, text: &str) -> Vec<(usize, String)> {
        let violations = check(&project(CONFIG, &[(path, text)]));
        violations
            .into_iter()
            .map(|violation| (violation.line, violation.what))
            .collect()
    }

    #[test]
    fn roots_forbid_it_unless_allowed() {
        assert_eq!(
            found("crates/a/src/lib.rs", "#![forbid(unsafe_code)]\n"),
            []
        );
        assert_eq!(found("crates/edge/src/lib.rs", ""), []);
        assert_eq!(found("crates/a/src/b.rs", ""), []);
        for text in [
            "",
            "#![deny(unsafe_code)]\n",
            "// #![forbid(unsafe_code)]\n",
        ] {
            assert_eq!(found("crates/a/src/lib.rs", text).len(), 1, "{text}");
            assert_eq!(found("crates/a/src/bin/b.rs", text).len(), 1, "{text}");
        }
    }

    #[test]
    fn a_reason_above_passes() {
        for text in [
            "// SAFETY: fine.\nunsafe { x }\n",
            "// SAFETY: fine.\n\n\n\n\n\nunsafe { x }\n",
            "// SAFETY: fine.\n// 2\n// 3\n// 4\n// 5\n// 6\n// 7\n// 8\n#[a]\nunsafe { x }\n",
            "/// # Safety\n/// fine\nunsafe fn f() {}\n",
            "// SAFETY: fine.\nunsafe impl Send for X {}\n",
            "type F = unsafe fn(u8);\ntype G = unsafe extern \"C\" fn(u8);\n",
            "\"unsafe {\"; // unsafe {\n",
        ] {
            assert_eq!(found("crates/bare/src/b.rs", text), [], "{text}");
        }
    }

    #[test]
    fn no_reason_above_fails() {
        for text in [
            "unsafe { x }\n",
            "unsafe {\n// SAFETY: too late\nx }\n",
            "\"SAFETY: not a comment\"; unsafe { x }\n",
            "unsafe fn f() {}\n",
            "unsafe impl Send for X {}\n",
            "unsafe extern \"C\" { fn f(); }\n",
            "unsafe extern \"C\" fn f() {}\n",
            "unsafe extern \"C\" fn f(g: fn()) {}\n",
            "unsafe trait T {}\n",
            "unsafe { x } // UNSAFETY: for the file\n",
        ] {
            let expected = [(1, "unsafe without a reason".to_owned())];
            assert_eq!(found("crates/bare/src/b.rs", text), expected, "{text}");
            assert_eq!(found("crates/a/tests/b.rs", text), expected, "{text}");
        }
        let far = "// SAFETY: far\nlet a;\n\n\n\n\n\nunsafe { x }\n";
        assert_eq!(found("crates/bare/src/b.rs", far).len(), 1);
    }

    #[test]
    fn files_say_why_they_need_it() {
        let text = "// SAFETY: fine.\nunsafe { x }\n";
        let expected = [(2, "the file says unsafe and not why".to_owned())];
        assert_eq!(found("crates/edge/src/b.rs", text), expected);
        let text = format!("// UNSAFETY: maps memory.\n{text}");
        assert_eq!(found("crates/edge/src/b.rs", &text), []);
        assert_eq!(found("crates/edge/src/b.rs", "fn f() {}\n"), []);
    }
}
