//! What a service says of itself: the interface `org.varlink.service`.
//!
//! It is answered for every service alike, from what the service says in [`Service`].

use super::Service;
use super::exchange::Exchange;
use crate::message::errors;
use serde_json::{Value, json};

/// Name of the interface that every service has.
pub(super) const NAME: &str = "org.varlink.service";

const DESCRIPTION: &str = "\
# What every Varlink service says of itself.
interface org.varlink.service

# Who made it, and which interfaces it has.
method GetInfo() -> (
  vendor: string,
  product: string,
  version: string,
  url: string,
  interfaces: []string
)

# The description of an interface.
method GetInterfaceDescription(interface: string) -> (description: string)

# There is no such interface.
error InterfaceNotFound (interface: string)

# The interface has no such method.
error MethodNotFound (method: string)

# The method is described, but not there.
error MethodNotImplemented (method: string)

# A parameter is missing, unknown or cannot be.
error InvalidParameter (parameter: string)

# The caller may not.
error PermissionDenied ()

# The method has many replies and must be called with `more`.
error ExpectedMore ()
";

/// What a service says of itself.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its maker.
    pub vendor: &'static str,
    /// What it is.
    pub product: &'static str,
    /// Which one.
    pub version: &'static str,
    /// Where more is said.
    pub url: &'static str,
}

/// An interface of a service.
#[derive(Clone, Copy, Debug)]
pub struct Interface {
    /// Its name, with dots.
    pub name: &'static str,
    /// Its description in Varlink's language.
    pub description: &'static str,
}

/// Answers a call to `org.varlink.service`.
pub(super) fn answer(service: &dyn Service, exchange: &mut Exchange<'_>) {
    match exchange.method() {
        "GetInfo" => {
            let about = service.about();
            let mut names = vec![NAME];
            names.extend(service.interfaces().iter().map(|interface| interface.name));
            exchange.reply(&json!({
                "vendor": about.vendor,
                "product": about.product,
                "version": about.version,
                "url": about.url,
                "interfaces": names,
            }));
        }
        "GetInterfaceDescription" => {
            let Some(Value::String(wanted)) = exchange.parameters().get("interface") else {
                return exchange.invalid_parameter("interface");
            };
            let wanted = wanted.clone();
            let mut all = service.interfaces().iter();
            let found = all.find(|interface| interface.name == wanted);
            let found = found.map(|interface| interface.description);
            match found.or((wanted == NAME).then_some(DESCRIPTION)) {
                Some(text) => exchange.reply(&json!({ "description": text })),
                None => exchange.error(errors::INTERFACE_NOT_FOUND, &json!({"interface": wanted})),
            }
        }
        _ => exchange.method_not_found(),
    }
}
