//! The handshake of a connection (AMQP 0-9-1 2.2.4).

use std::sync::Arc;
use std::time::Duration;

use carrot_amqp_wire::{
    Arguments, ConnectionOpen, ConnectionOpenOk, ConnectionStart, ConnectionStartOk,
    ConnectionTune, ConnectionTuneOk, Method, ProtocolHeader, RawValue, TableRef,
};
use carrot_backend_memory::session::SessionSettings;
use carrot_core::{Headers, RabbitMqRelease, Value};

use crate::certificate::common_name;
use crate::close::Close;
use crate::connection::authentication::{EXTERNAL, PeerCredentials, mechanisms};
use crate::connection::peer::Peer;
use crate::outgoing::Outgoing;
use crate::settings::ServerSettings;
use carrot_amqp_wire::PropertyForwarding;

/// The header of AMQP 0-9, which RabbitMQ treats as that of AMQP 0-9-1.
const AMQP_0_9: &[u8; 8] = b"AMQP\x01\x01\0\x09";

/// The step of the handshake that the peer has to take next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AwaitedMethod {
    ProtocolHeader,
    StartOk,
    TuneOk,
    Open,
}

/// The handshake of one connection.
#[derive(Debug)]
pub(crate) struct ServerHandshake {
    step: AwaitedMethod,
    capabilities: PeerCapabilities,
    user: Arc<str>,
    name: Arc<str>,
    channel_max: u16,
}

/// The extensions that a peer understands.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct PeerCapabilities {
    pub(crate) consumer_cancel_notify: bool,
    pub(crate) connection_blocked: bool,
    pub(crate) authentication_failure_close: bool,
}

/// The outcome of a step.
#[derive(Debug)]
pub(crate) enum HandshakeProgress {
    /// The peer takes the next step.
    Waiting,
    /// The peer has authenticated itself.
    Authenticated,
    /// The connection is open.
    Open(OpenedConnection),
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct OpenedConnection {
    pub(crate) vhost: String,
    pub(crate) forwarding: PropertyForwarding,
    /// Whether a message that is too large is refused when its header arrives.
    pub(crate) refuses_large_headers: bool,
    pub(crate) channel_max: u16,
    pub(crate) capabilities: PeerCapabilities,
    /// The largest body of a message, in bytes.
    pub(crate) max_body: usize,
}

/// The reason why a handshake failed.
#[derive(Debug)]
pub(crate) enum HandshakeFailure {
    /// The server closes the connection.
    Close(Close),
    /// The credentials were wrong. The server answers after a pause: with a close, if the peer
    /// understands that.
    Credentials(Option<Close>),
    /// The server ends the connection without a close.
    Silent,
}

impl From<Close> for HandshakeFailure {
    fn from(close: Close) -> HandshakeFailure {
        HandshakeFailure::Close(close)
    }
}

impl ServerHandshake {
    pub(crate) fn new() -> ServerHandshake {
        ServerHandshake {
            step: AwaitedMethod::ProtocolHeader,
            capabilities: PeerCapabilities::default(),
            user: "".into(),
            name: "".into(),
            channel_max: 0,
        }
    }

    /// Answers the protocol header.
    pub(crate) fn greet(
        &mut self,
        header: ProtocolHeader,
        peer: &Peer,
        settings: &ServerSettings,
    ) -> Result<(), HandshakeFailure> {
        if header != ProtocolHeader::AMQP_0_9_1 && header.octets() != *AMQP_0_9 {
            self.name_version(&peer.outgoing);
            return Err(HandshakeFailure::Silent);
        }
        let properties = server_properties(settings.release());
        let has_certificate = certificate_of(peer).is_some();
        peer.outgoing.method(
            0,
            &ConnectionStart {
                version_major: 0,
                version_minor: 9,
                server_properties: Arguments::from(&properties),
                mechanisms: mechanisms(has_certificate).into(),
                locales: "en_US".into(),
            }
            .into(),
        );
        self.step = AwaitedMethod::StartOk;
        Ok(())
    }

    /// Whether only the virtual host is missing. RabbitMQ answers errors from then on.
    pub(crate) fn awaits_open(&self) -> bool {
        self.step == AwaitedMethod::Open
    }

