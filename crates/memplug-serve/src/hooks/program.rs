//! Which files are taken as hooks, and what they declare.
//!
//! A program runs with the rights of the service, so neither it nor its directory may be a
//! stranger's or writable by others. That is looked at when it is taken and again before each
//! call. Links are not followed.

use super::HookError;
use crate::settings::HookSettings;
use memplug_control::MemoryEvent;
use memplug_interface::AnswerWord;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Bytes that are looked at for a declaration.
const HEAD: u64 = 4096;
/// Longest time that can be declared.
const LONGEST: Duration = Duration::from_secs(600);
/// Longest file name that fits into a notifier's name.
const NAME_BYTES: usize = 58;

pub(super) struct Program {
    pub(super) path: PathBuf,
    /// As notifier.
    pub(super) name: String,
    pub(super) priority: i32,
    pub(super) events: Vec<MemoryEvent>,
    pub(super) limit: Duration,
    pub(super) default: AnswerWord,
    pub(super) owner: u32,
}

/// # Errors
/// When it is a stranger's, or others may write to it.
pub(super) fn check_owner(path: &Path, owner: u32) -> Result<fs::Metadata, HookError> {
    let found = fs::symlink_metadata(path).map_err(|source| HookError::Read {
        path: path.into(),
        source,
    })?;
    if found.uid() != 0 && found.uid() != owner {
        return Err(HookError::Stranger {
            path: path.into(),
            uid: found.uid(),
        });
    }
    if found.mode() & 0o022 != 0 {
        return Err(HookError::Writable {
            path: path.into(),
            mode: found.mode() & 0o7777,
        });
    }
    Ok(found)
}

/// # Errors
/// When it is not a program of root's or the owner's.
pub(super) fn check(path: &Path, owner: u32) -> Result<(), HookError> {
    let found = check_owner(path, owner)?;
    if !found.is_file() || found.mode() & 0o111 == 0 {
        return Err(HookError::NotAProgram { path: path.into() });
    }
    Ok(())
}

impl Program {
    /// The program, or `None` for a file that is none of ours: hidden, or a backup.
    pub(super) fn read(
        path: &Path,
        owner: u32,
        settings: &HookSettings,
    ) -> Result<Option<Self>, HookError> {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let is_ours = name.starts_with(|c: char| c.is_ascii_alphanumeric());
        if !is_ours || name.ends_with('~') || name.len() > NAME_BYTES {
            return Ok(None);
        }
        check(path, owner)?;
        let mut program = Self {
            path: path.into(),
            name: format!("hook:{name}"),
            priority: priority(name),
            events: Vec::new(),
            limit: settings.limit,
            default: settings.default_answer,
            owner,
        };
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
        read.map_err(|source| HookError::Read {
            path: path.into(),
            source,
        })?;
        program.declare(&String::from_utf8_lossy(&head))?;
        Ok(Some(program))
    }

    fn declare(&mut self, head: &str) -> Result<(), HookError> {
        let declared = head
            .lines()
            .filter_map(|line| line.strip_prefix("# memplug:"));
        for word in declared.flat_map(str::split_whitespace) {
            self.take(word).ok_or_else(|| HookError::Declaration {
                path: self.path.clone(),
                word: word.chars().take(64).collect(),
            })?;
        }
        Ok(())
    }

    fn take(&mut self, word: &str) -> Option<()> {
        let (key, value) = word.split_once('=')?;
        match key {
            "events" => {
                let events: Option<Vec<_>> = value.split(',').map(event).collect();
                self.events = events?;
            }
            "limit" => self.limit = time(value)?,
            "default" => {
                self.default = match value {
                    "ok" => AnswerWord::Ok,
                    "refuse" => AnswerWord::Refuse,
                    _ => return None,
                }
            }
            _ => return None,
        }
        Some(())
    }
}

fn priority(name: &str) -> i32 {
    let digits = name
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(name.len());
    name.get(..digits)
        .and_then(|digits| digits.parse().ok())
        .unwrap_or(0)
}

/// The event with this name in documents: `going_offline`.
fn event(name: &str) -> Option<MemoryEvent> {
    MemoryEvent::ALL
        .into_iter()
        .find(|event| event.name().eq_ignore_ascii_case(name))
}

/// `300ms` or `5s`, neither none nor for ever.
fn time(text: &str) -> Option<Duration> {
    let time = match text.strip_suffix("ms") {
        Some(number) => Duration::from_millis(number.parse().ok()?),
        None => Duration::from_secs(text.strip_suffix('s')?.parse().ok()?),
    };
    (time > Duration::ZERO && time <= LONGEST).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn file(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    #[test]
    fn what_is_declared_is_read_and_nonsense_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = HookSettings::of(directory.path());
        let owner = rustix::process::geteuid().as_raw();
        let text =
            "#!/bin/sh\n# memplug: events=going_offline,offline limit=300ms default=refuse\n";
        let path = file(directory.path(), "70-drain", text, 0o755);
        let program = Program::read(&path, owner, &settings)
            .expect("fine")
            .expect("ours");
        assert_eq!(
            (program.name.as_str(), program.priority),
            ("hook:70-drain", 70)
        );
        assert_eq!(
            program.events,
            [MemoryEvent::GoingOffline, MemoryEvent::Offline]
        );
        assert_eq!(program.limit, Duration::from_millis(300));
        assert_eq!(program.default, AnswerWord::Refuse);
        for word in [
            "limit=0s",
            "limit=5",
            "events=gone",
            "default=maybe",
            "x=1",
            "x",
        ] {
            let text = format!("#!/bin/sh\n# memplug: {word}\n");
            let path = file(directory.path(), "bad", &text, 0o755);
            let error = Program::read(&path, owner, &settings)
                .err()
                .expect("nonsense");
            assert!(error.to_string().contains(word), "{error}");
        }
    }

    #[test]
    fn strangers_and_what_they_can_write_are_not_run() {
        let directory = tempfile::tempdir().expect("a directory");
        let owner = rustix::process::geteuid().as_raw();
        let good = file(directory.path(), "a", "", 0o755);
        assert!(check(&good, owner).is_ok());
        for mode in [0o775, 0o757, 0o777] {
            let path = file(directory.path(), "b", "", mode);
            assert!(matches!(
                check(&path, owner),
                Err(HookError::Writable { .. })
            ));
        }
        let path = file(directory.path(), "c", "", 0o644);
        assert!(matches!(
            check(&path, owner),
            Err(HookError::NotAProgram { .. })
        ));
        if owner == 0 {
            std::os::unix::fs::chown(&good, Some(65534), None).expect("root");
            assert!(matches!(
                check(&good, owner),
                Err(HookError::Stranger { uid: 65534, .. })
            ));
        }
        let link = directory.path().join("d");
        std::os::unix::fs::symlink("/bin/true", &link).expect("a link");
        assert!(check(&link, owner).is_err());
        assert!(matches!(
            check(&directory.path().join("none"), owner),
            Err(HookError::Read { .. })
        ));
    }

    #[test]
    fn hidden_files_and_backups_are_none_of_ours() {
        let directory = tempfile::tempdir().expect("a directory");
        let settings = HookSettings::of(directory.path());
        for name in [".x", "_y", "z~"] {
            let path = file(directory.path(), name, "", 0o777);
            assert!(
                Program::read(&path, 0, &settings)
                    .expect("no error")
                    .is_none()
            );
        }
    }
}
