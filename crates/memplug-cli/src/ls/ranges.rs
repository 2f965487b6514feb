//! What becomes one line: neighbours that do not differ in what splits them.
//!
//! Neighbours are numbers without a gap; a range sums up what can be counted of its blocks.

use super::columns::Column;
use super::rows::Row;

/// Whether two blocks differ in a column.
fn differ(one: &Row, other: &Row, column: Column) -> bool {
    match column {
        Column::State => one.state != other.state,
        Column::Removable => one.removable != other.removable,
        Column::Node => one.node != other.node,
        Column::Zones => one.zones != other.zones,
        Column::Owner => one.owner != other.owner,
        Column::Event => one.event != other.event,
        Column::Range
        | Column::Size
        | Column::Block
        | Column::Used
        | Column::Movable
        | Column::Stuck => false,
    }
}

/// Blocks as lines; with `all` each by itself. What can be counted is summed up.
pub(super) fn merged(rows: &[Row], split: &[Column], all: bool) -> Vec<Row> {
    let mut ranges: Vec<Row> = Vec::new();
    for row in rows {
        let last = ranges.last_mut().filter(|last| {
            let follows = last.first.checked_add(last.blocks) == Some(row.first);
            !all && follows && !split.iter().any(|&column| differ(last, row, column))
        });
        match last {
            None => ranges.push(row.clone()),
            Some(last) => {
                last.blocks += row.blocks;
                last.used = last.used.saturating_add(row.used);
                last.movable = last.movable.saturating_add(row.movable);
                last.stuck = last.stuck.saturating_add(row.stuck);
            }
        }
    }
    ranges
}
