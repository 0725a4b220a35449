#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may panic")]

use proptest::collection::vec;
use proptest::prelude::*;

use crate::frame::HEARTBEAT;

use super::*;

const FRAME_MAX: u32 = 4096;

/// Whole items, with the octets of bodies joined frame by frame.
#[derive(Debug, PartialEq)]
enum Item {
    ProtocolHeader(ProtocolHeader),
    Frame(FrameKind, u16, Vec<u8>),
    /// The end of a body frame was not read.
    BodyBegun(u16, Vec<u8>),
}

/// Reads octets in pieces that end at the cuts.
fn read(
    reader: &mut FrameReader,
    octets: &[u8],
    cuts: &[usize],
) -> (Vec<Item>, Result<(), WireError>) {
    let mut items = Vec::new();
    let mut body: Option<Vec<u8>> = None;
    let mut start = 0;
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (octets.len() + 1)).collect();
    cuts.sort_unstable();
    cuts.push(octets.len());
    for cut in cuts {
        let mut input = &octets[start..cut];
        start = cut;
        loop {
            match reader.read(&mut input) {
                Ok(None) => break assert!(input.is_empty()),
                Ok(Some(FramePart::ProtocolHeader(header))) => {
                    items.push(Item::ProtocolHeader(header));
                }
                Ok(Some(FramePart::Frame(Frame { kind, channel, payload }))) => {
                    items.push(Item::Frame(kind, channel, payload.to_vec()));
                }
                Ok(Some(FramePart::Body(part))) => {
                    let mut whole = body.take().unwrap_or_default();
                    whole.extend_from_slice(part.octets);
                    if part.ends_frame {
                        assert_eq!(part.missing, 0);
                        items.push(Item::Frame(FrameKind::Body, part.channel, whole));
                    } else {
                        body = Some(whole);
                    }
                }
                Err(error) => {
                    assert_eq!(reader.read(&mut &[1_u8][..]), Err(error.clone()));
                    return (items, Err(error));
                }
            }
        }
        assert!(reader.begun.capacity() <= FRAME_MAX as usize, "{}", reader.begun.capacity());
    }
    if let Some(whole) = body {
        let channel = match reader.state {
            State::Body { channel, .. } => channel,
            _ => panic!("a body has no end"),
        };
        items.push(Item::BodyBegun(channel, whole));
    }
    (items, Ok(()))
}

fn frame(kind: FrameKind, channel: u16, payload: &[u8]) -> Vec<u8> {
    let head = FrameHead { kind, channel, payload: payload.len() as u32 };
    [&head.octets()[..], payload, &[FRAME_END]].concat()
}

fn frames() -> impl Strategy<Value = Vec<(FrameKind, u16, Vec<u8>)>> {
    let kind = prop::sample::select(vec![FrameKind::Method, FrameKind::Header, FrameKind::Body]);
    let payload = prop_oneof![4 => vec(any::<u8>(), 0..40), 1 => vec(any::<u8>(), 4080..4089)];
    let frame = prop_oneof![
        9 => (kind, any::<u16>(), payload),
        1 => Just((FrameKind::Heartbeat, 0, Vec::new())),
    ];
    vec(frame, 0..8)
}

proptest! {
    #[test]
    fn frames_are_equal_in_any_cut(
        frames in frames(),
        cuts in vec(any::<usize>(), 0..40),
        is_server: bool,
    ) {
        let mut octets = Vec::new();
        let mut expected = Vec::new();
        if is_server {
            octets.extend(ProtocolHeader::AMQP_0_9_1.octets());
            expected.push(Item::ProtocolHeader(ProtocolHeader::AMQP_0_9_1));
        }
        for (kind, channel, payload) in frames {
            octets.extend(frame(kind, channel, &payload));
            expected.push(Item::Frame(kind, channel, payload));
        }
        let mut reader = FrameReader::new(FRAME_MAX, is_server);
        prop_assert_eq!(read(&mut reader, &octets, &cuts), (expected, Ok(())));
    }

    #[test]
    fn any_octets_are_read_equally_in_any_cut(
        octets: Vec<u8>,
        cuts in vec(any::<usize>(), 0..8),
        is_server: bool,
    ) {
        let reader = || FrameReader::new(FRAME_MAX, is_server);
        let whole = read(&mut reader(), &octets, &[]);
        let every: Vec<usize> = (0..octets.len()).collect();
        prop_assert_eq!(&read(&mut reader(), &octets, &every), &whole);
        prop_assert_eq!(&read(&mut reader(), &octets, &cuts), &whole);
    }

    #[test]
    fn a_frame_that_is_not_whole_is_not_returned(
        kind in prop::sample::select(vec![FrameKind::Method, FrameKind::Body]),
        payload in vec(any::<u8>(), 0..40),
    ) {
        let octets = frame(kind, 3, &payload);
        for length in 0..octets.len() {
            let (items, result) =
                read(&mut FrameReader::for_client(FRAME_MAX), &octets[..length], &[]);
            prop_assert_eq!(result, Ok(()));
            prop_assert!(!items.iter().any(|item| matches!(item, Item::Frame(..))), "{}", length);
        }
    }
}

#[test]
fn a_frame_in_one_cut_is_not_copied() {
    let octets = frame(FrameKind::Method, 1, b"payload");
    let mut reader = FrameReader::for_client(FRAME_MAX);
    let mut input = &octets[..];
    let Ok(Some(FramePart::Frame(frame))) = reader.read(&mut input) else { panic!("no frame") };
    assert_eq!(frame.payload.as_ptr(), octets[FRAME_HEAD..].as_ptr());
    assert_eq!(reader.begun.capacity(), 0);
}

