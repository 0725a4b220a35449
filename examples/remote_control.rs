//! The control interface of a server: a service on a socket, and a test in another process.
//!
//! The program hosts a broker with a manual clock. Carrot's driver for RabbitMQ connects over the
//! socket, as clients in other languages do. The other half of the program controls the broker by
//! HTTP, as a test in another language does: it advances the clock, refuses a message, cuts the
//! connection and looks into queues.

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use carrot::Queue;
use carrot::memory::{Broker, ManualClock};
use carrot::server::Server;
use serde_json::{Value, json};

/// The deadline of each step. All of them need milliseconds.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client of the control interface, with nothing but a socket.
struct Remote {
    address: SocketAddr,
    token: String,
}

impl Remote {
    /// Carries out an operation, and returns its result.
    fn call(&self, operation: &str, fields: Value) -> Result<Value, Box<dyn Error>> {
        let body = fields.to_string();
        let mut socket = TcpStream::connect(self.address)?;
        socket.set_read_timeout(Some(TIMEOUT))?;
        write!(
            socket,
            "POST /v1/{operation} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            self.token,
            body.len()
        )?;
        let mut response = String::new();
        socket.read_to_string(&mut response)?;
        let (head, body) = response.split_once("\r\n\r\n").ok_or("no response")?;
        let body: Value = serde_json::from_str(body)?;
        if head.starts_with("HTTP/1.1 200 ") {
            Ok(body)
        } else {
            Err(body["error"].to_string().into())
        }
    }

    fn ready(&self, queue: &str) -> Result<Value, Box<dyn Error>> {
        Ok(self.call("queue", json!({ "queue": queue }))?["ready"].take())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let broker = Broker::with_clock(&ManualClock::new());
    let server = Server::builder(&broker).control("127.0.0.1:0").bind("127.0.0.1:0")?;
    let control = server.control().ok_or("no control interface")?;
    let remote = Remote { address: control.address(), token: control.token().into() };

    let connection = carrot::connect(server.url())?;
    connection.declare_queue("reminders")?;
    let invoices = Queue::new("invoices")
        .message_ttl(Duration::from_secs(30 * 24 * 3600))
        .dead_letter_exchange("")
        .dead_letter_routing_key("reminders");
    connection.declare_queue(invoices)?;
    let publisher = connection.publisher().routing_key("invoices").build()?;

    publisher.send("invoice 17")?;
    println!("invoices: {}, reminders: {}", remote.ready("invoices")?, remote.ready("reminders")?);
    remote.call("advance_clock", json!({ "seconds": 30 * 24 * 3600 }))?;
    println!("a month later: {} and {}", remote.ready("invoices")?, remote.ready("reminders")?);
    let reminders = remote.call("messages", json!({ "queue": "reminders" }))?;
    println!("the reminder is {}", reminders["messages"][0]["body"]);

    remote.call("nack_publishes", json!({ "count": 1 }))?;
    match publisher.send("invoice 18") {
        Err(carrot::Error::Refused) => println!("the broker refused invoice 18"),
        other => println!("unexpected: {other:?}"),
    }

    remote.call("drop_connections", json!({}))?;
    publisher.send("invoice 19")?;
    println!("sent after the connection was lost: {}", remote.ready("invoices")?);

    match remote.call("advance_clock", json!({ "seconds": 1, "minutes": 1 })) {
        Err(error) => println!("refused: {error}"),
        Ok(result) => println!("unexpected: {result}"),
    }
    connection.close()?;
    server.stop(TIMEOUT)?;
    Ok(())
}
