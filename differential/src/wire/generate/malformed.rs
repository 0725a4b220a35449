//! Malformed and misplaced frames, one of each kind.

use crate::wire::frames::{body, frame, header, raw_method};

/// Returns the octets of a kind, for a channel.
type MalformedFrames = fn(u16) -> Vec<u8>;

fn publish(channel: u16) -> Vec<u8> {
    raw_method(channel, 60, 40, b"\0\0\0\x02q0\0")
}

fn deep(levels: usize) -> Vec<u8> {
    let table = (0..levels).fold(Vec::new(), |inner: Vec<u8>, _| {
        [b"\x01aF", &(inner.len() as u32).to_be_bytes()[..], &inner].concat()
    });
    [b"\x20\0", &(table.len() as u32).to_be_bytes()[..], &table].concat()
}

/// The malformed and misplaced frames, with their names.
pub const MALFORMED: &[(&str, MalformedFrames)] = &[
    ("frame of an unknown type", |channel| frame(5, channel, b"xx")),
    ("frame of type 0", |channel| frame(0, channel, b"")),
    ("frame with a wrong end", |channel| {
        let mut octets = raw_method(channel, 90, 10, b"");
        octets.pop();
        [&octets[..], b"\0"].concat()
    }),
    ("body with a wrong end", |channel| {
        let mut octets = body(channel, b"x");
        octets.pop();
        [&publish(channel)[..], &header(channel, 1, &[0, 0]), &octets, b"\0"].concat()
    }),
    ("frame that is too large", |_| vec![1, 0, 1, 0x7f, 0xff, 0xff, 0xff, 0]),
    ("frame of one octet more than the limit", |channel| frame(3, channel, &[0; 8185])),
    ("heartbeat with a payload", |_| frame(8, 0, b"x")),
    ("heartbeat on a channel", |channel| frame(8, channel, b"")),
    ("heartbeat on a channel with a payload", |channel| frame(8, channel, b"xx")),
    ("method that is not known", |channel| raw_method(channel, 60, 99, b"")),
    ("class that is not known", |channel| raw_method(channel, 99, 10, b"")),
    ("method of brokers", |channel| raw_method(channel, 60, 11, b"")),
    ("method of brokers with its answer", |channel| raw_method(channel, 60, 31, b"\x01t")),
    ("delivery of a client", |channel| {
        raw_method(channel, 60, 60, b"\x01t\0\0\0\0\0\0\0\x01\0\0\x01q")
    }),
    ("queue.declare-ok of a client", |channel| {
        raw_method(channel, 50, 11, b"\x01q\0\0\0\0\0\0\0\0")
    }),
    ("channel.open-ok of a client", |channel| raw_method(channel, 20, 11, b"\0\0\0\0")),
    ("basic.cancel-ok of a client", |channel| raw_method(channel, 60, 31, b"\x01t")),
    ("fields that end too early", |channel| raw_method(channel, 50, 10, b"\0\0\x05ab")),
    ("octets after the fields", |channel| raw_method(channel, 60, 110, b"\x01\x01")),
    ("method without fields and with octets", |channel| raw_method(channel, 90, 10, b"x")),
    ("unused bits", |channel| raw_method(channel, 60, 110, b"\xff")),
    ("payload too short for a method", |channel| frame(1, channel, b"\0")),
    ("empty payload", |channel| frame(1, channel, b"")),
    ("table that ends too early", |channel| {
        raw_method(channel, 50, 10, b"\0\0\x01q\0\0\0\0\x03\x01aI")
    }),
    ("table with an unknown type", |channel| {
        raw_method(channel, 50, 10, b"\0\0\x01q\0\0\0\0\x03\x01a?")
    }),
    ("table longer than the method", |channel| {
        raw_method(channel, 50, 10, b"\0\0\x01q\0\0\0\0\xff\x01aV")
    }),
    ("queue name that is not UTF-8", |channel| {
        raw_method(channel, 50, 10, b"\0\0\x01\xff\0\0\0\0\0")
    }),
    ("exchange name that is not UTF-8", |channel| {
        raw_method(channel, 40, 10, b"\0\0\x01\xff\x06direct\0\0\0\0\0")
    }),
    ("exchange type that is not UTF-8", |channel| {
        raw_method(channel, 40, 10, b"\0\0\x01x\x01\xff\0\0\0\0\0")
    }),
    ("routing key that is not UTF-8", |channel| {
        [raw_method(channel, 60, 40, b"\0\0\0\x01\xff\0"), header(channel, 0, &[0, 0])].concat()
    }),
    ("consumer tag that is not UTF-8", |channel| {
        raw_method(channel, 60, 20, b"\0\0\x02q0\x01\xff\0\0\0\0\0")
    }),
    ("queue of basic.get that is not UTF-8", |channel| {
        raw_method(channel, 60, 70, b"\0\0\x01\xff\0")
    }),
    ("header without a publication", |channel| header(channel, 0, &[0, 0])),
    ("body without a publication", |channel| body(channel, b"x")),
    ("empty body without a publication", |channel| body(channel, b"")),
    ("method instead of a header", |channel| {
        [publish(channel), raw_method(channel, 60, 110, b"\x01")].concat()
    }),
    ("body instead of a header", |channel| [publish(channel), body(channel, b"x")].concat()),
    ("method instead of a body", |channel| {
        [publish(channel), header(channel, 2, &[0, 0]), publish(channel)].concat()
    }),
    ("header instead of a body", |channel| {
        [publish(channel), header(channel, 2, &[0, 0]), header(channel, 2, &[0, 0])].concat()
    }),
    ("close instead of a header", |channel| {
        [publish(channel), raw_method(channel, 20, 40, b"\0\xc8\0\0\0\0\0")].concat()
    }),
    ("body beyond its size", |channel| {
        [publish(channel), header(channel, 1, &[0, 0]), body(channel, b"xy")].concat()
    }),
    ("body after a message without one", |channel| {
        [publish(channel), header(channel, 0, &[0, 0]), body(channel, b"")].concat()
    }),
    ("header of another class", |channel| {
        let other = frame(2, channel, &[0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        [publish(channel), other].concat()
    }),
    ("header with a weight", |channel| {
        let other = frame(2, channel, &[0, 60, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        [publish(channel), other].concat()
    }),
    ("header that ends too early", |channel| {
        [publish(channel), frame(2, channel, &[0, 60, 0, 0, 0, 0])].concat()
    }),
    ("header without flags", |channel| {
        [publish(channel), frame(2, channel, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])].concat()
    }),
    ("header of one octet", |channel| [publish(channel), frame(2, channel, &[0])].concat()),
    ("properties that end too early", |channel| {
        [publish(channel), header(channel, 0, b"\x80\0\x09x")].concat()
    }),
    ("octets after the properties", |channel| {
        [publish(channel), header(channel, 0, b"\0\0xyz")].concat()
    }),
    ("unknown property flag", |channel| [publish(channel), header(channel, 0, b"\0\x02")].concat()),
    ("further property flags", |channel| {
        [publish(channel), header(channel, 0, b"\0\x01\0\0")].concat()
    }),
    ("further property flags with a value", |channel| {
        [publish(channel), header(channel, 0, b"\0\x01\x80\0\x01x")].concat()
    }),
    ("headers with an unknown type", |channel| {
        [publish(channel), header(channel, 0, b"\x20\0\0\0\0\x03\x01a?")].concat()
    }),
    ("headers that end too early", |channel| {
        [publish(channel), header(channel, 0, b"\x20\0\0\0\0\x03\x01aI")].concat()
    }),
    ("headers with many levels", |channel| {
        [publish(channel), header(channel, 0, &deep(150))].concat()
    }),
    ("channel that is not open", |_| raw_method(7, 60, 110, b"\x01")),
    ("header on a channel that is not open", |_| header(7, 0, &[0, 0])),
    ("body on a channel that is not open", |_| body(7, b"x")),
    ("close of a channel that is not open", |_| raw_method(7, 20, 40, b"\0\xc8\0\0\0\0\0")),
    ("close-ok of a channel that is not open", |_| raw_method(7, 20, 41, b"")),
    ("channel above the limit", |_| raw_method(9, 20, 10, b"\0")),
    ("second channel.open", |channel| raw_method(channel, 20, 10, b"\0")),
    ("method of channels on channel 0", |_| raw_method(0, 60, 110, b"\x01")),
    ("channel.open on channel 0", |_| raw_method(0, 20, 10, b"\0")),
    ("header on channel 0", |_| header(0, 0, &[0, 0])),
    ("body on channel 0", |_| body(0, b"x")),
    ("method that is not known on channel 0", |_| raw_method(0, 10, 99, b"")),
    ("malformed method on channel 0", |_| raw_method(0, 10, 50, b"\0")),
    ("method of connections on a channel", |channel| {
        raw_method(channel, 10, 50, b"\0\xc8\0\0\0\0\0")
    }),
    ("second connection.open", |_| raw_method(0, 10, 40, b"\x01/\0\0")),
    ("second tune-ok", |_| raw_method(0, 10, 31, b"\0\x08\0\0\x20\0\0\0")),
    ("connection.close-ok without a close", |_| raw_method(0, 10, 51, b"")),
    ("connection.blocked of a client", |_| raw_method(0, 10, 60, b"\x01x")),
    ("second protocol header", |_| b"AMQP\0\0\x09\x01".to_vec()),
    ("channel.flow that stops", |channel| raw_method(channel, 20, 20, b"\0")),
    ("channel.flow-ok", |channel| raw_method(channel, 20, 21, b"\x01")),
    ("immediate", |channel| {
        [raw_method(channel, 60, 40, b"\0\0\0\x02q0\x02"), header(channel, 0, &[0, 0])].concat()
    }),
    ("prefetch in bytes", |channel| raw_method(channel, 60, 10, b"\0\0\0\x01\0\0\0")),
    ("recover without requeue", |channel| raw_method(channel, 60, 110, b"\0")),
    ("body of more than 2^63 bytes", |channel| {
        [publish(channel), header(channel, u64::MAX, &[0, 0]), body(channel, b"x")].concat()
    }),
    ("part of a frame", |_| vec![1, 0, 1, 0, 0]),
];
