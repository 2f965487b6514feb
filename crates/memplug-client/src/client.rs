//! Typed calls, one at a time.
//!
//! Each call waits for its last reply; a program that wants to do something meanwhile connects again.

use crate::change::{Step, Watching, changed};
use crate::error::ClientError;
use crate::subscription::{Subscriber, Subscription};
use memplug_control::{
    AddReport, Answer, DeviceInfo, GroupInfo, MachineInfo, OfflinePlan, PolicySettings, Why,
};
use memplug_interface::{
    AddParameters, AddReply, AuditParameters, AuditRecord, AuditReply, Block, BlocksReply,
    CancelParameters, DevicesReply, GroupsReply, ListBlocksParameters, MachineReply, Node,
    NodesReply, Notice, Notifier, NotifiersReply, OfflineParameters, OfflineReply,
    OnlineParameters, OnlineReply, Outcome, PlanParameters, PlanReply, PolicyReply,
    RemoveParameters, RemoveReply, Removed, SetPolicyParameters, Status, StatusReply, Target,
    UsageParameters, WatchReply, WhyParameters, WhyReply, method,
};
use memplug_varlink::CallError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A connection to a machine that is served.
#[derive(Debug)]
pub struct Client {
    pub(crate) inner: memplug_varlink::Client,
    path: PathBuf,
}

pub(crate) fn read<T: DeserializeOwned>(value: Value) -> Result<T, ClientError> {
    serde_json::from_value(value).map_err(|error| ClientError::Call(CallError::NotAReply(error)))
}

/// A last reply without what it is for.
pub(crate) fn nothing_said() -> ClientError {
    ClientError::Call(CallError::Closed)
}

