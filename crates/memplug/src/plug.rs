//! Plugging a device in one go: added, every block online, or nothing left of it.
//!
//! A convenience over add and online, for callers that do not want a device half in use.

use crate::error::PlugError;
use crate::machine::Machine;
use memplug_core::{AddRequest, OfflineOptions, OnlineReport, OnlineWord};
use memplug_units::{BlockId, Bytes, DeviceId, NodeId, PfnRange};

/// A device with all its blocks online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugged {
    /// The device.
    pub device: DeviceId,
    /// Its frames.
    pub range: PfnRange,
    /// Its blocks, ascending.
    pub blocks: Vec<BlockId>,
    /// How each came online.
    pub onlined: Vec<OnlineReport>,
}

impl Machine {
    /// Adds a device of `size` at the lowest free address and brings all its blocks online. If
    /// one does not come, the device is taken out again.
    ///
    /// # Errors
    /// [`PlugError`]; nothing is left of the device then.
    pub fn plug(&self, node: NodeId, size: Bytes, word: OnlineWord) -> Result<Plugged, PlugError> {
        let added = self.add(&AddRequest::dimm(node, size))?;
        let mut onlined: Vec<OnlineReport> = Vec::new();
        for result in added.auto_online {
            // A refusal on the way is met again below, with the word given here.
            onlined.extend(result);
        }
        for &block in &added.blocks {
            if onlined.iter().any(|report| report.block == block) {
                continue;
            }
            match self.online(block, Some(word)) {
                Ok(report) => onlined.push(report),
                Err(source) => {
                    let out = self.unplug(added.device, &OfflineOptions::default());
                    debug_assert!(out.is_ok(), "a device nobody uses yet: {out:?}");
                    return Err(PlugError::Online { block, source });
                }
            }
        }
        let (device, range, blocks) = (added.device, added.range, added.blocks);
        Ok(Plugged {
            device,
            range,
            blocks,
            onlined,
        })
    }
}
