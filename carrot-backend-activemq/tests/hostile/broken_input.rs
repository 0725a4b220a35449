//! Commands that no broker sends, and commands that are cut or lie about their lengths.

use carrot_core::backend::Extent;

use crate::scripted::{Consuming, EXCEPTION_RESPONSE, RESPONSE, ScriptedMessage, head, text};
use crate::support::dispatches::DISPATCH;
use crate::support::{SOON, frame};

fn consuming() -> Consuming {
    Consuming::start()
}

#[test]
fn commands_that_belong_to_nothing_are_skipped() {
    let consuming = consuming();
    consuming.check_well();
    for octets in [
        // An unknown command, with and without octets behind its head.
        frame(&head(99)),
        frame(&[head(200), vec![7; 100_000]].concat()),
        // The answers to commands that were not sent.
        frame(&[head(RESPONSE), vec![0x7f; 4]].concat()),
        frame(&[head(EXCEPTION_RESPONSE), vec![0x7f; 4], vec![0]].concat()),
        // A message for no consumer, for an unknown one, and one of a session that is not its own.
        frame(&[head(DISPATCH), vec![0; 3 + 4]].concat()),
        ScriptedMessage::default().dispatch(consuming.slot.0, i64::MAX),
        ScriptedMessage::default().dispatch(i64::MIN, i64::MIN),
        // No message.
        frame(&[head(DISPATCH), vec![0; 3 + 4], vec![9; 1000]].concat()),
    ] {
        assert!(consuming.send(octets));
    }
    consuming.check_well();
}

#[test]
fn exception_with_a_deep_chain_of_causes_is_skipped_behind_its_text() {
    let consuming = consuming();
    let mut octets = [head(EXCEPTION_RESPONSE), vec![0, 0, 0, 9], vec![1]].concat();
    for _ in 0..10_000 {
        octets.extend(text("java.lang.Error"));
        octets.extend(text("caused by"));
        // No elements of the stack, and a cause.
        octets.extend([0, 0, 1]);
    }
    assert!(consuming.send(frame(&octets)));
    consuming.check_well();
}

#[test]
fn broken_commands_end_the_connection_and_name_the_field() {
    let whole = ScriptedMessage { content: Some(b"body"), ..ScriptedMessage::default() };
    let whole = whole.dispatch(1, 1);
    let cut = frame(&whole[4..whole.len() / 2]);
    let mut long_text = head(EXCEPTION_RESPONSE);
    long_text.extend([0, 0, 0, 1, 1, 1, 0xff, 0xff, b'x']);
    let mut no_text = head(EXCEPTION_RESPONSE);
    no_text.extend([0, 0, 0, 1, 1, 1, 0, 2, 0xff, 0xff]);
    let mut negative = head(DISPATCH);
    negative.extend([0, 0, 1, 24, 0, 0, 0, 0, 0]);
    negative.extend([0; 4 + 1 + 1 + 1 + 4 + 1 + 1 + 8 + 1 + 1 + 8 + 1]);
    negative.extend([1, 0xff, 0xff, 0xff, 0xff]);
    for (octets, expected) in [
        (cut, "ends within the field"),
        (frame(&long_text), "ends within the field exception"),
        (frame(&no_text), "is not modified UTF-8"),
        (frame(&negative), "has the length -1, which is negative"),
        // An object of another type in a field.
        (frame(&[head(DISPATCH), vec![1, 110, 0]].concat()), "an object of the type 110"),
        (vec![0; 4], "has no type"),
        // A body of more than the largest message, and an announcement of one.
        (vec![0x7f, 0xff, 0xff, 0xff, DISPATCH], "exceeds the limit of 2097152 bytes"),
        (
            ScriptedMessage { content: Some(&vec![0; 3 << 20]), ..ScriptedMessage::default() }
                .dispatch(1, 1),
            "exceeds the limit of 2097152 bytes",
        ),
    ] {
        let consuming = consuming();
        consuming.send(octets);
        let text = consuming.loss();
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn more_properties_than_the_limit_are_not_read() {
    // A list of nulls, whose octets are values of many times their size in memory.
    let count = 1_500_000_u32;
    let mut properties = vec![0, 0, 0, 1, 0, 1, b'a', 12];
    properties.extend(count.to_be_bytes());
    properties.extend(vec![0; count as usize]);
    let consuming = consuming();
    consuming.deliver(&ScriptedMessage {
        content: Some(b"body"),
        properties: Some(&properties),
        ..ScriptedMessage::default()
    });
    let delivery = consuming.subscription.next(SOON).unwrap().unwrap();
    let reason = delivery.unreadable.unwrap();
    assert_eq!(&*reason, "the properties have 1500012 bytes, of at most 1048576");
    consuming.channel.ack(delivery.tag, Extent::One).unwrap();
    consuming.check_well();
}

#[test]
fn properties_that_cannot_be_read_cost_their_message_only() {
    let nested = |level: &[u8], levels: usize| {
        let mut octets = vec![0, 0, 0, 1, 0, 1, b'a'];
        octets.extend(level.repeat(levels));
        octets
    };
    for properties in [
        // Lists in lists, and maps in maps.
        nested(&[12, 0, 0, 0, 1], 100_000),
        nested(&[11, 0, 0, 0, 1, 0, 1, b'a'], 100_000),
        // A number of values that does not follow, an unknown type, and a name that is too long.
        vec![0x7f, 0xff, 0xff, 0xff],
        vec![0, 0, 0, 1, 0, 1, b'a', 77],
        vec![0, 0, 0, 1, 0xff, 0xff, b'a'],
    ] {
        let consuming = consuming();
        let message = ScriptedMessage {
            content: Some(b"body"),
            properties: Some(&properties),
            ..ScriptedMessage::default()
        };
        consuming.deliver(&message);
        let delivery = consuming.subscription.next(SOON).unwrap().unwrap();
        assert!(delivery.unreadable.is_some(), "{delivery:?}");
        consuming.channel.ack(delivery.tag, Extent::One).unwrap();
        consuming.check_well();
    }
}
