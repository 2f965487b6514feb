//! The tree as text: which files there are, and what reading and writing each one does.
//!
//! Of memory nothing is kept here: every look asks the control plane. `place`: what a file is, as
//! one number. `table`, `rows`: entries by directory. `read`, `meminfo`, `zoneinfo`: texts.
//! `write`: what a write does. `uevent`: synthetic uevents. `kept`: words of power management.
//! `pools`: huge pages that there are not. `inject`: refusals on demand.

mod inject;
mod kept;
mod meminfo;
mod place;
mod pools;
mod read;
mod rows;
mod table;
mod uevent;
mod write;
mod zoneinfo;

pub use place::Place;

use inject::Injector;
use kept::Kept;
use memplug_control::{BlockInfo, Control, ControlError, MachineInfo, NodeInfo};
use place::Family;
use rustix::io::Errno;
use std::sync::Arc;
use table::{Kind, Row, What};

/// What kind of file a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// A directory.
    Directory,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// What `stat` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// The kind of file.
    pub sort: Sort,
    /// Permission bits: of a file, what it can do at all.
    pub mode: u32,
    /// Bytes: mostly a page for files, whatever they hold.
    pub size: u64,
    /// Names it goes by: for a directory, with its own and those of the directories in it.
    pub links: u32,
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// What it is.
    pub place: Place,
    /// Its kind.
    pub sort: Sort,
}

/// The files over one control plane.
pub struct Tree {
    control: Arc<dyn Control>,
    inject: Injector,
    kept: Kept,
}

/// What a missing thing means where it is only looked for.
fn gone(error: ControlError) -> Errno {
    match error.errno().and_then(|errno| i32::try_from(errno).ok()) {
        Some(errno) => Errno::from_raw_os_error(errno),
        None => Errno::TIME,
    }
}

impl Tree {
    /// The files over `control`.
    pub fn new(control: Arc<dyn Control>) -> Self {
        Self {
            inject: Injector::new(control.clone()),
            kept: Kept::new(&*control),
            control,
        }
    }

    /// The control plane underneath.
    pub fn control(&self) -> &Arc<dyn Control> {
        &self.control
    }

    fn machine(&self) -> Result<MachineInfo, Errno> {
        self.control.machine().map_err(gone)
    }

    fn block(&self, id: u64) -> Result<BlockInfo, Errno> {
        self.control.block(id).map_err(gone)
    }

    /// A node that exists for the outside.
    fn node(&self, id: u32) -> Result<NodeInfo, Errno> {
        let nodes = self.control.nodes().map_err(gone)?;
        let found = nodes.into_iter().find(|node| node.id == id && node.online);
        found.ok_or(Errno::NOENT)
    }

    /// Whether the directory a place belongs to is there.
    fn check(&self, place: Place) -> Result<(), Errno> {
        match place.family() {
            Family::Fixed => Ok(()),
            Family::Block(id) => self.block(id).map(drop),
            Family::Node(id) => self.node(id).map(drop),
            Family::BlockNode(block, node) | Family::NodeBlock(node, block) => {
                let nodes = self.block(block)?.nodes;
                nodes.contains(&node).then_some(()).ok_or(Errno::NOENT)
            }
            Family::NodeCpu(node, cpu) => {
                let cpus = self.node(node)?.cpus;
                cpus.contains(&cpu).then_some(()).ok_or(Errno::NOENT)
            }
        }
    }

    /// What distinguishes a block or node from a later one of the same number.
    pub fn identity(&self, place: Place) -> Result<u64, Errno> {
        match place.family() {
            Family::Block(block) => self.identity_of(block),
            Family::Node(id) | Family::NodeCpu(id, _) => {
                self.check(place).map(|()| self.kept.nodes_gone(id))
            }
            // A link between two comes and goes with the block.
            Family::BlockNode(block, _) | Family::NodeBlock(_, block) => {
                self.check(place)?;
                self.identity_of(block)
            }
            Family::Fixed => self.check(place).map(|()| 0),
        }
    }

    fn identity_of(&self, block: u64) -> Result<u64, Errno> {
        let device = self.block(block)?.device;
        Ok(device.map_or(0, |device| u64::from(device) + 1))
    }

    /// The place of a name in a directory.
    ///
    /// # Errors
    /// `ENOENT`, also if the directory itself is gone; `ENOTDIR`.
    pub fn lookup(&self, directory: Place, name: &str) -> Result<Place, Errno> {
        let row = directory.row().ok_or(Errno::NOTDIR)?;
        if row.kind != Kind::Directory {
            return Err(Errno::NOTDIR);
        }
        self.check(directory)?;
        if let Some(place) = directory.child(name) {
            return Ok(place);
        }
        let found = match (directory.family(), row.what) {
            (Family::Fixed, What::Blocks) => number_after(name, "memory").map(Place::block),
            (Family::Fixed, What::Nodes) => node_after(name).map(Place::node),
            (Family::Block(id), What::Top) => node_after(name).map(|n| Place::block_node(id, n)),
            (Family::Node(id), What::Top) => {
                let block = number_after(name, "memory").map(|block| Place::node_block(id, block));
                block.or_else(|| cpu_after(name).map(|cpu| Place::node_cpu(id, cpu)))
            }
            _ => None,
        };
        let place = found.ok_or(Errno::NOENT)?;
        self.check(place)?;
        Ok(place)
    }

