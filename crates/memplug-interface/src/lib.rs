//! The Varlink interface `io.memplug.Machine1`: its description, and its messages as types.
//!
//! Service and clients speak these types; what the control plane has as plain data is used as it
//! is, and what Varlink cannot describe (words with operands) is spelt out here. Parameters with
//! names that are not described are refused, so that a slip of the pen is no silent default.
//!
//! `look`: what there is. `change`: what is asked for, what came of it, why not. `notifier`:
//! subscribing, answering, the audit. `event`: what a watcher sees.
#![forbid(unsafe_code)]

mod change;
mod event;
mod look;
mod notifier;

pub use change::{
    AddParameters, AddReply, BlockDone, CancelParameters, Failed, GroupError, GroupWord, Mode,
    OfflineParameters, OfflineReply, OnlineParameters, OnlineReply, Outcome, PlanParameters,
    PlanReply, RemoveParameters, RemoveReply, Removed, SetPolicyParameters, Target, TargetError,
    WhyParameters, WhyReply,
};
pub use event::{Event, WatchReply, What};
pub use look::{
    Block, BlocksReply, DevicesReply, GroupsReply, ListBlocksParameters, MachineReply, Node,
    NodesReply, PolicyReply, Status, StatusReply, UsageParameters, Zone,
};
pub use memplug_control::Failure;
pub use notifier::{
    AnswerGiven, AnswerParameters, AnswerWord, AuditParameters, AuditRecord, AuditReply, Notice,
    Notifier, NotifiersReply, Sort, SubscribeParameters, SubscribeReply,
};

/// Its name.
pub const NAME: &str = "io.memplug.Machine1";

/// Its description in Varlink's language.
pub const DESCRIPTION: &str = include_str!("io.memplug.Machine1.varlink");

/// Names of its errors.
pub mod errors {
    /// It was not done; parameters are [`crate::Failed`].
    pub const FAILED: &str = "io.memplug.Machine1.Failed";
    /// The caller may not.
    pub const NOT_PERMITTED: &str = "io.memplug.Machine1.NotPermitted";
    /// No such operation is under way.
    pub const NO_SUCH_OPERATION: &str = "io.memplug.Machine1.NoSuchOperation";
    /// No such subscription.
    pub const NO_SUCH_SUBSCRIPTION: &str = "io.memplug.Machine1.NoSuchSubscription";
    /// No such notice waits for an answer.
    pub const NO_SUCH_NOTICE: &str = "io.memplug.Machine1.NoSuchNotice";
    /// The caller was sent more than it read.
    pub const EXPELLED: &str = "io.memplug.Machine1.Expelled";
    /// The machine is being taken down.
    pub const STOPPING: &str = "io.memplug.Machine1.Stopping";
}

/// The full name of a method.
pub fn method(name: &str) -> String {
    format!("{NAME}.{name}")
}

/// Names of all methods, as described.
pub fn methods() -> Vec<&'static str> {
    let lines = DESCRIPTION
        .lines()
        .filter_map(|line| line.strip_prefix("method "));
    lines.filter_map(|line| line.split('(').next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_described_and_methods_found() {
        for error in [
            errors::FAILED,
            errors::NOT_PERMITTED,
            errors::NO_SUCH_OPERATION,
            errors::NO_SUCH_SUBSCRIPTION,
            errors::NO_SUCH_NOTICE,
            errors::EXPELLED,
            errors::STOPPING,
        ] {
            let name = error.strip_prefix(NAME).expect("of this interface");
            let line = format!("\nerror {} (", &name[1..]);
            assert!(DESCRIPTION.contains(&line), "{line}");
        }
        let members = DESCRIPTION.lines().filter_map(|line| {
            let (sort, rest) = line.split_once(' ')?;
            let is_member = ["type", "method", "error"].contains(&sort);
            is_member.then(|| rest.split([' ', '(']).next()).flatten()
        });
        let mut members: Vec<&str> = members.collect();
        let all = members.len();
        members.sort_unstable();
        members.dedup();
        assert_eq!(
            members.len(),
            all,
            "types, methods and errors share one set of names"
        );
        assert_eq!(methods().len(), 20);
        assert!(methods().contains(&"Subscribe"));
    }
}