impl Client {
    /// Connects to the machine at a socket.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub fn connect(path: &Path) -> Result<Self, ClientError> {
        let inner = memplug_varlink::Client::connect(path);
        let inner = inner.map_err(|source| ClientError::Unreachable {
            path: path.into(),
            source,
        })?;
        Ok(Self {
            inner,
            path: path.into(),
        })
    }

    /// Another connection to the same machine.
    ///
    /// # Errors
    /// [`ClientError::Unreachable`].
    pub fn again(&self) -> Result<Self, ClientError> {
        Self::connect(&self.path)
    }

    fn call<T: DeserializeOwned>(
        &mut self,
        name: &str,
        parameters: &impl Serialize,
    ) -> Result<T, ClientError> {
        read(self.inner.call(&method(name), parameters)?)
    }

    /// What does not change.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn machine(&mut self) -> Result<MachineInfo, ClientError> {
        let reply: MachineReply = self.call("GetMachine", &json!({}))?;
        Ok(reply.machine)
    }

    /// Blocks, ascending; all of them if none are named.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn blocks(&mut self, parameters: &ListBlocksParameters) -> Result<Vec<Block>, ClientError> {
        let mut blocks = Vec::new();
        for reply in self.inner.call_more(&method("ListBlocks"), parameters)? {
            blocks.append(&mut read::<BlocksReply>(reply?)?.blocks);
        }
        Ok(blocks)
    }

    /// Nodes; with `usage` the pages of their zones.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn nodes(&mut self, usage: bool) -> Result<Vec<Node>, ClientError> {
        let usage = Some(usage);
        let reply: NodesReply = self.call("ListNodes", &UsageParameters { usage })?;
        Ok(reply.nodes)
    }

    /// Devices.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn devices(&mut self) -> Result<Vec<DeviceInfo>, ClientError> {
        let reply: DevicesReply = self.call("ListDevices", &json!({}))?;
        Ok(reply.devices)
    }

    /// Memory groups.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn groups(&mut self) -> Result<Vec<GroupInfo>, ClientError> {
        let reply: GroupsReply = self.call("ListGroups", &json!({}))?;
        Ok(reply.groups)
    }

    /// The machine as a whole.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn status(&mut self) -> Result<Status, ClientError> {
        let reply: StatusReply = self.call("GetStatus", &json!({}))?;
        Ok(reply.status)
    }

    /// What an offline would meet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn plan(&mut self, parameters: &PlanParameters) -> Result<OfflinePlan, ClientError> {
        let mut whole: Option<OfflinePlan> = None;
        for reply in self.inner.call_more(&method("Plan"), parameters)? {
            let mut part = read::<PlanReply>(reply?)?.plan;
            match &mut whole {
                None => whole = Some(part),
                Some(whole) => {
                    whole.blocks.append(&mut part.blocks);
                    whole.left_out.append(&mut part.left_out);
                }
            }
        }
        whole.ok_or_else(nothing_said)
    }

    /// Why a block is where it is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn why(&mut self, block: u64) -> Result<Why, ClientError> {
        let reply: WhyReply = self.call("Why", &WhyParameters { block })?;
        Ok(reply.why)
    }

    /// Adds a device.
    ///
    /// # Errors
    /// [`ClientError`]; nothing is left then.
    pub fn add(&mut self, parameters: &AddParameters) -> Result<AddReport, ClientError> {
        self.add_telling(parameters, |_| {})
    }

    /// Adds a device and tells the steps.
    ///
    /// # Errors
    /// [`ClientError`]; nothing is left then.
    pub fn add_telling(
        &mut self,
        parameters: &AddParameters,
        tell: impl FnMut(Step),
    ) -> Result<AddReport, ClientError> {
        let reply: AddReply = changed(self, "Add", parameters, tell)?;
        reply.added.ok_or_else(nothing_said)
    }

    /// Brings blocks online, all or none.
    ///
    /// # Errors
    /// [`ClientError`]; everything is as before.
    pub fn online(&mut self, what: Target) -> Result<Outcome, ClientError> {
        let parameters = OnlineParameters {
            what,
            ..OnlineParameters::default()
        };
        self.online_telling(&parameters, |_| {})
    }

    /// Brings blocks online as the parameters say, and tells the steps.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn online_telling(
        &mut self,
        parameters: &OnlineParameters,
        tell: impl FnMut(Step),
    ) -> Result<Outcome, ClientError> {
        let reply: OnlineReply = changed(self, "Online", parameters, tell)?;
        reply.outcome.ok_or_else(nothing_said)
    }

    /// Takes blocks offline, all or none.
    ///
    /// # Errors
    /// [`ClientError`]; everything is as before.
    pub fn offline(&mut self, what: Target) -> Result<Outcome, ClientError> {
        let parameters = OfflineParameters {
            what,
            ..OfflineParameters::default()
        };
        self.offline_telling(&parameters, |_| {})
    }

    /// Takes blocks offline as the parameters say, and tells the steps.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn offline_telling(
        &mut self,
        parameters: &OfflineParameters,
        tell: impl FnMut(Step),
    ) -> Result<Outcome, ClientError> {
        let reply: OfflineReply = changed(self, "Offline", parameters, tell)?;
        reply.outcome.ok_or_else(nothing_said)
    }

    /// Removes a device, and tells the steps.
    ///
    /// # Errors
    /// [`ClientError`]; everything is there as before.
    pub fn remove_telling(
        &mut self,
        parameters: &RemoveParameters,
        tell: impl FnMut(Step),
    ) -> Result<Removed, ClientError> {
        let reply: RemoveReply = changed(self, "Remove", parameters, tell)?;
        reply.removed.ok_or_else(nothing_said)
    }

    /// Ends an operation.
    ///
    /// # Errors
    /// [`ClientError`], named `NoSuchOperation` if none is under way.
    pub fn cancel(&mut self, operation: u64) -> Result<(), ClientError> {
        self.call::<Value>("Cancel", &CancelParameters { operation })?;
        Ok(())
    }

    /// Settings.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn policy(&mut self) -> Result<PolicySettings, ClientError> {
        let reply: PolicyReply = self.call("GetPolicy", &json!({}))?;
        Ok(reply.policy)
    }

    /// Changes a setting, written as Linux takes it.
    ///
    /// # Errors
    /// [`ClientError`]; it is as before.
    pub fn set_policy(&mut self, name: &str, value: &str) -> Result<PolicySettings, ClientError> {
        let parameters = SetPolicyParameters {
            name: name.into(),
            value: value.into(),
        };
        let reply: PolicyReply = self.call("SetPolicy", &parameters)?;
        Ok(reply.policy)
    }

    /// Notifiers in the order of calling.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn notifiers(&mut self) -> Result<Vec<Notifier>, ClientError> {
        let reply: NotifiersReply = self.call("ListNotifiers", &json!({}))?;
        Ok(reply.notifiers)
    }

    /// The latest answers, or only the refusals, oldest first.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn audit(&mut self, refusals: bool) -> Result<Vec<AuditRecord>, ClientError> {
        let refusals = Some(refusals);
        let reply: AuditReply = self.call("Audit", &AuditParameters { refusals })?;
        Ok(reply.records)
    }

    /// Everything that happens from now on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn watch(&mut self) -> Result<Watching<'_>, ClientError> {
        let mut replies = self.inner.call_more(&method("Watch"), &json!({}))?;
        let first = replies.next().ok_or_else(nothing_said)??;
        read::<WatchReply>(first)?;
        Ok(Watching::over(replies))
    }

    /// Becomes a notifier until the subscription is dropped: a priority, or a [`Subscriber`]
    /// with more to say. The callback runs on a thread of its own.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn subscribe(
        &self,
        subscriber: impl Into<Subscriber>,
        callback: impl FnMut(&Notice) -> Answer + Send + 'static,
    ) -> Result<Subscription, ClientError> {
        Subscription::new(self, subscriber.into(), callback)
    }
}
