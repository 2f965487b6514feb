//! Varlink over Unix sockets, on plain threads.
//!
//! A message is a JSON object and a NUL byte. A call names a method and may ask for no reply
//! (`oneway`) or for many (`more`); each reply but the last says `continues`. What a stranger
//! sends is bounded in size and number, and a peer that reads slowly holds up no other.
//!
//! ```
//! use memplug_varlink::{About, Client, Exchange, Interface, Limits, Listener, Server, Service};
//! use serde_json::json;
//!
//! struct Echo;
//! impl Service for Echo {
//!     fn about(&self) -> About {
//!         About { vendor: "example", product: "echo", version: "1", url: "https://example.org" }
//!     }
//!     fn interfaces(&self) -> &[Interface] {
//!         &[Interface {
//!             name: "org.example.Echo",
//!             description: "interface org.example.Echo\nmethod Say(text: string) -> (text: string)\n",
//!         }]
//!     }
//!     fn call(&self, exchange: &mut Exchange<'_>) {
//!         let parameters = exchange.parameters().clone();
//!         exchange.reply(&parameters);
//!     }
//! }
//!
//! let directory = tempfile::tempdir()?;
//! let path = directory.path().join("echo");
//! let server = Server::start(Listener::bind(&path)?, Echo, Limits::default())?;
//! let mut client = Client::connect(&path)?;
//! let reply = client.call("org.example.Echo.Say", &json!({"text": "hello"}))?;
//! assert_eq!(reply, json!({"text": "hello"}));
//! drop(server);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Map
//! `codec`: bytes to messages and back. `message`: calls and replies. `peer`: the other end.
//! `server`: listening, connections, an exchange, introspection. `client`: the other side.
//!
//! Left out: `upgrade`, other transports than Unix sockets, and checking values against the
//! interface's description: services read them with types of their own.
#![forbid(unsafe_code)]

mod client;
mod codec;
mod message;
mod peer;
mod server;

pub use client::{CallError, Client, Replies};
pub use codec::{Decoder, MESSAGE_LIMIT, TooLong, encode};
pub use message::{Call, Reply, errors};
pub use peer::Peer;
pub use server::{
    About, Exchange, Hangup, Interface, Limits, ListenError, Listener, Server, Service, serve,
};
