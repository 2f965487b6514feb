//! Bytes on a connection of Varlink: cut into messages wherever they are cut, and sent to a
//! service that answers whatever it understands.

use arbitrary::Unstructured;
use memplug_varlink::{About, Decoder, Exchange, Interface, Limits, Reply, Service, encode, serve};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::thread;

struct Echo;

impl Service for Echo {
    fn about(&self) -> About {
        About {
            vendor: "v",
            product: "p",
            version: "1",
            url: "u",
        }
    }
    fn interfaces(&self) -> &[Interface] {
        &[Interface {
            name: "a.b",
            description: "interface a.b\n",
        }]
    }
    fn call(&self, exchange: &mut Exchange<'_>) {
        match exchange.method() {
            "E" => exchange.reply(&exchange.parameters().clone()),
            "M" if exchange.needs_more() => {
                exchange.reply_continues(&json!({}));
                exchange.reply(&exchange.parameters().clone());
            }
            "M" | "S" => {}
            _ => exchange.method_not_found(),
        }
    }
}

/// What calls are made of.
const PIECES: [&str; 30] = [
    "{\"method\":\"a.b.E\",\"parameters\":",
    "{\"method\":\"a.b.M\",\"more\":true",
    "{\"method\":\"a.b.E\",\"oneway\":true}",
    "{\"method\":\"org.varlink.service.GetInfo\"}",
    "{\"method\":\"org.varlink.service.GetInterfaceDescription\"",
    "\"interface\":\"a.b\"",
    "\"upgrade\":true",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\0",
    "}\0",
    "}}\0",
    "\"method\"",
    "\"a.b.S\"",
    "\"a.b.N\"",
    "\"parameters\":",
    "\"continues\":true",
    "\"error\":\"x\"",
    "null",
    "false",
    "-1e400",
    "\"\\ud800\"",
    "\"\\u0000\"",
    "1",
    "\"\"",
    " ",
];

/// Bytes put together of such pieces and a few others.
fn composed(u: &mut Unstructured<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !u.is_empty() && bytes.len() < 4096 {
        match u.choose(&PIECES) {
            Ok(piece) => bytes.extend_from_slice(piece.as_bytes()),
            Err(_) => break,
        }
        if u.ratio(1, 12).unwrap_or(false) {
            bytes.extend(u.arbitrary::<u8>());
        }
    }
    bytes
}

/// All messages in the bytes, when they come in pieces of these lengths, over and over.
fn messages(bytes: &[u8], pieces: &[u8]) -> Vec<Vec<u8>> {
    let (mut decoder, mut found, mut rest) = (Decoder::default(), Vec::new(), bytes);
    let mut lengths = pieces.iter().cycle().map(|&piece| usize::from(piece) + 1);
    while !rest.is_empty() {
        let len = lengths.next().unwrap_or(bytes.len()).min(rest.len());
        let (piece, behind) = rest.split_at(len);
        decoder.push(piece);
        while let Some(message) = decoder.take().expect("short") {
            found.push(message);
        }
        rest = behind;
    }
    let last = bytes.last().is_some_and(|&last| last != 0);
    assert_eq!(decoder.is_inside(), last, "a piece is left");
    found
}

/// What a service answers to these bytes.
fn answered(bytes: &[u8]) -> Vec<u8> {
    let (here, there) = UnixStream::pair().expect("sockets");
    thread::scope(|scope| {
        scope.spawn(|| serve(there, &Echo, &Limits::default()).expect("served"));
        scope.spawn(|| {
            // It may hang up in the middle of it.
            let _ = (&here).write_all(bytes);
            let _ = here.shutdown(Shutdown::Write);
        });
        let mut answer = Vec::new();
        // Reset, if it hung up before it had read everything.
        let _ = (&here).read_to_end(&mut answer);
        answer
    })
}

/// Cuts and sends them.
///
/// # Panics
/// If anything is not as it must be.
pub fn wire(bytes: &[u8]) {
    let (pieces, rest) = bytes.split_at(bytes.len().min(3));
    let composed = match pieces.first() {
        Some(first) if first & 1 == 1 => composed(&mut Unstructured::new(rest)),
        _ => rest.to_vec(),
    };
    let bytes = composed.as_slice();
    let whole: Vec<&[u8]> = bytes.split(|&byte| byte == 0).collect();
    let cut = messages(bytes, pieces);
    let (_, closed) = whole.split_last().expect("at least one");
    assert_eq!(cut, closed, "however it comes");
    let answer = answered(bytes);
    let replies = messages(&answer, &[]);
    for reply in &replies {
        let reply: Reply = serde_json::from_slice(reply).expect("a reply");
        let again = encode(&reply).expect("short");
        let read: Value = serde_json::from_slice(&again[..again.len() - 1]).expect("JSON");
        assert!(read["parameters"].is_object());
    }
    let calls = cut.iter().map(|message| {
        let value: Value = serde_json::from_slice(message).unwrap_or_default();
        value["oneway"] == true && value["method"].is_string()
    });
    // A call for many replies has two here; one that wants none, none.
    let (owed, answered) = (cut.len(), replies.len());
    let silent = calls.filter(|oneway| *oneway).count();
    assert!(answered + silent >= owed, "{answered} of {owed}");
    assert!(answered <= 2 * owed, "{answered} of {owed}");
}
