//! The frames of a broker as texts that can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use carrot_amqp_wire::{Frame, FrameKind, Method};
use serde::{Deserialize, Serialize};

use crate::wire::program::hex;

/// Stands for the end of a connection without a close.
pub(crate) const THE_END: &str = "the end";

/// The frames of one kind, whose order is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stream {
    /// The connection.
    pub connection: usize,
    /// The channel.
    pub channel: u16,
    /// The kind.
    pub kind: StreamKind,
}

/// The kind of frames whose order is compared. Different processes of RabbitMQ send frames of
/// different kinds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StreamKind {
    /// The answers of the channel.
    Answers,
    /// The start of a consumer, its deliveries, and its end.
    Deliveries(String),
    /// The cancellations of consumers.
    Cancellations,
    /// Confirms, one for each message.
    Confirms,
}

/// All frames of a broker, by their streams.
pub type ObservedFrames = BTreeMap<Stream, Vec<String>>;

/// Translates names that the broker has generated.
#[derive(Debug, Default)]
pub struct GeneratedNames(Vec<String>);

impl GeneratedNames {
    /// Replaces the generated names in a text with numbers.
    pub fn translate(&mut self, text: &str) -> String {
        let mut result = String::new();
        let mut rest = text;
        while let Some(at) =
            ["amq.gen-", "amq.ctag-"].iter().filter_map(|mark| rest.find(mark)).min()
        {
            let (before, found) = rest.split_at(at);
            let is_part = |letter: char| letter.is_ascii_alphanumeric() || ".-_".contains(letter);
            let end = found.find(|letter| !is_part(letter)).unwrap_or(found.len());
            let (name, after) = found.split_at(end);
            let number = self.0.iter().position(|known| known == name).unwrap_or_else(|| {
                self.0.push(name.to_string());
                self.0.len() - 1
            });
            let _ = write!(result, "{before}generated{number}");
            rest = after;
        }
        result + rest
    }

    /// Returns the names of the queues that the broker has generated.
    pub fn queues(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str).filter(|name| name.starts_with("amq.gen-"))
    }
}

/// A message whose frames have not arrived completely.
#[derive(Debug)]
struct ArrivingMessage {
    kind: StreamKind,
    text: String,
    missing: Option<u64>,
}

/// Translates the frames of one channel.
#[derive(Debug, Default)]
pub struct ChannelObserver {
    message: Option<ArrivingMessage>,
    confirmed: BTreeSet<u64>,
}

impl ChannelObserver {
    /// Translates a frame that is not of a body.
    pub fn frame(
        &mut self,
        frame: &Frame<'_>,
        names: &mut GeneratedNames,
    ) -> Vec<(StreamKind, String)> {
        match frame.kind {
            FrameKind::Method => self.method(frame.payload, names),
            FrameKind::Header => {
                let size = frame.payload.get(4..12).and_then(|size| size.try_into().ok());
                let Some((message, size)) = self.message.as_mut().zip(size.map(u64::from_be_bytes))
                else {
                    return vec![(StreamKind::Answers, "a header out of place".to_string())];
                };
                let properties = frame.payload.get(12..).unwrap_or_default();
                let _ = write!(message.text, " properties={} size={size}", hex(properties));
                message.missing = Some(size);
                self.finish()
            }
            _ => Vec::new(),
        }
    }

    /// Translates the whole payload of a body frame.
    pub fn body(&mut self, octets: &[u8]) -> Vec<(StreamKind, String)> {
        let Some(ArrivingMessage { text, missing: Some(missing), .. }) = &mut self.message else {
            return vec![(StreamKind::Answers, "a body out of place".to_string())];
        };
        let sum = octets.iter().fold(0_u32, |sum, octet| sum.rotate_left(5) ^ u32::from(*octet));
        let _ = write!(text, " +{} ({sum:x})", octets.len());
        *missing = missing.saturating_sub(octets.len() as u64);
        self.finish()
    }

    fn finish(&mut self) -> Vec<(StreamKind, String)> {
        let message = self.message.take_if(|message| message.missing == Some(0));
        message.map(|message| (message.kind, message.text)).into_iter().collect()
    }

    fn method(&mut self, payload: &[u8], names: &mut GeneratedNames) -> Vec<(StreamKind, String)> {
        let Ok(method) = Method::read(payload) else {
            return vec![(StreamKind::Answers, format!("a malformed method: {}", hex(payload)))];
        };
        let text = names.translate(&text_of(&method));
        let kind = match &method {
            Method::BasicDeliver(deliver) => {
                StreamKind::Deliveries(names.translate(&deliver.consumer_tag.to_string()))
            }
            // The queue sends this, and the channel does not wait for it.
            Method::BasicConsumeOk(consuming) => {
                let tag = names.translate(&consuming.consumer_tag.to_string());
                return vec![(StreamKind::Deliveries(tag), text)];
            }
            // In RabbitMQ 4, this one, too.
            Method::BasicCancelOk(cancelled) => {
                let tag = names.translate(&cancelled.consumer_tag.to_string());
                return vec![(StreamKind::Deliveries(tag), text)];
            }
            Method::BasicGetOk(_) | Method::BasicReturn(_) => StreamKind::Answers,
            Method::BasicCancel(_) => return vec![(StreamKind::Cancellations, text)],
            Method::BasicAck(ack) => return self.confirms("ack", ack.delivery_tag, ack.multiple),
            Method::BasicNack(nack) => {
                return self.confirms("nack", nack.delivery_tag, nack.multiple);
            }
            _ => return vec![(StreamKind::Answers, text)],
        };
        self.message = Some(ArrivingMessage { kind, text, missing: None });
        Vec::new()
    }

    fn confirms(&mut self, what: &str, tag: u64, multiple: bool) -> Vec<(StreamKind, String)> {
        let first = if multiple { 1 } else { tag };
        let new: Vec<u64> = (first..=tag).filter(|tag| self.confirmed.insert(*tag)).collect();
        new.into_iter().map(|tag| (StreamKind::Confirms, format!("{what} {tag:03}"))).collect()
    }
}

fn text_of(method: &Method<'_>) -> String {
    match method {
        // Client libraries read these properties; no program does.
        Method::ConnectionStart(start) => {
            format!("connection.start {}.{}", start.version_major, start.version_minor)
        }
        Method::ConnectionClose(close) => format!(
            "connection.close {} {} ({}, {})",
            close.reply_code,
            shown_text(close.reply_code, &close.reply_text.to_string()),
            close.class_id,
            close.method_id
        ),
        Method::ChannelClose(close) => format!(
            "channel.close {} {} ({}, {})",
            close.reply_code,
            shown_text(close.reply_code, &close.reply_text.to_string()),
            close.class_id,
            close.method_id
        ),
        method => format!("{method:?}"),
    }
}

/// Codes of closes over octets that are no frames, methods or properties.
const MALFORMED: [u16; 4] = [501, 502, 505, 541];

/// Returns the text of a close, without words that are not compared.
pub fn shown_text(code: u16, text: &str) -> &str {
    let is_malformed = MALFORMED.contains(&code);
    match text.split_once(" - ") {
        Some((name, _)) if is_malformed => name,
        _ if is_malformed => text.split(['\n', ' ']).next().unwrap_or_default(),
        _ => text,
    }
}
