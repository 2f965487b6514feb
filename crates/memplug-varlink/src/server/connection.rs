//! Reading the calls of one connection, one after the other.
//!
//! What is no call is answered as an invalid parameter `message`, and reading goes on with the
//! next message; one that is too long is answered so, too, and ends the connection.

use super::exchange::{Exchange, Hangup};
use super::{Service, introspect};
use crate::codec::{Decoder, TooLong};
use crate::message::{Call, errors, read_object};
use crate::peer::Peer;
use serde_json::json;
use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(super) struct Connection {
    stream: UnixStream,
    hangup: Hangup,
    peer: Peer,
    decoder: Decoder,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, hangup: Hangup, peer: Peer) -> Self {
        Self {
            stream,
            hangup,
            peer,
            decoder: Decoder::default(),
        }
    }

    pub(super) fn serve(mut self, service: &dyn Service) {
        loop {
            let goes_on = match self.receive() {
                Ok(Some(message)) => self.answer(&message, service),
                Ok(None) => false,
                Err(TooLong) => {
                    self.not_a_call();
                    false
                }
            };
            if !goes_on {
                return self.hangup.hang_up();
            }
        }
    }

    /// The next message; `None` when there are no more.
    fn receive(&mut self) -> Result<Option<Vec<u8>>, TooLong> {
        let mut piece = [0; 16 << 10];
        loop {
            if let Some(message) = self.decoder.take()? {
                return Ok(Some(message));
            }
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(None),
                Ok(count) => self.decoder.push(piece.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Ok(None),
            }
        }
    }

    fn not_a_call(&self) -> bool {
        let call = Call::default();
        let mut exchange = Exchange::new(&call, &self.peer, &self.hangup);
        exchange.invalid_parameter("message");
        !exchange.is_lost()
    }

    /// Answers one message. Whether the connection goes on.
    fn answer(&self, message: &[u8], service: &dyn Service) -> bool {
        let Ok(call) = read_object::<Call>(message) else {
            return self.not_a_call();
        };
        let mut exchange = Exchange::new(&call, &self.peer, &self.hangup);
        let interface = call.split().map_or("", |(interface, _)| interface);
        if call.upgrade {
            exchange.invalid_parameter("upgrade");
        } else if interface == introspect::NAME {
            introspect::answer(service, &mut exchange);
        } else if service
            .interfaces()
            .iter()
            .any(|known| known.name == interface)
        {
            let called = catch_unwind(AssertUnwindSafe(|| service.call(&mut exchange)));
            if called.is_err() {
                return false;
            }
            if !exchange.is_answered() {
                let method = json!({ "method": call.method });
                exchange.error(errors::METHOD_NOT_IMPLEMENTED, &method);
            }
        } else {
            let interface: String = interface.chars().take(256).collect();
            let interface = json!({ "interface": interface });
            exchange.error(errors::INTERFACE_NOT_FOUND, &interface);
        }
        !exchange.is_lost()
    }
}