    /// The place of a path from the top, links followed.
    ///
    /// # Errors
    /// As [`Tree::lookup`]; `ELOOP`.
    pub fn find(&self, path: &str) -> Result<Place, Errno> {
        let mut names: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut trail = vec![Place::TOP];
        let mut links = 0;
        while let Some(name) = names.pop() {
            match name.as_str() {
                "" | "." => continue,
                ".." => {
                    if trail.len() > 1 {
                        trail.pop();
                    }
                    continue;
                }
                _ => {}
            }
            let here = trail.last().copied().unwrap_or(Place::TOP);
            let place = self.lookup(here, &name)?;
            if self.attributes(place)?.sort == Sort::Link {
                links += 1;
                if links > 40 {
                    return Err(Errno::LOOP);
                }
                let target = self.target(place)?;
                names.extend(target.split('/').rev().map(str::to_owned));
            } else {
                trail.push(place);
            }
        }
        Ok(trail.last().copied().unwrap_or(Place::TOP))
    }

    /// What `stat` shows.
    ///
    /// # Errors
    /// `ENOENT` if it is gone.
    pub fn attributes(&self, place: Place) -> Result<Attributes, Errno> {
        self.check(place)?;
        let Some(row) = place.row() else {
            return Ok(Attributes {
                sort: Sort::Link,
                mode: 0o777,
                size: 0,
                links: 1,
            });
        };
        let mut attributes = attributes_of(row);
        if row.kind == Kind::Directory {
            attributes.links = self.directory_links(place, row.what)?;
        }
        Ok(attributes)
    }

    /// The mode that a file has from the start, whatever was set since: what it can do at all.
    pub fn born_with(&self, place: Place) -> u32 {
        place.row().map_or(0o777, |row| attributes_of(row).mode)
    }

    /// Its own, its parent's, and one for each directory in it.
    fn directory_links(&self, place: Place, what: What) -> Result<u32, Errno> {
        let fixed = place.children().into_iter();
        let fixed = fixed.filter(|(row, _)| row.kind == Kind::Directory).count();
        let own = match what {
            What::Blocks => self.control.block_count().map_err(gone)?,
            What::Nodes => {
                let nodes = self.control.nodes().map_err(gone)?;
                nodes.iter().filter(|node| node.online).count()
            }
            _ => 0,
        };
        Ok(u32::try_from(2 + fixed + own).unwrap_or(u32::MAX))
    }

    /// What is in a directory.
    ///
    /// # Errors
    /// `ENOENT` if it is gone; `ENOTDIR`.
    pub fn list(&self, directory: Place) -> Result<Vec<Entry>, Errno> {
        let row = directory.row().ok_or(Errno::NOTDIR)?;
        if row.kind != Kind::Directory {
            return Err(Errno::NOTDIR);
        }
        self.check(directory)?;
        let fixed = directory.children().into_iter();
        let mut entries: Vec<Entry> = fixed
            .map(|(row, place)| Entry {
                name: row.name.into(),
                place,
                sort: attributes_of(row).sort,
            })
            .collect();
        let mut push = |name: String, place, sort| entries.push(Entry { name, place, sort });
        match (directory.family(), row.what) {
            (Family::Fixed, What::Blocks) => {
                for id in self.control.block_ids().map_err(gone)? {
                    push(format!("memory{id}"), Place::block(id), Sort::Directory);
                }
            }
            (Family::Fixed, What::Nodes) => {
                let nodes = self.control.nodes().map_err(gone)?;
                for node in nodes.iter().filter(|node| node.online) {
                    push(
                        format!("node{}", node.id),
                        Place::node(node.id),
                        Sort::Directory,
                    );
                }
            }
            (Family::Block(id), What::Top) => {
                for node in self.block(id)?.nodes {
                    push(
                        format!("node{node}"),
                        Place::block_node(id, node),
                        Sort::Link,
                    );
                }
            }
            (Family::Node(id), What::Top) => {
                for cpu in self.node(id)?.cpus {
                    push(format!("cpu{cpu}"), Place::node_cpu(id, cpu), Sort::Link);
                }
                let blocks = self.control.blocks().map_err(gone)?;
                for block in blocks.iter().filter(|block| block.nodes.contains(&id)) {
                    let place = Place::node_block(id, block.id);
                    push(format!("memory{}", block.id), place, Sort::Link);
                }
            }
            _ => {}
        }
        Ok(entries)
    }

    /// Where a link leads.
    ///
    /// # Errors
    /// `ENOENT` if it is gone; `EINVAL` if it is no link.
    pub fn target(&self, link: Place) -> Result<String, Errno> {
        self.check(link)?;
        match (link.family(), link.row().map(|row| row.kind)) {
            (Family::BlockNode(_, node), _) => Ok(format!("../../node/node{node}")),
            (Family::NodeBlock(_, block), _) => Ok(format!("../../memory/memory{block}")),
            (Family::NodeCpu(_, cpu), _) => Ok(format!("../../cpu/cpu{cpu}")),
            (_, Some(Kind::Link(target))) => Ok(target.into()),
            _ => Err(Errno::INVAL),
        }
    }
}

fn attributes_of(row: &Row) -> Attributes {
    let (sort, mode, size) = match row.kind {
        Kind::Directory => (Sort::Directory, 0o755, 0),
        Kind::Link(_) => (Sort::Link, 0o777, 0),
        Kind::File(mode, size) => (Sort::File, mode, size),
    };
    Attributes {
        sort,
        mode,
        size,
        links: 1,
    }
}

/// The number behind a prefix, written as a kernel writes it: no sign, no leading zero.
fn number_after(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?;
    let number: u64 = digits.parse().ok()?;
    (number.to_string() == digits).then_some(number)
}

fn node_after(name: &str) -> Option<u32> {
    u32::try_from(number_after(name, "node")?).ok()
}

fn cpu_after(name: &str) -> Option<u32> {
    u32::try_from(number_after(name, "cpu")?).ok()
}
