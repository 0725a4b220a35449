#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::collections::BTreeMap;

use amq_protocol::frame::{AMQPFrame, gen_frame, parse_frame};
use amq_protocol::protocol::AMQPClass;
use proptest::prelude::*;

use crate::arguments::Arguments;
use crate::error::WireError;
use crate::frame::FRAME_HEAD;
use crate::frame_writer::FrameWriter;
use crate::methods::{BasicAck, ConnectionStartOk, Method, QueueDeclare};
use crate::testing::{Material, material, plain_material};

const FRAME_MAX: u32 = 131_072;

fn frame(method: &Method<'_>) -> Vec<u8> {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, 7, FRAME_MAX).method(method).unwrap();
    octets
}

fn payload(method: &Method<'_>) -> Vec<u8> {
    let frame = frame(method);
    frame[FRAME_HEAD..frame.len() - 1].to_vec()
}

/// The names and values of fields that a `Debug` text displays, without those that are reserved.
fn fields(text: &str) -> BTreeMap<String, String> {
    const RESERVED: [&str; 7] = [
        "ticket",
        "capabilities",
        "insist",
        "known_hosts",
        "out_of_band",
        "channel_id",
        "cluster_id",
    ];
    let inner = text.split_once(" { ").map_or("", |(_, inner)| inner);
    let pairs = inner.split(", ").filter_map(|pair| pair.split_once(": "));
    pairs
        .map(|(name, value)| (name.trim(), value.trim_end_matches([' ', '}', ')'])))
        .filter(|(name, _)| !RESERVED.contains(name))
        .map(|(name, value)| {
            let name = match name {
                "nowait" => "no_wait",
                "type_" => "kind",
                name => name,
            };
            let is_secret = ["response", "challenge"].contains(&name);
            let value = if value == "{" { "" } else { value };
            (name.into(), if is_secret { "***" } else { value }.into())
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn each_method_survives_the_wire(material in material()) {
        for method in Method::all(&mut material.samples()) {
            let payload = payload(&method);
            prop_assert_eq!(Method::read(&payload), Ok(method));
        }
    }

    #[test]
    fn each_method_cut_at_any_octet_or_followed_by_octets_is_refused(material in plain_material()) {
        for method in Method::all(&mut material.samples()) {
            let mut payload = payload(&method);
            for length in 0..payload.len() {
                let read = Method::read(&payload[..length]);
                prop_assert!(matches!(read, Err(WireError::Truncated { .. })), "{:?}", read);
            }
            payload.extend([0, 0]);
            let trailing = WireError::Trailing { within: method.name(), octets: 2 };
            prop_assert_eq!(Method::read(&payload), Err(trailing));
        }
    }

    #[test]
    fn each_method_is_written_and_read_as_amq_protocol_does(material in plain_material()) {
        for method in Method::all(&mut material.samples()) {
            if let Method::ConnectionUpdateSecret(_) | Method::ConnectionUpdateSecretOk = method {
                continue;
            }
            check_against_amq_protocol(&method)?;
        }
    }

    #[test]
    fn any_octets_are_read_or_refused(class in 0_u8..100, number in 0_u8..130, rest: Vec<u8>) {
        let payload = [&[0, class, 0, number], &rest[..]].concat();
        if let Ok(method) = Method::read(&payload) {
            prop_assert_eq!(method.id(), (class.into(), number.into()));
            // Reserved fields and unused bits are not kept.
            let written = frame(&method);
            let again = Method::read(&written[FRAME_HEAD..written.len() - 1]);
            prop_assert_eq!(again, Ok(method));
        }
    }
}

fn check_against_amq_protocol(method: &Method<'_>) -> Result<(), TestCaseError> {
    let frame = frame(method);
    let (rest, mut amq) = parse_frame(&frame).unwrap();
    prop_assert!(rest.is_empty());
    let AMQPFrame::Method(7, class) = &mut amq else { panic!("{amq:?}") };
    set_hyphenated_flags(class, method);
    prop_assert_eq!(fields(&format!("{class:?}")), fields(&format!("{method:?}")));
    let mut written = vec![0; frame.len()];
    let length = gen_frame((&mut written, 0), &amq).unwrap().1;
    prop_assert_eq!(&written[..length], &frame);
    prop_assert_eq!(Method::read(&written[FRAME_HEAD..length - 1]), Ok(*method));
    Ok(())
}

/// Sets the flags that amq-protocol writes, and always reads as unset.
fn set_hyphenated_flags(class: &mut AMQPClass, method: &Method<'_>) {
    use amq_protocol::protocol::{basic, exchange, queue};
    match (class, method) {
        (
            AMQPClass::Exchange(exchange::AMQPMethod::Declare(amq)),
            Method::ExchangeDeclare(declare),
        ) => amq.auto_delete = declare.auto_delete,
        (
            AMQPClass::Exchange(exchange::AMQPMethod::Delete(amq)),
            Method::ExchangeDelete(delete),
        ) => amq.if_unused = delete.if_unused,
        (AMQPClass::Queue(queue::AMQPMethod::Declare(amq)), Method::QueueDeclare(declare)) => {
            amq.auto_delete = declare.auto_delete;
        }
        (AMQPClass::Queue(queue::AMQPMethod::Delete(amq)), Method::QueueDelete(delete)) => {
            (amq.if_unused, amq.if_empty) = (delete.if_unused, delete.if_empty);
        }
        (AMQPClass::Basic(basic::AMQPMethod::Consume(amq)), Method::BasicConsume(consume)) => {
            (amq.no_local, amq.no_ack) = (consume.no_local, consume.no_ack);
        }
        (AMQPClass::Basic(basic::AMQPMethod::Get(amq)), Method::BasicGet(get)) => {
            amq.no_ack = get.no_ack;
        }
        _ => {}
    }
}

#[test]
fn the_comparison_with_amq_protocol_sees_each_field() {
    let declare = QueueDeclare { queue: "q".into(), durable: true, ..QueueDeclare::default() };
    let shown = fields(&format!("{:?}", Method::from(declare)));
    let pairs: Vec<(&str, &str)> =
        shown.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let expected = [
        ("arguments", ""),
        ("auto_delete", "false"),
        ("durable", "true"),
        ("exclusive", "false"),
        ("no_wait", "false"),
        ("passive", "false"),
        ("queue", "\"q\""),
    ];
    assert_eq!(pairs, expected);
}

#[test]
fn every_method_has_a_number_and_a_name_of_its_own() {
    let material = Material::default();
    let methods = Method::all(&mut material.samples());
    let mut names: Vec<&str> = methods.iter().map(Method::name).collect();
    let mut ids: Vec<(u16, u16)> = methods.iter().map(Method::id).collect();
    names.sort_unstable();
    names.dedup();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!((names.len(), ids.len()), (methods.len(), methods.len()));
    assert_eq!(methods.len(), 66);
}

#[test]
fn an_unknown_method_is_refused_by_its_numbers() {
    let refused = WireError::UnknownMethod { class: 60, method: 81 };
    assert_eq!(Method::read(&[0, 60, 0, 81]), Err(refused));
}

#[test]
fn a_confirm_of_all_publications_has_the_tag_0() {
    let payload = [0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let all = BasicAck { delivery_tag: 0, multiple: true };
    assert_eq!(Method::read(&payload), Ok(Method::BasicAck(all)));
}

#[test]
fn a_password_is_not_displayed() {
    let start_ok = ConnectionStartOk { response: "HUNTER2".into(), ..ConnectionStartOk::default() };
    let shown = format!("{:?}", Method::from(start_ok));
    assert!(!shown.contains("HUNTER2") && shown.contains("***"), "{shown}");
}

#[test]
fn a_name_longer_than_255_octets_is_refused_by_its_field() {
    let long = "x".repeat(256);
    let declare = QueueDeclare { queue: long.as_str().into(), ..QueueDeclare::default() };
    let mut octets = vec![1];
    let written = FrameWriter::new(&mut octets, 1, FRAME_MAX).method(&declare.into());
    let refused =
        WireError::TooLong { within: "queue.declare", field: "queue", octets: 256, limit: 255 };
    assert_eq!((written, octets), (Err(refused), vec![1]));
}

#[test]
fn arguments_that_are_malformed_refuse_the_method() {
    let declare = QueueDeclare::default();
    let mut payload = payload(&declare.into());
    let size = payload.len();
    payload[size - 1] = 3;
    payload.extend([1, b'a', b'?']);
    let refused = WireError::ValueKind { within: "queue.declare", kind: b'?' };
    assert_eq!(Method::read(&payload), Err(refused));
    assert_eq!(declare.arguments, Arguments::default());
}
