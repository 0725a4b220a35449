//! The part of the handshake that the driver keeps from amiquip: credentials, client properties,
//! server properties and tuning; pure.

use std::fmt;

use carrot_amqp_wire::{
    Arguments, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionUpdateSecret,
    FrameWriter, LongStr, Method, RawValue, SecretStr, WireError,
};
use carrot_core::{ConnectionOptions, Credentials, Error, Headers, Result, Secret, Value};

use super::capabilities::{self, BrokerFeatures};
use crate::error::words;

/// The maximum size of a frame before tuning, and the size to which an unlimited one is tuned.
pub(crate) const UNTUNED_FRAME_MAX: u32 = 131_072;
/// The smallest frame_max of AMQP 0-9-1.
const MIN_FRAME_MAX: u32 = 4096;
const LOCALE: &str = "en_US";
/// The version that connection.start names for AMQP 0-9-1.
const VERSION: (u8, u8) = (0, 9);

/// The numbers that both sides have agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tuned {
    pub(crate) channel_max: u16,
    pub(crate) frame_max: u32,
    /// In seconds; 0 for no heartbeats.
    pub(crate) heartbeat: u16,
}

/// The step of the handshake that the broker has to make next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum HandshakeStep {
    #[default]
    Start,
    /// The credentials were sent.
    Tune,
    Open,
    Done,
}

/// The reason why this side ends the handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HandshakeRefusal {
    /// The broker speaks this version of AMQP.
    Version(u8, u8),
    /// The broker does not offer the mechanism, only these.
    Mechanism(String),
    /// The broker allows only frames of this size.
    FrameMax(u32),
    /// The broker wants another round of authentication.
    Secure,
    /// The broker sent this method out of order.
    Unexpected(&'static str),
    /// A frame could not be read or written.
    Wire(WireError),
}

impl fmt::Display for HandshakeRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeRefusal::Version(major, minor) => {
                write!(formatter, "it speaks AMQP {major}-{minor}, and not 0-9-1")
            }
            HandshakeRefusal::Mechanism(offered) => {
                write!(formatter, "it offers only the mechanisms {offered:?}")
            }
            HandshakeRefusal::FrameMax(limit) => write!(
                formatter,
                "it allows frames of {limit} bytes only; AMQP requires {MIN_FRAME_MAX}"
            ),
            HandshakeRefusal::Secure => {
                formatter.write_str("it asks for another round of authentication")
            }
            HandshakeRefusal::Unexpected(method) => {
                write!(formatter, "it sent {method} during the handshake")
            }
            HandshakeRefusal::Wire(error) => write!(formatter, "it does not speak AMQP: {error}"),
        }
    }
}

impl From<WireError> for HandshakeRefusal {
    fn from(error: WireError) -> HandshakeRefusal {
        HandshakeRefusal::Wire(error)
    }
}

/// The handshake of one connection, as the reader sees it.
#[derive(Debug)]
pub(crate) struct Handshake {
    mechanism: &'static str,
    wanted: Tuned,
    pub(crate) step: HandshakeStep,
    pub(crate) features: BrokerFeatures,
    pub(crate) tuned: Option<Tuned>,
}

impl Handshake {
    pub(crate) fn new(options: &ConnectionOptions) -> Handshake {
        Handshake {
            mechanism: mechanism(&options.credentials),
            wanted: Tuned {
                channel_max: options.channel_max,
                frame_max: options.frame_max,
                heartbeat: u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX),
            },
            step: HandshakeStep::Start,
            features: BrokerFeatures::default(),
            tuned: None,
        }
    }

    /// Takes a method of the broker, and returns the frame that amiquip reads in its place.
    pub(crate) fn receive(&mut self, method: &Method<'_>) -> Result<Vec<u8>, HandshakeRefusal> {
        match (self.step, method) {
            (HandshakeStep::Start, Method::ConnectionStart(start)) => {
                let (major, minor) = (start.version_major, start.version_minor);
                if (major, minor) != VERSION {
                    return Err(HandshakeRefusal::Version(major, minor));
                }
                let mechanisms = start.mechanisms.to_string();
                if !mechanisms.split(' ').any(|offered| offered == self.mechanism) {
                    return Err(HandshakeRefusal::Mechanism(words(&mechanisms)));
                }
                self.features = read_features(start.server_properties);
                self.step = HandshakeStep::Tune;
                frame(
                    &ConnectionStart {
                        version_major: major,
                        version_minor: minor,
                        server_properties: Arguments::default(),
                        mechanisms: LongStr::from(self.mechanism),
                        locales: LongStr::from(LOCALE),
                    }
                    .into(),
                )
            }
            (HandshakeStep::Tune, Method::ConnectionSecure(_)) => Err(HandshakeRefusal::Secure),
            (HandshakeStep::Tune, Method::ConnectionTune(tune)) => {
                let tuned = self.wanted.agree(tune)?;
                self.tuned = Some(tuned);
                self.step = HandshakeStep::Open;
                let Tuned { channel_max, frame_max, heartbeat } = tuned;
                frame(&ConnectionTune { channel_max, frame_max, heartbeat }.into())
            }
            (HandshakeStep::Open, Method::ConnectionOpenOk(open_ok)) => {
                self.step = HandshakeStep::Done;
                frame(&(*open_ok).into())
            }
            (_, other) => Err(HandshakeRefusal::Unexpected(other.name())),
        }
    }
}