#[test]
fn a_frame_larger_than_the_limit_is_refused_from_its_head_and_takes_no_memory() {
    for size in [u32::MAX, 600_000_000, FRAME_MAX - 7] {
        for kind in [FrameKind::Method, FrameKind::Header, FrameKind::Body] {
            let head = FrameHead { kind, channel: 1, payload: size }.octets();
            let mut reader = FrameReader::for_client(FRAME_MAX);
            let refused = WireError::FrameTooLarge { size: u64::from(size) + 8, limit: FRAME_MAX };
            assert_eq!(reader.read(&mut &head[..]), Err(refused));
            assert_eq!(reader.begun.capacity(), 0);
        }
    }
}

#[test]
fn an_announced_size_takes_no_memory_before_its_octets_arrive() {
    let mut reader = FrameReader::for_client(1 << 20);
    let head = FrameHead { kind: FrameKind::Header, channel: 1, payload: 1 << 19 }.octets();
    assert_eq!(reader.read(&mut &[&head[..], &[0; 10]].concat()[..]), Ok(None));
    assert!(reader.begun.capacity() <= 20, "{}", reader.begun.capacity());
}

#[test]
fn a_wrong_end_octet_is_refused_in_any_cut() {
    for kind in [FrameKind::Method, FrameKind::Header, FrameKind::Body, FrameKind::Heartbeat] {
        let payload: &[u8] = if kind == FrameKind::Heartbeat { b"" } else { b"payload" };
        let channel = u16::from(kind != FrameKind::Heartbeat);
        let mut octets = frame(kind, channel, payload);
        *octets.last_mut().unwrap() = 0xCD;
        for cut in 0..octets.len() {
            let (items, result) = read(&mut FrameReader::for_client(FRAME_MAX), &octets, &[cut]);
            assert_eq!(result, Err(WireError::FrameEnd { octet: 0xCD }), "{kind:?} {cut}");
            assert!(items.is_empty(), "{items:?}");
        }
    }
}

#[test]
fn the_refusal_of_a_broker_is_a_protocol_header() {
    let header = ProtocolHeader { id: 0, major: 1, minor: 0, revision: 0 };
    for cut in 0..8 {
        let mut reader = FrameReader::for_client(FRAME_MAX);
        let read = read(&mut reader, &header.octets(), &[cut]);
        assert_eq!(read, (vec![Item::ProtocolHeader(header)], Ok(())));
    }
}

#[test]
fn a_client_that_begins_with_a_frame_is_refused() {
    let octets = [&HEARTBEAT[..], &HEARTBEAT].concat();
    let (items, result) = read(&mut FrameReader::for_server(FRAME_MAX), &octets, &[]);
    assert_eq!((items, result), (Vec::new(), Err(WireError::NoProtocolHeader)));
}

#[test]
fn a_body_can_be_read_to_its_place() {
    let body: Vec<u8> = (0..1000).map(|number| number as u8).collect();
    let octets = [frame(FrameKind::Body, 5, &body), HEARTBEAT.to_vec()].concat();
    let mut reader = FrameReader::for_client(FRAME_MAX);
    let mut place = Vec::new();
    assert_eq!(reader.missing_body(), None);
    let mut input = &octets[..FRAME_HEAD + 100];
    while let Some(FramePart::Body(part)) = reader.read(&mut input).unwrap() {
        place.extend_from_slice(part.octets);
    }
    assert_eq!(reader.missing_body(), Some((5, 900)));
    for count in [300, 0, 600] {
        let start = FRAME_HEAD + place.len();
        place.extend_from_slice(&octets[start..start + count]);
        reader.skip_body(count).unwrap();
    }
    assert_eq!((reader.missing_body(), &place), (None, &body));
    let mut input = &octets[FRAME_HEAD + 1000..];
    let end = BodyPart { channel: 5, octets: &[], missing: 0, ends_frame: true };
    assert_eq!(reader.read(&mut input), Ok(Some(FramePart::Body(end))));
    assert!(matches!(reader.read(&mut input), Ok(Some(FramePart::Frame(_)))));
}

#[test]
fn more_octets_than_a_body_frame_lacks_are_refused() {
    let mut reader = FrameReader::for_client(FRAME_MAX);
    let octets = frame(FrameKind::Body, 5, &[7; 10]);
    while reader.read(&mut &octets[..FRAME_HEAD + 1]).is_ok_and(|part| part.is_none()) {}
    assert_eq!(reader.missing_body(), Some((5, 9)));
    let refused = WireError::BodyOverrun { read: 10, missing: 9 };
    assert_eq!(reader.skip_body(10), Err(refused.clone()));
    assert_eq!(reader.read(&mut &octets[..]), Err(refused));
}

#[test]
fn a_new_limit_holds_for_the_next_frame() {
    let octets = frame(FrameKind::Method, 1, &[0; 5000]);
    let mut reader = FrameReader::for_client(FRAME_MAX);
    reader.set_frame_max(5000 + FRAME_OVERHEAD as u32);
    assert!(matches!(reader.read(&mut &octets[..]), Ok(Some(FramePart::Frame(_)))));
    reader.set_frame_max(FRAME_MAX);
    assert!(matches!(reader.read(&mut &octets[..]), Err(WireError::FrameTooLarge { .. })));
}

#[test]
fn a_frame_is_passed_on_as_it_was_read() {
    let octets = frame(FrameKind::Method, 0x0102, b"payload");
    let mut reader = FrameReader::for_client(FRAME_MAX);
    let mut out = vec![9];
    let Ok(Some(FramePart::Frame(frame))) = reader.read(&mut &octets[..]) else {
        panic!("no frame")
    };
    frame.append_to(&mut out).unwrap();
    assert_eq!(out[1..], octets);
}
