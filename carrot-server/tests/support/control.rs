//! A client of the control interface.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use carrot_backend_memory::Broker;
use carrot_server::{ControlInterface, Server};
use serde_json::Value;

use crate::support::SOON;

/// A client with the token of one interface.
#[derive(Debug, Clone)]
pub(crate) struct ControlClient {
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
}

/// The status and the body of a response.
pub(crate) type Answer = (u16, Value);

impl ControlClient {
    pub(crate) fn of(control: &ControlInterface) -> ControlClient {
        ControlClient { address: control.address(), token: control.token().into() }
    }

    /// Carries out an operation that succeeds.
    #[track_caller]
    pub(crate) fn call(&self, operation: &str, fields: &Value) -> Value {
        let (status, body) = self.send(operation, &fields.to_string());
        assert_eq!(status, 200, "{operation} {fields}: {body}");
        body
    }

    /// Carries out an operation that fails. Returns its status and its error.
    #[track_caller]
    pub(crate) fn refused(&self, operation: &str, fields: &Value) -> (u16, String) {
        let (status, body) = self.send(operation, &fields.to_string());
        (status, error_of(&body))
    }

    /// Sends a body to an operation.
    pub(crate) fn send(&self, operation: &str, body: &str) -> Answer {
        let (address, token, size) = (self.address, &self.token, body.len());
        self.raw(&format!(
            "POST /v1/{operation} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
             Content-Length: {size}\r\n\r\n{body}"
        ))
    }

    /// Sends octets, and reads the response.
    pub(crate) fn raw(&self, request: &str) -> Answer {
        let mut socket = self.connect();
        // The interface can refuse a request before it has read the whole of it.
        let _ = socket.write_all(request.as_bytes());
        response(&mut socket)
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(3 * SOON)).unwrap();
        socket
    }

    /// Waits until an operation returns a field with this value.
    #[track_caller]
    pub(crate) fn wait_for(&self, operation: &str, fields: &Value, pointer: &str, value: &Value) {
        eventually(&format!("{operation} {fields}: {pointer} = {value}"), || {
            let (status, body) = self.send(operation, &fields.to_string());
            status == 200 && body.pointer(pointer) == Some(value)
        });
    }
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + 2 * SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {:?}", 2 * SOON);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Reads a response to the end of its connection.
#[track_caller]
pub(crate) fn response(socket: &mut TcpStream) -> Answer {
    let mut octets = Vec::new();
    socket.read_to_end(&mut octets).unwrap();
    let _ = socket.shutdown(Shutdown::Both);
    let text = String::from_utf8(octets).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let size = format!("Content-Length: {}\r\n", body.len());
    assert!(head.contains(&size) && head.contains("Content-Type: application/json"), "{head}");
    (status, serde_json::from_str(body).unwrap())
}

pub(crate) fn error_of(body: &Value) -> String {
    let error = body.get("error").and_then(Value::as_str);
    error.unwrap_or_else(|| panic!("no error: {body}")).to_string()
}

/// Starts a server with a control interface.
pub(crate) fn serve(broker: &Broker) -> (Server, ControlClient) {
    let server = Server::builder(broker).control("127.0.0.1:0").bind("127.0.0.1:0").unwrap();
    let client = ControlClient::of(server.control().unwrap());
    (server, client)
}
