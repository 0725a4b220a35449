//! Messages that a host cannot forward, or a client cannot read.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod support;

use std::sync::{Arc, Mutex};

use carrot::backend::{Content, Declare};
use carrot::memory::Broker;
use carrot::memory::session::{
    ChannelEvent, ChannelOutput, Session, SessionChannel, SessionSettings,
};
use carrot::message::Properties;
use carrot::zeromq::BrokerHost;
use carrot::{Connection, Error, Queue};

use support::{RawClient, eventually, host, message, start};

#[derive(Debug, Default)]
struct Events(Mutex<Vec<ChannelEvent>>);

impl ChannelOutput for Events {
    fn has_room(&self) -> bool {
        true
    }

    fn send(&self, event: ChannelEvent) {
        self.0.lock().unwrap().push(event);
    }
}

/// Opens a session in the process of the host.
fn local(broker: &Broker) -> (Session, SessionChannel) {
    let session = broker.open_session(&SessionSettings::new("guest"), |_| ());
    let channel = session.open_channel(Arc::new(Events::default())).unwrap();
    (session, channel)
}

/// Returns a property list whose headers have this number of levels.
fn nested(levels: usize) -> Vec<u8> {
    let table = (1..levels).fold(Vec::new(), |inner: Vec<u8>, _| {
        [b"\x01aF", &(inner.len() as u32).to_be_bytes()[..], &inner].concat()
    });
    [b"\x20\0", &(table.len() as u32).to_be_bytes()[..], &table].concat()
}

/// Fetches a message, and acknowledges it. The same connection fetches each time.
fn fetch(connection: &Connection, queue: &str) -> Option<String> {
    let consumer = connection.consumer(Queue::new(queue)).build().unwrap();
    let message = consumer.fetch().unwrap()?;
    let body = String::from_utf8_lossy(message.body()).into_owned();
    message.ack().unwrap();
    Some(body)
}

/// Opens a channel with confirms.
fn publishing(host: &BrokerHost) -> RawClient {
    let mut client = RawClient::welcomed(host);
    client.send(&message(&[&start(2, 1, 2)[..], &[3], &[0; 8]].concat()));
    client.read_until(|octets| octets.windows(5).any(|part| part == [66, 0, 0, 0, 1]));
    client
}

/// A publication to the queue `q`, on a channel.
fn publication(channel: u32, properties: &[u8], body: &[u8]) -> Vec<u8> {
    let head = [&start(12, channel, 0)[..], b"\0\0\x01q", properties].concat();
    [&[3][..], &(head.len() as u64).to_be_bytes(), &head, &[0, body.len() as u8], body].concat()
}

#[test]
fn message_that_cannot_be_written_is_refused_and_other_clients_receive_the_next() {
    let (broker, host) = host();
    let (_session, channel) = local(&broker);
    channel.declare(Declare::Queue(&Queue::new("q"))).unwrap();
    let properties = Properties::new().with_message_id("i".repeat(300));
    let refused = channel.publish(Content::new("", "q", "long").with_properties(properties), false);
    assert!(matches!(refused, Err(Error::Invalid { .. })), "{refused:?}");
    channel.publish(Content::new("", "q", "next"), false).unwrap();
    let connection = carrot::connect(host.url()).unwrap();
    assert_eq!(fetch(&connection, "q").as_deref(), Some("next"));
    assert_eq!(connection.statistics().connecting.consume.losses, 0);
}

#[test]
fn headers_of_too_many_levels_close_only_the_channel_and_name_the_limit() {
    let (broker, host) = host();
    let (_session, channel) = local(&broker);
    channel.declare(Declare::Queue(&Queue::new("q"))).unwrap();
    let mut client = publishing(&host);
    client.send(&publication(1, &nested(129), b"deep"));
    let closed = client.read_until(|octets| octets.windows(3).any(|part| part == b"128"));
    let text = String::from_utf8_lossy(&closed).into_owned();
    assert!(text.contains("headers"), "{text}");
    // The connection is open.
    client.send(&message(&[&start(2, 2, 3)[..], &[3], &[0; 8]].concat()));
    client.send(&publication(2, &nested(128), b"fine"));
    client.read_until(|octets| octets.windows(5).any(|part| part == [70, 0, 0, 0, 2]));
    let queue = broker.queue("q").unwrap();
    assert_eq!(queue.ready.len(), 1);
}

