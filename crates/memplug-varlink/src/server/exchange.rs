//! One call and its answers.
//!
//! An answer that cannot be delivered, because the caller is gone or reads nothing, ends the
//! connection; the service learns that from [`Exchange::is_gone`] and need not care otherwise.

use crate::codec::encode;
use crate::message::{Call, Reply, errors};
use crate::peer::Peer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::Write;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Ends a connection from any thread.
#[derive(Clone, Debug)]
pub struct Hangup(Arc<UnixStream>);

impl Hangup {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self(Arc::new(stream))
    }

    /// Ends it: reading sees the end, writing fails.
    pub fn hang_up(&self) {
        // One that is gone already cannot be ended again.
        let _ = self.0.shutdown(Shutdown::Both);
    }

    /// Whether the other side closed the connection.
    pub fn is_gone(&self) -> bool {
        let mut fds = [PollFd::new(&*self.0, PollFlags::empty())];
        let now = Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().intersects(gone)
    }
}

/// One call and its answers.
pub struct Exchange<'c> {
    call: &'c Call,
    peer: &'c Peer,
    hangup: &'c Hangup,
    answered: bool,
    lost: bool,
}

impl<'c> Exchange<'c> {
    pub(super) fn new(call: &'c Call, peer: &'c Peer, hangup: &'c Hangup) -> Self {
        Self {
            call,
            peer,
            hangup,
            answered: false,
            lost: false,
        }
    }

    /// The method's name, without its interface.
    pub fn method(&self) -> &'c str {
        self.call.split().map_or("", |(_, method)| method)
    }
    /// What it is called with.
    pub fn parameters(&self) -> &'c Map<String, Value> {
        &self.call.parameters
    }
    /// Whether many replies are welcome.
    pub fn wants_more(&self) -> bool {
        self.call.more && !self.call.oneway
    }
    /// The caller.
    pub fn peer(&self) -> &'c Peer {
        self.peer
    }
    /// What ends the connection.
    pub fn hangup(&self) -> Hangup {
        self.hangup.clone()
    }
    /// Whether the caller is gone, or reads nothing.
    pub fn is_gone(&self) -> bool {
        self.lost || self.hangup.is_gone()
    }
    pub(super) fn is_answered(&self) -> bool {
        self.answered
    }
    pub(super) fn is_lost(&self) -> bool {
        self.lost
    }

    fn send(&mut self, parameters: &impl Serialize, continues: bool, error: Option<&str>) -> bool {
        if self.answered {
            return true;
        }
        self.answered = !continues;
        if self.call.oneway || self.lost {
            return true;
        }
        let parameters = match serde_json::to_value(parameters) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        };
        let error = error.map(str::to_owned);
        let reply = Reply {
            parameters,
            continues,
            error,
        };
        let Ok(bytes) = encode(&reply) else {
            return false;
        };
        self.lost = (&*self.hangup.0).write_all(&bytes).is_err();
        true
    }

    /// Sends the last reply. What is too long is answered as an error.
    pub fn reply(&mut self, parameters: &impl Serialize) {
        if !self.send(parameters, false, None) {
            self.answered = false;
            let too_long = json!({"parameter": "more"});
            self.send(&too_long, false, Some(errors::INVALID_PARAMETER));
        }
    }

    /// Sends a reply that others follow. Only for calls that want them.
    pub fn reply_continues(&mut self, parameters: &impl Serialize) {
        if self.wants_more() && !self.send(parameters, true, None) {
            self.lost = true;
        }
    }

    /// Sends an error as the last reply.
    pub fn error(&mut self, name: &str, parameters: &impl Serialize) {
        if !self.send(parameters, false, Some(name)) {
            self.answered = false;
            self.send(&json!({}), false, Some(name));
        }
    }

    /// Answers that a parameter is missing, unknown or cannot be.
    pub fn invalid_parameter(&mut self, parameter: &str) {
        let parameter: String = parameter.chars().take(64).collect();
        self.error(
            errors::INVALID_PARAMETER,
            &json!({ "parameter": parameter }),
        );
    }

    /// Answers that there is no such method.
    pub fn method_not_found(&mut self) {
        let method: String = self.call.method.chars().take(256).collect();
        self.error(errors::METHOD_NOT_FOUND, &json!({ "method": method }));
    }

    /// Answers that the method must be called with `more`, unless it was.
    pub fn needs_more(&mut self) -> bool {
        if self.wants_more() {
            return true;
        }
        self.error(errors::EXPECTED_MORE, &json!({}));
        false
    }
}
