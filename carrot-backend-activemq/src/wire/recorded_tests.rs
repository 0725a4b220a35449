//! Frames of a broker, as ActiveMQ 5.17.2 sent them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};
use crate::wire::delivery_commands::MessageDispatch;
use crate::wire::destination::WireDestination;
use crate::wire::message::{DataStructure, MessageKind};
use crate::wire::property_map::{PropertyMap, PropertyValue};
use crate::wire::setup_commands::DestinationInfo;

pub(crate) const WIRE_FORMAT: &str = "\
     014163746976654d510000000c01000001400000000d0011537461636b5472616365456e61626c656401\
     01000f506c6174666f726d44657461696c730900044a617661000c4361636865456e61626c6564010100\
     115463704e6f44656c6179456e61626c65640101001253697a6550726566697844697361626c65640100\
     0009436163686553697a650500000400000c50726f76696465724e616d650900084163746976654d5100\
     145469676874456e636f64696e67456e61626c65640101000c4d61784672616d6553697a650600000000\
     0640000000154d6178496e61637469766974794475726174696f6e06000000000000753000204d617849\
     6e61637469766974794475726174696f6e496e6974616c44656c617906000000000000271000134d6178\
     4672616d6553697a65456e61626c65640101000f50726f766964657256657273696f6e090006352e3137\
     2e32";
pub(crate) const BROKER_INFO: &str = "\
     020000000000017c01001d49443a6d712d34353739312d313739353830383938373533392d303a310100\
     157463703a2f2f3132372e302e302e313a3231363136000100096c6f63616c686f737400000000000000\
     0000000000000000";
pub(crate) const REFUSED_LOGIN: &str = "\
     1f0000000000000000010101001b6a6176612e6c616e672e5365637572697479457863657074696f6e01\
     002a55736572206e616d65205b636172726f745d206f722070617373776f726420697320696e76616c69\
     642e";
pub(crate) const RESPONSE: &str = "\
     1e000000000000000002";
/// An advisory about a new queue.
pub(crate) const ADVISORY: &str = "\
     150000000000017a010003726563ffffffffffffffff000000000000000001650100174163746976654d\
     512e41647669736f72792e517565756501170000000000017b01001d49443a6d712d34353739312d3137\
     39353830383938373533392d323a31000000000000000000000000000000000165010017416374697665\
     4d512e41647669736f72792e51756575650000016e00017b01001d49443a6d712d34353739312d313739\
     353830383938373533392d323a310000000000000000000000000000000000000000000073b800000000\
     00009bf7000000000000000000000000000000000000000000000000000001000841647669736f727900\
     010000007b00000003000f6f726967696e42726f6b657255524c0900157463703a2f2f6c6f63616c686f\
     73743a3231363136000e6f726967696e42726f6b6572496409001d49443a6d712d34353739312d313739\
     353830383938373533392d303a3100106f726967696e42726f6b65724e616d650900096c6f63616c686f\
     737401080000000000017801001d49443a6d712d34353739312d313739353830383938373533392d363a\
     3101640100087265632e7465787400000000000000000000017a010003726563ffffffffffffffff0000\
     000000000000000000000000000000000000000000000000000001a21eadff3e000001a21eadff3e0000\
     000000";
/// A text of a STOMP client, with a header.
pub(crate) const TEXT: &str = "\
     150000000000017a0100037265630000000000000001000000000000000101640100087265632e746578\
     74011c0000000300017b01001d49443a6d712d34353739312d313739353830383938373533392d363a31\
     0000000000000001ffffffffffffffff01640100087265632e746578740000016e00017b01001d49443a\
     6d712d34353739312d313739353830383938373533392d363a310000000000000001ffffffffffffffff\
     00000000000000010000000000009bf3000000000000010003632d310100000000000000000400000001\
     a21eadfc220100086772656574696e67010000000f0000000b68c3a96c6c6f20f09f9880010000001200\
     0000010006636f6c6f75720900037265640000000000000000000000000000000000010000000001a21e\
     adfc22000001a21eae03280000000000";
/// Two octets of a STOMP client.
pub(crate) const OCTETS: &str = "\
     150000000000017a0100037265630000000000000001000000000000000101640100087265632e746578\
     7401180000000300017b01001d49443a6d712d34353739312d313739353830383938373533392d363a32\
     0000000000000001ffffffffffffffff01640100087265632e746578740000016e00017b01001d49443a\
     6d712d34353739312d313739353830383938373533392d363a320000000000000001ffffffffffffffff\
     00000000000000010000000000009bf6000000000000010003632d310100000000000000000400000001\
     a21eadfe110100086772656574696e67010000000200ff0100000012000000010006636f6c6f75720900\
     037265640000000000000000000000000000000000010000000001a21eadfe12000001a21eae03280000\
     000000";
/// The answer to a pull from an empty queue.
pub(crate) const EMPTY: &str = "\
     150000000000017a01000372656300000000000000010000000000000001000000000000";

pub(crate) const ALL: [&str; 8] =
    [WIRE_FORMAT, BROKER_INFO, REFUSED_LOGIN, RESPONSE, ADVISORY, TEXT, OCTETS, EMPTY];

