//! The first octets of a broker, of AMQP 0-9-1, ZeroMQ or OpenWire.

use std::io;
use std::time::Instant;

use carrot::config::Scheme;
use carrot_amqp_wire::{
    Arguments, ConnectionStart, FramePart, FrameReader, Method, ProtocolHeader, RawValue,
};

use super::advice;
use super::openwire::{OPENWIRE_MAGIC, is_openwire};
use super::peer::CheckedPeer;

/// The largest frame of a broker before tuning, in bytes.
const FRAME_MAX: u32 = 131_072;
/// The octets of an unknown protocol that are shown.
const SHOWN: usize = 40;
/// The first part of a greeting of ZMTP: signature and version.
const ZMTP_START: usize = 12;
/// The first part of that command, up to its version.
const OPENWIRE_START: usize = 17;

/// A broker that speaks the protocol.
pub(super) struct Greeted {
    pub(super) protocol: String,
    pub(super) release: Option<String>,
}

/// A peer that does not speak the protocol, and what to do.
pub(super) struct NotGreeted {
    pub(super) text: String,
    pub(super) advice: String,
}

/// Begins a connection of AMQP 0-9-1, and reads what the broker says about itself.
pub(super) fn amqp(
    peer: &mut CheckedPeer,
    scheme: Scheme,
    deadline: Instant,
) -> Result<Greeted, NotGreeted> {
    let sent = peer.send(&ProtocolHeader::AMQP_0_9_1.octets(), deadline);
    let mut reader = FrameReader::for_client(FRAME_MAX);
    let mut first = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // A peer that has closed the connection may have said why.
        let mut octets = received(peer, &mut buffer, scheme, deadline, &mut first, &sent)?;
        match reader.read(&mut octets) {
            Ok(None) => {}
            Ok(Some(FramePart::ProtocolHeader(header))) => {
                let ProtocolHeader { id, major, minor, revision } = header;
                return Err(NotGreeted {
                    text: format!("it speaks AMQP {major}-{minor}-{revision} (id {id}) only"),
                    advice: "AMQP 0-9-1 is needed: enable it on the broker".into(),
                });
            }
            Ok(Some(FramePart::Frame(frame))) => match Method::read(frame.payload) {
                Ok(Method::ConnectionStart(start)) => return Ok(greeted(&start)),
                _ => return Err(unknown(&first, scheme)),
            },
            Ok(Some(_)) | Err(_) => return Err(unknown(&first, scheme)),
        }
    }
}

fn greeted(start: &ConnectionStart<'_>) -> Greeted {
    let text = |name: &str| match start.server_properties {
        Arguments::Wire(table) => match table.get(name) {
            Some(RawValue::LongString(text)) => text.as_str().unwrap_or_default().to_string(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    let release = format!("{} {}", text("product"), text("version")).trim().to_string();
    Greeted {
        protocol: "AMQP 0-9-1".into(),
        release: Some(release).filter(|release| !release.is_empty()),
    }
}

/// Sends the greeting of ZMTP 3.1, and reads the start of the other one.
pub(super) fn zeromq(
    peer: &mut CheckedPeer,
    scheme: Scheme,
    deadline: Instant,
) -> Result<Greeted, NotGreeted> {
    let mut greeting = [0; 64];
    greeting[0] = 0xFF;
    greeting[9] = 0x7F;
    greeting[10] = 3;
    greeting[11] = 1;
    greeting[12..16].copy_from_slice(b"NULL");
    let sent = peer.send(&greeting, deadline);
    let mut first = Vec::new();
    let mut buffer = [0; 64];
    while first.len() < ZMTP_START {
        received(peer, &mut buffer, scheme, deadline, &mut first, &sent)?;
        if first.first() != Some(&0xFF) {
            return Err(unknown(&first, scheme));
        }
    }
    match (first.get(9), first.get(10), first.get(11)) {
        (Some(end), Some(major), Some(minor)) if end & 1 == 1 && *major >= 3 => {
            Ok(Greeted { protocol: format!("ZMTP {major}.{minor}"), release: None })
        }
        _ => Err(unknown(&first, scheme)),
    }
}

/// Sends the first command of OpenWire 12, and reads the start of the other one.
pub(super) fn activemq(
    peer: &mut CheckedPeer,
    scheme: Scheme,
    deadline: Instant,
) -> Result<Greeted, NotGreeted> {
    // The size, the type, the magic, the version, and no properties.
    let format = [&[0, 0, 0, 14, 1][..], OPENWIRE_MAGIC, &[0, 0, 0, 12, 0]].concat();
    let sent = peer.send(&format, deadline);
    let mut first = Vec::new();
    let mut buffer = [0; 64];
    while first.len() < OPENWIRE_START {
        received(peer, &mut buffer, scheme, deadline, &mut first, &sent)?;
        if first.first() != Some(&0) {
            return Err(unknown(&first, scheme));
        }
    }
    let version = first.get(13..OPENWIRE_START).and_then(<[u8]>::first_chunk);
    match version.filter(|_| is_openwire(&first)) {
        Some(version) => {
            let version = u32::from_be_bytes(*version);
            Ok(Greeted { protocol: format!("OpenWire {version}"), release: None })
        }
        None => Err(unknown(&first, scheme)),
    }
}

/// Receives octets, and keeps the first ones.
fn received<'b>(
    peer: &mut CheckedPeer,
    buffer: &'b mut [u8],
    scheme: Scheme,
    deadline: Instant,
    first: &mut Vec<u8>,
    sent: &io::Result<()>,
) -> Result<&'b [u8], NotGreeted> {
    let result = peer.receive(buffer, deadline).and_then(|size| match (size, sent) {
        (0, Err(error)) => Err(io::Error::new(error.kind(), error.to_string())),
        (0, Ok(())) => Err(io::ErrorKind::UnexpectedEof.into()),
        (size, _) => Ok(size),
    });
    match result {
        Ok(size) => {
            let octets = buffer.get(..size).unwrap_or_default();
            let room = SHOWN.saturating_sub(first.len());
            first.extend(octets.iter().take(room));
            Ok(octets)
        }
        Err(_) if !first.is_empty() => Err(unknown(first, scheme)),
        Err(error) => Err(silent(&error, scheme)),
    }
}

fn silent(error: &io::Error, scheme: Scheme) -> NotGreeted {
    let is_late = matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock);
    let (text, advice) = if is_late {
        ("it accepted the connection and said nothing in time", advice::SAYS_NOTHING.into())
    } else {
        ("it closed the connection without an answer", advice::closes(scheme))
    };
    NotGreeted { text: text.into(), advice }
}

fn unknown(first: &[u8], scheme: Scheme) -> NotGreeted {
    let (protocol, advice) = advice::of_other_protocol(first, scheme);
    NotGreeted { text: format!("it speaks {protocol}"), advice }
}
