#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may fail by panicking"
)]

use super::*;
use crate::calls::put_request::*;

/// Reads the message that `write` writes.
fn read<'o>(
    octets: &'o mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>),
) -> (MessageStart, Request<'o>) {
    write(octets);
    let mut fields = FieldReader::new(octets);
    let start = fields.start().unwrap();
    (start, Request::read(start, fields).unwrap())
}

macro_rules! assert_read {
    ($write:expr, $request:expr, $channel:expr, $call:expr) => {
        let mut octets = Vec::new();
        let (start, request) = read(&mut octets, $write);
        assert_eq!(request, $request);
        assert_eq!((start.channel, start.number), ($channel, $call));
        // No part of the message is a message.
        for length in 0..octets.len() {
            let mut fields = FieldReader::new(&octets[..length]);
            let read = fields.start().and_then(|start| Request::read(start, fields));
            let is_open = matches!(
                read,
                Ok(Request::Publish(_) | Request::Settle { .. } | Request::DropConsumer { .. })
            );
            assert!(read.is_err() || is_open, "{length} octets: {read:?}");
        }
    };
}

#[test]
fn written_requests_are_read_again() {
    let exchange = Exchange::topic("prices").argument("alternate-exchange", "rest").auto_delete();
    assert_read!(
        |out| put_declare_exchange(out, 7, 9, &exchange),
        Request::DeclareExchange(exchange.clone()),
        7,
        9
    );
    let queue = Queue::new("jobs").transient().exclusive().max_length(7);
    assert_read!(
        |out| put_declare_queue(out, 1, 2, &queue),
        Request::DeclareQueue(queue.clone()),
        1,
        2
    );
    let binding = Binding::exchange("a", "b", "k.#").argument("x-match", "any");
    for (kind, request) in [
        (kind::BIND, Request::Bind(binding.clone())),
        (kind::UNBIND, Request::Unbind(binding.clone())),
        (kind::HAS_BINDING, Request::HasBinding(binding.clone())),
    ] {
        assert_read!(|out| put_of_binding(out, kind, 1, 2, &binding), request, 1, 2);
    }
    let condition = DeleteIf::UNUSED_AND_EMPTY;
    assert_read!(
        |out| put_delete(out, kind::DELETE_QUEUE, 1, 2, "jobs", condition),
        Request::DeleteQueue { name: "jobs", condition },
        1,
        2
    );
    let options = ConsumeOptions::with_prefetch(300).exclusive().argument("x-priority", 5);
    assert_read!(
        |out| put_consume(out, 1, 2, 3, "jobs", &options),
        Request::Consume { consumer: 3, queue: "jobs", options: options.clone() },
        1,
        2
    );
    let ranges = [TagRange { first: 1, last: 4 }, TagRange { first: 9, last: u64::MAX }];
    let settlement = SettleKind::Reject(Rejection::Discard);
    assert_read!(
        |out| put_settle(out, 1, settlement, &ranges),
        Request::Settle { kind: settlement, ranges: ranges.to_vec() },
        1,
        0
    );
    assert_read!(
        |out| put_drop_consumer(out, 1, 5, &ranges),
        Request::DropConsumer { consumer: 5, seen: ranges.to_vec() },
        1,
        0
    );
    assert_read!(
        |out| put_open(out, 1, 2, Role::Publish, true, 77),
        Request::Open { role: Role::Publish, confirms: true, max_waiting: 77 },
        1,
        2
    );
    assert_read!(
        |out| put_get(out, 1, 2, "jobs", Acknowledgement::Automatic),
        Request::Get { queue: "jobs", acknowledgement: Acknowledgement::Automatic },
        1,
        2
    );
    assert_read!(|out| put_taken(out, 1, 5), Request::Taken { bytes: 5 }, 1, 0);
    assert_read!(|out| put_update_secret(out, 2, "s", "r"), Request::UpdateSecret, 0, 2);
}

#[test]
fn names_of_publications_may_be_any_octets() {
    let key = ShortString::from_octets(b"caf\xe9");
    let mut octets = Vec::new();
    let (_, request) = read(&mut octets, |out| {
        put_publish(out, 4, true, &"prices".into(), &key);
        out.extend_from_slice(b"\x00\x00");
    });
    let Request::Publish(head) = request else { panic!("{request:?}") };
    assert!(head.mandatory);
    assert_eq!((head.routing_key, head.properties), (key, &b"\0\0"[..]));
}

#[test]
fn hello_of_another_version_is_read_as_far_as_its_version() {
    let mut octets = Vec::new();
    put_hello(&mut octets, 1, &[7; 16], "shop");
    octets[9 + MAGIC.len()] = 9;
    octets.truncate(9 + MAGIC.len() + 3);
    let mut fields = FieldReader::new(&octets);
    let start = fields.start().unwrap();
    let read = Request::read(start, fields);
    assert!(matches!(read, Ok(Request::Hello { version: 9, .. })), "{read:?}");
}

#[test]
fn malformed_requests_name_the_field() {
    let problem = |octets: &[u8]| {
        let mut fields = FieldReader::new(octets);
        fields.start().and_then(|start| Request::read(start, fields)).unwrap_err().field
    };
    let start = |kind: u8| [&[kind][..], &[0; 8]].concat();
    assert_eq!(problem(&start(200)), "kind");
    assert_eq!(problem(&[start(kind::PUBLISH), vec![0x80]].concat()), "flags");
    assert_eq!(problem(&[start(kind::PURGE), vec![2, 0xC3, 0x28]].concat()), "queue");
    assert_eq!(problem(&[start(kind::CLOSE), vec![0]].concat()), "end");
    assert_eq!(problem(&[start(kind::SETTLE), vec![4]].concat()), "settlement");
    let table = [&[0, 0, 0, 3][..], b"\x01aQ"].concat();
    let queue = [&start(kind::DECLARE_QUEUE)[..], &[0, 1, b'q'], &table].concat();
    assert_eq!(problem(&queue), "queue arguments");
}
