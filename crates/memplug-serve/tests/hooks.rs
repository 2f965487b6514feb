//! Programs of a hook directory as notifiers: consent, refusal, failure, too much time, and
//! files that are not run.

mod stage;

use memplug_client::{OfflineParameters, Target};
use memplug_control::Control;
use memplug_serve::HookSettings;
use stage::{Stage, stage_with};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Hooks by name and text, served; what they write goes to `log` beside them.
fn hooks(scripts: &[(&str, &str)]) -> (Stage, tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let place = directory.path().join("hooks.d");
    fs::create_dir(&place).expect("a directory");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o755)).expect("set");
    let log = directory.path().join("log");
    for (name, text) in scripts {
        write(
            &place.join(name),
            &text.replace("LOG", &log.display().to_string()),
            0o755,
        );
    }
    let stage = stage_with(|settings| {
        settings.hooks = Some(HookSettings {
            limit: Duration::from_secs(20),
            ..HookSettings::of(&place)
        });
    });
    (stage, directory, log)
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("written");
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn hooks_run_by_priority_with_the_event_in_arguments_and_environment() {
    let say = "echo \"$0 $1 $2 $MEMPLUG_EVENT $MEMPLUG_NODE $MEMPLUG_ZONE $MEMPLUG_START_PFN $MEMPLUG_NR_PAGES $HOME\" | sed 's|.*/||' >> LOG";
    let (stage, _directory, log) =
        hooks(&[("5-low", say), ("50-high", say), (".hidden", "exit 3")]);
    stage.client().online(Target::blocks([33])).expect("online");
    let expected =
        |name: &str, event: &str| format!("{name} {event} 33 {event} 1 Normal 1081344 32768 \n");
    let all = [
        ("50-high", "going_online"),
        ("5-low", "going_online"),
        ("50-high", "online"),
        ("5-low", "online"),
    ];
    let all: String = all
        .iter()
        .map(|(name, event)| expected(name, event))
        .collect();
    assert_eq!(text(&log), all);
    let listed = stage.client().notifiers().expect("a list");
    let names: Vec<&str> = listed.iter().map(|one| one.info.name.as_str()).collect();
    assert_eq!(names, ["hook:50-high", "hook:5-low"]);
}

#[test]
fn exit_status_3_refuses_with_what_it_said() {
    let script = "# memplug: events=going_online\necho '  the cache  '\necho 'is busy'\nexit 3";
    let (stage, _directory, _) = hooks(&[("10-a", script)]);
    let refused = stage
        .client()
        .online(Target::blocks([33]))
        .expect_err("refused");
    let failure = refused.failed().expect("by the machine").failure.clone();
    assert_eq!(failure.by.as_deref(), Some("hook:10-a"));
    assert!(
        failure.message.contains("the cache is busy"),
        "{}",
        failure.message
    );
    assert_eq!(stage.states()[1], (33, "offline"));
}

#[test]
fn failures_and_time_count_as_declared() {
    for (script, goes) in [
        ("exit 7", true),
        ("kill -9 $$", true),
        ("# memplug: default=refuse\nexit 7", false),
        ("# memplug: limit=200ms\nsleep 600", true),
        ("# memplug: limit=200ms default=refuse\nsleep 600", false),
        (
            "# memplug: limit=200ms default=refuse\ntrap '' TERM\nsleep 600 & wait; sleep 600",
            false,
        ),
        ("yes | head -c 3000000; exit 0", true),
        ("yes | head -c 3000000; exit 3", false),
        ("(sleep 600 &) ; exit 3", false),
    ] {
        let script = format!("# memplug: events=going_online\n{script}");
        let (stage, _directory, _) = hooks(&[("a", &script)]);
        let went = stage.client().online(Target::blocks([33]));
        assert_eq!(went.is_ok(), goes, "{script}: {went:?}");
        let audit = stage.client().audit(false).expect("kept");
        assert_eq!(
            audit[0].by.silent,
            script.contains("limit="),
            "{script}: {audit:?}"
        );
    }
}

#[test]
fn a_deadline_ends_a_hook_and_is_no_refusal() {
    let script = "# memplug: events=going_offline limit=500s default=refuse\nsleep 600";
    let (stage, _directory, _) = hooks(&[("a", script)]);
    stage.online([33]);
    let parameters = OfflineParameters {
        what: Target::blocks([33]),
        deadline_ms: Some(100),
        ..OfflineParameters::default()
    };
    let late = stage.client().offline_telling(&parameters, |_| {});
    let late = late.expect_err("late");
    let failure = &late.failed().expect("by the machine").failure;
    assert_eq!(failure.kind, "deadline");
    let (who, why) = (&failure.obstacles[0].owner, &failure.obstacles[0].kind);
    assert_eq!((who.as_str(), why.as_str()), ("hook:a", "no_answer"));
    assert!(
        failure
            .message
            .contains("kept by hook:a (it had not answered)"),
        "{late}"
    );
    assert_eq!(stage.states()[1], (33, "online"), "undone");
}

#[test]
fn strangers_files_are_left_out_also_when_they_change_later() {
    let (stage, directory, log) = hooks(&[("a", "echo a >> LOG"), ("b", "echo b >> LOG")]);
    let place = directory.path().join("hooks.d");
    fs::set_permissions(place.join("a"), fs::Permissions::from_mode(0o777)).expect("set");
    stage.client().online(Target::blocks([33])).expect("online");
    assert_eq!(text(&log), "b\nb\n", "looked at before each call");
    let served = stage.served.as_ref().expect("served");
    served.reload_hooks().expect("reloaded");
    assert_eq!(stage.control.subscribers().expect("a list").len(), 1);
    write(
        &place.join("c"),
        &format!("echo c >> {}", log.display()),
        0o755,
    );
    served.reload_hooks().expect("reloaded");
    stage
        .client()
        .offline(Target::blocks([33]))
        .expect("offline");
    assert_eq!(text(&log), "b\nb\nb\nc\nb\nc\n");
    fs::set_permissions(&place, fs::Permissions::from_mode(0o777)).expect("set");
    assert!(
        served.reload_hooks().is_err(),
        "not from a directory of everybody"
    );
    assert!(stage.control.subscribers().expect("a list").is_empty());
}
