//! Messages whose octets other clients would not send.

use carrot_amqp_wire::{BasicCancel, ChannelFlow, Method};
use carrot_core::backend::{Acknowledgement, ChannelOptions, ConsumeOptions, Delivery};
use carrot_core::{Error, Properties, Value};

use crate::LONG;
use crate::client::{Opened, consume, deliver, message, opened, raw_content};
use crate::form::{Form, plain_and_tls};
use crate::peer::Scripted;

plain_and_tls! {
    properties_that_are_not_utf8_shift_nothing,
    headers_that_are_not_utf8_are_kept_in_their_place,
    malformed_properties_cost_their_message_only,
    delivery_to_a_consumer_that_the_broker_cancelled_is_requeued,
    late_delivery_that_needs_no_acknowledgement_is_not_settled,
}

/// Delivers messages with these octets as property lists, and returns them as received.
fn received<const N: usize>(form: Form, properties: [&[u8]; N]) -> [Delivery; N] {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let peer = &mut client.peer;
    let (subscription, tag) = consume(&*client.channel, peer, &ConsumeOptions::default());
    for (number, properties) in (1..).zip(properties) {
        peer.send_octets(&raw_content(&deliver(&tag, number), properties, 0));
    }
    let received = properties.map(|_| subscription.next(LONG).unwrap().unwrap());
    client.channel.check().unwrap();
    received
}

fn strings(delivery: &Delivery) -> Vec<(&'static str, Vec<u8>)> {
    let strings = delivery.content.properties.strings();
    strings.map(|(name, octets)| (name, octets.as_bytes().to_vec())).collect()
}

fn properties_that_are_not_utf8_shift_nothing(form: Form) {
    // The octets of a message id and a timestamp that a shifted reading takes for a user id.
    let forged = [
        &[0x00, 0x80 | 0x40 | 0x20 | 0x10][..],
        b"\x07\xff\xff\xff\xff\xff\xff\xff",
        b"\x07typetyp",
        b"\x05admin",
        b"\x06sender",
    ];
    let latin = [&[0x40 | 0x10 | 0x08, 0x00][..], b"\x01\xe9", &[2, 5]];
    let kind = [&[0x80, 0x00][..], b"\x03\xff\xfe\x80"];
    let [forged, latin, kind] = received(form, [&forged.concat(), &latin.concat(), &kind.concat()]);
    let properties = &forged.content.properties;
    let expected = [("message-id", &[0xff; 7][..]), ("type", b"admin"), ("user-id", b"sender")];
    assert_eq!(strings(&forged), expected.map(|(name, octets)| (name, octets.to_vec())));
    assert_eq!(properties.timestamp(), Some(u64::from_be_bytes(*b"\x07typetyp")));
    assert_eq!(strings(&latin), [("content-encoding", vec![0xe9])]);
    let properties = &latin.content.properties;
    assert_eq!(properties.delivery_mode().map(u8::from), Some(2));
    assert_eq!(properties.priority(), Some(5));
    assert_eq!(strings(&kind), [("content-type", b"\xff\xfe\x80".to_vec())]);
    assert!([&forged, &latin, &kind].iter().all(|delivery| delivery.unreadable.is_none()));
}

