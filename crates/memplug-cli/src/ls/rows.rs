//! The blocks that are listed: of a served machine, or of a tree of files like the kernel's.
//!
//! The words are those of lsmem, so that both sources print alike; the tree is only read.

use crate::remote::Trouble;
use memplug_client::{Block, Client};
use memplug_control::ZoneName;
use memplug_interface::ListBlocksParameters;
use std::fs;
use std::io;
use std::path::Path;

/// A block, or several that are one line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) first: u64,
    pub(super) blocks: u64,
    /// As lsmem writes it: `online`, `offline`, `on->off`, `?`.
    pub(super) state: &'static str,
    pub(super) removable: bool,
    pub(super) node: Option<u32>,
    /// As lsmem writes them.
    pub(super) zones: Vec<String>,
    pub(super) used: u64,
    pub(super) movable: u64,
    pub(super) stuck: u64,
    pub(super) owner: String,
    pub(super) event: String,
}

fn state(word: &str) -> &'static str {
    match word {
        "online" => "online",
        "offline" => "offline",
        "going-offline" => "on->off",
        _ => "?",
    }
}

fn zone(word: &str) -> String {
    if word == "none" {
        return "None".into();
    }
    let known = ZoneName::ALL
        .into_iter()
        .find(|zone| zone.name().eq_ignore_ascii_case(word));
    known.map_or_else(|| word.to_owned(), |zone| zone.name().to_owned())
}

pub(super) struct Source<'c> {
    pub(super) client: &'c mut Client,
    pub(super) usage: bool,
}

/// Blocks of a served machine, ascending, and the size of one.
pub(super) fn of(source: Source<'_>) -> Result<(Vec<Row>, u64), Trouble> {
    let machine = source.client.machine()?;
    let blocks = source.client.blocks(&ListBlocksParameters {
        blocks: None,
        usage: Some(source.usage),
    })?;
    let rows = blocks.iter().map(|block| row(block, machine.page_size));
    Ok((rows.collect(), machine.block_size))
}

fn row(block: &Block, page_size: u64) -> Row {
    let info = &block.info;
    let usage = block.usage.clone().unwrap_or_default();
    let mut zones: Vec<String> = info
        .valid_zones
        .iter()
        .map(|zone| zone.name().into())
        .collect();
    if zones.is_empty() {
        zones.push("None".into());
    }
    let bytes = |pages: u64| pages.saturating_mul(page_size);
    Row {
        first: info.id,
        blocks: 1,
        state: state(info.state.word()),
        removable: true,
        node: info.nodes.iter().copied().min(),
        zones,
        used: bytes(usage.used_pages),
        movable: bytes(usage.movable_pages),
        stuck: bytes(usage.stuck_pages),
        owner: usage
            .owners
            .first()
            .map(|owner| owner.owner.clone())
            .unwrap_or_default(),
        event: block.event.clone().unwrap_or_default(),
    }
}

/// Blocks of the tree below `root`, ascending, and the size of one.
pub(super) fn of_tree(root: &Path) -> Result<(Vec<Row>, u64), Trouble> {
    let directory = root.join("sys/devices/system/memory");
    let failed = |source: io::Error| {
        let path = directory.display();
        Trouble::Usage(format!(
            "{path}: {source}; give the directory that has sys/devices/system"
        ))
    };
    let text = fs::read_to_string(directory.join("block_size_bytes")).map_err(failed)?;
    let block_size = u64::from_str_radix(text.trim(), 16);
    let block_size = block_size.map_err(|error| failed(io::Error::other(error)))?;
    let mut rows = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let id = name.to_str().and_then(|name| name.strip_prefix("memory"));
        if let Some(id) = id.and_then(|id| id.parse().ok()) {
            rows.push(read_block(&entry.path(), id));
        }
    }
    rows.sort_by_key(|row| row.first);
    Ok((rows, block_size))
}

/// What its files say; one that is not there says nothing.
fn read_block(directory: &Path, id: u64) -> Row {
    let text = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let nodes = entries.filter_map(|entry| {
        let name = entry.file_name();
        name.to_str()?.strip_prefix("node")?.parse::<u32>().ok()
    });
    Row {
        first: id,
        blocks: 1,
        state: state(text("state").trim_end()),
        removable: text("removable").trim_end() == "1",
        node: nodes.min(),
        zones: text("valid_zones").split_whitespace().map(zone).collect(),
        ..Row::default()
    }
}
