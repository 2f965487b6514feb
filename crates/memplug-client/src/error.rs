//! Why a call came to nothing.
//!
//! Errors of the interface become variants with their operands; all others keep their name.

use memplug_interface::{Failed, NAME, errors};
use memplug_varlink::CallError;
use serde_json::{Map, Value};
use std::io;
use std::path::PathBuf;

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("{}: {source}; {}", .path.display(), remedy(.source))]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It was not done; everything is as before.
    #[error("{}", .0.failure.message)]
    Failed(Box<Failed>),
    /// This user may not.
    #[error("{0}")]
    NotPermitted(String),
    /// A parameter cannot be.
    #[error("the service cannot take the parameter {0}; see its interface")]
    InvalidParameter(String),
    /// Sent more than was read.
    #[error("{0}")]
    Expelled(String),
    /// A service of something else listens there, or one that is older or newer than that.
    #[error(
        "the service there does not know {what}; give the socket of a memplug serve, of the \
         version of this program"
    )]
    NotThisVersion {
        /// The interface or method.
        what: String,
    },
    /// The machine is being taken down.
    #[error("the machine is being taken down; start it again")]
    Stopping,
    /// The connection, or the service, did something else.
    #[error(transparent)]
    Call(CallError),
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::PermissionDenied => "ask its owner for access to that socket",
        _ => "start memplug serve there, or give its --socket",
    }
}

fn text(parameters: &Map<String, Value>, name: &str) -> String {
    let found = parameters.get(name).and_then(Value::as_str);
    found.unwrap_or("no words").to_owned()
}

impl From<CallError> for ClientError {
    fn from(error: CallError) -> Self {
        let CallError::Answered {
            error: name,
            parameters,
        } = error
        else {
            return Self::Call(error);
        };
        match name.as_str() {
            errors::FAILED => {
                let read = serde_json::from_value::<Failed>(Value::Object(parameters));
                Self::Failed(Box::new(read.unwrap_or_default()))
            }
            errors::NOT_PERMITTED => Self::NotPermitted(text(&parameters, "message")),
            errors::EXPELLED => Self::Expelled(text(&parameters, "message")),
            errors::STOPPING => Self::Stopping,
            memplug_varlink::errors::INVALID_PARAMETER => {
                Self::InvalidParameter(text(&parameters, "parameter"))
            }
            memplug_varlink::errors::INTERFACE_NOT_FOUND => Self::NotThisVersion {
                what: text(&parameters, "interface"),
            },
            memplug_varlink::errors::METHOD_NOT_FOUND => Self::NotThisVersion {
                what: text(&parameters, "method"),
            },
            _ => Self::Call(CallError::Answered {
                error: name,
                parameters,
            }),
        }
    }
}

impl ClientError {
    /// What the machine says of it, if it was the machine that failed.
    pub fn failed(&self) -> Option<&Failed> {
        match self {
            Self::Failed(failed) => Some(failed),
            _ => None,
        }
    }

    /// The name of an error of the interface, without it.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Call(CallError::Answered { error, .. }) => {
                error.strip_prefix(NAME)?.strip_prefix('.')
            }
            _ => None,
        }
    }
}
