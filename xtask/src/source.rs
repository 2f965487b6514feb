//! One file of the repository, with what the rules ask of it.
//!
//! Lines are counted from 1. *Test code* is a file under `tests/` or `benches/`, an item under
//! `#[cfg(test)]`, and a file that such an item declares; the last is known only to the tree,
//! which tells the file (`Source::test_file`).

use crate::functions::{item_end, line_of};
use crate::mask::{Masked, mask};
use std::ops::RangeInclusive;

/// A text file.
#[derive(Debug)]
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    pub text: String,
    /// What is neither comment nor inside a string. Empty if this is not Rust.
    pub code: String,
    /// The comments alone. Empty if this is not Rust.
    pub comments: String,
    /// Whether all of it is test code.
    pub test_file: bool,
    test_items: Vec<TestItem>,
}

/// An item under `#[cfg(test)]`.
#[derive(Debug)]
struct TestItem {
    lines: RangeInclusive<usize>,
    is_module: bool,
    /// The module it declares, if the text of that stands in another file.
    declares: Option<String>,
}

impl Source {
    /// Takes in a file.
    pub fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs");
        let Masked { code, comments } = mask(if rust { text } else { "" });
        let (test_items, cfg_file) = test_items(&code);
        let in_tests = path
            .split('/')
            .any(|part| part == "tests" || part == "benches");
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            code,
            comments,
            test_file: in_tests || cfg_file,
            test_items,
        }
    }

    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// The directory of the crate it belongs to: `crates/<name>/...` or `xtask/...`.
    pub fn crate_name(&self) -> Option<&str> {
        let mut parts = self.path.split('/');
        match parts.next() {
            Some("crates") => parts.next(),
            Some("xtask") => Some("xtask"),
            _ => None,
        }
    }

    /// Its place under `src` of its crate: `notify/invoke.rs`.
    pub fn in_src(&self) -> Option<&str> {
        let name = self.crate_name()?;
        let inside = self.path.strip_prefix("crates/").unwrap_or(&self.path);
        inside.strip_prefix(name)?.strip_prefix("/src/")
    }

    /// The name without directory and `.rs`.
    pub fn stem(&self) -> &str {
        let file = self.path.rsplit('/').next().unwrap_or_default();
        file.strip_suffix(".rs").unwrap_or(file)
    }

    /// Whether a line is test code.
    pub fn is_test_line(&self, line: usize) -> bool {
        self.test_file
            || self
                .test_items
                .iter()
                .any(|item| item.lines.contains(&line))
    }

    /// How many lines it has, a module of tests at its end not counted.
    pub fn own_lines(&self) -> usize {
        let all = self.text.lines().count();
        let written = self.text.trim_end().lines().count();
        match self.test_items.last() {
            Some(tail) if tail.is_module && *tail.lines.end() == written => tail.lines.start() - 1,
            _ => all,
        }
    }

    /// Paths, without `.rs`, of the modules with text that stands elsewhere and is test code.
    pub fn test_modules(&self) -> impl Iterator<Item = String> {
        let directory = match self.path.rsplit_once('/') {
            Some((directory, "lib.rs" | "main.rs" | "mod.rs")) => directory.to_owned(),
            _ => self
                .path
                .strip_suffix(".rs")
                .unwrap_or(&self.path)
                .to_owned(),
        };
        let declared = self
            .test_items
            .iter()
            .filter_map(|item| item.declares.as_ref());
        declared.map(move |name| format!("{directory}/{name}"))
    }
}

/// The items under `#[cfg(test)]`, and whether the whole file is one.
fn test_items(code: &str) -> (Vec<TestItem>, bool) {
    let mut items = Vec::new();
    for (start, _) in code.match_indices("#[cfg(") {
        let attribute_end = item_close(code, start + 1);
        if !is_test_condition(&code[start + 2..attribute_end]) {
            continue;
        }
        let item = skip_attributes(code, attribute_end);
        let end = item_end(code, item);
        let mut words = code[item..end]
            .split_whitespace()
            .skip_while(|word| *word != "mod");
        let is_module = words.next().is_some() && is_module(&code[item..end]);
        let declares = words
            .next()
            .and_then(|word| word.strip_suffix(';'))
            .filter(|_| is_module);
        items.push(TestItem {
            lines: line_of(code, start)..=line_of(code, end.saturating_sub(1)),
            is_module,
            declares: declares.map(str::to_owned),
        });
    }
    let whole_file = code.match_indices("#![cfg(").any(|(start, _)| {
        let end = item_close(code, start + 2);
        is_test_condition(&code[start + 3..end])
    });
    (items, whole_file)
}

