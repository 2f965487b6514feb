//! From calls to handlers: what each method needs, and which handler answers it.
//!
//! Rights are checked here and nowhere else, before the parameters are looked at.

use crate::audit::Audit;
use crate::operations::Operations;
use crate::rights::{Right, Rights};
use crate::subscribers::Subscribers;
use crate::watching::{self, Watchers};
use crate::{changes, looking, subscribers};
use memplug_control::{Control, ControlError};
use memplug_interface::{DESCRIPTION, Failed, NAME, errors};
use memplug_varlink::{About, Exchange, Interface, Service};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// All that handlers need.
pub(crate) struct Machine {
    pub(crate) control: Arc<dyn Control>,
    pub(crate) rights: Rights,
    pub(crate) operations: Operations,
    pub(crate) subscribers: Subscribers,
    pub(crate) watchers: Arc<Watchers>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) began: Instant,
}

/// The machine as a Varlink service.
pub(crate) struct MachineService(pub(crate) Arc<Machine>);

/// Methods by name, with what they need.
type Handler = fn(&Arc<Machine>, &mut Exchange<'_>);

fn handler(method: &str) -> Option<(Right, Handler)> {
    Some(match method {
        "GetMachine" => (Right::Look, |m, e| looking::machine(m, e)),
        "ListBlocks" => (Right::Look, |m, e| looking::blocks(m, e)),
        "ListNodes" => (Right::Look, |m, e| looking::nodes(m, e)),
        "ListDevices" => (Right::Look, |m, e| looking::devices(m, e)),
        "ListGroups" => (Right::Look, |m, e| looking::groups(m, e)),
        "GetStatus" => (Right::Look, |m, e| looking::status(m, e)),
        "Plan" => (Right::Look, |m, e| looking::plan(m, e)),
        "Why" => (Right::Look, |m, e| looking::why(m, e)),
        "GetPolicy" => (Right::Look, |m, e| looking::policy(m, e)),
        "ListNotifiers" => (Right::Look, |m, e| subscribers::list(m, e)),
        "Audit" => (Right::Watch, |m, e| looking::audit(m, e)),
        "Watch" => (Right::Watch, |m, e| watching::watch(m, e)),
        "Subscribe" => (Right::Watch, subscribers::subscribe),
        "Answer" => (Right::Watch, |m, e| subscribers::answer(m, e)),
        "Add" => (Right::Change, changes::add),
        "Online" => (Right::Change, changes::online),
        "Offline" => (Right::Change, changes::offline),
        "Remove" => (Right::Change, changes::remove),
        "Cancel" => (Right::Change, |m, e| changes::cancel(m, e)),
        "SetPolicy" => (Right::Change, |m, e| changes::set_policy(m, e)),
        _ => return None,
    })
}

impl Service for MachineService {
    fn about(&self) -> About {
        About {
            vendor: "memplug",
            product: "memplug serve",
            version: env!("CARGO_PKG_VERSION"),
            url: env!("CARGO_PKG_REPOSITORY"),
        }
    }

    fn interfaces(&self) -> &[Interface] {
        &[Interface {
            name: NAME,
            description: DESCRIPTION,
        }]
    }

    fn call(&self, exchange: &mut Exchange<'_>) {
        let Some((right, handler)) = handler(exchange.method()) else {
            return exchange.method_not_found();
        };
        let peer = exchange.peer();
        if let Err(message) = self.0.rights.check(peer, right) {
            tracing::warn!(
                uid = peer.uid,
                pid = peer.pid,
                method = exchange.method(),
                "not permitted"
            );
            return exchange.error(errors::NOT_PERMITTED, &json!({ "message": message }));
        }
        handler(&self.0, exchange);
    }
}

/// Answers why something was not done.
pub(crate) fn failed(exchange: &mut Exchange<'_>, error: &ControlError) {
    exchange.error(errors::FAILED, &Failed::from(error));
}

/// Answers with what was found, or why it was not.
pub(crate) fn answer<T: serde::Serialize>(
    exchange: &mut Exchange<'_>,
    found: Result<T, ControlError>,
) {
    match found {
        Ok(found) => exchange.reply(&found),
        Err(error) => failed(exchange, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_interface_has_a_handler() {
        for method in memplug_interface::methods() {
            assert!(handler(method).is_some(), "{method}");
        }
        assert!(handler("Nope").is_none());
    }

    #[test]
    fn what_shows_or_delays_others_is_granted_and_what_changes_is_not() {
        let watching = ["Audit", "Watch", "Subscribe", "Answer"];
        let changing = ["Add", "Online", "Offline", "Remove", "Cancel", "SetPolicy"];
        for method in memplug_interface::methods() {
            let right = match method {
                _ if watching.contains(&method) => Right::Watch,
                _ if changing.contains(&method) => Right::Change,
                _ => Right::Look,
            };
            assert_eq!(
                handler(method).map(|found| found.0),
                Some(right),
                "{method}"
            );
        }
    }
}
