//! Programs of raw frames.

use std::fmt::{self, Write};

use carrot_amqp_wire::{FramePart, FrameReader, Method};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of connections of a program.
pub const CONNECTIONS: usize = 2;
/// The maximum size of a frame that the connections of programs negotiate, in bytes.
pub const FRAME_MAX: u32 = 8192;

/// A sequence of octets that clients send.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WireProgram {
    /// Whether the steps contain the handshake. Otherwise, each connection is open before its first
    /// step.
    #[serde(default, skip_serializing_if = "crate::specs::is_false")]
    pub from_start: bool,
    /// The steps, in the order in which they run.
    pub steps: Vec<WireStep>,
}

/// The octets that a client sends at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WireStep {
    /// The connection.
    #[serde(rename = "on", default, skip_serializing_if = "crate::specs::is_zero")]
    pub connection: u8,
    /// The channel that makes a round trip after the octets, if it is open; 0 for none.
    #[serde(rename = "then", default, skip_serializing_if = "is_zero")]
    pub synchronized: u16,
    /// The octets.
    #[serde(serialize_with = "as_hex", deserialize_with = "from_hex")]
    pub octets: Vec<u8>,
}

impl WireStep {
    /// Returns a step of a connection, after which a channel makes a round trip.
    pub(crate) fn new(connection: u8, synchronized: u16, octets: Vec<u8>) -> WireStep {
        WireStep { connection, synchronized, octets }
    }
}

fn is_zero(number: &u16) -> bool {
    *number == 0
}

fn as_hex<S: Serializer>(octets: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex(octets))
}

fn from_hex<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let digits: Option<Vec<u8>> = text
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect();
    digits.ok_or_else(|| serde::de::Error::custom("the octets are no hexadecimal number"))
}

/// Returns octets as a hexadecimal number.
pub fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    })
}

impl fmt::Display for WireProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, step) in self.steps.iter().enumerate() {
            let WireStep { connection, synchronized, octets } = step;
            writeln!(formatter, "{number}: connection {connection}, then channel {synchronized}")?;
            for line in shown(octets) {
                writeln!(formatter, "    {line}")?;
            }
        }
        Ok(())
    }
}

impl WireProgram {
    /// Returns whether the program starts a consumer.
    pub fn has_consumers(&self) -> bool {
        self.has_frame(|line| line.contains("BasicConsume"))
    }

    /// Returns whether the program settles a delivery.
    pub(crate) fn has_settlements(&self) -> bool {
        let settles = ["BasicAck", "BasicNack", "BasicReject", "BasicRecover"];
        self.has_frame(|line| settles.iter().any(|method| line.contains(method)))
    }

    /// Returns whether the program sets the prefetch of a channel.
    pub(crate) fn has_channel_prefetch(&self) -> bool {
        self.has_frame(|line| line.contains("BasicQos") && line.contains("global: true"))
    }

    /// Returns whether one step starts and cancels consumers.
    pub(crate) fn cancels_at_once(&self) -> bool {
        self.steps.iter().any(|step| {
            let lines = shown(&step.octets);
            let has = |method: &str| lines.iter().any(|line| line.contains(method));
            has("BasicConsume(") && has("BasicCancel(")
        })
    }

    /// Returns whether a frame is shown as such a line.
    fn has_frame(&self, is_such: impl Fn(&str) -> bool) -> bool {
        let mut lines = self.steps.iter().flat_map(|step| shown(&step.octets));
        lines.any(|line| is_such(&line))
    }
}

/// Returns each frame as a line.
pub fn shown(octets: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = octets;
    let mut frames = match octets {
        [b'A', ..] => FrameReader::for_server(u32::MAX),
        _ => FrameReader::for_client(u32::MAX),
    };
    loop {
        let before = rest;
        let part = match frames.read(&mut rest) {
            Ok(Some(part)) => part,
            Ok(None) if before.is_empty() => return lines,
            Ok(None) => {
                lines.push(format!("a part of a frame: {}", hex(before)));
                return lines;
            }
            Err(error) => {
                lines.push(format!("no frame ({error}): {}", hex(before)));
                return lines;
            }
        };
        lines.push(match part {
            FramePart::ProtocolHeader(header) => format!("{header:?}"),
            FramePart::Body(part) => {
                format!("{}: {} bytes of body", part.channel, part.octets.len())
            }
            FramePart::Frame(frame) => match Method::read(frame.payload) {
                Ok(method) if frame.kind == carrot_amqp_wire::FrameKind::Method => {
                    format!("{}: {method:?}", frame.channel)
                }
                _ => format!("{}: {:?} {}", frame.channel, frame.kind, hex(frame.payload)),
            },
        });
    }
}