fn headers_that_are_not_utf8_are_kept_in_their_place(form: Form) {
    let nested = [field(b"x", &sized(b'S', b"\xc3\x28")), field(b"y", b"l\0\0\0\0\0\0\0\x09")];
    let list = [sized(b'S', b"\xff"), sized(b'S', b"end")];
    let table = [
        field(b"z", b"t\x01"),
        field(b"a", &sized(b'S', b"caf\xe9")),
        field(b"\xff\xfe", b"I\0\0\0\x07"),
        field(b"d", b"D\x02\xff\xff\xff\x85"),
        field(b"n", &sized(b'F', &nested.concat())),
        field(b"m", &sized(b'A', &list.concat())),
    ];
    let list = [&[0x20][..], &sized(0, &table.concat())].concat();
    let [delivery] = received(form, [&list]);
    let headers = delivery.content.properties.headers().unwrap();
    let names: Vec<_> = headers.iter().map(|(name, _)| name.as_bytes().to_vec()).collect();
    assert_eq!(names, [&b"z"[..], b"a", b"\xff\xfe", b"d", b"n", b"m"]);
    let values: Vec<_> = headers.iter().map(|(_, value)| value.clone()).collect();
    assert_eq!(values[0], Value::Bool(true));
    assert_eq!(values[1], Value::Bytes(b"caf\xe9".to_vec()));
    assert_eq!(values[2], Value::I32(7));
    assert_eq!(values[3], Value::Decimal { scale: 2, value: -123 });
    let nested = values[4].as_table().unwrap();
    assert_eq!(nested.get("x"), Some(&Value::Bytes(b"\xc3\x28".to_vec())));
    assert_eq!(nested.get("y"), Some(&Value::I64(9)));
    let list = values[5].as_array().unwrap();
    assert_eq!(list, [Value::Bytes(vec![0xff]), Value::from("end")]);
    assert_eq!(delivery.unreadable, None);
}

/// Returns a name and its value.
fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[name.len() as u8][..], name, value].concat()
}

/// Returns octets behind an octet, which is the type of a value, and their number.
fn sized(first: u8, octets: &[u8]) -> Vec<u8> {
    [&[first][..], &(octets.len() as u32).to_be_bytes(), octets].concat()
}

fn malformed_properties_cost_their_message_only(form: Form) {
    let mut deep = Vec::new();
    for _ in 0..10_000 {
        let size = deep.len() as u32;
        deep = [&b"\x01aF"[..], &size.to_be_bytes(), &deep].concat();
    }
    let deep = [&[0x20, 0][..], &(deep.len() as u32).to_be_bytes(), &deep].concat();
    let table_too_long = b"\x20\0\0\0\0\xff\x01at\x01";
    let name_too_long = b"\x20\0\0\0\0\x04\xffat\x01";
    let text_too_long = b"\x80\0\xfftext";
    let unread_rest = b"\x80\0\x01xrest";
    let unknown_flag = b"\0\x02";
    let [malformed @ .., sound] = received(
        form,
        [
            &deep,
            table_too_long,
            name_too_long,
            text_too_long,
            unread_rest,
            unknown_flag,
            b"\x80\0\x04text",
        ],
    );
    for delivery in malformed {
        assert!(delivery.unreadable.is_some());
        assert_eq!(delivery.content.properties, Properties::new());
    }
    assert_eq!(sound.unreadable, None);
}

/// Delivers to a consumer that the broker has cancelled. RabbitMQ 4.3 does so after a late
/// acknowledgement.
fn deliver_late(client: &mut Opened, options: &ConsumeOptions) {
    let peer = &mut client.peer;
    let (subscription, tag) = consume(&*client.channel, peer, options);
    let consumer_tag = (&tag).into();
    peer.send(1, &BasicCancel { consumer_tag, no_wait: true }.into());
    assert!(matches!(subscription.next(LONG), Err(Error::Cancelled { .. })));
    peer.send_octets(&message(&tag, 1, b"late"));
}

fn delivery_to_a_consumer_that_the_broker_cancelled_is_requeued(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    deliver_late(&mut client, &ConsumeOptions::default());
    let is_requeue = |method: &Method<'_>| match method {
        Method::BasicNack(nack) => (nack.delivery_tag, nack.multiple, nack.requeue),
        other => panic!("{other:?}"),
    };
    assert_eq!(client.peer.receive("basic.nack", is_requeue), (1, (1, false, true)));
    client.channel.check().unwrap();
}

/// The broker would close the channel over an unknown delivery tag.
fn late_delivery_that_needs_no_acknowledgement_is_not_settled(form: Form) {
    let scripted = Scripted::start(form);
    let mut client = opened(&scripted, &ChannelOptions::consume());
    let mut options = ConsumeOptions::default();
    options.acknowledgement = Acknowledgement::Automatic;
    deliver_late(&mut client, &options);
    // Answered in the order of arrival, so that a settlement would be seen first.
    client.peer.send(1, &ChannelFlow { active: true }.into());
    client.peer.receive("channel.flow-ok", |_| ());
    client.channel.check().unwrap();
}