/// Whether an item is `mod`, with or without a visibility.
fn is_module(item: &str) -> bool {
    let before = item.split("mod").next().unwrap_or_default().trim();
    before.is_empty() || (before.starts_with("pub") && !before.contains(['{', ';', '=']))
}

/// One past the bracket that closes the one at `open`.
fn item_close(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'[' => depth += 1,
            b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

fn skip_attributes(code: &str, from: usize) -> usize {
    let mut at = from;
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        if !code[at..].starts_with("#[") {
            return at;
        }
        at = item_close(code, at + 1);
    }
}

/// Whether `cfg(...)]` holds only in tests: `test` itself, or one of the parts of an `all`.
fn is_test_condition(attribute: &str) -> bool {
    let dense: String = attribute.split_whitespace().collect();
    let condition = dense
        .strip_prefix("cfg(")
        .and_then(|rest| rest.strip_suffix(")]"));
    let Some(condition) = condition else {
        return false;
    };
    let all = condition
        .strip_prefix("all(")
        .and_then(|rest| rest.strip_suffix(')'));
    match all {
        Some(parts) => {
            let mut depth = 0_usize;
            let mut split = parts.split(|c| {
                depth = match c {
                    '(' => depth + 1,
                    ')' => depth.saturating_sub(1),
                    _ => depth,
                };
                c == ',' && depth == 0
            });
            split.any(|part| part == "test")
        }
        None => condition == "test",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_under_cfg_test_are_test_code() {
        let text = "fn a() {}\n#[cfg(test)]\n#[rustfmt::skip]\nmod tests {\n  x\n}\n";
        let source = Source::new("crates/a/src/b.rs", text);
        let test_lines: Vec<usize> = (1..=6).filter(|&line| source.is_test_line(line)).collect();
        assert_eq!(test_lines, [2, 3, 4, 5, 6]);
        assert_eq!(source.own_lines(), 1);
    }

    #[test]
    fn only_a_module_at_the_end_is_not_counted() {
        let text = "#[cfg(test)]\nmod tests {\n}\nfn a() {}\n";
        assert_eq!(Source::new("crates/a/src/b.rs", text).own_lines(), 4);
        let text = "fn a() {}\n#[cfg(test)]\nfn modest() {\n}\n";
        assert_eq!(Source::new("crates/a/src/b.rs", text).own_lines(), 4);
    }

    #[test]
    fn conditions_that_hold_elsewhere_too_are_no_tests() {
        for (condition, expected) in [
            ("test", true),
            ("all(test, not(loom))", true),
            ("all( loom , test )", true),
            ("any(test, loom)", false),
            ("all(any(test, loom), unix)", false),
            ("not(test)", false),
        ] {
            let text = format!("#[cfg({condition})]\nfn a() {{}}\n");
            let source = Source::new("crates/a/src/b.rs", &text);
            assert_eq!(source.is_test_line(2), expected, "{condition}");
            let text = format!("#![cfg({condition})]\nfn a() {{}}\n");
            assert_eq!(
                Source::new("crates/a/src/b.rs", &text).test_file,
                expected,
                "{condition}"
            );
        }
    }

    #[test]
    fn modules_of_tests_in_files_of_their_own_are_named() {
        let declared = |path: &str| {
            let source = Source::new(path, "mod a;\n#[cfg(test)]\npub(crate) mod b;\n");
            source.test_modules().collect::<Vec<_>>()
        };
        assert_eq!(declared("crates/x/src/lib.rs"), ["crates/x/src/b"]);
        assert_eq!(declared("crates/x/src/y.rs"), ["crates/x/src/y/b"]);
    }

    #[test]
    fn files_know_their_crate_and_place() {
        let source = Source::new("crates/a/src/b/c.rs", "");
        assert_eq!(
            (source.crate_name(), source.in_src()),
            (Some("a"), Some("b/c.rs"))
        );
        let source = Source::new("xtask/src/main.rs", "");
        assert_eq!(
            (source.crate_name(), source.in_src()),
            (Some("xtask"), Some("main.rs"))
        );
        let source = Source::new("crates/a/tests/t.rs", "");
        assert_eq!((source.in_src(), source.test_file), (None, true));
        assert_eq!(Source::new("README.md", "").crate_name(), None);
    }
}
