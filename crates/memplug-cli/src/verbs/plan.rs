//! `memplug plan offline` and `memplug why`.
//!
//! Both only look: nobody is told, nothing moves, and what they say may be old when it is read.

use super::which::{placement, target};
use crate::exit::{Status, complain};
use crate::remote::{Trouble, connect, print, print_json};
use crate::verb_args::{PlanArgs, PlanOfflineArgs, PlanWhat, WhyArgs};
use memplug_client::{Client, PlanParameters};
use memplug_control::{BlockPlan, OfflinePlan};
use memplug_units::Bytes;
use std::fmt::Write;

/// Runs `memplug plan`.
pub(crate) fn plan(args: &PlanArgs) -> Result<Status, Trouble> {
    let PlanWhat::Offline(args) = &args.what;
    offline(args)
}

fn offline(args: &PlanOfflineArgs) -> Result<Status, Trouble> {
    let mut client = connect(&args.show.socket)?;
    let (what, node) = target(&args.go.which, &mut client)?;
    let parameters = PlanParameters {
        what,
        node,
        placement: placement(args.go.placement),
    };
    show(&mut client, &parameters, args.show.json, args.verbose)
}

/// Shows a plan; the status says whether it would work.
pub(super) fn show(
    client: &mut Client,
    parameters: &PlanParameters,
    json: bool,
    verbose: bool,
) -> Result<Status, Trouble> {
    let plan = client.plan(parameters)?;
    if json {
        print_json(&plan);
    } else {
        print(&text(&plan, verbose));
    }
    if plan.feasible {
        return Ok(Status::Passed);
    }
    complain("not all of it would go; ask for less, or settle what is in the way");
    Ok(Status::Busy)
}

fn obstacles(text: &mut String, block: &BlockPlan) {
    let never = block.never.iter().cloned();
    let obstacles = block.obstacles.iter().map(ToString::to_string);
    for line in never.chain(obstacles) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  in the way: {line}");
    }
}

/// What was left out: what could be settled if that would help, all if asked for, else a count.
fn left_out(text: &mut String, plan: &OfflinePlan, verbose: bool) {
    let mut shown = 0;
    for block in &plan.left_out {
        if verbose || (!plan.feasible && block.never.is_none()) {
            // Writing to a string cannot fail.
            let _ = writeln!(
                text,
                "left out: memory{} of node{}",
                block.block, block.node
            );
            obstacles(text, block);
            shown += 1;
        }
    }
    let rest = plan.left_out.len() - shown;
    if rest > 0 {
        let never = plan.left_out.iter().filter(|block| block.never.is_some());
        let never = match never.count() {
            0 => String::new(),
            all if all == rest => " that can never go".into(),
            some => format!(", {some} can never go"),
        };
        let _ = writeln!(text, "left out: {}{never}; -v lists them", blocks(rest));
    }
}

fn blocks(count: usize) -> String {
    format!("{count} block{}", if count == 1 { "" } else { "s" })
}

fn text(plan: &OfflinePlan, verbose: bool) -> String {
    let mut text = String::new();
    for block in &plan.blocks {
        let zone = block.zone.map_or("several zones", |zone| zone.name());
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "memory{} of node{} ({zone}): {} pages to move, {} to release",
            block.block, block.node, block.move_pages, block.release_pages
        );
        obstacles(&mut text, block);
    }
    for room in &plan.targets {
        let _ = writeln!(
            text,
            "to node{} {}: {} pages",
            room.node, room.zone, room.takes_pages
        );
    }
    if plan.homeless_pages > 0 {
        let _ = writeln!(
            text,
            "no room: for {} pages; free memory elsewhere",
            plan.homeless_pages
        );
    }
    left_out(&mut text, plan, verbose);
    let count = plan.blocks.len();
    let _ = match count {
        0 => write!(text, "nothing"),
        _ => write!(text, "{} in {}", Bytes::new(plan.bytes), blocks(count)),
    };
    if plan.missing_bytes > 0 {
        let _ = write!(text, ", {} missing", Bytes::new(plan.missing_bytes));
    }
    let verdict = if plan.feasible {
        "would go"
    } else {
        "would not all go"
    };
    let _ = writeln!(text, "; {verdict}");
    text
}

/// Runs `memplug why`.
pub(crate) fn why(args: &WhyArgs) -> Result<Status, Trouble> {
    let why = connect(&args.show.socket)?.why(args.block)?;
    if args.show.json {
        print_json(&why);
        return Ok(Status::Passed);
    }
    let mut text = format!("{}\n", why.summary);
    // What the summary says by itself is not said again.
    let plan = why.plan.as_ref().filter(|plan| plan.obstacles.len() > 1);
    if let Some(plan) = plan {
        obstacles(&mut text, plan);
    }
    for owner in &why.owners {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  {}: {} pages, {} of them movable",
            owner.owner, owner.pages, owner.movable_pages
        );
    }
    print(&text);
    Ok(Status::Passed)
}
