//! Fragmentation: how much of the free memory stays in whole pageblocks, beside other allocators.
//!
//! 4 GiB in one zone; what is held is drawn from three seeds, each a round with new allocators.
//! A: order 0. B: orders 0 to 9. C: a part is unmovable and lives long. D: owners exit. All but D are
//! filled to 90 %, churned by ten times the memory (in batches and on two processors by five times),
//! and freed at random. Ours is told the owner of each request; peers know no owners, and LLFree
//! keeps movable and unmovable apart in C. In a churn the owner that asks is the one that put ("same")
//! or any owner ("random"). The watermarks are off, but where their cost is measured: nearly full,
//! beside the same without.
//!
//! - `holdings`: what a thread holds, asks for and puts. `layout`: what lies where.
//!   `scene`: steps, and what is found after each.

use super::Settings;
use crate::grid::Grid;
use crate::peers::Outsider;
use crate::peers::buddy::{self, Buddy};
use crate::peers::owned::Owned;
use crate::report::{Goal, Group};
use crate::rounds::{Contender, take_turns_afresh};
use crate::table::number;
use anyhow::Result;

mod holdings;
mod layout;
mod scene;

use holdings::{Mix, Owners};
use scene::{FAILED, HUGE, NANOS, Scene, Step, UNMOVABLE, WHOLE, WHOLE_PART};

/// Ours with so many owners: its name, and the part of the best peer's whole pageblocks that it is
/// to keep.
#[derive(Clone, Copy)]
struct Variant {
    name: &'static str,
    owners: Owners,
    keeps: f64,
}

const fn variant(name: &'static str, count: u8, same: bool, keeps: f64) -> Variant {
    let owners = Owners { count, same };
    Variant {
        name,
        owners,
        keeps,
    }
}

const ONE: Variant = variant("memplug, 1 owner", 1, true, 0.95);
const SOME: Variant = variant("memplug, 8 owners, same", 8, true, 0.95);
const SOME_RANDOM: Variant = variant("memplug, 8 owners, random", 8, false, 0.95);
const MANY: Variant = variant("memplug, 50 owners, same", 50, true, 0.8);
const MANY_RANDOM: Variant = variant("memplug, 50 owners, random", 50, false, 0.8);

const UNMARKED: &str = "memplug, marks off";
const MARKED: &str = "memplug, marks on";
const NOTE: &str = "in the grids are means: percent of the free memory in wholly free pageblocks, \
                    their number, gets of order 9 that succeed then, requests failed so far, \
                    pageblocks with an unmovable page, nanoseconds a put and a get of the churn";
/// Rounds, each with a seed of its own.
const SEEDS: u32 = 3;

pub(crate) fn run<O: Outsider>(settings: &Settings, group: &mut Group) -> Result<()> {
    let aging = |full| {
        let churn = Step::Churn(settings.size(full, 100));
        vec![Step::Fill(90), churn, Step::Free(50), Step::Free(75)]
    };
    let scene = |name, mix, steps| Scene {
        name,
        mix,
        steps,
        batches: false,
        threads: 1,
        frames: 4 << 18,
    };
    let all = settings.size(
        &[ONE, SOME, SOME_RANDOM, MANY, MANY_RANDOM][..],
        &[ONE, SOME, MANY][..],
    );
    let most = settings.size(&[ONE, SOME, MANY, MANY_RANDOM][..], &[ONE, SOME, MANY][..]);
    let mut scenes = Vec::new();
    if settings.threads.contains(&1) {
        let exits = scene("D", Mix::Singles, vec![Step::Fill(90), Step::Exit(50)]);
        let batches = Scene {
            batches: true,
            ..scene("A, batches", Mix::Singles, aging(500))
        };
        scenes.push((scene("A", Mix::Singles, aging(1000)), all));
        scenes.push((scene("B", Mix::Orders, aging(1000)), most));
        scenes.push((scene("C", Mix::Kinds, aging(1000)), &[ONE, SOME, MANY][..]));
        scenes.push((exits, &[MANY][..]));
        scenes.push((batches, &[ONE, SOME][..]));
    }
    if settings.threads.contains(&2) {
        let both = Scene {
            threads: 2,
            ..scene("A", Mix::Singles, aging(500))
        };
        scenes.push((both, &[ONE, SOME][..]));
    }
    for (scene, variants) in &scenes {
        measure::<O>(settings, group, scene, variants);
    }
    for (name, part) in [("A, marks, 90 % full", 90), ("A, marks, 99 % full", 99)] {
        let steps = vec![Step::Fill(part), Step::Churn(settings.size(20, 10))];
        marks(settings, group, &scene(name, Mix::Singles, steps));
    }
    group.notes.push(NOTE.to_owned());
    let met = |verdict| {
        let rows = group.comparisons.iter();
        rows.filter(|row| row.met == Some(verdict)).count()
    };
    let text = format!("{} goals met, {} missed", met(true), met(false));
    group.notes.push(text);
    Ok(())
}

fn seeds(settings: &Settings) -> u32 {
    settings.rounds.min(settings.size(SEEDS, 1))
}

