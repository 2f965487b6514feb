//! The socket of a served machine: its settings from the command line, its log, what a reload
//! does, and what the service manager is told.
//!
//! Without `--socket` the machine takes the default place if it is free. If it is not, and the
//! machine has another face, it goes without: then nobody asked for the socket.

use crate::args::{HookDefault, ServeArgs};
use crate::serve::ServeError;
use memplug_client::{AnswerWord, default_socket};
use memplug_control::{Control, MachineFile};
use memplug_serve::{HookSettings, Served, Settings};
use sd_notify::NotifyState;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tracing_subscriber::EnvFilter;

/// Begins to write the log to standard error.
pub(crate) fn begin_log(filter: &str) -> Result<(), ServeError> {
    let parsed = EnvFilter::builder().parse(filter);
    let filter = parsed.map_err(|error| ServeError::Log(error.to_string()))?;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    // One that is there already goes on.
    let _ = log.with_ansi(false).with_target(false).try_init();
    Ok(())
}

/// The number of a group that was given by name or number.
fn group(text: &str) -> Result<u32, ServeError> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let all = fs::read_to_string("/etc/group").unwrap_or_default();
    let found = all.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(text))
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    });
    found.ok_or_else(|| ServeError::Group(text.into()))
}

/// Serves the machine to other processes.
pub(crate) fn open(
    args: &ServeArgs,
    control: Arc<dyn Control>,
) -> Result<Option<Served>, ServeError> {
    let mut settings = Settings::at(&args.socket.clone().unwrap_or_else(default_socket));
    settings.group = args.group.as_deref().map(group).transpose()?;
    settings.hooks = args.hooks.as_deref().map(|directory| HookSettings {
        limit: args.hook_limit,
        default_answer: match args.hook_default {
            HookDefault::Ok => AnswerWord::Ok,
            HookDefault::Refuse => AnswerWord::Refuse,
        },
        ..HookSettings::of(directory)
    });
    let wanted = args.socket.is_some() || args.group.is_some() || args.hooks.is_some();
    let has_other_face = args.sysfs.is_some() || args.workload.is_some();
    match Served::new(control, settings) {
        Ok(served) => Ok(Some(served)),
        Err(memplug_serve::ServeError::Listen(error)) if !wanted && has_other_face => {
            tracing::warn!("no socket for other processes: {error}");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads the policies of the machine file and the hooks anew. What cannot be is told of in the
/// log, and everything stays as it is then.
pub(crate) fn reload(file: Option<&Path>, control: &dyn Control, served: Option<&Served>) {
    // Without the moment it began the manager takes a reload for failed (sd_notify(3)).
    let now = NotifyState::monotonic_usec_now();
    let states = [Some(NotifyState::Reloading), now.ok()];
    notify(&states.into_iter().flatten().collect::<Vec<_>>());
    match file.map(MachineFile::read) {
        None => {}
        Some(Err(error)) => {
            tracing::error!("not reloaded: {error}");
            notify(&[NotifyState::Ready]);
            return;
        }
        Some(Ok(file)) => {
            for change in file.policies() {
                if let Err(error) = control.change_policy(change) {
                    tracing::error!("not changed: {error}");
                }
            }
        }
    }
    if let Some(Err(error)) = served.map(Served::reload_hooks) {
        tracing::error!("no hooks: {error}");
    }
    tracing::info!("reloaded");
    notify(&[NotifyState::Ready]);
}

/// Tells the service manager, if there is one.
pub(crate) fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!("the service manager was not told: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_have_numbers_and_names() {
        assert_eq!(group("123").ok(), Some(123));
        assert_eq!(group("root").ok(), Some(0));
        assert!(matches!(group("no such group"), Err(ServeError::Group(_))));
    }
}
