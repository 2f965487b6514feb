//! A machine from a TOML file.
//!
//! Its keys stand in `docs/MACHINE.md`, the text of which follows below.
//! An error names the line, the cause and the remedy. `keys`: the file's shape. `build`: from
//! there to a machine.
#![doc = include_str!("../../../../docs/MACHINE.md")]

mod build;
mod keys;

use crate::control::Control;
use crate::error::ControlError;
use crate::policy::PolicyChange;
use crate::runtime::Runtime;
use memplug::BuildError;
use memplug::core::MachineError;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Why a machine file does not make a machine.
#[derive(Debug, thiserror::Error)]
pub enum MachineFileError {
    /// It cannot be read.
    #[error("{}: {source}; give a file that can be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of it cannot be.
    #[error("{}:{line}: {cause}", .path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Cause and remedy.
        cause: String,
    },
    /// The machine as a whole cannot be.
    #[error("{}: {source}", .path.display())]
    Build {
        /// The file.
        path: PathBuf,
        /// Why.
        source: BuildError,
    },
    /// A device of it was not plugged in.
    #[error("{}:{line}: {source}", .path.display())]
    Device {
        /// The file.
        path: PathBuf,
        /// The line of its size, from 1.
        line: usize,
        /// Why.
        source: ControlError,
    },
}

/// A machine as a file describes it.
#[derive(Clone, Debug)]
pub struct MachineFile {
    path: PathBuf,
    text: String,
    keys: keys::File,
}

impl MachineFile {
    /// Reads a file.
    ///
    /// # Errors
    /// [`MachineFileError`] names the line.
    pub fn read(path: &Path) -> Result<Self, MachineFileError> {
        let text = std::fs::read_to_string(path).map_err(|source| MachineFileError::Read {
            path: path.into(),
            source,
        })?;
        Self::parse(&text, path)
    }

    /// Reads a text; `path` is for messages.
    ///
    /// ```
    /// use memplug_control::{Control, MachineFile};
    /// use std::path::Path;
    ///
    /// let text = "[machine]\nnodes = 2\n[[device]]\nnode = 1\nsize = \"256M\"\n";
    /// let runtime = MachineFile::parse(text, Path::new("machine.toml"))?.build()?;
    /// assert_eq!(runtime.block_ids()?, [32, 33]);
    ///
    /// let error = MachineFile::parse("[machine]\nnodes = \"two\"\n", Path::new("a.toml"));
    /// assert!(error.unwrap_err().to_string().starts_with("a.toml:2: "));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`MachineFileError::Line`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, MachineFileError> {
        let keys = toml::from_str::<keys::File>(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let cause = error.message().replace('\n', " ");
            MachineFileError::Line {
                path: path.into(),
                line: line_of(text, at),
                cause: format!("{cause}; see the documented keys of a machine file"),
            }
        })?;
        let file = Self {
            path: path.into(),
            text: text.into(),
            keys,
        };
        file.builder()?;
        Ok(file)
    }

    /// The settings that can be changed while the machine runs.
    pub fn policies(&self) -> Vec<PolicyChange> {
        self.keys.policy.changes()
    }

    /// Makes the machine and plugs its devices in.
    ///
    /// # Errors
    /// [`MachineFileError`]; nothing is left of the machine then.
    pub fn build(&self) -> Result<Runtime, MachineFileError> {
        let made = self.builder()?.build();
        let machine = made.map_err(|source| self.build_error(source))?;
        let runtime = Runtime::with_cpus(machine, self.cpu_nodes(), self.own_maps());
        for device in &self.keys.device {
            self.plug(&runtime, device)
                .map_err(|source| MachineFileError::Device {
                    path: self.path.clone(),
                    line: line_of(&self.text, device.size.span().start),
                    source,
                })?;
        }
        Ok(runtime)
    }

    fn build_error(&self, source: BuildError) -> MachineFileError {
        let of_line = match source {
            BuildError::Machine(MachineError::BootRange { start, size }) => {
                self.boot_error(start, size)
            }
            _ => None,
        };
        let path = self.path.clone();
        of_line.unwrap_or(MachineFileError::Build { path, source })
    }

    fn line<T>(&self, at: Range<usize>, cause: impl Into<String>) -> Result<T, MachineFileError> {
        Err(MachineFileError::Line {
            path: self.path.clone(),
            line: line_of(&self.text, at.start),
            cause: cause.into(),
        })
    }

    fn plug(&self, runtime: &Runtime, device: &keys::Device) -> Result<(), ControlError> {
        let attempt = crate::control::Attempt::default();
        let added = runtime.add(&device.spec(), &attempt)?;
        for block in added.blocks {
            let offline = runtime.block(block)?.zone.is_none();
            if let Some(word) = device.online.filter(|_| offline) {
                runtime.online(block, Some(word), &attempt)?;
            }
        }
        Ok(())
    }
}

/// The line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or(text.as_bytes());
    before.iter().filter(|&&byte| byte == b'\n').count() + 1
}
