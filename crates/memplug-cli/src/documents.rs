//! `memplug completion` and `memplug man`: what was generated from the grammar at build time.
//!
//! Nothing is made anew here, so what is printed is what the package of the command has.

use crate::exit::Status;
use crate::remote::{Trouble, print};
use crate::verb_args::{CompletionArgs, ManArgs, Shell};
use std::fs;

const BASH: &str = include_str!(concat!(env!("OUT_DIR"), "/memplug.bash"));
const ZSH: &str = include_str!(concat!(env!("OUT_DIR"), "/_memplug"));
const FISH: &str = include_str!(concat!(env!("OUT_DIR"), "/memplug.fish"));

/// Manual pages by file name, that of the whole command first.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// Runs `memplug completion`.
pub(crate) fn completion(args: &CompletionArgs) -> Result<Status, Trouble> {
    print(match args.shell {
        Shell::Bash => BASH,
        Shell::Zsh => ZSH,
        Shell::Fish => FISH,
    });
    Ok(Status::Passed)
}

/// Runs `memplug man`.
pub(crate) fn man(args: &ManArgs) -> Result<Status, Trouble> {
    let Some(directory) = &args.directory else {
        print(PAGES.first().map_or("", |(_, text)| text));
        return Ok(Status::Passed);
    };
    let failed = |error: std::io::Error| {
        let path = directory.display();
        Trouble::Usage(format!(
            "{path}: {error}; give a directory where files can be made"
        ))
    };
    fs::create_dir_all(directory).map_err(failed)?;
    for (name, text) in PAGES {
        fs::write(directory.join(name), text).map_err(failed)?;
    }
    Ok(Status::Passed)
}