    /// Answers octets that are no protocol header with the header that the server expects.
    pub(crate) fn name_version(&self, outgoing: &Outgoing) {
        if self.step == AwaitedMethod::ProtocolHeader {
            outgoing.octets(&ProtocolHeader::AMQP_0_9_1.octets());
        }
    }

    /// Handles a method of channel 0.
    pub(crate) fn method(
        &mut self,
        method: &Method<'_>,
        peer: &Arc<Peer>,
        settings: &ServerSettings,
    ) -> Result<HandshakeProgress, HandshakeFailure> {
        match (self.step, method) {
            (AwaitedMethod::StartOk, Method::ConnectionStartOk(start_ok)) => {
                self.authenticate(start_ok, peer, settings)?;
                peer.outgoing.method(
                    0,
                    &ConnectionTune {
                        channel_max: settings.channel_max,
                        frame_max: settings.frame_max,
                        heartbeat: settings.heartbeat,
                    }
                    .into(),
                );
                self.step = AwaitedMethod::TuneOk;
                Ok(HandshakeProgress::Authenticated)
            }
            (AwaitedMethod::TuneOk, Method::ConnectionTuneOk(tune_ok)) => {
                // RabbitMQ ends the connection without a close.
                if let Err(reason) = check_limits(tune_ok, settings) {
                    log::warn!("a handshake was refused: {reason}");
                    return Err(HandshakeFailure::Silent);
                }
                self.channel_max = tune_ok.channel_max;
                peer.outgoing.set_frame_max(tune_ok.frame_max);
                peer.set_heartbeat(tune_ok.heartbeat);
                self.step = AwaitedMethod::Open;
                Ok(HandshakeProgress::Waiting)
            }
            (AwaitedMethod::Open, Method::ConnectionOpen(open)) => {
                let opened = self.open(open, peer, settings)?;
                Ok(HandshakeProgress::Open(opened))
            }
            (AwaitedMethod::Open, method) => {
                let reason = "unexpected method in connection state opening";
                Err(Close::channel_error(reason).caused_by(method.id()).into())
            }
            // RabbitMQ ends a connection whose handshake is out of order.
            _ => Err(HandshakeFailure::Silent),
        }
    }

    fn authenticate(
        &mut self,
        start_ok: &ConnectionStartOk<'_>,
        peer: &Peer,
        settings: &ServerSettings,
    ) -> Result<(), HandshakeFailure> {
        if let Arguments::Wire(properties) = start_ok.client_properties {
            self.capabilities = PeerCapabilities::read(properties);
            if let Some(RawValue::LongString(name)) = properties.get("connection_name") {
                self.name = name.as_str().unwrap_or_default().into();
            }
        }
        let is_external = start_ok.mechanism.as_bytes() == EXTERNAL.as_bytes();
        let given = PeerCredentials::read(start_ok.mechanism, start_ok.response.as_bytes());
        let user = if is_external {
            // The response may name a user, which RabbitMQ ignores, too.
            let named = certificate_of(peer).and_then(common_name);
            named.filter(|name| settings.users.contains(name))
        } else {
            given
                .filter(|given| settings.users.accept(given.user, given.password))
                .map(|given| given.user.to_string())
        };
        match user {
            Some(user) => {
                self.user = user.into();
                Ok(())
            }
            // RabbitMQ ends the connection without a close.
            None if given.is_none() && !is_external => {
                log::warn!("the login of a peer was refused: no credentials of a known mechanism");
                Err(HandshakeFailure::Credentials(None))
            }
            None => {
                let close = self.capabilities.authentication_failure_close.then(|| {
                    Close::connection(
                        403,
                        format!(
                            "ACCESS_REFUSED - Login was refused using authentication mechanism \
                             {}. For details see the broker logfile.",
                            start_ok.mechanism.to_string().escape_debug()
                        ),
                    )
                });
                let reason = match is_external {
                    true => "no user has the common name of its certificate",
                    false => "wrong user or password",
                };
                log::warn!("the login of a peer was refused: {reason}");
                Err(HandshakeFailure::Credentials(close))
            }
        }
    }

