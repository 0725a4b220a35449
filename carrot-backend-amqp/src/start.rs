//! The client's part of the AMQP handshake.
//!
//! amiquip writes it and logs it, password included. So amiquip is given a placeholder, and what it writes is completed on its way to the
//! socket: with the credentials, and with client properties of our own. The answer to the broker's tuning passes here too, and tells the
//! size of frames, which amiquip keeps to itself.

use std::fmt;

use carrot_core::{Credentials, Secret};

/// Stands for the credentials wherever amiquip can see them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Placeholder {
    pub(crate) mechanism: &'static str,
}

impl amiquip::Sasl for Placeholder {
    fn mechanism(&self) -> String {
        self.mechanism.to_string()
    }

    fn response(&self) -> String {
        "***".to_string()
    }
}

const PROTOCOL: &[u8] = b"AMQP";
const PROTOCOL_HEADER: usize = 8;
const FRAME_HEADER: usize = 7;
const FRAME_END: u8 = 0xCE;
const START_OK: [u8; 4] = [0, 10, 0, 11];
const TUNE_OK: [u8; 4] = [0, 10, 0, 31];

/// What completes a handshake on its way out.
pub(crate) struct Handshake {
    start_ok: Vec<u8>,
    frame_max: Option<u32>,
}

impl fmt::Debug for Handshake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Handshake")
            .field("frame_max", &self.frame_max)
            .finish_non_exhaustive()
    }
}

impl Handshake {
    pub(crate) fn new(credentials: &Credentials, connection_name: &str) -> Handshake {
        Handshake { start_ok: start_ok(credentials, connection_name), frame_max: None }
    }

    /// The completed form of what amiquip wants to write.
    pub(crate) fn complete(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut completed = Vec::new();
        while !bytes.is_empty() {
            let length =
                if bytes.starts_with(PROTOCOL) { PROTOCOL_HEADER } else { frame_length(bytes) };
            let (unit, rest) = bytes.split_at(length.min(bytes.len()));
            match unit.get(FRAME_HEADER..FRAME_HEADER + 4) {
                Some(method) if method == START_OK => completed.extend_from_slice(&self.start_ok),
                Some(method) if method == TUNE_OK => {
                    self.frame_max = unit
                        .get(13..17)
                        .and_then(|bytes| bytes.try_into().ok())
                        .map(u32::from_be_bytes);
                    completed.extend_from_slice(unit);
                }
                _ => completed.extend_from_slice(unit),
            }
            bytes = rest;
        }
        completed
    }

    /// The negotiated size of frames; with it, this part of the handshake is over.
    pub(crate) fn frame_max(&self) -> Option<u32> {
        self.frame_max
    }
}

fn frame_length(bytes: &[u8]) -> usize {
    let size = bytes
        .get(3..FRAME_HEADER)
        .and_then(|size| size.try_into().ok())
        .map_or(0, u32::from_be_bytes);
    FRAME_HEADER + size as usize + 1
}

pub(crate) fn mechanism(credentials: &Credentials) -> &'static str {
    match credentials {
        Credentials::Plain { .. } => "PLAIN",
        _ => "EXTERNAL",
    }
}

fn start_ok(credentials: &Credentials, connection_name: &str) -> Vec<u8> {
    let response = match credentials {
        Credentials::Plain { user, password } => format!("\0{user}\0{}", Secret::reveal(password)),
        _ => String::new(),
    };
    let mut capabilities = Vec::new();
    for capability in [
        "consumer_cancel_notify",
        "connection.blocked",
        "basic.nack",
        "publisher_confirms",
        "exchange_exchange_bindings",
    ] {
        short_string(&mut capabilities, capability);
        capabilities.extend([b't', 1]);
    }
    let mut properties = Vec::new();
    for (name, value) in [
        ("product", "carrot"),
        ("version", env!("CARGO_PKG_VERSION")),
        ("platform", "Rust, amiquip"),
        ("connection_name", connection_name),
    ] {
        short_string(&mut properties, name);
        properties.push(b'S');
        long_string(&mut properties, value.as_bytes());
    }
    short_string(&mut properties, "capabilities");
    properties.push(b'F');
    long_string(&mut properties, &capabilities);

    let mut payload = START_OK.to_vec();
    long_string(&mut payload, &properties);
    short_string(&mut payload, mechanism(credentials));
    long_string(&mut payload, response.as_bytes());
    short_string(&mut payload, "en_US");

    let mut frame = vec![1, 0, 0];
    long_string(&mut frame, &payload);
    frame.push(FRAME_END);
    frame
}

fn short_string(out: &mut Vec<u8>, text: &str) {
    let length = text.len().min(255);
    out.push(length as u8);
    out.extend_from_slice(&text.as_bytes()[..length]);
}

fn long_string(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(method: [u8; 4], rest: &[u8]) -> Vec<u8> {
        let mut payload = method.to_vec();
        payload.extend_from_slice(rest);
        let mut frame = vec![1, 0, 0];
        long_string(&mut frame, &payload);
        frame.push(FRAME_END);
        frame
    }

    fn contains(bytes: &[u8], text: &str) -> bool {
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    }

    #[test]
    fn the_credentials_take_the_place_of_the_placeholder() {
        let mut handshake = Handshake::new(&Credentials::plain("scott", "tiger"), "importer");
        assert_eq!(handshake.complete(b"AMQP\0\0\x09\x01"), b"AMQP\0\0\x09\x01");
        let start_ok = handshake.complete(&frame(START_OK, b"***"));
        assert!(
            contains(&start_ok, "\0scott\0tiger")
                && contains(&start_ok, "importer")
                && !contains(&start_ok, "***")
        );
        assert_eq!(frame_length(&start_ok), start_ok.len());
        assert_eq!(handshake.frame_max(), None);
    }

    #[test]
    fn the_size_of_frames_is_read_and_what_comes_with_it_passes() {
        let mut handshake = Handshake::new(&Credentials::default(), "");
        handshake.complete(b"AMQP\0\0\x09\x01");
        let mut tune_and_open = frame(TUNE_OK, &[0x07, 0xFF, 0, 2, 0, 0, 0, 10]);
        tune_and_open.extend(frame([0, 10, 0, 40], b"\x01/"));
        assert_eq!(handshake.complete(&tune_and_open), tune_and_open);
        assert_eq!(handshake.frame_max(), Some(131_072));
    }

    #[test]
    fn it_can_be_completed_again() {
        let mut handshake = Handshake::new(&Credentials::plain("scott", "tiger"), "importer");
        for bytes in [b"AMQP\0\0\x09\x01".to_vec(), frame(START_OK, b"***")] {
            assert_eq!(handshake.complete(&bytes), handshake.complete(&bytes));
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let handshake = Handshake::new(&Credentials::plain("scott", "tiger"), "importer");
        assert!(!format!("{handshake:?}").contains("tiger"));
        let secret = amiquip::Sasl::response(&Placeholder { mechanism: "PLAIN" });
        assert_eq!(secret, "***");
    }
}
