//! The machine's errors as errors of the control plane: one function an operation.
//!
//! Causes that have a place of their own keep their operands; the rest keep their line.

use super::convert;
use crate::error::{AddCause, ControlError, NeverGoes};
use crate::word::BlockState;
use memplug::core::{PlatformError, Refusal};
use memplug::{AddError, BlockId, Geometry, OfflineError, OnlineError, RemoveError};

pub(super) fn add(error: AddError) -> ControlError {
    let cause = match &error {
        AddError::Busy => return ControlError::Busy,
        AddError::Platform { source, .. } => {
            return ControlError::Platform {
                errno: u32::from(source.errno.get()),
                message: error.to_string(),
            };
        }
        AddError::BeyondLimit { .. } => AddCause::BeyondLimit,
        AddError::Overlap { .. } => AddCause::Overlap,
        AddError::NotWholeBlocks { .. } => AddCause::NotWholeBlocks,
        AddError::UnknownGroup(_) => AddCause::UnknownGroup,
        AddError::UnknownNode(_) => AddCause::UnknownNode,
        AddError::NoPlace(_) => AddCause::NoPlace,
        AddError::NoMemory { .. } => AddCause::NoMemory,
    };
    ControlError::Add {
        cause,
        message: error.to_string(),
    }
}

fn refused(block: BlockId, refusal: Refusal) -> ControlError {
    ControlError::Refused {
        block: block.get(),
        by: refusal.by,
        reason: refusal.reason,
        errno: u32::from(refusal.errno.get()),
    }
}

fn platform(block: BlockId, source: &PlatformError) -> ControlError {
    ControlError::Platform {
        errno: u32::from(source.errno.get()),
        message: format!("{block}: {source}"),
    }
}

pub(super) fn online(error: OnlineError) -> ControlError {
    match error {
        OnlineError::Busy => ControlError::Busy,
        OnlineError::NoSuchBlock(id) => ControlError::NoSuchBlock { block: id.get() },
        OnlineError::NotOffline(id) => ControlError::SameState {
            block: id.get(),
            state: BlockState::Online,
        },
        OnlineError::Refused { block, refusal } => refused(block, refusal),
        OnlineError::Table { block, source } => ControlError::Platform {
            errno: 12,
            message: format!("{block}: {source}"),
        },
        OnlineError::Platform { block, source } => platform(block, &source),
    }
}

pub(super) fn offline(error: OfflineError, geometry: &Geometry) -> ControlError {
    match error {
        OfflineError::Busy => ControlError::Busy,
        OfflineError::NoSuchBlock(id) => ControlError::NoSuchBlock { block: id.get() },
        OfflineError::NotOnline(id) => ControlError::SameState {
            block: id.get(),
            state: BlockState::Offline,
        },
        OfflineError::NotOneZone(id) => ControlError::Never {
            block: id.get(),
            why: NeverGoes::SeveralZones,
        },
        OfflineError::Holes(id) => ControlError::Never {
            block: id.get(),
            why: NeverGoes::Holes,
        },
        OfflineError::Blocked { block, blockers } => ControlError::Blocked {
            block: block.get(),
            obstacles: convert::obstacles(&blockers, geometry),
        },
        OfflineError::Refused { block, refusal, .. } => refused(block, refusal),
        OfflineError::Deadline { block, blockers } => ControlError::Deadline {
            block: block.get(),
            obstacles: convert::obstacles(&blockers, geometry),
        },
        OfflineError::Cancelled { block, blockers } => ControlError::Cancelled {
            block: block.get(),
            obstacles: convert::obstacles(&blockers, geometry),
        },
        OfflineError::Platform { block, source } => platform(block, &source),
    }
}

pub(super) fn remove(error: RemoveError, geometry: &Geometry) -> ControlError {
    match error {
        RemoveError::Busy => ControlError::Busy,
        RemoveError::NoSuchDevice(id) => ControlError::NoSuchDevice { device: id.get() },
        RemoveError::NotOffline(id) => ControlError::NotOffline { block: id.get() },
        RemoveError::Offline(error) => offline(error, geometry),
        RemoveError::Platform { ref source, .. } => ControlError::Platform {
            errno: u32::from(source.errno.get()),
            message: error.to_string(),
        },
    }
}
