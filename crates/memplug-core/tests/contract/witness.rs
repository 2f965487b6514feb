//! A subscriber that remembers, and the check of the rule: every `Going*` it was given and did
//! not refuse ended, for it, in exactly one outcome, and it got no outcome besides.

use crate::harness::{Lab, like_linux, node};
use memplug_core::units::{Bytes, Geometry};
use memplug_core::{
    Answer, BootMemory, MachineConfig, MemoryEvent, MemoryMap, Notice, Registration, Rollback,
};
use std::sync::{Arc, Mutex};

/// The calls of all subscribers of a test, in order: name and event.
pub type Calls = Arc<Mutex<Vec<(String, MemoryEvent)>>>;

/// A machine like Linux's, but with the rollback [`Rollback::Told`].
pub fn told_lab(nodes: u16) -> Lab {
    Lab::with(MachineConfig {
        rollback: Rollback::Told,
        ..like_linux(nodes)
    })
}

/// A small machine, quick to fill: blocks of 8 MiB (the first that is added is block 512), and
/// 32 MiB of boot memory on node 0.
pub fn small_lab(nodes: u16) -> Lab {
    let boot = vec![BootMemory {
        node: node(0),
        start: Bytes::new(16 << 20),
        size: Bytes::new(32 << 20),
    }];
    Lab::with(MachineConfig {
        geometry: Geometry::with_block_size(Bytes::new(8 << 20)).expect("a power of two"),
        // Counting a zone looks at the whole address space.
        limit: Bytes::new(8 << 30),
        memory_map: MemoryMap::Outside,
        rollback: Rollback::Told,
        ..MachineConfig::like_linux(boot, nodes, 2)
    })
}

/// Block 32 online in Normal and 33 in Movable, on node 1.
pub fn two_blocks() -> Lab {
    let mut lab = told_lab(2);
    for command in [
        "plug 256M 1",
        "w online_kernel memory32/state",
        "w online_movable memory33/state",
    ] {
        lab.command(command);
    }
    lab.bench.take_events();
    lab
}

/// Subscribes a callback that answers as told, and keeps its calls.
pub fn watch(
    lab: &Lab,
    calls: &Calls,
    name: &str,
    priority: i32,
    answer: impl Fn(&Notice<'_>) -> Answer + Send + Sync + 'static,
) -> Registration {
    let (calls, own) = (calls.clone(), name.to_owned());
    lab.machine.subscribe(name, priority, move |notice| {
        calls.lock().unwrap().push((own.clone(), notice.event));
        answer(notice)
    })
}

/// An answer for one event, `Ok` for all others.
pub fn only(event: MemoryEvent, answer: Answer) -> impl Fn(&Notice<'_>) -> Answer {
    move |notice| match notice.event == event {
        true => answer.clone(),
        false => Answer::Ok,
    }
}

/// The calls so far, as `name EVENT`, and forgets them.
pub fn take(calls: &Calls) -> Vec<String> {
    let calls = std::mem::take(&mut *calls.lock().unwrap());
    calls
        .iter()
        .map(|(name, event)| format!("{name} {event}"))
        .collect()
}

/// How a `Going*` may end.
pub fn outcomes(going: MemoryEvent) -> [MemoryEvent; 2] {
    match going {
        MemoryEvent::GoingOnline => [MemoryEvent::Online, MemoryEvent::CancelOnline],
        _ => [MemoryEvent::Offline, MemoryEvent::CancelOffline],
    }
}

/// The rule, for one subscriber: its events, each with whether it refused.
pub fn check_rule(name: &str, events: &[(MemoryEvent, bool)]) {
    let mut open = None;
    for &(event, refused) in events {
        match (event.is_refusable(), open) {
            (true, None) => open = (!refused).then_some(event),
            (false, Some(going)) if outcomes(going).contains(&event) => open = None,
            _ => panic!("{name}: {event} while {open:?} is open, in {events:?}"),
        }
    }
    assert_eq!(open, None, "{name} was never told the end: {events:?}");
}