impl Tuned {
    /// Agrees with a proposal. Zero stands for no limit; of two heartbeats, the one that is not
    /// zero holds.
    fn agree(self, proposed: &ConnectionTune) -> Result<Tuned, HandshakeRefusal> {
        fn least<T: Ord + Default>(one: T, other: T) -> T {
            let zero = T::default();
            if one == zero || (other != zero && other < one) { other } else { one }
        }
        let channel_max = match least(self.channel_max, proposed.channel_max) {
            0 => u16::MAX,
            limit => limit,
        };
        let frame_max = match least(self.frame_max, proposed.frame_max) {
            0 => UNTUNED_FRAME_MAX,
            limit => limit,
        };
        if frame_max < MIN_FRAME_MAX {
            return Err(HandshakeRefusal::FrameMax(frame_max));
        }
        Ok(Tuned { channel_max, frame_max, heartbeat: least(self.heartbeat, proposed.heartbeat) })
    }
}

/// Returns a frame of channel 0.
pub(crate) fn frame(method: &Method<'_>) -> Result<Vec<u8>, HandshakeRefusal> {
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, 0, UNTUNED_FRAME_MAX).method(method)?;
    Ok(octets)
}

/// Returns the frame of connection.update-secret.
///
/// # Errors
/// [`Error::Invalid`]: the frame exceeds `frame_max`. Does not contain the secret.
pub(crate) fn secret_update(secret: &str, reason: &str, frame_max: u32) -> Result<Vec<u8>> {
    let method =
        ConnectionUpdateSecret { new_secret: SecretStr::from(secret), reason: reason.into() };
    let mut octets = Vec::new();
    FrameWriter::new(&mut octets, 0, frame_max).method(&method.into()).map_err(|error| {
        let bytes = secret.len();
        Error::invalid("secret", &format!("({bytes} bytes)"), error.to_string())
    })?;
    Ok(octets)
}

fn read_features(properties: Arguments<'_>) -> BrokerFeatures {
    let Arguments::Wire(table) = properties else { return BrokerFeatures::default() };
    let text = |name: &str| match table.get(name) {
        Some(RawValue::LongString(text)) => text.as_str().unwrap_or_default(),
        _ => "",
    };
    capabilities::of(text("product"), text("version"))
}

pub(crate) fn mechanism(credentials: &Credentials) -> &'static str {
    match credentials {
        Credentials::External => "EXTERNAL",
        _ => "PLAIN",
    }
}

/// Returns the frame of connection.start-ok, with the credentials.
pub(crate) fn start_ok(
    credentials: &Credentials,
    connection_name: &str,
) -> Result<Vec<u8>, HandshakeRefusal> {
    let response = match credentials {
        Credentials::Plain { user, password } => format!("\0{user}\0{}", Secret::reveal(password)),
        _ => String::new(),
    };
    let mut capabilities = Headers::new();
    for capability in [
        "authentication_failure_close",
        "consumer_cancel_notify",
        "connection.blocked",
        "basic.nack",
        "publisher_confirms",
        "exchange_exchange_bindings",
    ] {
        capabilities.insert(capability, true);
    }
    let mut properties = Headers::new();
    properties.insert("product", "carrot");
    properties.insert("version", env!("CARGO_PKG_VERSION"));
    properties.insert("platform", "Rust");
    properties.insert("connection_name", connection_name);
    properties.insert("capabilities", Value::Table(capabilities));
    frame(
        &ConnectionStartOk {
            client_properties: Arguments::from(&properties),
            mechanism: mechanism(credentials).into(),
            response: SecretStr::from(&response),
            locale: LOCALE.into(),
        }
        .into(),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn tune(channel_max: u16, frame_max: u32, heartbeat: u16) -> ConnectionTune {
        ConnectionTune { channel_max, frame_max, heartbeat }
    }

    #[test]
    fn tuning_zero_on_one_side_takes_the_number_of_the_other() {
        let wanted = Tuned { channel_max: 0, frame_max: 131_072, heartbeat: 10 };
        let agreed = |tune| wanted.agree(&tune).unwrap();
        assert_eq!(agreed(tune(2047, 0, 0)), Tuned { channel_max: 2047, ..wanted });
        assert_eq!(agreed(tune(0, 1 << 20, 60)), Tuned { channel_max: u16::MAX, ..wanted });
        assert_eq!(
            agreed(tune(7, 8192, 3)),
            Tuned { channel_max: 7, frame_max: 8192, heartbeat: 3 }
        );
        let silent = Tuned { heartbeat: 0, ..wanted };
        assert_eq!(silent.agree(&tune(0, 0, 60)).unwrap().heartbeat, 60);
        assert_eq!(wanted.agree(&tune(0, 512, 60)), Err(HandshakeRefusal::FrameMax(512)));
    }

    #[test]
    fn start_ok_holds_the_credentials_and_its_debug_form_does_not() {
        let octets = start_ok(&Credentials::plain("scott", "tiger"), "importer").unwrap();
        let contains =
            |text: &str| octets.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(contains("\0scott\0tiger") && contains("importer"));
        assert!(contains("authentication_failure_close"));
    }

    #[test]
    fn methods_out_of_order_are_refused() {
        let mut handshake = Handshake::new(&ConnectionOptions::new());
        let tune = Method::ConnectionTune(tune(0, 0, 0));
        assert_eq!(handshake.receive(&tune), Err(HandshakeRefusal::Unexpected("connection.tune")));
    }
}
