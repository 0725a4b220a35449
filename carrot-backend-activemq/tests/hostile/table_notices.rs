//! Notices of the table of exchanges that no client has sent, and a table that no longer exists.

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use carrot_amqp_wire::PropertiesRef;
use carrot_core::backend::Declare;
use carrot_core::{Error, Exchange, Headers, Properties, Value};

use crate::scripted::{CONSUMER_INFO, ScriptedMessage, advisory, empty_dispatch};
use crate::support::{BARRIER, BYTES_MESSAGE, FakeBroker, MESSAGE_PULL, SOON, open, response};

const TABLE_SESSION: i64 = -2;
/// The consumer of the notices.
const NOTICES: i64 = -2;

/// Returns a table with one exchange.
fn table(id: i64, revision: i64, exchange: &str) -> Vec<u8> {
    let mut octets = Vec::new();
    let exchange = Headers::from([
        ("name", Value::from(exchange)),
        ("type", Value::from("fanout")),
        ("durable", Value::Bool(true)),
    ]);
    let headers = Headers::from([
        ("version", Value::I64(1)),
        ("id", Value::I64(id)),
        ("revision", Value::I64(revision)),
        ("exchanges", Value::Array(vec![Value::Table(exchange)])),
    ]);
    PropertiesRef::from(&Properties::new().with_headers(headers)).write(&mut octets).unwrap();
    octets
}

/// Looks for an exchange on a broker whose queue has another table at each reading, and that sends
/// a notice with this content after the first one.
fn exchange_after(notice: Vec<u8>) -> carrot_core::Result<()> {
    let (reads, barriers) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let broker = FakeBroker::answering(move |socket, client| {
        if ![CONSUMER_INFO, MESSAGE_PULL].contains(&client.kind) {
            return true;
        }
        let (session, consumer) = client.consumer();
        if client.kind == MESSAGE_PULL {
            // The first barrier is that of the connection, and the second one follows the reading.
            if client.consumer() == BARRIER && barriers.fetch_add(1, Ordering::Relaxed) == 1 {
                let notice =
                    ScriptedMessage { content: Some(&notice), ..ScriptedMessage::default() };
                let _ = socket.write_all(&notice.dispatch(TABLE_SESSION, NOTICES));
            }
            return true;
        }
        let deliver = |content: &[u8]| {
            ScriptedMessage { content: Some(content), ..ScriptedMessage::default() }
                .dispatch(TABLE_SESSION, consumer)
        };
        let mut octets = Vec::new();
        if session == -1 {
            octets.extend(advisory("carrot.routing"));
        }
        // A browser of the queue.
        if session == TABLE_SESSION && consumer > 0 {
            let content = match reads.fetch_add(1, Ordering::Relaxed) {
                0 => table(7, 5, "old"),
                _ => table(7, 6, "new"),
            };
            octets.extend(deliver(&content));
            octets.extend(empty_dispatch(TABLE_SESSION, consumer));
        }
        let _ = socket.write_all(&octets);
        true
    });
    let channel = open(&broker.options())?;
    channel.declare(Declare::Exchange(&Exchange::existing("amq.fanout")), SOON)?;
    channel.declare(Declare::Exchange(&Exchange::existing("new")), SOON).map(drop)
}

#[test]
fn stray_notice_leads_to_the_queue() {
    exchange_after(b"hello".to_vec()).unwrap();
    exchange_after(Vec::new()).unwrap();
}

#[test]
fn notice_that_jumps_leads_to_the_queue() {
    exchange_after(table(7, i64::MAX, "jumped")).unwrap();
    exchange_after(table(7, 7, "jumped")).unwrap();
}

#[test]
fn notice_of_another_table_leads_to_the_queue() {
    exchange_after(table(8, 6, "other")).unwrap();
    exchange_after(table(8, 1, "other")).unwrap();
}

#[test]
fn next_notice_is_taken() {
    exchange_after(table(7, 6, "new")).unwrap();
}

#[test]
fn old_notice_is_ignored() {
    let missing = exchange_after(table(7, 4, "new"));
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

#[test]
fn table_that_was_purged_is_created_again() {
    let (created, creations) = mpsc::channel();
    let reads = AtomicUsize::new(0);
    let broker = FakeBroker::answering(move |socket, client| {
        match client.kind {
            CONSUMER_INFO | MESSAGE_PULL => {}
            BYTES_MESSAGE => {
                let _ = created.send(());
                return false;
            }
            _ => return true,
        }
        let (session, consumer) = client.consumer();
        if session == -1 && client.kind == CONSUMER_INFO {
            let _ = socket.write_all(&advisory("carrot.routing"));
        }
        if session == TABLE_SESSION && consumer > 0 {
            // The table is purged after the first reading.
            let mut octets = Vec::new();
            if reads.fetch_add(1, Ordering::Relaxed) == 0 {
                let content = table(7, 5, "old");
                let message =
                    ScriptedMessage { content: Some(&content), ..ScriptedMessage::default() };
                octets.extend(message.dispatch(TABLE_SESSION, consumer));
            }
            octets.extend(response(client.id));
            octets.extend(empty_dispatch(TABLE_SESSION, consumer));
            let _ = socket.write_all(&octets);
        }
        true
    });
    let channel = open(&broker.options()).unwrap();
    // The broker is lost then.
    let exchange = Exchange::fanout("new");
    channel.declare(Declare::Exchange(&exchange), Duration::from_secs(10)).unwrap_err();
    creations.recv_timeout(SOON).unwrap();
}