#[test]
fn dead_letter_with_deep_headers_has_its_record_and_no_expiration() {
    let (broker, host) = host();
    let (_session, channel) = local(&broker);
    let dead_lettering = Queue::new("q")
        .argument("x-dead-letter-exchange", "")
        .argument("x-dead-letter-routing-key", "dead");
    channel.declare(Declare::Queue(&dead_lettering)).unwrap();
    channel.declare(Declare::Queue(&Queue::new("dead"))).unwrap();
    // The same headers, and an expiration.
    let mut octets = nested(200);
    octets[0] = 0x21;
    octets.extend(b"\x09123456789");
    let properties = Properties::new().with_expiration("123456789").with_wire_octets(octets);
    channel.publish(Content::new("", "q", "deep").with_properties(properties), false).unwrap();
    let connection = carrot::connect(host.url()).unwrap();
    let consumer = connection.consumer(dead_lettering).build().unwrap();
    consumer.fetch().unwrap().unwrap().reject().unwrap();
    eventually("the dead letter arrives", || {
        broker.queue("dead").is_some_and(|queue| queue.ready.len() == 1)
    });
    let mut client = publishing(&host);
    client.send(&message(&[&start(13, 1, 3)[..], &[1, 4], b"dead"].concat()));
    let fetched = client.read_until(|octets| octets.ends_with(b"\x04deep"));
    let has = |part: &[u8]| fetched.windows(part.len()).any(|found| found == part);
    assert!(has(b"x-death") && has(&nested(200)[6..]), "{}", fetched.escape_ascii());
    // The record of the dead letter holds the expiration, and the properties do not.
    let count = fetched.windows(9).filter(|found| found == b"123456789").count();
    assert_eq!(count, 1, "{}", fetched.escape_ascii());
}

/// Returns a property list of this number of octets.
fn properties_of(octets: usize) -> Vec<u8> {
    let text = vec![b'x'; octets - 13];
    let table = [&b"\x01hS"[..], &(text.len() as u32).to_be_bytes(), &text].concat();
    [b"\x20\0", &(table.len() as u32).to_be_bytes()[..], &table].concat()
}

#[test]
fn properties_over_a_frame_of_amqp_close_only_the_channel_and_name_the_limit() {
    let (broker, host) = host();
    let (_session, channel) = local(&broker);
    channel.declare(Declare::Queue(&Queue::new("q"))).unwrap();
    let mut client = publishing(&host);
    client.send(&publication(1, &properties_of(131_053), b"large"));
    let limit = b"at most 131064 bytes";
    let closed = client.read_until(|octets| octets.windows(limit.len()).any(|part| part == limit));
    let text = String::from_utf8_lossy(&closed).into_owned();
    assert!(text.contains("headers"), "{text}");
    // The connection is open.
    client.send(&message(&[&start(2, 2, 3)[..], &[3], &[0; 8]].concat()));
    client.send(&publication(2, &properties_of(131_052), b"fits"));
    client.read_until(|octets| octets.windows(5).any(|part| part == [70, 0, 0, 0, 2]));
    let queue = broker.queue("q").unwrap();
    assert_eq!(queue.ready.len(), 1);
}

#[test]
fn deep_headers_of_another_protocol_make_a_message_unreadable_and_lose_no_connection() {
    let (broker, host) = host();
    let (_session, channel) = local(&broker);
    channel.declare(Declare::Queue(&Queue::new("q"))).unwrap();
    // A server of AMQP keeps the octets of headers that it cannot read.
    let properties = Properties::new().with_wire_octets(nested(200));
    channel.publish(Content::new("", "q", "deep").with_properties(properties), false).unwrap();
    channel.publish(Content::new("", "q", "next"), false).unwrap();
    let connection = carrot::connect(host.url()).unwrap();
    let consumer = connection.consumer(Queue::new("q")).build().unwrap();
    let deep = consumer.fetch().unwrap().unwrap();
    let reason = deep.unreadable().unwrap();
    assert!(reason.contains("128 levels"), "{reason}");
    deep.reject().unwrap();
    assert_eq!(fetch(&connection, "q").as_deref(), Some("next"));
    assert_eq!(connection.statistics().connecting.consume.losses, 0);
}
