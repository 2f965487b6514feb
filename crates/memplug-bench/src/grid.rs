//! Figures of many contenders side by side, without comparisons: for looking at, not for goals.
//!
//! A grid is made of texts, a row a contender; the raw rounds behind it are measurements of the
//! group. Shown as aligned columns, and as Markdown.

use serde::{Deserialize, Serialize};

/// A table of texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Grid {
    /// What it shows, in a line.
    pub title: String,
    /// Names of the columns.
    pub head: Vec<String>,
    /// As many cells each as the head.
    pub rows: Vec<Vec<String>>,
}

impl Grid {
    /// For a terminal: the first two columns to the left, the numbers to the right.
    pub(crate) fn text(&self) -> String {
        let all = || [&self.head].into_iter().chain(&self.rows);
        let mut text = format!("-- {}\n", self.title);
        for row in all() {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let widths =
                    all().map(|row| row.get(column).map_or(0, |cell| cell.chars().count()));
                let width = widths.max().unwrap_or(0);
                if column < 2 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            text += cells.collect::<Vec<_>>().join("  ").trim_end();
            text.push('\n');
        }
        text
    }

    /// As Markdown.
    pub(crate) fn markdown(&self) -> String {
        let line = |row: &[String]| format!("| {} |\n", row.join(" | "));
        let mut text = format!("\n{}\n\n{}", self.title, line(&self.head));
        text += &format!("|{}\n", "---|".repeat(self.head.len()));
        self.rows.iter().for_each(|row| text += &line(row));
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let grid = Grid {
            title: "a title".into(),
            head: words(&["who", "when", "blocks"]),
            rows: vec![words(&["memplug", "full", "7"])],
        };
        assert_eq!(
            grid.text(),
            "-- a title\nwho      when  blocks\nmemplug  full       7\n"
        );
        assert_eq!(
            grid.markdown(),
            "\na title\n\n| who | when | blocks |\n|---|---|---|\n| memplug | full | 7 |\n"
        );
    }
}
