//! Comparing the model with a machine: every field of every block, node, zone and group.
//!
//! For a machine at rest. Left out: which chunks hold a block's memory map, which is for the
//! allocator to know.

use super::Model;
use memplug_core::{Block, BlockState, GroupKind, MachineView, Node, ZoneKind};
use std::fmt::Debug;

/// What differs, one line each.
struct Differences(Vec<String>);

impl Differences {
    fn compare<T: PartialEq + Debug>(&mut self, what: &str, machine: T, model: T) {
        if machine != model {
            let line = format!("{what}: the machine says {machine:?}, the model {model:?}");
            self.0.push(line);
        }
    }
}

impl Model {
    /// Where the machine at rest is not as the model says; empty if it is.
    pub fn differences(&self, view: &MachineView) -> Vec<String> {
        let mut found = Differences(Vec::new());
        let ids = view.blocks.iter().map(|block| block.id);
        found.compare(
            "blocks",
            ids.collect::<Vec<_>>(),
            self.blocks.keys().copied().collect(),
        );
        for block in &view.blocks {
            self.block_differences(block, &mut found);
        }
        for node in &view.nodes {
            self.node_differences(node, &mut found);
        }
        found.compare("nodes", view.nodes.len(), usize::from(self.nodes));
        let devices: Vec<_> = self.devices.values().copied().collect();
        found.compare("devices", view.devices.clone(), devices);
        found.compare("policy", view.policy, self.policy);
        found.compare("auto_online", view.auto_online, self.auto_online);
        self.group_differences(view, &mut found);
        found.0
    }

    fn block_differences(&self, block: &Block, found: &mut Differences) {
        let Some(facts) = self.blocks.get(&block.id) else {
            return;
        };
        let what = |field: &str| format!("{} {field}", block.id);
        let state = if facts.online {
            BlockState::Online
        } else {
            BlockState::Offline
        };
        found.compare(&what("state"), block.state(), state);
        found.compare(&what("nodes"), &block.nodes, &facts.nodes);
        found.compare(&what("zone"), block.zone, facts.zone);
        let present = self.present_of(facts);
        found.compare(&what("present"), block.present.get(), present);
        found.compare(&what("boot"), block.boot, facts.is_boot());
        found.compare(&what("device"), block.device, facts.device);
        found.compare(&what("group"), block.group, facts.group);
        found.compare(&what("own_map"), block.own_map.get(), facts.own_map);
        found.compare(&what("sticky"), block.sticky, facts.sticky);
    }

    fn node_differences(&self, node: &Node, found: &mut Differences) {
        let id = node.id;
        let what = |field: &str| format!("{id} {field}");
        found.compare(&what("online"), node.online, self.node_online(id));
        let normal = self.present_kernel(id) > 0;
        found.compare(&what("has_memory"), node.has_memory, self.present(id) > 0);
        found.compare(&what("has_normal_memory"), node.has_normal_memory, normal);
        for kind in ZoneKind::ALL {
            let zone = node.zone(kind);
            let sums = self.sums(id, kind);
            let what = |field: &str| format!("{id} {kind} {field}");
            found.compare(&what("present"), zone.present.get(), sums.present);
            found.compare(&what("managed"), zone.managed.get(), sums.managed);
            found.compare(&what("early"), zone.early.get(), sums.early);
            let (start, end) = self.span(id, kind);
            let span = (zone.start.get(), zone.spanned.get());
            found.compare(&what("span"), span, (start, end - start));
            // Two definitions of a span that must come to the same where blocks are whole.
            if !self.has_holes() {
                let (start, end) = self.hull(id, kind);
                found.compare(&what("hull"), span, (start, end - start));
            }
        }
    }

    fn group_differences(&self, view: &MachineView, found: &mut Differences) {
        let ids: Vec<_> = view.groups.iter().map(|group| group.id).collect();
        found.compare("groups", ids, self.groups.keys().copied().collect());
        for group in &view.groups {
            let Some(&(node, kind)) = self.groups.get(&group.id) else {
                continue;
            };
            let what = |field: &str| format!("{} {field}", group.id);
            found.compare::<GroupKind>(&what("kind"), group.kind, kind);
            found.compare(&what("node"), group.node, node);
            let pages = (group.present_kernel.get(), group.present_movable.get());
            found.compare(&what("pages"), pages, self.group_pages(group.id));
        }
    }
}
