//! The server at the other end of real sockets: every kind of message, and every kind of caller.
//!
//! Whatever callers send, the server answers or hangs up, and goes on serving others. What
//! arbitrary bytes do is the business of `memplug-fuzz`.

use memplug_varlink::{
    About, CallError, Client, Decoder, Exchange, Interface, Limits, ListenError, Listener,
    MESSAGE_LIMIT, Reply, Server, Service,
};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

struct Example;

impl Service for Example {
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
            name: "org.example.Test",
            description: "interface org.example.Test\n",
        }]
    }
    fn call(&self, exchange: &mut Exchange<'_>) {
        match exchange.method() {
            "Echo" => exchange.reply(&exchange.parameters().clone()),
            "Count" => {
                let Some(upto) = exchange.parameters().get("upto").and_then(Value::as_u64) else {
                    return exchange.invalid_parameter("upto");
                };
                if exchange.needs_more() {
                    for number in 0..upto {
                        exchange.reply_continues(&json!({ "number": number }));
                    }
                    exchange.reply(&json!({ "number": upto }));
                }
            }
            "Long" => exchange.reply(&json!({ "text": "x".repeat(MESSAGE_LIMIT) })),
            "Flood" => {
                while !exchange.is_gone() {
                    exchange.reply_continues(&json!({ "text": "x".repeat(4096) }));
                }
            }
            "Panic" => panic!("as asked"),
            "Silent" => {}
            _ => exchange.method_not_found(),
        }
    }
}

struct Served {
    _directory: tempfile::TempDir,
    path: PathBuf,
    server: Server,
}

fn serve_with(limits: Limits) -> Served {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("socket");
    let listener = Listener::bind(&path).expect("a socket");
    let server = Server::start(listener, Example, limits).expect("a server");
    Served {
        _directory: directory,
        path,
        server,
    }
}

fn serve() -> Served {
    serve_with(Limits::default())
}

fn client(path: &Path) -> Client {
    let client = Client::connect(path).expect("a connection");
    client
        .set_timeout(Some(Duration::from_secs(20)))
        .expect("a limit");
    client
}

fn error_of(result: Result<Value, CallError>) -> (String, Value) {
    match result {
        Err(CallError::Answered { error, parameters }) => (error, Value::Object(parameters)),
        other => panic!("not an error of the service: {other:?}"),
    }
}

/// Sends bytes, closes that side, and reads all replies.
fn raw(path: &Path, bytes: &[u8]) -> Vec<Reply> {
    let mut stream = UnixStream::connect(path).expect("a connection");
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .expect("a limit");
    // The server may hang up in the middle of it.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    loop {
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(error) => panic!("the server neither answers nor hangs up: {error}"),
        }
    }
    let mut decoder = Decoder::default();
    decoder.push(&answer);
    let mut replies = Vec::new();
    while let Some(message) = decoder.take().expect("short") {
        replies.push(serde_json::from_slice(&message).expect("a reply"));
    }
    assert!(!decoder.is_inside(), "half a reply");
    replies
}

/// Calls that end in an error: method, parameters, the error and what it says.
fn failing() -> Vec<(&'static str, Value, &'static str, Value)> {
    vec![
        (
            "org.example.Test.Nope",
            json!({}),
            "MethodNotFound",
            json!({"method": "org.example.Test.Nope"}),
        ),
        (
            "org.example.Other.Nope",
            json!({}),
            "InterfaceNotFound",
            json!({"interface": "org.example.Other"}),
        ),
        (
            "nodots",
            json!({}),
            "InterfaceNotFound",
            json!({"interface": ""}),
        ),
        (
            "org.example.Test.Count",
            json!({}),
            "InvalidParameter",
            json!({"parameter": "upto"}),
        ),
        (
            "org.example.Test.Count",
            json!({"upto": 1}),
            "ExpectedMore",
            json!({}),
        ),
        (
            "org.example.Test.Silent",
            json!({}),
            "MethodNotImplemented",
            json!({"method": "org.example.Test.Silent"}),
        ),
        (
            "org.example.Test.Long",
            json!({}),
            "InvalidParameter",
            json!({"parameter": "more"}),
        ),
        (
            "org.varlink.service.Nope",
            json!({}),
            "MethodNotFound",
            json!({"method": "org.varlink.service.Nope"}),
        ),
        (
            "org.varlink.service.GetInterfaceDescription",
            json!({"interface": "a.B"}),
            "InterfaceNotFound",
            json!({"interface": "a.B"}),
        ),
        (
            "org.varlink.service.GetInterfaceDescription",
            json!({}),
            "InvalidParameter",
            json!({"parameter": "interface"}),
        ),
    ]
}

