//! Each invariant is kept by a function that exists and proved by a test that exists.
//!
//! `docs/INVARIANTS.md` has a row an invariant: `| id | statement | kept by | proved by |`.
//! *Kept by* names at least one `` `path::function` ``, *proved by* at least one test, both in
//! backticks. A function counts if it is defined in a file that bears the name before it, or
//! that names it (a type's method); test code keeps nothing. Comments name only invariants that
//! the document has. Left out: whether the function keeps it and the test proves it.

use super::Violation;
use crate::functions::{functions, line_of, words};
use crate::mask::is_word;
use crate::project::Project;
use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet};

const RULE: &str = "invariants";

/// Where the invariants stand.
const DOCUMENT: &str = "docs/INVARIANTS.md";

pub fn check(project: &Project) -> Vec<Violation> {
    let Some(document) = project.tree.get(DOCUMENT) else {
        let remedy = "write it: `| id | statement | kept by | proved by |`";
        return vec![Violation::new(
            RULE,
            (DOCUMENT, 1),
            "the document is missing",
            remedy,
        )];
    };
    let index = Index::new(project);
    let mut known = BTreeSet::new();
    let mut found = Vec::new();
    for row in rows(&document.text) {
        found.extend(row.problems(&index));
        if !known.insert(row.id) {
            let what = format!("{} is defined twice", row.id);
            found.push(row.violation(what, "give one of them a number of its own"));
        }
    }
    for file in project.tree.rust() {
        for (offset, id) in ids(&file.comments) {
            if !known.contains(id) {
                let place = (file.path.as_str(), line_of(&file.comments, offset));
                let what = format!("the comment names {id}, which {DOCUMENT} does not have");
                let remedy = "add its row, or name the invariant that is meant";
                found.push(Violation::new(RULE, place, what, remedy));
            }
        }
    }
    found
}

/// A row of the document that defines an invariant.
struct Row<'a> {
    line: usize,
    id: &'a str,
    cells: Vec<&'a str>,
}

fn rows(text: &str) -> impl Iterator<Item = Row<'_>> {
    text.lines().enumerate().filter_map(|(index, line)| {
        let inner = line.trim().strip_prefix('|')?;
        let inner = inner.strip_suffix('|').unwrap_or(inner);
        let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
        let first = cells.first()?.trim_matches(['`', '*']);
        let (offset, id) = ids(first).next()?;
        (offset == 0 && id == first).then_some(Row {
            line: index + 1,
            id,
            cells,
        })
    })
}

impl Row<'_> {
    fn violation(&self, what: String, remedy: &str) -> Violation {
        Violation::new(RULE, (DOCUMENT, self.line), what, remedy)
    }

    fn problems(&self, index: &Index<'_>) -> Vec<Violation> {
        let [_, statement, kept, proved] = self.cells[..] else {
            let what = format!("{} has {} cells", self.id, self.cells.len());
            return vec![self.violation(what, "write `| id | statement | kept by | proved by |`")];
        };
        let mut found = Vec::new();
        if statement.is_empty() {
            found.push(self.violation(format!("{} states nothing", self.id), "say what holds"));
        }
        found.extend(self.kept(kept, index));
        found.extend(self.proved(proved, index));
        found
    }

    fn kept(&self, cell: &str, index: &Index<'_>) -> Vec<Violation> {
        let keepers: Vec<Vec<&str>> = names(cell).filter(|name| name.len() > 1).collect();
        if keepers.is_empty() {
            let what = format!("{} does not say what keeps it", self.id);
            return vec![self.violation(what, "name the function: `path::function`")];
        }
        let missing = keepers.into_iter().filter(|name| !index.is_keeper(name));
        missing
            .map(|name| {
                let what = format!(
                    "{} is kept by {}, which is not there",
                    self.id,
                    name.join("::")
                );
                self.violation(
                    what,
                    "name the function that keeps it now, as `module::function`",
                )
            })
            .collect()
    }

    fn proved(&self, cell: &str, index: &Index<'_>) -> Vec<Violation> {
        let names: Vec<Vec<&str>> = names(cell).collect();
        let mut found = Vec::new();
        if !names.iter().any(|name| index.is_test(name)) {
            let what = format!("{} names no test that exists", self.id);
            found.push(self.violation(what, "name the test that fails when it is broken"));
        }
        for name in names.iter().filter(|name| !index.has(name)) {
            let what = format!(
                "{} is proved by {}, which is not there",
                self.id,
                name.join("::")
            );
            found.push(self.violation(what, "name the test as it is called now"));
        }
        found
    }
}

/// The names in backticks, by their parts: `` `a::b()` `` is a, b. Other texts are left out.
fn names(cell: &str) -> impl Iterator<Item = Vec<&str>> {
    let quoted = cell.split('`').skip(1).step_by(2);
    quoted
        .map(|text| text.trim_end_matches("()"))
        .filter_map(|text| {
            let parts: Vec<&str> = text.split("::").collect();
            let is_name = |part: &&str| !part.is_empty() && part.bytes().all(is_word);
            parts.iter().all(is_name).then_some(parts)
        })
}

/// The invariants named in a text: the letter I, a word in capitals, a number.
fn ids(text: &str) -> impl Iterator<Item = (usize, &str)> {
    words(text, "I").filter_map(move |start| {
        let rest = text[start..].strip_prefix("I-")?;
        let word = rest.bytes().take_while(u8::is_ascii_uppercase).count();
        let number = rest[word..].strip_prefix('-')?;
        let digits = number.bytes().take_while(u8::is_ascii_digit).count();
        let whole = number
            .as_bytes()
            .get(digits)
            .is_none_or(|&byte| !is_word(byte));
        (word > 0 && digits > 0 && whole).then(|| (start, &text[start..start + 3 + word + digits]))
    })
}

