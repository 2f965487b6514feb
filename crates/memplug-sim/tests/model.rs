//! The core against the plain model: the same operations on both, the same state and the same
//! errors after each.
//!
//! No subscriber, no page in use, no failure: only the state of the machine. The one thing the
//! model is told is which blocks hold a piece of memory map, since where maps lie is the
//! allocator's business.

use memplug_core::units::{BlockId, Bytes, DeviceId, GroupId, NodeId, PAGEBLOCK_PAGES, PageCount};
use memplug_core::{
    AddRequest, Errno, GroupChoice, Hotplug, NoMemory, OfflineOptions, OnlinePolicy, OnlineWord,
    Place, Policy, ZoneKind,
};
use memplug_sim::{Model, machine_config};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Op {
    Add {
        node: u16,
        /// Size in blocks.
        blocks: u64,
        /// Block of the window, or the first free place from there on.
        at: u64,
        fixed: bool,
        /// Bytes that make it crooked.
        odd: (u64, u64),
        group: Option<GroupChoice>,
        own_map: bool,
    },
    Online(u64, Option<OnlineWord>),
    Offline(u64),
    Remove(u32),
    Unplug(u32),
    Policy(Policy),
    AutoOnline(Option<OnlineWord>),
    /// Node, and blocks of a unit; 0: a single page.
    Group(u16, u64),
}

fn word() -> impl Strategy<Value = Option<OnlineWord>> {
    prop::sample::select(vec![
        None,
        Some(OnlineWord::Online),
        Some(OnlineWord::Kernel),
        Some(OnlineWord::Movable),
    ])
}

fn policy() -> impl Strategy<Value = Policy> {
    let ratio = prop::sample::select(vec![0, 1, 25, 100, 301, 5000, u32::MAX]);
    (any::<bool>(), ratio, any::<bool>(), any::<bool>()).prop_map(
        |(auto, auto_movable_ratio, auto_movable_numa_aware, movable_node)| Policy {
            online: if auto {
                OnlinePolicy::AutoMovable
            } else {
                OnlinePolicy::ContigZones
            },
            auto_movable_ratio,
            auto_movable_numa_aware,
            movable_node,
        },
    )
}

fn add() -> impl Strategy<Value = Op> {
    let group = prop_oneof![
        3 => Just(Some(GroupChoice::Own)),
        1 => Just(Some(GroupChoice::None)),
        3 => (0u32..5).prop_map(|id| Some(GroupChoice::Existing(GroupId::new(id)))),
    ];
    let odd = prop_oneof![
        15 => Just((0, 0)),
        1 => (prop::sample::select(vec![0, 100, 4096, 1 << 21, u64::MAX / 2]), 0u64..5000),
    ];
    (
        0u16..5,
        0u64..4,
        0u64..18,
        any::<bool>(),
        odd,
        group,
        any::<bool>(),
    )
        .prop_map(|(node, blocks, at, fixed, odd, group, own_map)| Op::Add {
            node,
            blocks: if odd == (0, 0) { blocks.max(1) } else { blocks },
            at,
            fixed,
            odd,
            group,
            own_map,
        })
}

fn op() -> impl Strategy<Value = Op> {
    let unit = prop::sample::select(vec![0, 1, 2, 3, 4, 16, 1 << 40, u64::MAX]);
    prop_oneof![
        4 => add(),
        9 => (0u64..18, word()).prop_map(|(block, word)| Op::Online(block, word)),
        5 => (0u64..18).prop_map(Op::Offline),
        2 => (0u32..8).prop_map(Op::Remove),
        2 => (0u32..8).prop_map(Op::Unplug),
        2 => policy().prop_map(Op::Policy),
        1 => word().prop_map(Op::AutoOnline),
        1 => (0u16..4, unit).prop_map(|(node, unit)| Op::Group(node, unit)),
    ]
}

struct Both {
    machine: Hotplug,
    model: Model,
    first: u64,
}

impl Both {
    fn new(seed: u64) -> Self {
        let (config, first) = machine_config(seed);
        let model = Model::new(&config);
        let machine = Hotplug::new(config, Arc::new(NoMemory)).expect("every shape boots");
        let first = first.get();
        Self {
            machine,
            model,
            first,
        }
    }

    fn block(&self, at: u64) -> BlockId {
        BlockId::new(self.first + at)
    }

