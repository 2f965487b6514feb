//! Callbacks that a transcript adds, tells what to answer, and reads back.
//!
//! Words as in the transcripts: `add NAME PRIO`, `del NAME`, `set NAME EVENT ANSWER`,
//! `delay NAME EVENT MS`, `peek NAME 0|1`, `alloc NAME NODE`, `keep NAME 0|1|2`, `drop NAME`.
//! A delay is not slept: the callback waits at the gate of the background write. Left out:
//! registering the same callback twice and deleting an unknown one, which the types exclude.

use super::flight::Flight;
use super::text;
use memplug_core::units::{CpuId, NodeId, Order, Pfn};
use memplug_core::{
    Answer, Errno, Hotplug, MemoryEvent, MigrateType, Notice, Owner, PageRequest, Registration,
    Stays,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, Weak};

#[derive(Default)]
struct Behaviour {
    answers: BTreeMap<MemoryEvent, Answer>,
    slow: BTreeSet<MemoryEvent>,
    peek: bool,
    alloc: Option<NodeId>,
    keep: u8,
    held: Option<Pfn>,
}

/// What a callback needs when it is called.
struct Callback {
    name: String,
    priority: i32,
    behaviour: Arc<Mutex<Behaviour>>,
    machine: Weak<Hotplug>,
    owner: Owner,
    log: Arc<Mutex<Vec<String>>>,
    flight: Arc<Flight>,
}

struct Entry {
    behaviour: Arc<Mutex<Behaviour>>,
    _registration: Registration,
}

pub struct Callbacks {
    machine: Arc<Hotplug>,
    owner: Owner,
    entries: BTreeMap<String, Entry>,
    log: Arc<Mutex<Vec<String>>>,
    flight: Arc<Flight>,
}

impl Callbacks {
    pub fn new(machine: &Arc<Hotplug>, flight: &Arc<Flight>) -> Self {
        let owner = machine.owner("callbacks", Arc::new(Stays));
        Self {
            machine: machine.clone(),
            owner: owner.expect("an owner number"),
            entries: BTreeMap::new(),
            log: Arc::default(),
            flight: flight.clone(),
        }
    }

    /// `nb WORDS : rc=0`.
    pub fn nb(&mut self, words: &[&str]) -> String {
        let events = |word: &str| -> Vec<MemoryEvent> {
            let all = MemoryEvent::ALL.into_iter();
            all.filter(|event| word == "ANY" || event.name() == word)
                .collect()
        };
        match *words {
            ["add", name, priority] => self.add(name, priority.parse().expect("a priority")),
            ["del", name] => drop(self.entries.remove(name).expect("a callback")),
            ["set", name, event, answer] => {
                let mut behaviour = self.behaviour(name);
                for event in events(event) {
                    behaviour.answers.insert(event, answer_of(answer));
                }
            }
            ["delay", name, event, milliseconds] => {
                let mut behaviour = self.behaviour(name);
                for event in events(event) {
                    behaviour.slow.remove(&event);
                    if milliseconds != "0" {
                        behaviour.slow.insert(event);
                    }
                }
            }
            ["peek", name, on] => self.behaviour(name).peek = on == "1",
            ["alloc", name, node] => {
                self.behaviour(name).alloc = Some(NodeId::new(node.parse().expect("a node")));
            }
            ["keep", name, how] => self.behaviour(name).keep = how.parse().expect("a number"),
            ["drop", name] => {
                let held = self.behaviour(name).held.take();
                free(&self.machine, &self.owner, held.expect("a page is held"));
            }
            _ => panic!("nb {words:?}: unknown words"),
        }
        format!("nb {} : rc=0", words.join(" "))
    }

    /// The calls since the last time, or `cb: none`.
    pub fn take(&self) -> Vec<String> {
        let lines = std::mem::take(&mut *self.log.lock().unwrap());
        if lines.is_empty() {
            return vec!["cb: none".into()];
        }
        lines
    }

    fn add(&mut self, name: &str, priority: i32) {
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let callback = Callback {
            name: name.into(),
            priority,
            behaviour: behaviour.clone(),
            machine: Arc::downgrade(&self.machine),
            owner: self.owner.clone(),
            log: self.log.clone(),
            flight: self.flight.clone(),
        };
        let call = move |notice: &Notice<'_>| callback.call(notice);
        let _registration = self.machine.subscribe(name, priority, call);
        let entry = Entry {
            behaviour,
            _registration,
        };
        self.entries.insert(name.into(), entry);
    }

