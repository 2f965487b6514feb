//! `memplug ls`: memory blocks, as lsmem prints them.
//!
//! - `rows`: blocks of a served machine or of a tree of files. `ranges`: what becomes one line.
//! - `columns`: what a line shows. `table`: how it is laid out, to the byte. `sizes`: how large.

mod columns;
mod ranges;
mod rows;
mod sizes;
mod table;

pub(crate) use sizes::human;

use crate::exit::Status;
use crate::remote::{Trouble, connect, print};
use crate::verb_args::{LsArgs, Summary};
use columns::Column;
use rows::{Row, Source};
use table::Layout;

const DEFAULT: [Column; 5] = [
    Column::Range,
    Column::Size,
    Column::State,
    Column::Removable,
    Column::Block,
];

fn usage(cause: impl Into<String>) -> Trouble {
    Trouble::Usage(cause.into())
}

fn listed(text: &str) -> Result<Vec<Column>, Trouble> {
    let names = text.split(',');
    let columns: Result<Vec<_>, _> = names
        .map(|name| Column::named(name).map_err(usage))
        .collect();
    columns
}

/// Columns to print.
fn columns(args: &LsArgs) -> Result<Vec<Column>, Trouble> {
    let mut columns = match args.output_all {
        true => Column::OF_LSMEM.to_vec(),
        false => DEFAULT.to_vec(),
    };
    if let Some(text) = &args.output {
        match text.strip_prefix('+') {
            Some(more) => columns.extend(listed(more)?),
            None => columns = listed(text)?,
        }
    }
    Ok(columns)
}

/// Columns that split a range where they differ.
fn split(args: &LsArgs, printed: &[Column]) -> Result<Vec<Column>, Trouble> {
    match args.split.as_deref() {
        None => Ok(printed.to_vec()),
        Some("none") => Ok(Vec::new()),
        Some(text) => listed(text),
    }
}

fn layout(args: &LsArgs) -> Layout {
    match (args.json, args.pairs, args.raw) {
        (true, ..) => Layout::Json,
        (_, true, _) => Layout::Pairs,
        (.., true) => Layout::Raw,
        _ => Layout::Table,
    }
}

fn read(args: &LsArgs, columns: &[Column]) -> Result<(Vec<Row>, u64), Trouble> {
    match &args.sysroot {
        Some(root) => {
            let ours = columns
                .iter()
                .find(|column| !Column::OF_LSMEM.contains(column));
            if let Some(column) = ours {
                let name = column.name();
                return Err(usage(format!(
                    "{name} is known of served machines only; leave out -s"
                )));
            }
            rows::of_tree(root)
        }
        None => rows::of(Source {
            client: &mut connect(&args.at)?,
            usage: columns.iter().any(|column| column.needs_usage()),
        }),
    }
}

fn summary(rows: &[Row], block_size: u64, bytes: bool) -> String {
    let sum = |online: bool| -> u64 {
        let rows = rows.iter().filter(|row| (row.state == "online") == online);
        rows.map(|row| row.blocks.saturating_mul(block_size)).sum()
    };
    let line = |name: &str, size: u64| match bytes {
        true => format!("{name:<23} {size:>15}\n"),
        false => format!("{name:<23} {:>5}\n", human(size)),
    };
    line("Memory block size:", block_size)
        + &line("Total online memory:", sum(true))
        + &line("Total offline memory:", sum(false))
}

/// Prints the list.
pub(crate) fn run(args: &LsArgs) -> Result<Status, Trouble> {
    let columns = columns(args)?;
    let split = split(args, &columns)?;
    let layout = layout(args);
    let plain = layout == Layout::Table;
    if !plain && args.summary == Some(Summary::Only) {
        return Err(usage(
            "a summary cannot be the only thing of JSON, pairs or raw; leave it out",
        ));
    }
    let wanted = args.summary.unwrap_or(if plain {
        Summary::Always
    } else {
        Summary::Never
    });
    let (rows, block_size) = read(args, &columns)?;
    let mut text = String::new();
    if wanted != Summary::Only {
        let ranges = ranges::merged(&rows, &split, args.all);
        text += &table::laid_out(
            &ranges,
            &columns,
            block_size,
            args.bytes,
            layout,
            !args.noheadings,
        );
    }
    if wanted == Summary::Always && !text.is_empty() {
        text.push('\n');
    }
    if wanted != Summary::Never {
        text += &summary(&rows, block_size, args.bytes);
    }
    print(&text);
    Ok(Status::Passed)
}
