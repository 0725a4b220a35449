//! Splits any octets into frames, in any cut. The frames are equal to those of the octets in one
//! piece, and so is the error. Parts of bodies may be read to their place.
#![no_main]

use carrot_amqp_wire::{Frame, FrameKind, FramePart, FrameReader, ProtocolHeader, WireError};
use libfuzzer_sys::fuzz_target;

const FRAME_MAX: u32 = 256;

/// The frames that a reader returned, with the parts of each body frame joined.
#[derive(Debug, PartialEq, Default)]
struct Received {
    header: Option<ProtocolHeader>,
    frames: Vec<(FrameKind, u16, Vec<u8>)>,
    /// The body frame without an end.
    body: Option<(u16, Vec<u8>)>,
    error: Option<WireError>,
}

fuzz_target!(|data: &[u8]| {
    let [flags, count, rest @ ..] = data else { return };
    let (is_server, skips) = (flags & 1 == 1, flags & 2 == 2);
    let (cuts, octets) = rest.split_at(rest.len().min(usize::from(*count)));
    let whole = receive(is_server, false, &[], octets);
    let cut = receive(is_server, skips, cuts, octets);
    assert_eq!(cut, whole);
    assert!(whole.frames.iter().all(|(_, _, payload)| payload.len() + 8 <= FRAME_MAX as usize));
    let sum: usize = whole.frames.iter().map(|(_, _, payload)| payload.len() + 8).sum();
    assert!(sum + whole.header.map_or(0, |_| 8) <= octets.len());
});

fn receive(is_server: bool, skips: bool, cuts: &[u8], mut octets: &[u8]) -> Received {
    let mut reader = if is_server { FrameReader::for_server(FRAME_MAX) } else { FrameReader::for_client(FRAME_MAX) };
    let mut received = Received::default();
    let mut cuts = cuts.iter();
    while !octets.is_empty() {
        let cut = cuts.next().map_or(octets.len(), |cut| octets.len().min(usize::from(*cut)));
        let (mut piece, rest) = octets.split_at(cut);
        octets = rest;
        if skips && let Some((channel, missing)) = reader.missing_body() {
            let (skipped, rest) = piece.split_at(missing.min(piece.len()));
            if !skipped.is_empty() {
                let (_, body) = received.body.get_or_insert_with(|| (channel, Vec::new()));
                body.extend_from_slice(skipped);
            }
            reader.skip_body(skipped.len()).expect("no more than is missing");
            piece = rest;
        }
        loop {
            match reader.read(&mut piece) {
                Ok(None) => break assert!(piece.is_empty()),
                Ok(Some(part)) => record(&mut received, part),
                Err(error) => {
                    assert_eq!(reader.read(&mut &[1][..]), Err(error.clone()));
                    // A part of a body may be returned before its frame is refused.
                    received.body = None;
                    received.error = Some(error);
                    return received;
                }
            }
        }
    }
    received
}

fn record(received: &mut Received, part: FramePart<'_>) {
    match part {
        FramePart::ProtocolHeader(header) => received.header = Some(header),
        FramePart::Frame(Frame { kind, channel, payload }) => {
            received.frames.push((kind, channel, payload.to_vec()));
        }
        FramePart::Body(part) => {
            let (channel, body) = received.body.get_or_insert_with(|| (part.channel, Vec::new()));
            assert_eq!(*channel, part.channel);
            body.extend_from_slice(part.octets);
            if part.ends_frame {
                received.frames.push((FrameKind::Body, part.channel, std::mem::take(body)));
                received.body = None;
            }
        }
    }
}
