//! Brokers whose queue with the table of exchanges has very many messages.

use std::io::Write;
use std::net::TcpStream;
use std::time::Instant;

use carrot_core::backend::Declare;
use carrot_core::{Exchange, Result};
use carrot_faults::ResourceUsage;

use crate::scripted::{CONSUMER_INFO, ScriptedMessage, advisory, empty_dispatch};
use crate::support::{ClientFrame, FakeBroker, MESSAGE_PULL, SOON, open, response};

/// The session of the consumers of the table.
const TABLE_SESSION: i64 = -2;
/// The most memory that all messages may take, in bytes: that of other tests included.
const MOST: u64 = 512 << 20;

/// Declares an exchange on a broker that has the queue of the table. `serve` answers the consumers
/// of that queue, and their pulls.
fn declare(
    mut serve: impl FnMut(&mut TcpStream, &ClientFrame, i64) + Send + 'static,
) -> Result<()> {
    let broker = FakeBroker::answering(move |socket, client| {
        if ![CONSUMER_INFO, MESSAGE_PULL].contains(&client.kind) {
            return true;
        }
        let (session, consumer) = client.consumer();
        if session == -1 {
            let _ = socket.write_all(&advisory("carrot.routing"));
        }
        // The consumer of the topic has a negative number.
        if session == TABLE_SESSION && consumer > 0 {
            serve(socket, client, consumer);
        }
        true
    });
    let channel = open(&broker.options().max_message_size(1 << 20))?;
    channel.declare(Declare::Exchange(&Exchange::fanout("e")), SOON * 3).map(drop)
}

/// Checks that an error names the limit, and that the call has neither waited for its deadline nor
/// kept all messages.
#[track_caller]
fn check(declared: Result<()>, started: Instant, memory: u64, limit: &str) {
    let text = declared.unwrap_err().to_string();
    assert!(text.contains("the queue carrot.routing has more than"), "{text}");
    assert!(text.contains(limit), "{text}");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    let taken = ResourceUsage::now().memory.saturating_sub(memory);
    assert!(taken < MOST, "{taken} bytes");
}

#[test]
fn table_queue_that_is_browsed_without_an_end_is_an_error() {
    let (started, memory) = (Instant::now(), ResourceUsage::now().memory);
    let declared = declare(|socket, client, consumer| {
        let body = vec![0; 1 << 19];
        let message = ScriptedMessage { content: Some(&body), ..ScriptedMessage::default() };
        let message = message.dispatch(TABLE_SESSION, consumer);
        let _ = socket.write_all(&response(client.id));
        // The client may have closed the socket.
        for _ in 0..2000 {
            if socket.write_all(&message).is_err() {
                return;
            }
        }
    });
    check(declared, started, memory, "67108864 bytes");
}

#[test]
fn table_queue_that_is_pulled_without_an_end_is_an_error() {
    let (started, memory) = (Instant::now(), ResourceUsage::now().memory);
    let declared = declare(|socket, client, consumer| {
        let answer = match client.kind {
            MESSAGE_PULL => ScriptedMessage { content: Some(b"x"), ..ScriptedMessage::default() }
                .dispatch(TABLE_SESSION, consumer),
            _ => empty_dispatch(TABLE_SESSION, consumer),
        };
        let _ = socket.write_all(&answer);
    });
    check(declared, started, memory, "1000 messages");
}
