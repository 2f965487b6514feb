//! Callbacks that answer as told, for scenarios: any number, of any priority, with any answer,
//! after any delay, that look around and hold pages while they are called.
//!
//! The words and the lines are those of the instrument behind the transcripts of the real
//! kernel. A page that a callback keeps cannot be moved: in a kernel zone it is unmovable, and in
//! Movable its owner never moves it.

use super::arrivals::Arrivals;
use crate::lists::{number_list, zone_words};
use crate::numbers::unsigned_of;
use crate::runtime::planning::known_node;
use crate::word::ZoneName;
use crate::workload::WorkloadError;
use memplug::core::units::CpuId;
use memplug::core::{Hotplug, Owner, PageRequest, Stays};
use memplug::{
    Answer, Errno, Machine, MemoryEvent, MigrateType, NodeId, Notice, Order, Pfn, Registration,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Pages tried for one that lies in the block.
const TRIES: usize = 4096;
/// The same where only some pages can be had at all.
const MORE_TRIES: usize = 1 << 18;
/// Longest words of the instrument.
const WIDTHS: [usize; 4] = [15, 23, 23, 23];
/// Longest delay.
const DELAY_MS: u64 = 600_000;

#[derive(Default)]
struct Behaviour {
    answers: BTreeMap<MemoryEvent, Answer>,
    delays: BTreeMap<MemoryEvent, Duration>,
    peek: bool,
    alloc: Option<u32>,
    keep: i64,
    held: Option<Pfn>,
}

/// What a callback needs when it is called.
struct Callback {
    name: String,
    priority: i32,
    behaviour: Arc<Mutex<Behaviour>>,
    machine: Machine,
    arrivals: Arc<Arrivals>,
    owner: Owner,
    log: Arc<Mutex<Vec<String>>>,
}

struct Entry {
    behaviour: Arc<Mutex<Behaviour>>,
    _registration: Registration,
}

pub(super) struct Callbacks {
    machine: Machine,
    arrivals: Arc<Arrivals>,
    owner: Owner,
    entries: Mutex<BTreeMap<String, Entry>>,
    log: Arc<Mutex<Vec<String>>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A whole number with a sign, in the base its prefix says.
fn number(text: &str) -> Option<i64> {
    let (digits, negative) = match text.strip_prefix('-') {
        Some(digits) => (digits, true),
        None => (text, false),
    };
    if negative && digits.starts_with('+') {
        return None;
    }
    let magnitude = unsigned_of(digits.as_bytes(), i64::MAX.unsigned_abs()).ok()?;
    let magnitude = i64::try_from(magnitude).ok()?;
    Some(if negative { -magnitude } else { magnitude })
}

fn answer_of(word: &str) -> Option<Answer> {
    Some(match word {
        "DONE" => Answer::Done,
        "OK" => Answer::Ok,
        "STOP" => Answer::Stop,
        "BAD" => Answer::Bad,
        _ => {
            let (text, raw) = match word.strip_prefix("raw:") {
                Some(text) => (text, true),
                None => (word, false),
            };
            let value = number(text)?;
            match u16::try_from(value.unsigned_abs()) {
                Ok(errno @ 1..=4095) if value < 0 && !raw => {
                    Answer::Refuse(Errno::new(errno), "told to".into())
                }
                // As an assignment to a C int would cut it.
                _ => Answer::Raw(value as u32),
            }
        }
    })
}

fn look(behaviour: &mut Behaviour, verb: &str, value: i64) {
    match verb {
        "peek" => behaviour.peek = value != 0,
        "keep" => behaviour.keep = value,
        _ => behaviour.alloc = u32::try_from(value).ok(),
    }
}

/// Four words, each cut where the instrument's fields end: what is left is the next word.
fn fields<'a>(words: &[&'a str]) -> Vec<&'a str> {
    let mut fields = Vec::new();
    for mut word in words.iter().copied() {
        while !word.is_empty() && fields.len() < WIDTHS.len() {
            let mut end = WIDTHS[fields.len()].min(word.len());
            while !word.is_char_boundary(end) {
                end -= 1;
            }
            let (field, rest) = word.split_at(end);
            fields.push(field);
            word = rest;
        }
    }
    fields
}

fn events_of(word: &str) -> Vec<MemoryEvent> {
    let all = MemoryEvent::ALL.into_iter();
    all.filter(|event| word == "ANY" || event.name() == word)
        .collect()
}