    fn behaviour(&self, name: &str) -> std::sync::MutexGuard<'_, Behaviour> {
        let entry = self.entries.get(name).expect("a callback");
        entry.behaviour.lock().unwrap()
    }
}

fn answer_of(word: &str) -> Answer {
    match word {
        "DONE" => Answer::Done,
        "OK" => Answer::Ok,
        "STOP" => Answer::Stop,
        "BAD" => Answer::Bad,
        _ => match word.strip_prefix("raw:") {
            Some(raw) => Answer::Raw(raw.parse::<i64>().expect("a number") as u32),
            None => {
                let errno = word.strip_prefix('-').expect("an answer").parse();
                Answer::Refuse(Errno::new(errno.expect("a number")), "told so".into())
            }
        },
    }
}

impl Callback {
    fn call(&self, notice: &Notice<'_>) -> Answer {
        let machine = self.machine.upgrade().expect("called by the machine");
        let mut extras = String::new();
        {
            let mut behaviour = self.behaviour.lock().unwrap();
            if behaviour.peek {
                extras += &peek(&machine, notice);
            }
            if let Some(node) = behaviour.alloc {
                extras += &format!(" [alloc={}]", self.try_alloc(&machine, notice, node));
            }
            if behaviour.keep > 0 && notice.event == MemoryEvent::Online {
                behaviour.held = behaviour.held.or_else(|| self.hold(&machine, notice));
                let held = behaviour.held.map_or("none", |_| "one");
                extras += &format!(" [holds={held}]");
            }
            let leaving = notice.event == MemoryEvent::GoingOffline;
            if behaviour.keep == 1 && leaving && behaviour.held.is_some() {
                free(&machine, &self.owner, behaviour.held.take().expect("held"));
                let node = machine.block(machine.geometry().block_of(notice.notify.start_pfn));
                let next = self.try_alloc(&machine, notice, node.expect("its block").node());
                extras += &format!(" [freed; next alloc={next}]");
            }
        }
        let answer = self
            .behaviour
            .lock()
            .unwrap()
            .answers
            .get(&notice.event)
            .cloned();
        let answer = answer.unwrap_or(Answer::Ok);
        let (name, priority) = (&self.name, self.priority);
        let (event, notify, raw) = (notice.event, notice.notify, answer.raw());
        self.log.lock().unwrap().push(format!(
            "cb: {name} prio={priority} {event} {notify}{extras} -> 0x{raw:x}"
        ));
        if self.behaviour.lock().unwrap().slow.contains(&event) {
            self.flight.wait_at_gate();
        }
        answer
    }

    /// Whether the node can serve a movable page, and from where.
    fn try_alloc(&self, machine: &Hotplug, notice: &Notice<'_>, node: NodeId) -> &'static str {
        let request = PageRequest::movable(node).only_node();
        match machine.alloc(CpuId::new(0), &self.owner, &request) {
            Err(_) => "none",
            Ok(pfn) => {
                free(machine, &self.owner, pfn);
                if notice.notify.range().contains(pfn) {
                    "inside"
                } else {
                    "outside"
                }
            }
        }
    }

    /// A page of the block that came, which nobody can move: unmovable where the zone allows.
    fn hold(&self, machine: &Hotplug, notice: &Notice<'_>) -> Option<Pfn> {
        let range = notice.notify.range();
        let node = machine
            .block(machine.geometry().block_of(range.start()))?
            .node();
        [MigrateType::Unmovable, MigrateType::Movable]
            .into_iter()
            .find_map(|kind| {
                let request = PageRequest::new(kind, node).only_node();
                let mut others = Vec::new();
                let get = || machine.alloc(CpuId::new(0), &self.owner, &request).ok();
                let held = loop {
                    match get() {
                        Some(pfn) if !range.contains(pfn) => others.push(pfn),
                        got => break got,
                    }
                };
                for pfn in others {
                    free(machine, &self.owner, pfn);
                }
                held
            })
    }
}

fn peek(machine: &Hotplug, notice: &Notice<'_>) -> String {
    let id = machine.geometry().block_of(notice.notify.start_pfn);
    let state = machine.block(id).expect("its block").state().word();
    let zones = text::valid_zones(machine, id);
    let has_memory = text::mask(machine, |node| node.has_memory);
    format!(" [state={state} valid_zones={zones} has_memory={has_memory}]")
}

fn free(machine: &Hotplug, owner: &Owner, pfn: Pfn) {
    assert_eq!(machine.free(pfn, Order::ZERO, owner), Ok(()));
}