/// Returns the octets of a recorded frame.
pub(crate) fn octets(hex: &str) -> Vec<u8> {
    let digits = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    hex.as_bytes().chunks(2).map(digits).collect()
}

fn read(hex: &str) -> OpenWireCommand {
    OpenWireCommand::read(&octets(hex)).unwrap()
}

fn body(hex: &str) -> CommandBody {
    match read(hex) {
        OpenWireCommand::Command(_, body) => body,
        other => panic!("{other:?}"),
    }
}

fn dispatch(hex: &str) -> MessageDispatch {
    match body(hex) {
        CommandBody::Dispatch(dispatch) => dispatch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn wire_format_names_the_options() {
    let OpenWireCommand::Format(format) = read(WIRE_FORMAT) else { panic!("no wire format") };
    assert_eq!(format.version, 12);
    assert_eq!(format.inactivity(), Some(30_000));
    assert_eq!(format.max_frame(), Some(104_857_600));
    let provider = PropertyValue::Text("ActiveMQ".into());
    assert_eq!(format.properties.get("ProviderName"), Some(&provider));
}

#[test]
fn answers_name_their_command() {
    let CommandBody::Response(response) = body(RESPONSE) else { panic!("no response") };
    assert_eq!(response.correlation, 2);
    let CommandBody::Exception(refused) = body(REFUSED_LOGIN) else { panic!("no exception") };
    let exception = refused.exception.unwrap();
    assert!(exception.is_security());
    let text = "SecurityException: User name [carrot] or password is invalid.";
    assert_eq!((refused.correlation, &*exception.to_string()), (1, text));
}

#[test]
fn broker_names_its_address() {
    let CommandBody::Broker(info) = body(BROKER_INFO) else { panic!("no broker") };
    assert_eq!(info.url.as_deref(), Some("tcp://127.0.0.1:21616"));
}

#[test]
fn advisory_tells_of_a_queue() {
    let message = dispatch(ADVISORY).message.unwrap();
    let Some(DataStructure::Destination(info)) = message.data else { panic!("no queue") };
    assert_eq!(info.destination, Some(WireDestination::queue("rec.text")));
    assert_eq!(info.operation, DestinationInfo::ADD);
}

#[test]
fn message_has_its_fields() {
    let dispatch = dispatch(TEXT);
    let consumer = dispatch.consumer.unwrap();
    assert_eq!((consumer.session, consumer.value), (1, 1));
    let message = dispatch.message.unwrap();
    assert_eq!(message.kind, MessageKind::Text);
    assert_eq!(message.destination, Some(WireDestination::queue("rec.text")));
    assert_eq!(message.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(message.type_name.as_deref(), Some("greeting"));
    assert!(message.is_persistent && !message.is_compressed);
    assert_eq!((message.priority, message.redeliveries), (4, 0));
    let properties = PropertyMap::read(&message.properties.unwrap(), "test").unwrap();
    assert_eq!(properties.get("colour"), Some(&PropertyValue::Text("red".into())));
    assert_eq!(message.id.unwrap().broker_sequence, 39_923);
}

#[test]
fn octets_are_the_content() {
    let message = dispatch(OCTETS).message.unwrap();
    assert_eq!(message.kind, MessageKind::Bytes);
    assert_eq!(message.content.as_deref(), Some(&[0, 0xff][..]));
}

#[test]
fn object_of_an_unknown_type_ends_the_message_and_not_the_command() {
    let mut octets = octets(ADVISORY);
    // The type of the data structure, of which the id of the command follows.
    let place = octets.windows(6).position(|at| at == [1, 8, 0, 0, 0, 0]).unwrap();
    *octets.get_mut(place + 1).unwrap() = 99;
    let read = OpenWireCommand::read(&octets).unwrap();
    let OpenWireCommand::Command(_, CommandBody::Dispatch(dispatch)) = read else { panic!() };
    assert_eq!(dispatch.message.unwrap().data, Some(DataStructure::Unread { kind: 99 }));
}

#[test]
fn empty_queue_has_no_message() {
    assert_eq!(dispatch(EMPTY).message, None);
}

#[test]
fn every_frame_is_written_as_it_was_read() {
    for hex in ALL.into_iter().filter(|hex| *hex != BROKER_INFO) {
        let mut written = Vec::new();
        read(hex).write_frame(&mut written);
        assert_eq!(written.get(4..).unwrap(), octets(hex), "{hex}");
    }
}

#[test]
fn every_cut_frame_is_refused_or_complete() {
    for hex in ALL {
        let octets = octets(hex);
        for end in 0..octets.len() {
            // The fields that a client skips may be cut.
            let read = OpenWireCommand::read(octets.get(..end).unwrap());
            assert!(read.is_err() || hex == BROKER_INFO, "{end} octets of {hex}");
        }
    }
}

#[test]
fn command_that_is_not_known_is_skipped() {
    let other = OpenWireCommand::read(&[18, 0, 0, 0, 7, 0, 1, 2, 3]).unwrap();
    let head = CommandHead { id: 7, needs_answer: false };
    assert_eq!(other, OpenWireCommand::Command(head, CommandBody::Other { kind: 18 }));
}