#[test]
fn errors_are_those_of_varlink() {
    let served = serve();
    let mut client = client(&served.path);
    for (method, parameters, error, operand) in failing() {
        let found = error_of(client.call(method, &parameters));
        assert_eq!(
            found,
            (format!("org.varlink.service.{error}"), operand),
            "{method}"
        );
    }
}

#[test]
fn calls_streams_and_introspection() {
    let served = serve();
    let mut client = client(&served.path);
    let echoed = client.call("org.example.Test.Echo", &json!({"a": [1, null]}));
    assert_eq!(echoed.expect("a reply"), json!({"a": [1, null]}));
    let stream = client.call_more("org.example.Test.Count", &json!({"upto": 3}));
    let numbers: Result<Vec<Value>, _> = stream.expect("sent").collect();
    let numbers = numbers.expect("replies");
    assert_eq!(numbers.len(), 4);
    assert_eq!(numbers[3], json!({"number": 3}));

    client
        .call_oneway("org.example.Test.Echo", &json!({"a": 1}))
        .expect("sent");
    let after = client
        .call("org.example.Test.Echo", &json!({"b": 2}))
        .expect("a reply");
    assert_eq!(after, json!({"b": 2}), "a oneway call has no reply");
    let info = client
        .call("org.varlink.service.GetInfo", &json!({}))
        .expect("a reply");
    assert_eq!(
        info["interfaces"],
        json!(["org.varlink.service", "org.example.Test"])
    );
    for name in ["org.varlink.service", "org.example.Test"] {
        let parameters = json!({ "interface": name });
        let text = client.call("org.varlink.service.GetInterfaceDescription", &parameters);
        let text = text.expect("a reply")["description"].to_string();
        assert!(text.contains(&format!("interface {name}")));
    }
}

/// Whatever is to be written somewhere need not be waited for when nobody reads it there.
#[test]
fn replies_end_with_the_reader_of_what_they_are_for() {
    let (mut service, stream) = UnixStream::pair().expect("a pair");
    let mut client = Client::over(stream);
    let (reader, output) = std::io::pipe().expect("a pipe");
    let mut replies = client
        .call_more("org.example.Test.Count", &json!({}))
        .expect("sent")
        .while_read(output.as_fd());
    let part = b"{\"parameters\":{\"number\":0},\"continues\":true}\0";
    service.write_all(part).expect("written");
    let first = replies.next().expect("one").expect("a reply");
    assert_eq!(first, json!({"number": 0}));
    drop(reader);
    assert!(replies.next().is_none(), "though the service is there");
    assert!(replies.next().is_none());

    // Somebody reads: the limit of a piece is kept, and a file has no reader to miss.
    let limit = Some(Duration::from_millis(10));
    client.set_timeout(limit).expect("a limit");
    let (_reader, output) = std::io::pipe().expect("a pipe");
    let file = tempfile::tempfile().expect("a file");
    for output in [output.as_fd(), file.as_fd()] {
        let replies = client.call_more("org.example.Test.Count", &json!({}));
        let mut replies = replies.expect("sent").while_read(output);
        match replies.next() {
            Some(Err(CallError::Connection(error))) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
            }
            other => panic!("nobody answered: {other:?}"),
        }
    }
}

