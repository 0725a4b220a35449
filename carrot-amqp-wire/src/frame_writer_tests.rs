#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use std::sync::Arc;

use amq_protocol::frame::{AMQPFrame, parse_frame};
use carrot_core::backend::frame_limits::{check_consume, check_declare, check_publication};
use carrot_core::backend::{ConsumeOptions, Content, Declare, Publication};
use carrot_core::{Binding, Exchange, Headers, Properties, Queue};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::content_header::ContentHeader;
use crate::frame_reader::{FramePart, FrameReader};
use crate::methods::{
    BasicConsume, BasicDeliver, BasicGetOk, BasicPublish, BasicReturn, ExchangeDeclare, QueueBind,
    QueueDeclare,
};
use crate::testing::{headers, properties, short_string, text};

use super::*;

const FRAME_MAX: u32 = 4096;

/// Reads one message: method and header payloads, and the sizes of the body frames with the body.
fn read(octets: &[u8]) -> (Vec<Vec<u8>>, Vec<usize>, Vec<u8>) {
    let mut reader = FrameReader::for_client(FRAME_MAX);
    let (mut frames, mut sizes, mut body) = (Vec::new(), Vec::new(), Vec::new());
    let mut input = octets;
    while let Some(part) = reader.read(&mut input).unwrap() {
        match part {
            FramePart::Frame(frame) => frames.push(frame.payload.to_vec()),
            FramePart::Body(part) => {
                assert!(part.ends_frame);
                sizes.push(part.octets.len());
                body.extend_from_slice(part.octets);
            }
            FramePart::ProtocolHeader(_) => panic!("a protocol header"),
        }
    }
    (frames, sizes, body)
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let size = prop_oneof![
        4 => 0_usize..300,
        1 => prop::sample::select(vec![4087, 4088, 4089, 2 * 4088, 2 * 4088 + 1, 20_000]),
    ];
    (size, any::<u8>()).prop_map(|(size, octet)| vec![octet; size])
}

proptest! {
    #[test]
    fn a_message_survives_the_wire_in_its_computed_size(
        exchange in short_string(),
        routing_key in short_string(),
        properties in properties(short_string(), headers()),
        body in body(),
        mandatory: bool,
    ) {
        let content =
            Arc::new(Content::new(exchange, routing_key, body).with_properties(properties));
        let publication = Publication::new(&content).with_mandatory(mandatory);
        let publish = BasicPublish {
            exchange: (&content.exchange).into(),
            routing_key: (&content.routing_key).into(),
            mandatory,
            immediate: false,
        };
        let mut octets = Vec::new();
        let written = FrameWriter::new(&mut octets, 3, FRAME_MAX).content(
            &publish.into(),
            &PropertiesRef::from(&content.properties),
            &content.body,
        );
        match check_publication(&publication, FRAME_MAX as usize) {
            Ok(size) => prop_assert_eq!((octets.len(), written), (size, Ok(()))),
            Err(_) => {
                let is_too_large = matches!(written, Err(WireError::FrameTooLarge { .. }));
                prop_assert!(is_too_large);
                return Ok(());
            }
        }
        let (frames, sizes, body) = read(&octets);
        prop_assert_eq!(Method::read(&frames[0]), Ok(publish.into()));
        let header = ContentHeader::read(&frames[1]).unwrap();
        prop_assert_eq!(header.body_size, content.body.len() as u64);
        prop_assert_eq!(header.properties().unwrap().to_properties(), content.properties.clone());
        prop_assert_eq!(&content.body, &body);
        let chunks: Vec<usize> = body.chunks(4088).map(<[u8]>::len).collect();
        prop_assert_eq!(sizes, chunks);
    }

    #[test]
    fn a_message_is_read_by_amq_protocol(
        texts in vec("[a-z]{0,9}", 3),
        properties in properties("[a-z]{0,9}", Just(Headers::from([("a", 1)]))),
        body in body(),
        tag: u64,
    ) {
        let deliver = BasicDeliver {
            consumer_tag: (&texts[0]).into(),
            delivery_tag: tag,
            redelivered: true,
            exchange: (&texts[1]).into(),
            routing_key: (&texts[2]).into(),
        };
        let mut octets = Vec::new();
        FrameWriter::new(&mut octets, 3, FRAME_MAX)
            .content(&deliver.into(), &PropertiesRef::from(&properties), &body)
            .unwrap();
        let (mut rest, mut received) = (&octets[..], Vec::new());
        let mut kinds = Vec::new();
        while !rest.is_empty() {
            let (after, frame) = parse_frame(rest).unwrap();
            rest = after;
            kinds.push(match frame {
                AMQPFrame::Method(3, _) => 1,
                AMQPFrame::Header(3, 60, header) => {
                    prop_assert_eq!(header.body_size, body.len() as u64);
                    2
                }
                AMQPFrame::Body(3, part) => {
                    received.extend(part);
                    3
                }
                frame => panic!("{frame:?}"),
            });
        }
        prop_assert_eq!(&kinds[..2], &[1, 2]);
        prop_assert_eq!(received, body);
    }

    #[test]
    fn a_declaration_that_core_accepts_fits_its_frame(
        name in text(),
        arguments in headers(),
        filler in 0_usize..5000,
    ) {
        let mut arguments = arguments;
        arguments.insert("filler", "x".repeat(filler));
        let queue = queue(&name, &arguments);
        let queue_declare = QueueDeclare {
            queue: (&name).into(),
            arguments: (&arguments).into(),
            ..QueueDeclare::default()
        };
        check_fits(check_declare(&Declare::Queue(&queue), 4096), queue_declare.into())?;
        let mut exchange = Exchange::topic(name.clone());
        exchange.arguments = arguments.clone();
        let exchange_declare = ExchangeDeclare {
            exchange: (&name).into(),
            kind: "topic".into(),
            arguments: (&arguments).into(),
            ..ExchangeDeclare::default()
        };
        check_fits(check_declare(&Declare::Exchange(&exchange), 4096), exchange_declare.into())?;
        let mut binding = Binding::queue(name.clone(), name.clone(), name.clone());
        binding.arguments = arguments.clone();
        let bind = QueueBind {
            queue: (&name).into(),
            exchange: (&name).into(),
            routing_key: (&name).into(),
            no_wait: false,
            arguments: (&arguments).into(),
        };
        check_fits(check_declare(&Declare::Binding(&binding), 4096), bind.into())?;
        let mut options = ConsumeOptions::default();
        options.arguments = arguments.clone();
        let consume = BasicConsume {
            queue: (&name).into(),
            arguments: (&arguments).into(),
            ..BasicConsume::default()
        };
        check_fits(check_consume(&name, &options, 4096), consume.into())?;
    }

    #[test]
    fn names_of_any_octets_survive_the_wire(names in vec(short_string(), 4)) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| crate::ShortStr::from(&names[at]));
        let methods = [
            BasicReturn { reply_code: 312, reply_text: a, exchange: b, routing_key: c }.into(),
            BasicDeliver {
                consumer_tag: a,
                delivery_tag: 1,
                redelivered: false,
                exchange: b,
                routing_key: d,
            }
            .into(),
            BasicGetOk {
                delivery_tag: 1,
                redelivered: true,
                exchange: c,
                routing_key: d,
                message_count: 7,
            }
            .into(),
        ];
        for method in methods {
            let mut octets = Vec::new();
            FrameWriter::new(&mut octets, 1, FRAME_MAX)
                .content(&method, &PropertiesRef::default(), b"body")
                .unwrap();
            let (frames, _, body) = read(&octets);
            prop_assert_eq!(Method::read(&frames[0]), Ok(method));
            prop_assert_eq!(body, b"body");
        }
    }
}

