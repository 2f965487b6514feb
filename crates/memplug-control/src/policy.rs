//! Settings of a machine: which zone `online` chooses, and what happens to added blocks.
//!
//! Bad values are refused as Linux refuses them: the words of `auto_online_blocks` and
//! `online_policy` whole, the ratio as an unsigned 32-bit number, truth by its first letters.

use crate::error::ControlError;
use crate::numbers::{NumberError, bool_of, same_word, text_of, unsigned_of};
use crate::word::{BlockState, OnlineWord, same};
use memplug::core;
use serde::{Deserialize, Serialize};

/// What happens to added blocks by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AutoOnline {
    /// Nothing: they stay offline.
    #[default]
    Offline,
    /// Online; the policy chooses the zone.
    Online,
    /// Online in a kernel zone.
    OnlineKernel,
    /// Online in Movable.
    OnlineMovable,
}

impl AutoOnline {
    /// All.
    pub const ALL: [Self; 4] = [
        Self::Offline,
        Self::Online,
        Self::OnlineKernel,
        Self::OnlineMovable,
    ];

    /// The word as Linux spells it.
    pub fn word(self) -> &'static str {
        match self.online_word() {
            None => BlockState::Offline.word(),
            Some(word) => word.word(),
        }
    }

    /// The word blocks are brought online with, if they are.
    pub const fn online_word(self) -> Option<OnlineWord> {
        match self {
            Self::Offline => None,
            Self::Online => Some(OnlineWord::Online),
            Self::OnlineKernel => Some(OnlineWord::OnlineKernel),
            Self::OnlineMovable => Some(OnlineWord::OnlineMovable),
        }
    }
}

impl From<Option<core::OnlineWord>> for AutoOnline {
    fn from(word: Option<core::OnlineWord>) -> Self {
        match word {
            None => Self::Offline,
            Some(core::OnlineWord::Online) => Self::Online,
            Some(core::OnlineWord::Kernel) => Self::OnlineKernel,
            Some(core::OnlineWord::Movable) => Self::OnlineMovable,
        }
    }
}

/// How the word `online` chooses a zone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnlinePolicy {
    /// By the spans of zones.
    #[default]
    ContigZones,
    /// By a ratio of movable to kernel memory.
    AutoMovable,
}

impl OnlinePolicy {
    /// All.
    pub const ALL: [Self; 2] = [Self::ContigZones, Self::AutoMovable];

    /// The word as Linux spells it.
    pub fn word(self) -> &'static str {
        core::OnlinePolicy::from(self).word()
    }
}

same!(OnlinePolicy = core::OnlinePolicy {
    ContigZones = ContigZones,
    AutoMovable = AutoMovable,
});

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySettings {
    /// What happens to added blocks by itself.
    pub auto_online_blocks: AutoOnline,
    /// How `online` chooses.
    pub online_policy: OnlinePolicy,
    /// auto-movable: at most so many percent of the kernel memory of boot may be movable.
    pub auto_movable_ratio: u32,
    /// auto-movable: the ratio must hold in the node, too.
    pub auto_movable_numa_aware: bool,
    /// contig-zones: undecided blocks become movable. Fixed at boot.
    pub movable_node: bool,
    /// A device of one block may hold its own memory map. Fixed at boot.
    pub memmap_on_memory: bool,
}

/// A setting that can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyName {
    /// See [`PolicySettings::auto_online_blocks`].
    AutoOnlineBlocks,
    /// See [`PolicySettings::online_policy`].
    OnlinePolicy,
    /// See [`PolicySettings::auto_movable_ratio`].
    AutoMovableRatio,
    /// See [`PolicySettings::auto_movable_numa_aware`].
    AutoMovableNumaAware,
}

impl PolicyName {
    /// All.
    pub const ALL: [Self; 4] = [
        Self::AutoOnlineBlocks,
        Self::OnlinePolicy,
        Self::AutoMovableRatio,
        Self::AutoMovableNumaAware,
    ];

    /// Its name in Linux.
    pub const fn name(self) -> &'static str {
        match self {
            Self::AutoOnlineBlocks => "auto_online_blocks",
            Self::OnlinePolicy => "online_policy",
            Self::AutoMovableRatio => "auto_movable_ratio",
            Self::AutoMovableNumaAware => "auto_movable_numa_aware",
        }
    }

    /// What it takes, for messages.
    pub const fn takes(self) -> &'static str {
        match self {
            Self::AutoOnlineBlocks => "offline, online, online_kernel or online_movable",
            Self::OnlinePolicy => "contig-zones or auto-movable",
            Self::AutoMovableRatio => "a percentage from 0 to 4294967295",
            Self::AutoMovableNumaAware => "Y or N",
        }
    }

    /// The one with this name.
    ///
    /// # Errors
    /// [`ControlError::BadValue`].
    pub fn of(name: &str) -> Result<Self, ControlError> {
        let known = Self::ALL.into_iter().find(|known| known.name() == name);
        known.ok_or_else(|| ControlError::BadValue {
            name: "policy".into(),
            value: name.into(),
            takes: "auto_online_blocks, online_policy, auto_movable_ratio or \
                    auto_movable_numa_aware"
                .into(),
            range: false,
        })
    }
}

