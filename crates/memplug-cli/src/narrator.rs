//! Events as lines for people: what, which block, where, and what everyone said and how long
//! each took.

use crate::events::answer_word;
use crate::figures;
use memplug::core::Call;
use memplug::{Answer, BlockId, NodeId, RoundReport, ZoneKind};

/// The line of a round.
pub(crate) fn round(
    round: &RoundReport,
    block: BlockId,
    place: Option<(NodeId, ZoneKind)>,
) -> String {
    let mut line = format!("{} {block}", round.event);
    if let Some((node, zone)) = place {
        line += &format!(" {node} {zone}");
    }
    line += &format!(" {} pages", round.notify.nr_pages.get());
    if let Some(node) = round.notify.status_change_nid {
        let first = round.event.name().ends_with("ONLINE");
        line += &format!(
            ", {} memory of {node}",
            if first { "first" } else { "last" }
        );
    }
    let calls: Vec<String> = round.calls.iter().map(call).collect();
    if calls.is_empty() {
        return line + ": nobody to tell";
    }
    line + ": " + &calls.join(", ")
}

fn call(call: &Call) -> String {
    let mut text = format!("{}({}) ", call.name, call.priority);
    text += call.answer.as_ref().map_or("panicked", answer_word);
    if let Some(reason) = call.answer.as_ref().and_then(Answer::reason) {
        text += &format!(" \"{}\"", figures::one_line(reason));
    }
    text + " " + &figures::time(call.took)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memplug::core::MemoryNotify;
    use memplug::{MemoryEvent, PageCount, Pfn};
    use std::time::Duration;

    #[test]
    fn a_line_says_who_said_what() {
        let call = |name: &str, priority, answer, micros| Call {
            name: name.into(),
            priority,
            answer,
            took: Duration::from_micros(micros),
        };
        let mut report = RoundReport {
            event: MemoryEvent::GoingOffline,
            notify: MemoryNotify {
                start_pfn: Pfn::new(33 << 15),
                nr_pages: PageCount::new(32768),
                status_change_nid_normal: None,
                status_change_nid: Some(NodeId::new(1)),
            },
            calls: vec![
                call("page-cache", 10, Some(Answer::Ok), 1200),
                call("demo-guard", 0, Some(Answer::refuse("still warm")), 3),
                call("careless", -1, None, 3),
            ],
            error: None,
        };
        let place = Some((NodeId::new(1), ZoneKind::Movable));
        assert_eq!(
            round(&report, BlockId::new(33), place),
            "GOING_OFFLINE memory33 node1 Movable 32768 pages, last memory of node1: \
             page-cache(10) ok 1.20ms, demo-guard(0) refused \"still warm\" 3.00us, \
             careless(-1) panicked 3.00us"
        );
        report.calls.clear();
        report.notify.status_change_nid = None;
        assert_eq!(
            round(&report, BlockId::new(33), None),
            "GOING_OFFLINE memory33 32768 pages: nobody to tell"
        );
    }
}