fn queue(name: &str, arguments: &Headers) -> Queue {
    let mut queue = Queue::new(name);
    queue.arguments = arguments.clone();
    queue
}

/// Core's computed size is at most one byte larger than the frame.
fn check_fits(checked: carrot_core::Result<()>, method: Method<'_>) -> Result<(), TestCaseError> {
    let mut octets = Vec::new();
    let written = FrameWriter::new(&mut octets, 1, FRAME_MAX).method(&method);
    match checked {
        Ok(()) => prop_assert!(written.is_ok(), "{:?}", written),
        Err(_) => prop_assert!(written.is_err() || octets.len() == FRAME_MAX as usize),
    }
    Ok(())
}

#[test]
fn a_call_that_fails_appends_nothing() {
    let long = "x".repeat(5000);
    let headers = Headers::from([("h", long.as_str())]);
    let too_large = PropertiesRef { headers: Some((&headers).into()), ..PropertiesRef::default() };
    let publish = Method::from(BasicPublish::default());
    let mut octets = vec![1, 2];
    let mut writer = FrameWriter::new(&mut octets, 1, FRAME_MAX);
    let refused = writer.content(&publish, &too_large, b"body");
    assert_eq!(refused, Err(WireError::FrameTooLarge { size: 5033, limit: FRAME_MAX }));
    let refused = writer.content(&Method::TxSelect, &PropertiesRef::default(), b"body");
    assert_eq!(refused, Err(WireError::NoContent { method: "tx.select" }));
    let name = PropertiesRef { app_id: Some((&long).into()), ..PropertiesRef::default() };
    assert!(matches!(writer.content(&publish, &name, b""), Err(WireError::TooLong { .. })));
    assert_eq!(octets, [1, 2]);
}

#[test]
fn an_empty_body_has_no_frame() {
    let mut octets = Vec::new();
    let publish = Method::from(BasicPublish::default());
    let mut writer = FrameWriter::new(&mut octets, 1, FRAME_MAX);
    writer.content(&publish, &PropertiesRef::from(&Properties::new()), b"").unwrap();
    let (frames, sizes, _) = read(&octets);
    assert_eq!((frames.len(), sizes.len()), (2, 0));
}

#[test]
fn a_tiny_frame_max_refuses_each_method_and_never_panics() {
    let mut octets = Vec::new();
    for frame_max in 0..9 {
        let mut writer = FrameWriter::new(&mut octets, 1, frame_max);
        let written =
            writer.content(&BasicPublish::default().into(), &PropertiesRef::default(), b"body");
        assert!(matches!(written, Err(WireError::FrameTooLarge { .. })), "{written:?}");
    }
    assert!(octets.is_empty());
}