impl Callbacks {
    pub(super) fn new(machine: &Machine, arrivals: Arc<Arrivals>) -> Result<Self, WorkloadError> {
        let owner = machine.hotplug().owner("callbacks", Arc::new(Stays));
        Ok(Self {
            machine: machine.clone(),
            arrivals,
            owner: owner.map_err(|error| WorkloadError::Owner(error.to_string()))?,
            entries: Mutex::default(),
            log: Arc::default(),
        })
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *locked(&self.log))
    }

    pub(super) fn order(&self, words: &[&str]) -> Result<(), WorkloadError> {
        let bad = || WorkloadError::Words(words.join(" "));
        let words = &fields(words);
        let (verb, name, rest) = match words.as_slice() {
            [verb, name, rest @ ..] => (*verb, *name, rest),
            _ => return Err(bad()),
        };
        if verb == "add" {
            return self.add(name, rest.first().copied().unwrap_or("0"));
        }
        let mut entries = locked(&self.entries);
        let entry = entries.get(name).map(|entry| entry.behaviour.clone());
        let behaviour = entry.ok_or_else(|| WorkloadError::NoSuchName(name.into()))?;
        let first = rest.first().copied().unwrap_or("");
        match verb {
            "again" => return Err(WorkloadError::Exists(name.into())),
            "del" => {
                let gone = entries.remove(name);
                drop(entries);
                drop(gone);
            }
            "peek" | "keep" | "alloc" => {
                // What is no number is an error, and counts as 0 all the same.
                let value = number(first);
                look(&mut locked(&behaviour), verb, value.unwrap_or(0));
                value.ok_or_else(bad)?;
            }
            "drop" => {
                let held = locked(&behaviour).held.take();
                free(self.machine.hotplug(), &self.owner, held);
            }
            "set" => {
                let (events, word) = (events_of(first), rest.get(1).copied().unwrap_or(""));
                let answer = answer_of(word)
                    .filter(|_| !events.is_empty())
                    .ok_or_else(bad)?;
                let answers = events.into_iter().map(|event| (event, answer.clone()));
                locked(&behaviour).answers.extend(answers);
            }
            "delay" => {
                let (events, word) = (events_of(first), rest.get(1).copied().unwrap_or(""));
                let delay = number(word)
                    .filter(|_| !events.is_empty())
                    .ok_or_else(bad)?;
                let delay = u64::try_from(delay).unwrap_or(0).min(DELAY_MS);
                let delays = events
                    .into_iter()
                    .map(|e| (e, Duration::from_millis(delay)));
                locked(&behaviour).delays.extend(delays);
            }
            _ => return Err(bad()),
        }
        Ok(())
    }

    fn add(&self, name: &str, priority: &str) -> Result<(), WorkloadError> {
        let mut entries = locked(&self.entries);
        if entries.contains_key(name) {
            return Err(WorkloadError::Exists(name.into()));
        }
        let bad = || WorkloadError::Words(format!("add {name} {priority}"));
        let priority = number(priority).ok_or_else(bad)?;
        // As an assignment to a C int would cut it.
        let priority = priority as i32;
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let callback = Callback {
            name: name.into(),
            priority,
            behaviour: behaviour.clone(),
            machine: self.machine.clone(),
            arrivals: self.arrivals.clone(),
            owner: self.owner.clone(),
            log: self.log.clone(),
        };
        let call = move |notice: &Notice<'_>| callback.call(notice);
        let _registration = self.machine.subscribe(name, priority, call);
        let entry = Entry {
            behaviour,
            _registration,
        };
        entries.insert(name.into(), entry);
        Ok(())
    }
}

impl Callback {
    fn call(&self, notice: &Notice<'_>) -> Answer {
        let hotplug = self.machine.hotplug();
        let mut extras = String::new();
        let (peeks, node, keep) = {
            let behaviour = locked(&self.behaviour);
            (behaviour.peek, behaviour.alloc, behaviour.keep)
        };
        if peeks {
            extras += &peek(hotplug, notice);
        }
        if let Some(node) = node {
            let node = known_node(&self.machine, node);
            let found = node.map_or("none", |node| self.try_alloc(notice, node, None));
            extras += &format!(" [alloc={found}]");
        }
        if keep != 0 && notice.event == MemoryEvent::Online {
            let mut held = locked(&self.behaviour).held;
            if held.is_none() {
                held = self.take_one(notice);
                locked(&self.behaviour).held = held;
                extras += &format!(" [holds={}]", held.map_or("none", |_| "one"));
            }
        }
        if keep == 1 && notice.event == MemoryEvent::GoingOffline {
            extras += &self.let_go(notice);
        }
        let answer = || {
            let answer = locked(&self.behaviour).answers.get(&notice.event).cloned();
            answer.unwrap_or(Answer::Ok)
        };
        let delay = locked(&self.behaviour).delays.get(&notice.event).copied();
        let (name, priority) = (&self.name, self.priority);
        let (event, notify, raw) = (notice.event, notice.notify, answer().raw());
        locked(&self.log).push(format!(
            "{name} prio={priority} {event} {notify}{extras} -> 0x{raw:x}"
        ));
        if let Some(delay) = delay.filter(|delay| *delay > Duration::ZERO) {
            std::thread::sleep(delay);
        }
        // It may have been told something else meanwhile; what was logged stays.
        answer()
    }

