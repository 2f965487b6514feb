//! The shape of a machine file: tables and keys as they are written, with their places.
//!
//! A key that is not known is an error. Whether values fit each other is for `build`.

use crate::change::AddSpec;
use crate::policy::{AutoOnline, OnlinePolicy, PolicyChange};
use crate::word::OnlineWord;
use memplug::Bytes;
use serde::de::Error;
use serde::{Deserialize, Deserializer};
use std::ops::Range;
use toml::Spanned;

/// A size or an address, written as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size(pub(super) u64);

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        let bytes: Result<Bytes, _> = text.parse();
        bytes
            .map(|bytes| Self(bytes.get()))
            .map_err(|error| D::Error::custom(format!("{text:?}: {error}")))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    #[serde(default)]
    pub(super) machine: Machine,
    #[serde(default)]
    pub(super) policy: Policy,
    #[serde(default)]
    pub(super) boot: Vec<Boot>,
    #[serde(default)]
    pub(super) device: Vec<Device>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Like {
    Linux,
    Memplug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Map {
    Outside,
    Kernel,
    OnMemory,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Backing {
    Auto,
    Memfd,
    Tmpfs,
    Anon,
    Hugetlb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Commit {
    Lazily,
    AtOnce,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Machine {
    pub(super) nodes: Option<Spanned<u16>>,
    pub(super) block_size: Option<Spanned<String>>,
    pub(super) like: Option<Like>,
    pub(super) cpus: Option<Spanned<u16>>,
    pub(super) cpu_nodes: Option<Spanned<Vec<u16>>>,
    pub(super) address_space: Option<Spanned<Size>>,
    pub(super) memory_map: Option<Map>,
    pub(super) min_free_kbytes: Option<u64>,
    pub(super) backing: Option<Backing>,
    pub(super) commit: Option<Commit>,
    #[serde(default)]
    pub(super) overcommit: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Policy {
    pub(super) auto_online_blocks: Option<AutoOnline>,
    pub(super) online_policy: Option<OnlinePolicy>,
    pub(super) auto_movable_ratio: Option<u32>,
    pub(super) auto_movable_numa_aware: Option<bool>,
    pub(super) movable_node: Option<bool>,
}

impl Policy {
    pub(super) fn changes(&self) -> Vec<PolicyChange> {
        let auto_online = self.auto_online_blocks.map(PolicyChange::AutoOnlineBlocks);
        let online_policy = self.online_policy.map(PolicyChange::OnlinePolicy);
        let ratio = self.auto_movable_ratio.map(PolicyChange::AutoMovableRatio);
        let aware = self.auto_movable_numa_aware;
        let aware = aware.map(PolicyChange::AutoMovableNumaAware);
        [auto_online, online_policy, ratio, aware]
            .into_iter()
            .flatten()
            .collect()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Boot {
    #[serde(default)]
    pub(super) node: u16,
    pub(super) start: Option<Spanned<Size>>,
    pub(super) end: Option<Spanned<Size>>,
    pub(super) size: Option<Spanned<Size>>,
}

impl Boot {
    /// Where its size is written, or else its place.
    pub(super) fn span(&self) -> Option<Range<usize>> {
        let spans = [&self.size, &self.end, &self.start];
        spans.into_iter().flatten().map(Spanned::span).next()
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Device {
    #[serde(default)]
    pub(super) node: u16,
    pub(super) size: Spanned<Size>,
    pub(super) start: Option<Size>,
    pub(super) online: Option<OnlineWord>,
}

impl Device {
    pub(super) fn spec(&self) -> AddSpec {
        let dimm = AddSpec::dimm(u32::from(self.node), self.size.get_ref().0);
        match self.start {
            Some(Size(at)) => dimm.at(at),
            None => dimm,
        }
    }
}