    /// Blocks that hold memory maps of others and therefore cannot go.
    fn pinned(&self) -> BTreeSet<BlockId> {
        let names = self.machine.owner_names();
        let maps = names.iter().find(|(_, name)| name == "memory map");
        let maps = maps.expect("the owner of memory maps").0;
        let mut pinned = BTreeSet::new();
        for block in self.machine.view().blocks {
            let range = self.machine.geometry().block_range(block.id);
            let mut found = Vec::new();
            let range = range.expect("it exists");
            self.machine
                .frames()
                .allocations(range, usize::MAX, &mut found);
            if found.iter().any(|chunk| chunk.class.owner() == maps) {
                pinned.insert(block.id);
            }
        }
        pinned
    }

    /// Free pages that memory maps can have.
    fn kernel_room(&self) -> u64 {
        let nodes = (0..self.machine.nodes()).map(NodeId::new);
        let kernel = ZoneKind::ALL.into_iter().filter(|kind| kind.is_kernel());
        let zones = nodes.flat_map(|node| kernel.clone().map(move |kind| (node, kind)));
        zones
            .map(|(node, kind)| self.machine.zone_counts(node, kind).free_and_cached().get())
            .sum()
    }

    fn add(&mut self, request: &AddRequest) -> (Result<DeviceId, Errno>, Result<DeviceId, Errno>) {
        let room = self.kernel_room();
        let done = self.machine.add(request);
        let done = done.map(|report| report.device).map_err(|e| e.errno());
        let range = match self.model.may_add(request) {
            Err(errno) => return (done, Err(errno)),
            Ok(range) => range,
        };
        let blocks: Vec<BlockId> = self.machine.geometry().blocks_in(range).collect();
        let (map, _) = self.model.map_of(request, blocks.len() as u64);
        if map > room {
            return (done, Err(Errno::ENOMEM));
        }
        let device = self.model.did_add(request, range);
        if let Some(word) = self.model.auto_online() {
            for block in blocks {
                let zone = self.model.may_online(block, Some(word));
                self.model.did_online(block, zone.expect("it is new"));
            }
        }
        (done, Ok(device))
    }

    fn online(
        &mut self,
        block: BlockId,
        word: Option<OnlineWord>,
    ) -> (Result<ZoneKind, Errno>, Result<ZoneKind, Errno>) {
        let done = self.machine.online(block, word);
        let done = done.map(|report| report.zone).map_err(|e| e.errno());
        let expected = self.model.may_online(block, word);
        if let Ok(zone) = expected {
            self.model.did_online(block, zone);
        }
        (done, expected)
    }

    fn offline(&mut self, block: BlockId) -> (Result<ZoneKind, Errno>, Result<ZoneKind, Errno>) {
        let pinned = self.pinned().contains(&block);
        let done = self.machine.offline(block, &OfflineOptions::default());
        let done = done.map(|report| report.zone).map_err(|e| e.errno());
        let expected = match self.model.may_offline(block) {
            Ok(zone) if pinned && zone.is_kernel() => Err(Errno::EBUSY),
            expected => expected,
        };
        if expected.is_ok() {
            self.model.did_offline(block);
        }
        (done, expected)
    }

    fn unplug(&mut self, device: DeviceId) -> (Result<(), Errno>, Result<(), Errno>) {
        let pinned = self.pinned();
        let done = self.machine.unplug(device, &OfflineOptions::default());
        let done = done.map(drop).map_err(|e| e.errno());
        let online: Vec<BlockId> = self
            .model
            .blocks_of(device)
            .into_iter()
            .filter(|&id| self.model.may_offline(id).is_ok())
            .collect();
        let (stay, go): (Vec<_>, Vec<_>) = online.into_iter().partition(|id| pinned.contains(id));
        for &block in &go {
            self.model.did_offline(block);
        }
        if !stay.is_empty() {
            for block in go {
                let zone = self.model.may_online(block, None);
                self.model.did_online(block, zone.expect("it just went"));
            }
        }
        let expected = self.model.may_remove(device);
        if expected.is_ok() {
            self.model.did_remove(device);
        }
        (done, expected)
    }