/// One setting and its new value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyChange {
    /// See [`PolicySettings::auto_online_blocks`].
    AutoOnlineBlocks(AutoOnline),
    /// See [`PolicySettings::online_policy`].
    OnlinePolicy(OnlinePolicy),
    /// See [`PolicySettings::auto_movable_ratio`].
    AutoMovableRatio(u32),
    /// See [`PolicySettings::auto_movable_numa_aware`].
    AutoMovableNumaAware(bool),
}

impl PolicyChange {
    /// Reads a value as Linux would.
    ///
    /// ```
    /// use memplug_control::{PolicyChange, PolicyName};
    /// let name = PolicyName::AutoMovableRatio;
    /// assert_eq!(PolicyChange::parse(name, b"38\n").unwrap(), PolicyChange::AutoMovableRatio(38));
    /// let error = PolicyChange::parse(name, b"many").unwrap_err();
    /// assert_eq!(error.errno(), Some(22));
    /// ```
    ///
    /// # Errors
    /// [`ControlError::BadValue`] with what it takes.
    pub fn parse(name: PolicyName, value: &[u8]) -> Result<Self, ControlError> {
        let text = text_of(value);
        let bad = |range| ControlError::BadValue {
            name: name.name().into(),
            value: String::from_utf8_lossy(text)
                .trim_end()
                .chars()
                .take(64)
                .collect(),
            takes: name.takes().into(),
            range,
        };
        match name {
            PolicyName::AutoOnlineBlocks => {
                let all = AutoOnline::ALL.into_iter();
                let known = all.into_iter().find(|word| same_word(text, word.word()));
                known.map(Self::AutoOnlineBlocks).ok_or_else(|| bad(false))
            }
            PolicyName::OnlinePolicy => {
                let all = OnlinePolicy::ALL.into_iter();
                let known = all.into_iter().find(|word| same_word(text, word.word()));
                known.map(Self::OnlinePolicy).ok_or_else(|| bad(false))
            }
            PolicyName::AutoMovableRatio => match unsigned_of(text, u64::from(u32::MAX)) {
                Ok(number) => u32::try_from(number)
                    .map(Self::AutoMovableRatio)
                    .map_err(|_| bad(true)),
                Err(error) => Err(bad(error == NumberError::Range)),
            },
            PolicyName::AutoMovableNumaAware => bool_of(text)
                .map(Self::AutoMovableNumaAware)
                .ok_or_else(|| bad(false)),
        }
    }

    /// The setting.
    pub const fn name(self) -> PolicyName {
        match self {
            Self::AutoOnlineBlocks(_) => PolicyName::AutoOnlineBlocks,
            Self::OnlinePolicy(_) => PolicyName::OnlinePolicy,
            Self::AutoMovableRatio(_) => PolicyName::AutoMovableRatio,
            Self::AutoMovableNumaAware(_) => PolicyName::AutoMovableNumaAware,
        }
    }

    /// The value as Linux shows it.
    pub fn shown(self) -> String {
        match self {
            Self::AutoOnlineBlocks(word) => word.word().into(),
            Self::OnlinePolicy(word) => word.word().into(),
            Self::AutoMovableRatio(ratio) => ratio.to_string(),
            Self::AutoMovableNumaAware(aware) => if aware { "Y" } else { "N" }.into(),
        }
    }
}

impl PolicySettings {
    /// The value of one setting.
    pub fn get(&self, name: PolicyName) -> PolicyChange {
        match name {
            PolicyName::AutoOnlineBlocks => PolicyChange::AutoOnlineBlocks(self.auto_online_blocks),
            PolicyName::OnlinePolicy => PolicyChange::OnlinePolicy(self.online_policy),
            PolicyName::AutoMovableRatio => PolicyChange::AutoMovableRatio(self.auto_movable_ratio),
            PolicyName::AutoMovableNumaAware => {
                PolicyChange::AutoMovableNumaAware(self.auto_movable_numa_aware)
            }
        }
    }
}