    /// Whether the node can serve a movable page now, and from where; `was`: a page given back
    /// just before.
    fn try_alloc(&self, notice: &Notice<'_>, node: NodeId, was: Option<Pfn>) -> &'static str {
        let hotplug = self.machine.hotplug();
        let request = PageRequest::movable(node).only_node();
        let Ok(pfn) = hotplug.alloc(CpuId::new(0), &self.owner, &request) else {
            return "none";
        };
        free(hotplug, &self.owner, Some(pfn));
        if was == Some(pfn) {
            return "the same page";
        }
        let block_of = |pfn| hotplug.geometry().block_of(pfn);
        let served = self.arrivals.first(&self.machine, block_of(pfn), notice);
        match served == block_of(notice.notify.start_pfn) {
            true => "inside",
            false => "outside",
        }
    }

    /// A page of the block that came, which nobody can move.
    fn take_one(&self, notice: &Notice<'_>) -> Option<Pfn> {
        if self.arrivals.room_before(&self.machine, notice).get() >= TRIES as u64 {
            return None;
        }
        let held = self.search(notice, MigrateType::Movable, TRIES);
        if held.is_none() || ZoneName::from(notice.zone) == ZoneName::Movable {
            return held;
        }
        free(self.machine.hotplug(), &self.owner, held);
        self.search(notice, MigrateType::Unmovable, MORE_TRIES)
    }

    fn search(&self, notice: &Notice<'_>, kind: MigrateType, tries: usize) -> Option<Pfn> {
        let hotplug = self.machine.hotplug();
        let request = PageRequest::new(kind, notice.node).only_node();
        let mut others = Vec::new();
        let mut held = None;
        while held.is_none() && others.len() < tries {
            match hotplug.alloc(CpuId::new(0), &self.owner, &request) {
                Ok(pfn) if notice.notify.range().contains(pfn) => held = Some(pfn),
                Ok(pfn) => others.push(pfn),
                Err(_) => break,
            }
        }
        for pfn in others {
            free(hotplug, &self.owner, Some(pfn));
        }
        held
    }

    /// Frees the page it holds, if that lies in the block that goes.
    fn let_go(&self, notice: &Notice<'_>) -> String {
        let mut behaviour = locked(&self.behaviour);
        let inside = behaviour
            .held
            .filter(|pfn| notice.notify.range().contains(*pfn));
        if inside.is_none() {
            return String::new();
        }
        behaviour.held = None;
        drop(behaviour);
        free(self.machine.hotplug(), &self.owner, inside);
        let next = self.try_alloc(notice, notice.node, inside);
        format!(" [freed; next alloc={next}]")
    }
}

/// What the files say at this moment.
fn peek(hotplug: &Hotplug, notice: &Notice<'_>) -> String {
    let id = hotplug.geometry().block_of(notice.notify.start_pfn);
    let state = hotplug.block(id);
    let state = state.map_or("E-2", |block| block.state().word());
    let zones = hotplug.valid_zones(id).unwrap_or_default();
    let zones: Vec<ZoneName> = zones.into_iter().map(Into::into).collect();
    let nodes = hotplug.view().nodes;
    let with_memory = nodes.iter().filter(|node| node.has_memory);
    let with_memory: Vec<u32> = with_memory.map(|node| u32::from(node.id.get())).collect();
    format!(
        " [state={state} valid_zones={} has_memory={}]",
        zone_words(&zones),
        number_list(&with_memory)
    )
}

fn free(hotplug: &Hotplug, owner: &Owner, pfn: Option<Pfn>) {
    if let Some(pfn) = pfn {
        let freed = hotplug.free(pfn, Order::ZERO, owner);
        debug_assert_eq!(freed, Ok(()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_go_on_in_the_next() {
        let long = "abcdefghijklmnopqrstuvwxyz";
        assert_eq!(
            fields(&["add", long, "5"]),
            ["add", &long[..23], &long[23..], "5"]
        );
        assert_eq!(fields(&["a", "b", "c", "d", "e"]), ["a", "b", "c", "d"]);
    }

    #[test]
    fn answers_as_the_kernel_would_number_them() {
        for (word, raw) in [
            ("DONE", 0),
            ("OK", 1),
            ("STOP", 0x8001),
            ("BAD", 0x8002),
            ("-12", 0x800d),
            ("5", 5),
            ("raw:2", 2),
            ("raw:-12", 0xffff_fff4),
            ("raw:0x8002", 0x8002),
        ] {
            assert_eq!(
                answer_of(word).map(|answer| answer.raw()),
                Some(raw),
                "{word}"
            );
        }
        for word in ["", "NO", "raw:", "--1", "-+1", "1 "] {
            assert_eq!(answer_of(word), None, "{word}");
        }
    }
}
