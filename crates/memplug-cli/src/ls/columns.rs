//! What a line shows: the columns of lsmem, and those of ours.
//!
//! A cell knows text, numbers and truth apart, since JSON does; a table prints all as text.

use super::human;
use super::rows::Row;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Range,
    Size,
    State,
    Removable,
    Block,
    Node,
    Zones,
    Used,
    Movable,
    Stuck,
    Owner,
    Event,
}

/// A cell, before it is laid out.
pub(super) enum Cell {
    Text(String),
    /// A number; text in a table.
    Number(u64),
    /// Yes or no; nothing is known of what is not online.
    Truth(Option<bool>),
}

impl Column {
    /// The columns of lsmem, in its order.
    pub(super) const OF_LSMEM: [Self; 7] = [
        Self::Range,
        Self::Size,
        Self::State,
        Self::Removable,
        Self::Block,
        Self::Node,
        Self::Zones,
    ];
    const OURS: [Self; 5] = [
        Self::Used,
        Self::Movable,
        Self::Stuck,
        Self::Owner,
        Self::Event,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Range => "RANGE",
            Self::Size => "SIZE",
            Self::State => "STATE",
            Self::Removable => "REMOVABLE",
            Self::Block => "BLOCK",
            Self::Node => "NODE",
            Self::Zones => "ZONES",
            Self::Used => "USED",
            Self::Movable => "MOVABLE",
            Self::Stuck => "STUCK",
            Self::Owner => "OWNER",
            Self::Event => "EVENT",
        }
    }

    /// # Errors
    /// Cause and remedy.
    pub(super) fn named(name: &str) -> Result<Self, String> {
        let mut all = Self::OF_LSMEM.into_iter().chain(Self::OURS);
        let found = all.find(|column| column.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("unknown column: {name:?}; memplug ls --help lists them"))
    }

    /// Whether pages must be counted for it.
    pub(super) const fn needs_usage(self) -> bool {
        matches!(self, Self::Used | Self::Movable | Self::Stuck | Self::Owner)
    }

    /// Whether it begins at the left.
    pub(super) const fn is_left(self) -> bool {
        matches!(self, Self::Range)
    }

    /// The width it has when its heading and its values are narrower.
    pub(super) const fn hint(self) -> usize {
        match self {
            Self::Size => 5,
            _ => 0,
        }
    }

    pub(super) fn cell(self, row: &Row, block_size: u64, bytes: bool) -> Cell {
        let size = |size: u64| match bytes {
            true => Cell::Number(size),
            false => Cell::Text(human(size)),
        };
        let all = row.blocks.saturating_mul(block_size);
        match self {
            Self::Range => {
                let start = row.first.saturating_mul(block_size);
                let end = start.saturating_add(all).saturating_sub(1);
                Cell::Text(format!("0x{start:016x}-0x{end:016x}"))
            }
            Self::Size => size(all),
            Self::State => Cell::Text(row.state.into()),
            Self::Removable => Cell::Truth((row.state == "online").then_some(row.removable)),
            Self::Block => Cell::Text(match row.blocks {
                1 => row.first.to_string(),
                _ => format!("{}-{}", row.first, row.first + row.blocks - 1),
            }),
            Self::Node => match row.node {
                Some(node) => Cell::Number(u64::from(node)),
                None => Cell::Text("-1".into()),
            },
            Self::Zones => Cell::Text(row.zones.join("/")),
            Self::Used => size(row.used),
            Self::Movable => size(row.movable),
            Self::Stuck => size(row.stuck),
            Self::Owner => Cell::Text(row.owner.clone()),
            Self::Event => Cell::Text(row.event.clone()),
        }
    }
}
