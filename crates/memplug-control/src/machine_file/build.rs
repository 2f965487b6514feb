//! From the keys of a machine file to a machine's settings. What a line by itself gets wrong is
//! told with that line; what only shows as a whole is left to the machine.

use super::keys::{Backing, Boot, Commit, Like, Map, Size};
use super::{MachineFile, MachineFileError, line_of};
use crate::policy::AutoOnline;
use memplug::core::{BootMemory, MemoryMap};
use memplug::{
    BackingKind, Bytes, Geometry, HugePage, Machine, MachineBuilder, NodeId, Policy, Rollback,
    WatermarkPolicy,
};
use toml::Spanned;

const DEFAULT_SPACE: u64 = 1 << 40;

/// Boot memory as it is written: with a place of its own, or behind the rest.
enum Placed {
    At(BootMemory),
    Behind(NodeId, Bytes),
}

/// Boot memory with a place of its own.
struct Piece {
    /// Where in the file.
    at: usize,
    start: u64,
    end: u64,
}

impl MachineFile {
    fn is_like_linux(&self) -> bool {
        self.keys.machine.like == Some(Like::Linux)
    }

    fn map(&self) -> MemoryMap {
        match (self.keys.machine.memory_map, self.is_like_linux()) {
            (Some(Map::Outside), _) | (None, false) => MemoryMap::Outside,
            (Some(Map::Kernel), _) | (None, true) => MemoryMap::Kernel,
            (Some(Map::OnMemory), _) => MemoryMap::OnMemory,
        }
    }

    /// Whether a device of one block may hold its own memory map.
    pub(super) fn own_maps(&self) -> bool {
        self.map() == MemoryMap::OnMemory
    }

    /// The node of each processor.
    pub(super) fn cpu_nodes(&self) -> Vec<u32> {
        let keys = &self.keys.machine;
        match &keys.cpu_nodes {
            Some(nodes) => nodes.get_ref().iter().copied().map(u32::from).collect(),
            None => {
                let cpus = keys.cpus.as_ref().map_or(1, |cpus| *cpus.get_ref());
                vec![0; usize::from(cpus)]
            }
        }
    }

    fn nodes(&self) -> Result<u16, MachineFileError> {
        let Some(nodes) = &self.keys.machine.nodes else {
            return Ok(1);
        };
        if !(1..=1024).contains(nodes.get_ref()) {
            let cause = format!("{} nodes cannot be; use 1 to 1024", nodes.get_ref());
            return self.line(nodes.span(), cause);
        }
        Ok(*nodes.get_ref())
    }

    fn check_cpus(&self, nodes: u16) -> Result<u16, MachineFileError> {
        let keys = &self.keys.machine;
        let cpus = keys.cpus.as_ref();
        if let Some(cpus) = cpus.filter(|cpus| !(1..=1024).contains(cpus.get_ref())) {
            let cause = format!("{} processors cannot be; use 1 to 1024", cpus.get_ref());
            return self.line(cpus.span(), cause);
        }
        let wanted = cpus.map(|cpus| usize::from(*cpus.get_ref()));
        if let Some(list) = &keys.cpu_nodes {
            let count = list.get_ref().len();
            if count == 0 || count > 1024 || wanted.is_some_and(|wanted| wanted != count) {
                let cause = "cpu_nodes has another number of processors; name the node of each";
                return self.line(list.span(), cause);
            }
            if let Some(node) = list.get_ref().iter().find(|&&node| node >= nodes) {
                let cause = format!("node {node} is not possible; raise `nodes`");
                return self.line(list.span(), cause);
            }
        }
        Ok(u16::try_from(self.cpu_nodes().len()).unwrap_or(1024))
    }