/// One scene with all that take part, in turns; then the grid and the goals.
fn measure<O: Outsider>(
    settings: &Settings,
    group: &mut Group,
    scene: &Scene,
    variants: &[Variant],
) {
    let mut contenders: Vec<Contender<'_>> = variants
        .iter()
        .map(|variant| ours(scene, variant.name, variant.owners, false))
        .collect();
    // As many owners as ours has, so that the record knows the owner of a chunk.
    let owners = variants.last().map_or(ONE.owners, |last| last.owners);
    let mut peers = Vec::new();
    if let Some(name) = O::NAME {
        peers.push(name);
        let (mut seed, sorts) = (0, scene.mix == Mix::Kinds);
        contenders.push(Contender::peer(name, move || {
            seed += 1;
            let made = O::create_frames(scene.frames, scene.threads, sorts)?;
            scene.run(&made, owners, seed)
        }));
    }
    peers.push(buddy::NAME);
    let mut seed = 0;
    contenders.push(Contender::peer(buddy::NAME, move || {
        seed += 1;
        scene.run(&Buddy::new(scene.frames), owners, seed)
    }));
    take_turns_afresh(group, scene.threads, seeds(settings), contenders);
    let ours = variants.iter().map(|variant| variant.name);
    let names: Vec<&str> = ours.chain(peers.iter().copied()).collect();
    let grid = grid(group, scene, &names);
    group.grids.push(grid);
    for variant in variants {
        goals(group, scene, *variant, &peers, O::NAME);
    }
}

fn ours<'a>(scene: &'a Scene, name: &str, owners: Owners, marks: bool) -> Contender<'a> {
    let mut seed = 0;
    Contender::ours(name, move || {
        seed += 1;
        let made = Owned::new(scene.frames, scene.threads, owners.count, marks)?;
        scene.run(&made, owners, seed)
    })
}

/// What watermarks cost.
fn marks(settings: &Settings, group: &mut Group, scene: &Scene) {
    let contenders = vec![
        ours(scene, UNMARKED, ONE.owners, false),
        ours(scene, MARKED, ONE.owners, true),
    ];
    take_turns_afresh(group, 1, seeds(settings), contenders);
    for &step in scene.steps.iter().filter(|step| is_churn(**step)) {
        let goal = Some(Goal::RatioAtMost(2.0));
        group.compare(&scene.figure(step, NANOS), 1, MARKED, UNMARKED, goal);
    }
    let grid = grid(group, scene, &[UNMARKED, MARKED]);
    group.grids.push(grid);
}

fn is_churn(step: Step) -> bool {
    matches!(step, Step::Churn(_))
}

/// The mean of the rounds, if there are any.
fn mean(group: &Group, scene: &Scene, step: Step, what: &str, name: &str) -> Option<f64> {
    let rounds = group.rounds(&scene.figure(step, what), scene.threads, name)?;
    Some(rounds.iter().sum::<f64>() / rounds.len() as f64)
}

/// Means of the rounds, a row for each contender and step.
fn grid(group: &Group, scene: &Scene, names: &[&str]) -> Grid {
    const COLUMNS: [(&str, &str); 6] = [
        (WHOLE_PART, "whole %"),
        (WHOLE, "whole"),
        (HUGE, "order 9"),
        (FAILED, "failed"),
        (UNMOVABLE, "unmovable"),
        (NANOS, "ns"),
    ];
    let mut head = vec!["contender".to_owned(), "when".to_owned()];
    head.extend(COLUMNS.map(|(_, short)| short.to_owned()));
    let mut rows = Vec::new();
    for &name in names {
        for &step in &scene.steps {
            let mut row = vec![name.to_owned(), step.name()];
            row.extend(COLUMNS.map(|(what, _)| {
                let found = mean(group, scene, step, what, name);
                found.map_or_else(String::new, number)
            }));
            rows.push(row);
        }
    }
    let title = format!("{}, {} threads", scene.name, scene.threads);
    Grid { title, head, rows }
}

/// Of two peers the one with more, or with less.
fn best<'a>(
    group: &Group,
    scene: &Scene,
    step: Step,
    what: &str,
    peers: &[&'a str],
    more: bool,
) -> Option<&'a str> {
    let sign = if more { 1.0 } else { -1.0 };
    let found = peers.iter().filter_map(|&peer| {
        let mean = mean(group, scene, step, what, peer)?;
        Some((sign * mean, peer))
    });
    found
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, peer)| peer)
}

fn goals(
    group: &mut Group,
    scene: &Scene,
    variant: Variant,
    peers: &[&str],
    outsider: Option<&str>,
) {
    let (ours, threads) = (variant.name, scene.threads);
    for &step in &scene.steps {
        if let Step::Exit(_) = step {
            let goal = Some(Goal::AtLeast(85.0));
            group.show(&scene.figure(step, WHOLE_PART), threads, ours, goal);
            continue;
        }
        for what in [WHOLE, HUGE] {
            if let Some(peer) = best(group, scene, step, what, peers, true) {
                let goal = Some(Goal::RatioAtLeast(variant.keeps));
                group.compare(&scene.figure(step, what), threads, ours, peer, goal);
            }
        }
        let Some(peer) = outsider else { continue };
        let mut at_most = |what: &str, most: f64| {
            let goal = Some(Goal::RatioAtMost(most));
            group.compare(&scene.figure(step, what), threads, ours, peer, goal);
        };
        at_most(UNMOVABLE, 1.05);
        at_most(NANOS, 1.0);
    }
    // They are counted from the beginning.
    if let Some(&last) = scene.steps.last()
        && let Some(peer) = best(group, scene, last, FAILED, peers, false)
    {
        let goal = Some(Goal::RatioAtMost(1.0));
        group.compare(&scene.figure(last, FAILED), threads, ours, peer, goal);
    }
}