    fn run(&mut self, op: &Op) -> Result<(), TestCaseError> {
        match op {
            Op::Add {
                node,
                blocks,
                at,
                fixed,
                odd,
                group,
                own_map,
            } => {
                let block = self.machine.geometry().block_size().get();
                let start = Bytes::new(self.block(*at).get() * block + odd.0);
                let request = AddRequest {
                    node: NodeId::new(*node),
                    size: Bytes::new(blocks * block + odd.1),
                    place: if *fixed {
                        Place::At(start)
                    } else {
                        Place::From(start)
                    },
                    group: group.unwrap_or_default(),
                    own_map: *own_map,
                };
                let (done, expected) = self.add(&request);
                prop_assert_eq!(done, expected);
            }
            Op::Online(at, word) => {
                let (done, expected) = self.online(self.block(*at), *word);
                prop_assert_eq!(done, expected);
            }
            Op::Offline(at) => {
                let (done, expected) = self.offline(self.block(*at));
                prop_assert_eq!(done, expected);
            }
            Op::Remove(device) => {
                let device = DeviceId::new(*device);
                let done = self.machine.remove(device);
                let expected = self.model.may_remove(device);
                prop_assert_eq!(done.map(drop).map_err(|e| e.errno()), expected);
                if expected.is_ok() {
                    self.model.did_remove(device);
                }
            }
            Op::Unplug(device) => {
                let (done, expected) = self.unplug(DeviceId::new(*device));
                prop_assert_eq!(done, expected);
            }
            Op::Policy(policy) => {
                self.machine.set_policy(*policy);
                self.model.did_set_policy(*policy);
            }
            Op::AutoOnline(word) => {
                self.machine.set_auto_online(*word);
                self.model.did_set_auto_online(*word);
            }
            Op::Group(node, unit) => {
                let node = NodeId::new(*node);
                let block = self.machine.geometry().pages_per_block().get();
                let unit = PageCount::new(unit.saturating_mul(block).max(1));
                let done = self.machine.create_dynamic_group(node, unit);
                let may = self.model.may_create_dynamic_group(node, unit);
                let expected = may.map(|()| self.model.did_create_dynamic_group(node, unit));
                prop_assert_eq!(done.map_err(|error| error.errno()), expected);
            }
        }
        Ok(())
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let view = self.machine.view();
        prop_assert_eq!(self.model.differences(&view), [""; 0]);
        prop_assert_eq!(self.machine.audit(), []);
        for block in &view.blocks {
            let zones = self.machine.valid_zones(block.id);
            prop_assert_eq!(zones, Some(self.model.valid_zones(block.id)));
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 800, failure_persistence: None, ..ProptestConfig::default()
    })]

    #[test]
    fn the_core_and_the_model_agree(seed in any::<u64>(), ops in prop::collection::vec(op(), 1..60)) {
        let mut both = Both::new(seed);
        both.compare()?;
        for op in &ops {
            both.run(op)?;
            both.compare()?;
        }
    }
}

/// Fixed numbers, so that the model itself is looked at once.
#[test]
fn the_model_knows_a_lone_movable_block() {
    let (mut config, _) = machine_config(0);
    config.boot.clear();
    config.auto_online = None;
    config.policy = Policy::default();
    let size = config.geometry.block_size();
    config.limit = Bytes::new(size.get() * 64);
    let mut model = Model::new(&config);
    let request = AddRequest::dimm(NodeId::new(0), size).at(Bytes::new(size.get() * 40));
    let range = model.may_add(&request).expect("nothing is there");
    let device = model.did_add(&request, range);
    assert_eq!(model.may_add(&request), Err(Errno::EEXIST));
    let block = model.blocks_of(device)[0];
    assert_eq!(
        model.valid_zones(block),
        [ZoneKind::Normal, ZoneKind::Movable]
    );
    let zone = model.may_online(block, Some(OnlineWord::Movable));
    assert_eq!(zone, Ok(ZoneKind::Movable));
    model.did_online(block, ZoneKind::Movable);
    assert_eq!(model.may_remove(device), Err(Errno::EBUSY));
    assert_eq!(model.may_online(block, None), Err(Errno::EINVAL));
    model.did_offline(block);
    assert_eq!(model.may_offline(block), Err(Errno::EINVAL));
    assert_eq!(model.may_remove(device), Ok(()));
    assert_eq!(range.count().get() % PAGEBLOCK_PAGES, 0);
}