    fn place(&self, boot: &Boot, nodes: u16) -> Result<Placed, MachineFileError> {
        let Some(span) = boot.span() else {
            return self.line(
                0..0,
                "boot memory without size; give `size`, or `start` and `end`",
            );
        };
        if boot.node >= nodes {
            let cause = format!("node {} is not possible; raise `nodes`", boot.node);
            return self.line(span, cause);
        }
        let value = |size: &Option<Spanned<Size>>| size.as_ref().map(|size| size.get_ref().0);
        let node = NodeId::new(boot.node);
        let (start, size) = match (value(&boot.start), value(&boot.end), value(&boot.size)) {
            (None, None, Some(size)) => return Ok(Placed::Behind(node, Bytes::new(size))),
            (Some(start), None, Some(size)) => (start, size),
            (Some(start), Some(end), None) if end > start => (start, end - start),
            (Some(_), Some(_), None) => {
                return self.line(span, "boot memory ends before it starts; raise `end`");
            }
            _ => {
                let cause = "boot memory lacks its size; give `start` with `end` or `size`, or `size` alone";
                return self.line(span, cause);
            }
        };
        if !start.is_multiple_of(4096) || !size.is_multiple_of(4096) || size == 0 {
            return self.line(
                span,
                "boot memory is not whole pages; use multiples of 4096",
            );
        }
        Ok(Placed::At(BootMemory {
            node,
            start: Bytes::new(start),
            size: Bytes::new(size),
        }))
    }

    /// A piece with a place of its own lies in the machine, behind those before it.
    fn fits(&self, at: usize, space: Bytes, pieces: &[Piece]) -> Result<(), MachineFileError> {
        let (Some(boot), Some(piece)) = (self.keys.boot.get(at), pieces.last()) else {
            return Ok(());
        };
        let span = boot.span().unwrap_or_default();
        let typed = self.typed(boot);
        if piece.end > space.get() {
            let cause = format!("{typed} lies beyond the address space of {space}; raise it");
            return self.line(span, cause);
        }
        for other in &pieces[..pieces.len() - 1] {
            let line = line_of(&self.text, other.at);
            if piece.start < other.end && other.start < piece.end {
                let cause = format!("{typed} overlaps that of line {line}; give ranges apart");
                return self.line(span, cause);
            }
            if piece.start < other.start {
                let cause = format!("{typed} is below that of line {line}; write the lowest first");
                return self.line(span, cause);
            }
        }
        Ok(())
    }

    /// Boot memory in the words of the file.
    fn typed(&self, boot: &Boot) -> String {
        let word = |name: &str, size: &Option<Spanned<Size>>| {
            let text = self.text.get(size.as_ref()?.span())?;
            Some(format!(" {name} {}", text.trim_matches(['"', '\''])))
        };
        let words = [
            word("from", &boot.start),
            word("to", &boot.end),
            word("of", &boot.size),
        ];
        let words: String = words.into_iter().flatten().collect();
        format!("boot memory{words}")
    }

    /// What the machine says of a piece that only shows as wrong when it is made: with its line.
    pub(super) fn boot_error(&self, start: Bytes, size: Bytes) -> Option<MachineFileError> {
        let of = |size: &Option<Spanned<Size>>| size.as_ref().map(|size| size.get_ref().0);
        let holds = |boot: &&Boot| match (of(&boot.start), of(&boot.end), of(&boot.size)) {
            (None, _, own) => own == Some(size.get()),
            (Some(from), end, own) => {
                let end = end.unwrap_or(from.saturating_add(own.unwrap_or(0)));
                (from..end).contains(&start.get())
            }
        };
        let boot = self.keys.boot.iter().rev().find(holds)?;
        let typed = self.typed(boot);
        let cause = format!(
            "{typed} shares 2M at {:#x} with another node or zone, or lies beyond the address \
             space; begin each node's memory at a multiple of 2M",
            start.get()
        );
        self.line::<()>(boot.span()?, cause).err()
    }

    fn block_size(&self, boot_end: u64) -> Result<Bytes, MachineFileError> {
        let Some(written) = &self.keys.machine.block_size else {
            return Ok(Geometry::default().block_size());
        };
        if written.get_ref() == "as-linux" {
            return Ok(Geometry::like_linux(Bytes::new(boot_end), true).block_size());
        }
        let parsed: Result<Bytes, _> = written.get_ref().parse();
        let size = match parsed {
            Ok(size) => size,
            Err(error) => return self.line(written.span(), format!("block size: {error}")),
        };
        match Geometry::with_block_size(size) {
            Ok(_) => Ok(size),
            Err(error) => self.line(written.span(), error.to_string()),
        }
    }

