//! Files and functions stay as long as one can read at a time.
//!
//! A file has 500 lines at most, a module of tests at its end not counted; a function has 70.
//! The data may except a file, or one function of it, with a reason. An exception that nothing
//! needs any more fails, so the list only ever shrinks by itself.

use super::Violation;
use crate::config::{FILE, SizeException};
use crate::functions::functions;
use crate::project::Project;
use crate::source::Source;

const RULE: &str = "size";

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

pub fn check(project: &Project) -> Vec<Violation> {
    let exceptions = &project.config.size.exceptions;
    let all: Vec<TooLong> = project.tree.rust().flat_map(too_long).collect();
    let is_excepted = |found: &TooLong| {
        exceptions
            .iter()
            .any(|exception| found.is_meant_by(exception))
    };
    let mut violations: Vec<Violation> = all
        .iter()
        .filter(|found| !is_excepted(found))
        .map(TooLong::violation)
        .collect();
    for exception in exceptions {
        let needed = all.iter().any(|found| found.is_meant_by(exception));
        let (what, remedy) = match (needed, exception.reason.trim().is_empty()) {
            (false, _) => ("needs no exception", "take it out of the list"),
            (true, true) => (
                "is excepted without a reason",
                "say why it cannot be parted",
            ),
            (true, false) => continue,
        };
        let function = exception
            .function
            .as_ref()
            .map(|name| format!(" fn {name}"));
        let what = format!("{}{} {what}", exception.path, function.unwrap_or_default());
        violations.push(Violation::new(
            RULE,
            project.place_in_data(&exception.path),
            what,
            remedy,
        ));
    }
    violations
}

/// A file, or a function in it, that is longer than it should be.
struct TooLong<'a> {
    file: &'a Source,
    line: usize,
    function: Option<String>,
    lines: usize,
}

fn too_long(file: &Source) -> Vec<TooLong<'_>> {
    let lines = file.own_lines();
    let whole = (lines > FILE_LINES).then_some(TooLong {
        file,
        line: 1,
        function: None,
        lines,
    });
    let functions = functions(&file.code)
        .into_iter()
        .filter(|f| f.lines > FUNCTION_LINES);
    let functions = functions.map(|f| TooLong {
        file,
        line: f.line,
        function: Some(f.name),
        lines: f.lines,
    });
    whole.into_iter().chain(functions).collect()
}

impl TooLong<'_> {
    fn is_meant_by(&self, exception: &SizeException) -> bool {
        let function = exception.function.is_none() || exception.function == self.function;
        exception.path == self.file.path && function
    }

    fn violation(&self) -> Violation {
        let (what, most) = match &self.function {
            Some(name) => (format!("fn {name}"), FUNCTION_LINES),
            None => ("the file".to_owned(), FILE_LINES),
        };
        Violation::new(
            RULE,
            (&self.file.path, self.line),
            format!("{what} has {} lines, {most} at most", self.lines),
            format!("part it by concept, or except it with a reason under [size] in {FILE}"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    fn found(exceptions: &str, text: &str) -> Vec<String> {
        let config = format!("[size]\nexceptions = [{exceptions}]\n");
        let project = project(&config, &[("crates/a/src/b.rs", text)]);
        check(&project)
            .into_iter()
            .map(|violation| violation.what)
            .collect()
    }

    fn function(lines: usize) -> String {
        format!("fn f() {{\n{}}}\n", "x; // }\n".repeat(lines - 2))
    }

    #[test]
    fn what_is_just_long_enough_passes() {
        assert_eq!(found("", &"\n".repeat(500)), [""; 0]);
        assert_eq!(found("", &function(70)), [""; 0]);
        let tail = format!("{}#[cfg(test)]\nmod tests {{\n}}\n", "\n".repeat(500));
        assert_eq!(found("", &tail), [""; 0]);
    }

    #[test]
    fn what_is_one_line_longer_fails() {
        assert_eq!(
            found("", &"\n".repeat(501)),
            ["the file has 501 lines, 500 at most"]
        );
        assert_eq!(found("", &function(71)), ["fn f has 71 lines, 70 at most"]);
    }

    #[test]
    fn exceptions_with_a_reason_pass() {
        let text = function(71);
        assert_eq!(
            found("{ path = \"crates/a/src/b.rs\", reason = \"r\" }", &text),
            [""; 0]
        );
        let one = "{ path = \"crates/a/src/b.rs\", function = \"f\", reason = \"r\" }";
        assert_eq!(found(one, &text), [""; 0]);
        let other = one.replace("\"f\"", "\"g\"");
        assert_eq!(found(&other, &text).len(), 2);
    }

    #[test]
    fn exceptions_without_need_or_reason_fail() {
        let needless = found("{ path = \"crates/a/src/b.rs\", reason = \"r\" }", "");
        assert_eq!(needless, ["crates/a/src/b.rs needs no exception"]);
        let silent = found(
            "{ path = \"crates/a/src/b.rs\", reason = \" \" }",
            &function(71),
        );
        assert_eq!(silent, ["crates/a/src/b.rs is excepted without a reason"]);
    }
}
