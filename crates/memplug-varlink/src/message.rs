//! Calls and replies as they stand in messages.
//!
//! What is absent and what is null are the same, as clients write either. Parameters are always
//! an object; none is the empty one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Names of the errors every service can answer.
pub mod errors {
    /// There is no such interface.
    pub const INTERFACE_NOT_FOUND: &str = "org.varlink.service.InterfaceNotFound";
    /// The interface has no such method.
    pub const METHOD_NOT_FOUND: &str = "org.varlink.service.MethodNotFound";
    /// The method is described but not there.
    pub const METHOD_NOT_IMPLEMENTED: &str = "org.varlink.service.MethodNotImplemented";
    /// A parameter cannot be.
    pub const INVALID_PARAMETER: &str = "org.varlink.service.InvalidParameter";
    /// The caller may not.
    pub const PERMISSION_DENIED: &str = "org.varlink.service.PermissionDenied";
    /// The method has many replies and must be called with `more`.
    pub const EXPECTED_MORE: &str = "org.varlink.service.ExpectedMore";
}

/// Reads a call or a reply. It must be an object: a list of what stands in one, in the right
/// order, would else pass for it.
pub(crate) fn read_object<T: DeserializeOwned>(message: &[u8]) -> serde_json::Result<T> {
    let object: Map<String, Value> = serde_json::from_slice(message)?;
    serde_json::from_value(Value::Object(object))
}

fn null_is_default<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// A call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Interface, a dot, and the method's name.
    pub method: String,
    /// What it is called with.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Map::is_empty"
    )]
    pub parameters: Map<String, Value>,
    /// No reply is wanted.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_false"
    )]
    pub oneway: bool,
    /// Many replies are welcome.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_false"
    )]
    pub more: bool,
    /// The connection shall change its protocol; not done here.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_false"
    )]
    pub upgrade: bool,
}

impl Call {
    /// The interface and the method's name, if there is a dot between.
    pub fn split(&self) -> Option<(&str, &str)> {
        self.method.rsplit_once('.')
    }
}

/// A reply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// What it says.
    #[serde(default, deserialize_with = "null_is_default")]
    pub parameters: Map<String, Value>,
    /// More replies come.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_false"
    )]
    pub continues: bool,
    /// The name of an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_no_call() {
        let call = read_object::<Call>(br#"{"method":"a.B","oneway":true}"#).expect("a call");
        assert_eq!((call.method.as_str(), call.oneway), ("a.B", true));
        for message in [r#"["a.B",null,true]"#, r#""a.B""#, "null", "{}"] {
            assert!(
                read_object::<Call>(message.as_bytes()).is_err(),
                "{message}"
            );
        }
    }

    #[test]
    fn absent_null_and_false_are_the_same() {
        let plain: Call = serde_json::from_str(r#"{"method":"a.B"}"#).expect("a call");
        let null = r#"{"method":"a.B","parameters":null,"more":null,"oneway":false,"x":1}"#;
        assert_eq!(serde_json::from_str::<Call>(null).expect("a call"), plain);
        assert_eq!(plain.split(), Some(("a", "B")));
        for bad in [
            "{}",
            "[]",
            r#"{"method":1}"#,
            r#"{"method":"a","parameters":[]}"#,
        ] {
            assert!(serde_json::from_str::<Call>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_empty_reply_still_has_parameters() {
        let text = serde_json::to_string(&Reply::default()).expect("JSON");
        assert_eq!(text, r#"{"parameters":{}}"#);
    }
}
