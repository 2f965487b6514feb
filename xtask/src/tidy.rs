//! The rules, one a file, and what they find.
//!
//! A rule is a function from the project to violations; no rule knows another. Each names what
//! is wrong and what to do about it, on one line, with the place in the form that editors open.

use crate::project::Project;
use std::fmt;

mod errors;
mod head;
mod invariants;
mod layers;
mod modules;
mod names;
mod no_std;
mod only_in;
mod size;
mod sync;
mod unsafe_code;
mod words;

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    pub path: String,
    pub line: usize,
    pub rule: &'static str,
    pub what: String,
    pub remedy: String,
}

impl Violation {
    fn new(
        rule: &'static str,
        (path, line): (&str, usize),
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            path: path.to_owned(),
            line,
            rule,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            path,
            line,
            rule,
            what,
            remedy,
        } = self;
        write!(f, "{path}:{line}: {rule}: {what}; {remedy}")
    }
}

/// A rule.
type Rule = fn(&Project) -> Vec<Violation>;

const RULES: [Rule; 12] = [
    layers::check,
    modules::check,
    head::check,
    unsafe_code::check,
    sync::check,
    no_std::check,
    only_in::check,
    names::check,
    size::check,
    invariants::check,
    words::check,
    errors::check,
];

/// Everything all rules find, by place.
pub fn check(project: &Project) -> Vec<Violation> {
    let mut found: Vec<Violation> = RULES.iter().flat_map(|rule| rule(project)).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_are_one_line_with_a_place_and_a_remedy() {
        let violation = Violation::new("size", ("a.rs", 7), "too long", "part it");
        assert_eq!(violation.to_string(), "a.rs:7: size: too long; part it");
    }

    #[test]
    fn an_empty_project_lacks_its_document() {
        let found = check(&Project::default());
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].rule, "invariants");
    }
}
