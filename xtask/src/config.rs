//! What `layers.toml` says.
//!
//! Unknown keys are errors: a rule that is spelled wrongly must not be a rule that is off.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::collections::BTreeMap;

/// Where the data of the rules stands, from the root of the repository.
pub const FILE: &str = "layers.toml";

/// The whole file. Every part may be left out; then nothing is allowed by it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Config {
    /// Crate to the crates of the workspace that it may depend on.
    pub allowed: BTreeMap<String, Vec<String>>,
    /// The same for dev-dependencies, besides those in `allowed`.
    pub dev: BTreeMap<String, Vec<String>>,
    /// Crate to the ranks of its modules.
    pub modules: BTreeMap<String, Modules>,
    pub r#unsafe: Unsafe,
    pub sync: Sync,
    #[serde(rename = "no_std")]
    pub no_std: NoStd,
    pub errors: Errors,
    pub size: Size,
    /// A path or call to the places (files or folders) that may write it.
    pub only_in: BTreeMap<String, Vec<String>>,
}

/// The modules of one crate, lowest rank first.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Modules {
    pub ranks: Vec<Vec<String>>,
}

/// Crates that may say `unsafe`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Unsafe {
    pub allowed: Vec<String>,
    pub say_why: Vec<String>,
}

/// Crates with one door to atomics.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Sync {
    pub only_in_sync: Vec<String>,
}

/// Crates that must build without the standard library.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct NoStd {
    pub crates: Vec<String>,
    pub std_files: Vec<String>,
}

/// Crates with code that must not panic without a reason outside tests.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Errors {
    pub no_unwrap: Vec<String>,
}

/// Files and functions that may be longer than the rest.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Size {
    pub exceptions: Vec<SizeException>,
}

/// One of them: a whole file with all its functions, or one function of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SizeException {
    pub path: String,
    pub function: Option<String>,
    pub reason: String,
}

impl Config {
    /// Reads the text of `layers.toml`.
    pub fn parse(text: &str) -> Result<Self> {
        toml::from_str(text).with_context(|| format!("{FILE} is not what the rules expect"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_knows() {
        let config = Config::parse(
            "[allowed]\na = [\"b\"]\n[modules.a]\nranks = [[\"x\"], [\"y\"]]\n\
             [no_std]\nstd-files = [\"f\"]\n[unsafe]\nsay-why = [\"m\"]\n",
        )
        .expect("known keys");
        assert_eq!(config.allowed["a"], ["b"]);
        assert_eq!(config.modules["a"].ranks.len(), 2);
        assert_eq!(config.no_std.std_files, ["f"]);
        assert_eq!(config.r#unsafe.say_why, ["m"]);
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        assert!(Config::parse("[no_std]\nstd_files = []\n").is_err());
        assert!(Config::parse("[layers]\n").is_err());
        assert!(Config::parse("[size]\nexceptions = [{ path = \"a\" }]\n").is_err());
    }
}
