//! The machine's types as plain data, one function a type.
//!
//! No decisions are made here. Errors, which need some, are in `refused`; words in `word`.

use super::us;
use crate::change::{
    AddReport, AutoOnlined, CallReport, Notify, OfflineReport, OnlineReport, RemoveReport,
    RoundReport,
};
use crate::event::{Progress, Subject, UeventAction};
use crate::plan::{Obstacle, TargetChoice};
use crate::subscribe::Answer;
use crate::view::{BlockInfo, DeviceInfo, GroupInfo, GroupSort, NodeInfo, ZoneInfo, ZoneUse};
use memplug::core::{self, Blockers, Reason, Watermarks, ZoneCounts, ZoneKind};
use memplug::{DeviceMemory, Geometry, TargetPolicy};

pub(super) fn target(choice: TargetChoice) -> TargetPolicy {
    match choice {
        TargetChoice::LeaveNode => TargetPolicy::LeaveNode,
        TargetChoice::LeaveNodeFirst => TargetPolicy::LeaveNodeFirst,
        TargetChoice::SameNodeFirst => TargetPolicy::SameNodeFirst,
    }
}

pub(super) fn group_id(id: u32) -> core::units::GroupId {
    core::units::GroupId::new(id)
}

pub(super) fn block(block: &core::Block, geometry: &Geometry, zones: &[ZoneKind]) -> BlockInfo {
    let range = geometry.block_range(block.id);
    let pages = geometry.pages_per_block().get();
    BlockInfo {
        id: block.id.get(),
        state: block.state().into(),
        start_pfn: range.map_or(0, |range| range.start().get()),
        nr_pages: pages,
        present_pages: block.present.get(),
        nodes: block
            .nodes
            .iter()
            .map(|node| u32::from(node.get()))
            .collect(),
        zone: block.zone.map(Into::into),
        valid_zones: zones.iter().copied().map(Into::into).collect(),
        boot: block.boot,
        device: block.device.map(|id| id.get()),
        group: block.group.map(|id| id.get()),
        own_map_pages: block.own_map.get(),
        sticky: block.sticky.map(Into::into),
    }
}

pub(super) fn node(node: &core::Node, cpu_nodes: &[u32]) -> NodeInfo {
    let id = u32::from(node.id.get());
    let cpus = (0u32..).zip(cpu_nodes).filter(|(_, at)| **at == id);
    let zones = ZoneKind::ALL.into_iter().map(|kind| {
        let zone = node.zone(kind);
        ZoneInfo {
            node: id,
            zone: kind.into(),
            start_pfn: zone.start.get(),
            spanned_pages: zone.spanned.get(),
            present_pages: zone.present.get(),
            managed_pages: zone.managed.get(),
            early_pages: zone.early.get(),
        }
    });
    NodeInfo {
        id,
        online: node.online,
        has_memory: node.has_memory,
        has_normal_memory: node.has_normal_memory,
        cpus: cpus.map(|(cpu, _)| cpu).collect(),
        zones: zones.collect(),
    }
}

pub(super) fn zone_use(counts: &ZoneCounts, marks: &Watermarks) -> ZoneUse {
    ZoneUse {
        free_pages: counts.free.get(),
        cached_pages: counts.cached.get(),
        isolated_pages: counts.isolated.get(),
        allocated_pages: counts.allocated.get(),
        free_chunks: counts.buddy.to_vec(),
        min_pages: marks.min.get(),
        low_pages: marks.low.get(),
        high_pages: marks.high.get(),
    }
}

pub(super) fn device(
    device: &core::Device,
    geometry: &Geometry,
    memory: Option<&DeviceMemory>,
) -> DeviceInfo {
    let bytes = |pages| geometry.bytes(pages).map_or(0, |bytes| bytes.get());
    DeviceInfo {
        id: device.id.get(),
        node: u32::from(device.node.get()),
        start: geometry
            .address_of(device.range.start())
            .map_or(0, |at| at.get()),
        size: bytes(device.range.count()),
        blocks: geometry
            .blocks_in(device.range)
            .map(|id| id.get())
            .collect(),
        group: device.group.map(|id| id.get()),
        backing: memory.map_or("", |memory| memory.backing.name()).into(),
        held: memory.map_or(0, |memory| memory.held.get()),
    }
}

pub(super) fn group(group: &core::Group) -> GroupInfo {
    let (sort, pages) = match group.kind {
        core::GroupKind::Static { pages } => (GroupSort::Static, pages),
        core::GroupKind::Dynamic { unit } => (GroupSort::Dynamic, unit),
    };
    GroupInfo {
        id: group.id.get(),
        node: u32::from(group.node.get()),
        sort,
        pages: pages.get(),
        kernel_pages: group.present_kernel.get(),
        movable_pages: group.present_movable.get(),
    }
}

pub(super) fn notify(notify: &core::MemoryNotify) -> Notify {
    let node = |id: memplug::NodeId| u32::from(id.get());
    Notify {
        start_pfn: notify.start_pfn.get(),
        nr_pages: notify.nr_pages.get(),
        status_change_nid_normal: notify.status_change_nid_normal.map(node),
        status_change_nid: notify.status_change_nid.map(node),
    }
}

pub(super) fn answer(answer: &core::Answer) -> Answer {
    match answer {
        core::Answer::Done => Answer::Done,
        core::Answer::Ok => Answer::Ok,
        core::Answer::Stop => Answer::Stop,
        core::Answer::Bad => Answer::Bad,
        core::Answer::Refuse(errno, reason) => Answer::Refuse {
            errno: errno.get(),
            reason: reason.clone(),
        },
        core::Answer::Raw(raw) => Answer::Raw(*raw),
    }
}