/// A function of the tree.
struct Entry<'a> {
    file: &'a Source,
    is_test: bool,
    /// Whether it is test code of any kind, which keeps no invariant.
    in_tests: bool,
}

/// The functions of the tree by name.
struct Index<'a> {
    functions: BTreeMap<String, Vec<Entry<'a>>>,
}

impl<'a> Index<'a> {
    fn new(project: &'a Project) -> Self {
        let mut all: BTreeMap<String, Vec<Entry<'_>>> = BTreeMap::new();
        for file in project.tree.rust() {
            for function in functions(&file.code) {
                let in_tests = function.is_test || file.is_test_line(function.line);
                let entry = Entry {
                    file,
                    is_test: function.is_test,
                    in_tests,
                };
                all.entry(function.name).or_default().push(entry);
            }
        }
        Self { functions: all }
    }

    fn matching<'b>(&'b self, name: &'b [&str]) -> impl Iterator<Item = &'b Entry<'a>> {
        let (function, path) = name
            .split_last()
            .map_or(("", name), |(last, path)| (*last, path));
        let entries = self.functions.get(function).into_iter().flatten();
        entries.filter(move |entry| path.last().is_none_or(|holder| bears(entry.file, holder)))
    }

    fn has(&self, name: &[&str]) -> bool {
        self.matching(name).next().is_some()
    }

    fn is_keeper(&self, name: &[&str]) -> bool {
        self.matching(name).any(|entry| !entry.in_tests)
    }

    fn is_test(&self, name: &[&str]) -> bool {
        self.matching(name).any(|entry| entry.is_test)
    }
}

/// Whether a file is the module, the crate or the home of the type that `holder` names.
fn bears(file: &Source, holder: &str) -> bool {
    let path = file.path.strip_suffix(".rs").unwrap_or(&file.path);
    let in_path = path.split('/').any(|part| part.replace('-', "_") == holder);
    in_path || words(&file.code, holder).next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::project;

    const ID: &str = concat!("I-", "ZONE-1");
    const CODE: &str = "struct Txn;\nimpl Txn { fn cancel() {} }\n#[test]\nfn cancels() {}\n";

    fn found(rows: &str, code: &str) -> Vec<String> {
        let head = "| id | statement | kept by | proved by |\n|---|---|---|---|\n";
        let document = format!("{head}{}", rows.replace("ID", ID));
        let code = code.replace("ID", ID);
        let files = [
            (DOCUMENT, document.as_str()),
            ("crates/a/src/zone.rs", code.as_str()),
        ];
        check(&project("", &files))
            .into_iter()
            .map(|violation| violation.what)
            .collect()
    }

    #[test]
    fn kept_and_proved_by_what_exists_passes() {
        for row in [
            "| ID | s | `zone::cancel` | `cancels` |",
            "| `ID` | s | `Txn::cancel()` and `Txn` | `zone::cancels`, see `--seeds` |",
        ] {
            assert_eq!(found(row, CODE), [""; 0], "{row}");
        }
        let commented = format!("// keeps ID.\n{CODE}");
        assert_eq!(
            found("| ID | s | `zone::cancel` | `cancels` |", &commented),
            [""; 0]
        );
    }

    #[test]
    fn what_does_not_exist_fails() {
        for (row, expected) in [
            (
                "| ID | s | nobody | `cancels` |",
                "does not say what keeps it",
            ),
            (
                "| ID | s | `cancel` | `cancels` |",
                "does not say what keeps it",
            ),
            (
                "| ID | s | `zone::gone` | `cancels` |",
                "kept by zone::gone, which is not there",
            ),
            (
                "| ID | s | `node::cancel` | `cancels` |",
                "kept by node::cancel, which is not there",
            ),
            (
                "| ID | s | `zone::cancels` | `cancels` |",
                "kept by zone::cancels, which is not there",
            ),
            (
                "| ID | s | `zone::cancel` | `cancel` |",
                "names no test that exists",
            ),
            (
                "| ID | s | `zone::cancel` | by hand |",
                "names no test that exists",
            ),
            (
                "| ID | s | `zone::cancel` | `cancels` `gone` |",
                "proved by gone, which is not there",
            ),
            ("| ID | s | `zone::cancel` |", "has 3 cells"),
            ("| ID | | `zone::cancel` | `cancels` |", "states nothing"),
        ] {
            let found = found(row, CODE);
            assert_eq!(found.len(), 1, "{row}: {found:?}");
            assert!(found[0].contains(expected), "{row}: {found:?}");
        }
    }

    #[test]
    fn ids_are_defined_once_and_known_to_comments() {
        let row = "| ID | s | `zone::cancel` | `cancels` |\n";
        assert_eq!(
            found(&row.repeat(2), CODE),
            [format!("{ID} is defined twice")]
        );
        let commented = format!("{CODE}// ID keeps\n");
        let unknown = found("", &commented);
        assert_eq!(unknown.len(), 1);
        assert!(unknown[0].starts_with(&format!("the comment names {ID}")));
        assert_eq!(
            found("", &format!("{CODE}const X: &str = \"ID\";\n")),
            [""; 0]
        );
    }

    #[test]
    fn ids_are_whole_words() {
        let text = format!(
            "({ID}), x{ID}, {ID}a, {}",
            concat!("I-", "zone-1 I-", "ZONE-")
        );
        let found: Vec<&str> = ids(&text).map(|(_, id)| id).collect();
        assert_eq!(found, [ID]);
    }

    #[test]
    fn a_missing_document_fails() {
        assert_eq!(check(&project("", &[])).len(), 1);
    }
}