    fn address_space(&self) -> Result<Bytes, MachineFileError> {
        let Some(space) = &self.keys.machine.address_space else {
            return Ok(Bytes::new(DEFAULT_SPACE));
        };
        let size = space.get_ref().0;
        let largest = 1u64 << 46;
        if size < 1 << 30 || size > largest || !size.is_multiple_of(2 << 30) {
            let cause = "address space cannot be that; use a multiple of 2G up to 64T";
            return self.line(space.span(), cause);
        }
        Ok(Bytes::new(size))
    }

    /// The machine's settings, all lines checked.
    pub(super) fn builder(&self) -> Result<MachineBuilder, MachineFileError> {
        let keys = &self.keys.machine;
        let nodes = self.nodes()?;
        let cpus = self.check_cpus(nodes)?;
        let mut builder = Machine::builder().nodes(nodes).cpus(cpus);
        let mut boot_end = 0;
        let (space, mut pieces) = (self.address_space()?, Vec::new());
        for (at, boot) in self.keys.boot.iter().enumerate() {
            builder = match self.place(boot, nodes)? {
                Placed::At(piece) => {
                    let start = piece.start.get();
                    boot_end = start.saturating_add(piece.size.get());
                    pieces.push(Piece {
                        at: boot.span().map_or(0, |span| span.start),
                        start,
                        end: boot_end,
                    });
                    self.fits(at, space, &pieces)?;
                    builder.boot_at(piece)
                }
                Placed::Behind(node, size) => builder.boot(node, size),
            };
        }
        for device in &self.keys.device {
            if device.node >= nodes {
                let cause = format!("node {} is not possible; raise `nodes`", device.node);
                return self.line(device.size.span(), cause);
            }
        }
        let mut cpu_nodes: Vec<u16> = self
            .cpu_nodes()
            .into_iter()
            .filter_map(|node| u16::try_from(node).ok())
            .collect();
        cpu_nodes.sort_unstable();
        cpu_nodes.dedup();
        if self.is_like_linux() {
            builder = builder
                .rollback(Rollback::WholeChain)
                .watermarks(WatermarkPolicy::Linux {
                    min_free_kbytes: keys.min_free_kbytes,
                });
        }
        Ok(self.settings(
            builder
                .block_size(self.block_size(boot_end)?)
                .address_space(space)
                .cpu_nodes(cpu_nodes.into_iter().map(NodeId::new).collect())
                .memory_map(self.map())
                .overcommit(keys.overcommit),
        ))
    }

    fn settings(&self, builder: MachineBuilder) -> MachineBuilder {
        let (keys, policy) = (&self.keys.machine, &self.keys.policy);
        let default = Policy::default();
        let mut builder = builder.policy(Policy {
            online: policy.online_policy.unwrap_or_default().into(),
            auto_movable_ratio: policy
                .auto_movable_ratio
                .unwrap_or(default.auto_movable_ratio),
            auto_movable_numa_aware: policy
                .auto_movable_numa_aware
                .unwrap_or(default.auto_movable_numa_aware),
            movable_node: policy.movable_node.unwrap_or(default.movable_node),
        });
        if let Some(word) = policy.auto_online_blocks.and_then(AutoOnline::online_word) {
            builder = builder.auto_online(word.into());
        }
        builder = match keys.backing {
            None | Some(Backing::Auto) => builder.backing(BackingKind::best().0),
            Some(Backing::Memfd) => builder.backing(BackingKind::Memfd),
            Some(Backing::Tmpfs) => builder.backing(BackingKind::HugeTmpfs),
            Some(Backing::Anon) => builder.backing(BackingKind::Anonymous),
            Some(Backing::Hugetlb) => builder.backing(BackingKind::Hugetlb {
                page: HugePage::Size2M,
            }),
        };
        match keys.commit {
            Some(Commit::AtOnce) => builder.commit(memplug::Commit::AtOnce),
            None | Some(Commit::Lazily) => builder.commit(memplug::Commit::Lazily),
        }
    }
}
