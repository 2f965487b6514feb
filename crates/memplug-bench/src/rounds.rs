//! Rounds: contenders take turns in one process, so that what disturbs one disturbs all.
//!
//! Before the first round each contender runs once unrecorded, to warm caches and metadata, unless
//! it begins anew in every round.
//! Within a round the order moves on by one each time. A peer that fails is left out from then
//! on and noted; if ours fails, the run has failed.

use crate::report::Group;
use anyhow::Result;

/// One round's figures of one contender: name of the workload, unit, value.
pub(crate) type Figures = Vec<(String, &'static str, f64)>;

/// A side that does the work, once a round.
pub(crate) struct Contender<'a> {
    name: String,
    is_ours: bool,
    run: Box<dyn FnMut() -> Result<Figures> + 'a>,
}

impl<'a> Contender<'a> {
    /// One of ours: when it fails, the run has failed.
    pub(crate) fn ours(name: &str, run: impl FnMut() -> Result<Figures> + 'a) -> Self {
        Self {
            name: name.to_owned(),
            is_ours: true,
            run: Box::new(run),
        }
    }

    /// A peer.
    pub(crate) fn peer(name: &str, run: impl FnMut() -> Result<Figures> + 'a) -> Self {
        Self {
            name: name.to_owned(),
            is_ours: false,
            run: Box::new(run),
        }
    }
}

/// Runs the contenders in turns and records what they find in `group`.
pub(crate) fn take_turns(
    group: &mut Group,
    threads: usize,
    rounds: u32,
    contenders: Vec<Contender<'_>>,
) {
    turns(group, threads, 0, rounds, contenders);
}

/// The same without the round before the first, for contenders that begin anew in every round.
pub(crate) fn take_turns_afresh(
    group: &mut Group,
    threads: usize,
    rounds: u32,
    contenders: Vec<Contender<'_>>,
) {
    turns(group, threads, 1, rounds, contenders);
}

/// Rounds `first` to `last`; what the one with number 0 finds is not recorded.
fn turns(
    group: &mut Group,
    threads: usize,
    first: u32,
    last: u32,
    mut contenders: Vec<Contender<'_>>,
) {
    let mut out: Vec<bool> = vec![false; contenders.len()];
    for round in first as usize..=last as usize {
        for turn in 0..contenders.len() {
            let at = (turn + round) % contenders.len();
            if out[at] {
                continue;
            }
            let contender = &mut contenders[at];
            match (contender.run)() {
                Ok(figures) => {
                    for (name, unit, value) in figures.into_iter().filter(|_| round > 0) {
                        group.record(&name, threads, &contender.name, unit, value);
                    }
                }
                Err(error) => {
                    out[at] = true;
                    let text = format!("{} ({threads} threads): {error:#}", contender.name);
                    let is_ours = contender.is_ours;
                    if is_ours {
                        &mut group.failures
                    } else {
                        &mut group.notes
                    }
                    .push(text);
                    forget(group, threads, &contenders[at].name);
                }
            }
        }
    }
}

/// Rounds belong together by their place: half a contender's rounds must not be compared.
fn forget(group: &mut Group, threads: usize, contender: &str) {
    let stays = |found: &crate::report::Measurement| {
        found.threads != threads || found.contender != contender
    };
    group.measurements.retain(stays);
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use std::cell::RefCell;

    #[test]
    fn turns_rotate_and_the_first_round_is_not_recorded() {
        let order = RefCell::new(String::new());
        let run = |letter: char| {
            let order = &order;
            move || {
                order.borrow_mut().push(letter);
                Ok(vec![("work".to_owned(), "ns", 1.0)])
            }
        };
        let mut group = Group::new("g", "");
        let both = vec![
            Contender::ours("a", run('a')),
            Contender::peer("b", run('b')),
        ];
        take_turns(&mut group, 1, 3, both);
        assert_eq!(*order.borrow(), "abbaabba");
        assert_eq!(group.rounds("work", 1, "a").map(<[f64]>::len), Some(3));
        assert_eq!(group.rounds("work", 1, "b").map(<[f64]>::len), Some(3));
        order.borrow_mut().clear();
        let alone = vec![Contender::ours("c", run('c'))];
        take_turns_afresh(&mut group, 1, 2, alone);
        assert_eq!(*order.borrow(), "cc");
        assert_eq!(group.rounds("work", 1, "c").map(<[f64]>::len), Some(2));
    }

    #[test]
    fn only_our_errors_fail_the_run() {
        let mut calls = 0;
        let sometimes = || {
            calls += 1;
            if calls < 3 {
                Ok(vec![("work".to_owned(), "ns", 1.0)])
            } else {
                Err(anyhow!("broke"))
            }
        };
        let mut group = Group::new("g", "");
        take_turns(&mut group, 1, 3, vec![Contender::peer("b", sometimes)]);
        assert!(group.failures.is_empty() && group.rounds("work", 1, "b").is_none());
        assert_eq!(group.notes, ["b (1 threads): broke"]);
        take_turns(
            &mut group,
            1,
            3,
            vec![Contender::ours("a", || Err(anyhow!("broke")))],
        );
        assert_eq!(group.failures.len(), 1);
    }
}