    fn open(
        &self,
        open: &ConnectionOpen<'_>,
        peer: &Arc<Peer>,
        settings: &ServerSettings,
    ) -> Result<OpenedConnection, Close> {
        const OPEN: (u16, u16) = (10, 40);
        let vhost = open.virtual_host.as_str().ok_or_else(Close::malformed_text)?;
        let Some(broker) = settings.vhosts.get(vhost) else {
            let reason = format!("vhost {vhost} not found");
            return Err(Close::not_allowed(&reason).caused_by(OPEN));
        };
        let session_settings = SessionSettings::new(&self.user).with_name(&self.name);
        let observed = Arc::downgrade(peer);
        let hears_blocked = self.capabilities.connection_blocked;
        let session = broker.open_session(&session_settings, move |event| {
            if let Some(peer) = observed.upgrade() {
                peer.report(event, hears_blocked);
            }
        });
        // The handshake opens one virtual host.
        let _ = peer.session.set(session);
        peer.outgoing.method(0, &ConnectionOpenOk::default().into());
        Ok(OpenedConnection {
            vhost: vhost.to_string(),
            forwarding: PropertyForwarding::of(broker.release()),
            refuses_large_headers: broker.release() >= RabbitMqRelease::V4_3,
            channel_max: self.channel_max,
            capabilities: self.capabilities,
            max_body: broker.max_body_bytes(),
        })
    }
}

impl PeerCapabilities {
    fn read(properties: TableRef<'_>) -> PeerCapabilities {
        let Some(RawValue::Table(capabilities)) = properties.get("capabilities") else {
            return PeerCapabilities::default();
        };
        let has = |name: &str| capabilities.get(name) == Some(RawValue::Bool(true));
        PeerCapabilities {
            consumer_cancel_notify: has("consumer_cancel_notify"),
            connection_blocked: has("connection.blocked"),
            authentication_failure_close: has("authentication_failure_close"),
        }
    }
}

/// Checks the limits that a peer has chosen, as RabbitMQ does.
fn check_limits(chosen: &ConnectionTuneOk, settings: &ServerSettings) -> Result<(), String> {
    let check = |field: &str, chosen: u32, least: u32, most: u32| {
        let (word, limit) = match chosen {
            0 if most > 0 => ("higher than the maximum", most),
            0 => return Ok(()),
            chosen if chosen < least => ("lower than the minimum", least),
            chosen if most > 0 && chosen > most => ("higher than the maximum", most),
            _ => return Ok(()),
        };
        Err(format!("negotiated {field} = {chosen} is {word} allowed value ({limit})"))
    };
    let least = settings.least_frame_max();
    check("frame_max", chosen.frame_max, least, settings.frame_max)?;
    check("channel_max", chosen.channel_max.into(), 1, settings.channel_max.into())
}

/// Returns the properties with which the server presents itself. Clients look for features in the
/// product and the version, which are those of the imitated release.
fn server_properties(release: RabbitMqRelease) -> Headers {
    let capabilities = [
        "publisher_confirms",
        "exchange_exchange_bindings",
        "basic.nack",
        "consumer_cancel_notify",
        "connection.blocked",
        "consumer_priorities",
        "authentication_failure_close",
        "per_consumer_qos",
        "direct_reply_to",
    ];
    let capabilities: Headers = capabilities.into_iter().map(|name| (name, true)).collect();
    let mut properties = Headers::new();
    properties.insert("capabilities", Value::Table(capabilities));
    properties.insert("cluster_name", "carrot");
    properties.insert("information", "The broker of Carrot, which imitates RabbitMQ");
    properties.insert("platform", "Carrot");
    properties.insert("product", "RabbitMQ");
    properties.insert("version", format!("{release}.0"));
    properties
}

/// The pause before wrong credentials are answered, which slows guessing down.
pub(crate) const REFUSAL_PAUSE: Duration = Duration::from_millis(250);
/// Returns the certificate of the peer, in DER, which an authority has signed.
fn certificate_of(peer: &Peer) -> Option<&[u8]> {
    peer.stream.peer_certificate()
}