pub(super) fn core_answer(answer: Answer) -> core::Answer {
    match answer {
        Answer::Done => core::Answer::Done,
        Answer::Ok => core::Answer::Ok,
        Answer::Stop => core::Answer::Stop,
        Answer::Bad => core::Answer::Bad,
        Answer::Refuse { errno, reason } => core::Answer::Refuse(core::Errno::new(errno), reason),
        Answer::Raw(raw) => core::Answer::Raw(raw),
    }
}

pub(super) fn round(round: &core::RoundReport) -> RoundReport {
    let calls = round.calls.iter().map(|call| CallReport {
        name: call.name.clone(),
        priority: call.priority,
        answer: call.answer.as_ref().map(answer),
        raw: call.answer.as_ref().map(core::Answer::raw),
        took_us: us(call.took),
    });
    RoundReport {
        event: round.event.into(),
        notify: notify(&round.notify),
        calls: calls.collect(),
        errno: round.error.map(|errno| u32::from(errno.get())),
    }
}

pub(super) fn uevent(uevent: &core::Uevent) -> (UeventAction, Subject) {
    let action = match uevent.action {
        core::Action::Add => UeventAction::Add,
        core::Action::Remove => UeventAction::Remove,
        core::Action::Online => UeventAction::Online,
        core::Action::Offline => UeventAction::Offline,
    };
    let subject = match uevent.subject {
        core::Subject::Block(id) => Subject::Block(id.get()),
        core::Subject::Node(id) => Subject::Node(u32::from(id.get())),
    };
    (action, subject)
}

pub(super) fn progress(progress: &core::Progress) -> Progress {
    Progress {
        start_pfn: progress.start_pfn.get(),
        pages_left: progress.pages_left.get(),
        pages_moved: progress.pages_moved.get(),
        bytes_per_second: progress.bytes_per_second,
        round: progress.round,
    }
}

pub(super) fn added(
    report: &core::AddReport,
    geometry: &Geometry,
    txn: u64,
    took_us: u64,
) -> AddReport {
    let tried = report.blocks.iter().zip(&report.auto_online);
    let auto_online = tried.map(|(block, result)| AutoOnlined {
        block: block.get(),
        zone: result.as_ref().ok().map(|report| report.zone.into()),
        error: result.as_ref().err().map(ToString::to_string),
    });
    AddReport {
        txn,
        device: report.device.get(),
        start: geometry
            .address_of(report.range.start())
            .map_or(0, |at| at.get()),
        size: geometry
            .bytes(report.range.count())
            .map_or(0, |size| size.get()),
        blocks: report.blocks.iter().map(|id| id.get()).collect(),
        auto_online: auto_online.collect(),
        took_us,
    }
}

pub(super) fn onlined(report: &core::OnlineReport, txn: u64) -> OnlineReport {
    OnlineReport {
        txn,
        block: report.block.get(),
        zone: report.zone.into(),
        notify: notify(&report.notify),
        rounds: report.rounds.iter().map(round).collect(),
        took_us: us(report.took),
    }
}

pub(super) fn offlined(report: &core::OfflineReport, txn: u64) -> OfflineReport {
    OfflineReport {
        txn,
        block: report.block.get(),
        zone: report.zone.into(),
        notify: notify(&report.notify),
        rounds: report.rounds.iter().map(round).collect(),
        moved_pages: report.moved.get(),
        used_before_pages: report.used_before.get(),
        used_after_notice_pages: report.used_after_notice.get(),
        migration_rounds: report.migration_rounds,
        took_us: us(report.took),
    }
}

pub(super) fn removed(report: &core::RemoveReport, txn: u64, took_us: u64) -> RemoveReport {
    RemoveReport {
        txn,
        device: report.device.get(),
        blocks: report.blocks.iter().map(|id| id.get()).collect(),
        offlined: report
            .offlined
            .iter()
            .map(|one| offlined(one, txn))
            .collect(),
        took_us,
    }
}

/// Obstacles that are listed; a block may have thousands, and messages have a length.
const LISTED: usize = 256;

/// The first obstacles, and one for the rest.
pub(super) fn obstacles(blockers: &Blockers, geometry: &Geometry) -> Vec<Obstacle> {
    let mut obstacles = listed(blockers, geometry);
    let mut rest = blockers.iter().skip(LISTED);
    if let Some(first) = rest.next() {
        let start = first.range.start();
        let pages: u64 = rest.map(|blocker| blocker.range.count().get()).sum();
        obstacles.push(Obstacle {
            block: geometry.block_of(start).get(),
            start_pfn: start.get(),
            nr_pages: first.range.count().get().saturating_add(pages),
            owner: "others".into(),
            kind: "more".into(),
            reason: format!("{} ranges that are not listed", blockers.len() - LISTED),
        });
    }
    obstacles
}

fn listed(blockers: &Blockers, geometry: &Geometry) -> Vec<Obstacle> {
    let obstacles = blockers.iter().take(LISTED).map(|blocker| Obstacle {
        block: geometry.block_of(blocker.range.start()).get(),
        start_pfn: blocker.range.start().get(),
        nr_pages: blocker.range.count().get(),
        owner: blocker.owner_name.as_ref().into(),
        kind: reason_kind(&blocker.reason).into(),
        reason: blocker.reason.to_string(),
    });
    obstacles.collect()
}

fn reason_kind(reason: &Reason) -> &'static str {
    match reason {
        Reason::Reserved => "reserved",
        Reason::Unmovable => "unmovable",
        Reason::Reclaimable => "reclaimable",
        Reason::NotReleased => "not_released",
        Reason::Pinned(_) => "pinned",
        Reason::Busy => "busy",
        Reason::NoRoom => "no_room",
        Reason::NotReached => "not_reached",
        Reason::Isolated => "isolated",
        Reason::Refused(_) => "refused",
    }
}