#[test]
fn what_is_no_call_is_answered_and_the_next_one_served() {
    let served = serve();
    let good = br#"{"method":"org.example.Test.Echo","parameters":{"a":1}}"#;
    for bad in [
        &b""[..],
        b"{",
        b"[]",
        b"nonsense",
        b"\xff\xfe",
        b"{\"method\":7}",
        br#"{"method":"org.example.Test.Echo","parameters":[1]}"#,
        &[b'['; 1000],
    ] {
        let mut bytes = bad.to_vec();
        bytes.push(0);
        bytes.extend_from_slice(good);
        bytes.push(0);
        let replies = raw(&served.path, &bytes);
        assert_eq!(replies.len(), 2, "{:?}", String::from_utf8_lossy(bad));
        let error = replies[0].error.as_deref();
        assert_eq!(error, Some("org.varlink.service.InvalidParameter"));
        assert_eq!(replies[0].parameters["parameter"], "message");
        assert_eq!(replies[1].parameters["a"], 1);
    }
    let replies = raw(&served.path, &vec![b' '; MESSAGE_LIMIT + 2]);
    assert!(replies.len() <= 1, "at most the answer that it is too long");
    assert!(
        raw(&served.path, &good[..20]).is_empty(),
        "half a message is none"
    );
    let upgrade = raw(
        &served.path,
        b"{\"method\":\"org.example.Test.Echo\",\"upgrade\":true}\0",
    );
    assert_eq!(upgrade[0].parameters["parameter"], "upgrade");
}

#[test]
fn a_panic_and_a_reader_that_does_not_read_cost_their_connection_only() {
    let limits = Limits {
        send: Duration::from_millis(50),
        ..Limits::default()
    };
    let served = serve_with(limits);
    let mut stuck = client(&served.path);
    let flood = stuck
        .call_more("org.example.Test.Flood", &json!({}))
        .expect("sent");
    let mut other = client(&served.path);
    let ended = other.call("org.example.Test.Panic", &json!({}));
    assert!(matches!(ended, Err(CallError::Closed)), "{ended:?}");
    let mut third = client(&served.path);
    assert_eq!(
        third
            .call("org.example.Test.Echo", &json!({}))
            .expect("a reply"),
        json!({})
    );
    while served.server.connections() > 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    let last = flood.last().expect("a reply");
    assert!(last.is_err(), "it was hung up on");
}

#[test]
fn connections_are_bounded_and_end_with_the_server() {
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let served = serve_with(limits);
    let (mut one, mut two) = (client(&served.path), client(&served.path));
    for client in [&mut one, &mut two] {
        client
            .call("org.example.Test.Echo", &json!({}))
            .expect("a reply");
    }
    let mut three = client(&served.path);
    assert!(three.call("org.example.Test.Echo", &json!({})).is_err());
    let Served {
        _directory,
        path,
        server,
    } = served;
    drop(server);
    assert!(one.call("org.example.Test.Echo", &json!({})).is_err());
    assert!(!path.exists(), "the socket file goes, too");
}

#[test]
fn a_socket_in_use_is_kept_and_a_left_one_replaced() {
    let served = serve();
    assert!(matches!(
        Listener::bind(&served.path),
        Err(ListenError::InUse(_))
    ));
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "text").expect("written");
    assert!(matches!(
        Listener::bind(&file),
        Err(ListenError::NotASocket(_))
    ));
    let nowhere = directory.path().join("no/such");
    assert!(matches!(
        Listener::bind(&nowhere),
        Err(ListenError::System { .. })
    ));
    let left = directory.path().join("left");
    drop(std::os::unix::net::UnixListener::bind(&left).expect("a socket"));
    assert!(Listener::bind(&left).is_ok());
    assert!(!left.exists(), "dropped with its listener");
}
