//! How lines are laid out: to the byte as util-linux does.
//!
//! A column is as wide as its widest value or its heading; one with a hint is at least that wide
//! unless its values are narrower than its heading. A heading counts though it is not printed.
//! Nothing is put behind an empty cell at the end of a line.

use super::columns::{Cell, Column};
use super::rows::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Table,
    Raw,
    Pairs,
    Json,
}

impl Cell {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Number(number) => number.to_string(),
            Self::Truth(Some(true)) => "yes".into(),
            Self::Truth(Some(false)) => "no".into(),
            Self::Truth(None) => String::new(),
        }
    }

    fn json(&self) -> String {
        match self {
            // Texts are words, numbers and names without anything that JSON escapes otherwise.
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Number(number) => number.to_string(),
            Self::Truth(truth) => truth.unwrap_or(false).to_string(),
        }
    }
}

fn width(column: Column, texts: &[Vec<String>], at: usize) -> usize {
    let values = texts.iter().filter_map(|line| line.get(at));
    let widest = values.map(|text| text.chars().count()).max().unwrap_or(0);
    let heading = column.name().len();
    if widest < heading {
        heading
    } else {
        widest.max(column.hint())
    }
}

fn table(texts: &[Vec<String>], columns: &[Column], headings: bool) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, &column)| width(column, texts, at))
        .collect();
    let names: Vec<String> = columns.iter().map(|column| column.name().into()).collect();
    let mut out = String::new();
    for line in headings.then_some(&names).into_iter().chain(texts) {
        let cells = columns.iter().zip(&widths).zip(line);
        let cells = cells.enumerate().map(|(at, ((column, &width), text))| {
            let is_last = at + 1 == columns.len();
            match (column.is_left(), is_last) {
                (true, true) => text.clone(),
                (true, false) => format!("{text:<width$}"),
                (false, true) if text.is_empty() => String::new(),
                (false, _) => format!("{text:>width$}"),
            }
        });
        out += &cells.collect::<Vec<_>>().join(" ");
        out.push('\n');
    }
    out
}

fn raw(texts: &[Vec<String>], columns: &[Column], headings: bool) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.name().into()).collect();
    let lines = headings.then_some(&names).into_iter().chain(texts);
    lines.map(|line| line.join(" ") + "\n").collect()
}

fn pairs(texts: &[Vec<String>], columns: &[Column]) -> String {
    let line = |line: &Vec<String>| {
        let cells = columns.iter().zip(line);
        let cells = cells.map(|(column, text)| format!("{}=\"{text}\"", column.name()));
        cells.collect::<Vec<_>>().join(" ") + "\n"
    };
    texts.iter().map(line).collect()
}

fn json(cells: &[Vec<Cell>], columns: &[Column]) -> String {
    let object = |line: &Vec<Cell>| {
        let fields = columns.iter().zip(line).map(|(column, cell)| {
            let name = column.name().to_ascii_lowercase();
            format!("         \"{name}\": {}", cell.json())
        });
        format!("{{\n{}\n      }}", fields.collect::<Vec<_>>().join(",\n"))
    };
    let objects: Vec<String> = cells.iter().map(object).collect();
    format!(
        "{{\n   \"memory\": [\n      {}\n   ]\n}}\n",
        objects.join(",")
    )
}

/// The lines; nothing for none.
pub(super) fn laid_out(
    rows: &[Row],
    columns: &[Column],
    block_size: u64,
    bytes: bool,
    layout: Layout,
    headings: bool,
) -> String {
    let cells: Vec<Vec<Cell>> = rows
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|column| column.cell(row, block_size, bytes))
                .collect()
        })
        .collect();
    if cells.is_empty() && layout != Layout::Json {
        return String::new();
    }
    let texts: Vec<Vec<String>> = cells
        .iter()
        .map(|line| line.iter().map(Cell::text).collect())
        .collect();
    match layout {
        Layout::Table => table(&texts, columns, headings),
        Layout::Raw => raw(&texts, columns, headings),
        Layout::Pairs => pairs(&texts, columns),
        Layout::Json => json(&cells, columns),
    }
}
