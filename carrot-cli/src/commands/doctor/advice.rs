//! The advice about failures.

use std::io::ErrorKind;

use carrot::config::Scheme;

use super::openwire::is_openwire;
use crate::escaping;

pub(super) const SAYS_NOTHING: &str = "check the port, and what stands between: a load balancer without a broker, a broker that hangs";

/// Advice about a peer that ends the connection without an answer.
pub(super) fn closes(scheme: Scheme) -> String {
    match tls_of(scheme) {
        Some(tls) if tls != scheme => format!(
            "check the port; a TLS port needs {tls}://, and a proxy may have no broker behind it"
        ),
        _ => "check the address; a proxy may have no broker behind it".into(),
    }
}

/// Advice about a socket of the file system that does not accept connections.
pub(super) fn path(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::NotFound => {
            "no socket is there: start the host of the broker, or correct the path"
        }
        ErrorKind::ConnectionRefused => {
            "nothing listens at the socket: its host has ended, start it again"
        }
        ErrorKind::PermissionDenied => {
            "the user of this process may not use the socket: the host has to permit it"
        }
        _ => "check that the host of the broker runs, and the path of its socket",
    }
}

/// Returns the scheme of the same protocol with TLS. A socket of the file system has none.
fn tls_of(scheme: Scheme) -> Option<Scheme> {
    match scheme {
        Scheme::Memory | Scheme::ZmqIpc => None,
        scheme => Some(scheme.with_tls()),
    }
}

/// Returns the scheme of the same protocol without TLS.
fn plain_of(scheme: Scheme) -> Scheme {
    match scheme {
        Scheme::Zmqs => Scheme::Zmq,
        Scheme::Amqps => Scheme::Amqp,
        Scheme::ActiveMqSsl => Scheme::ActiveMq,
        other => other,
    }
}

/// Advice about a port that does not accept connections.
pub(super) fn tcp(kind: Option<ErrorKind>, scheme: Scheme, port: u16) -> String {
    match kind {
        Some(ErrorKind::ConnectionRefused) if port == scheme.default_port() => {
            format!("nothing listens at port {port}: start the broker, or name another port")
        }
        Some(ErrorKind::ConnectionRefused) => format!(
            "nothing listens at port {port}: check the port; {}:// has {} by default",
            scheme.as_str(),
            scheme.default_port()
        ),
        Some(ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
            "no answer: check the address, the firewall, and whether the machine runs".into()
        }
        _ => "check the address, the network and the routes of this machine".into(),
    }
}

/// Advice about a TLS handshake that failed, by the text of the error.
pub(super) fn tls(text: &str, scheme: Scheme) -> String {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let advice = if has(&["UnknownIssuer", "BadSignature"]) {
        "name the authority of the certificate in the URL: ?cacertfile=FILE"
    } else if has(&["not valid for name", "NotValidForName"]) {
        "connect by a name of the certificate, or add ?server_name_indication=NAME to the URL"
    } else if has(&["Expired", "expired", "NotValidYet", "not valid yet"]) {
        "renew the certificate of the broker; check the clock of this machine"
    } else if has(&["InvalidContentType", "corrupt message", "InvalidMessage"]) {
        let plain = plain_of(scheme);
        return format!("the port has no TLS: use {plain}://, or the port of TLS");
    } else if has(&["CertificateRequired", "HandshakeFailure", "BadCertificate", "AccessDenied"]) {
        "the broker may want a certificate of the client: ?certfile=FILE&keyfile=FILE"
    } else {
        let port = scheme.default_port();
        return format!("check that the port has TLS: {port} by default for {scheme}://");
    };
    advice.into()
}

/// Names the protocol that begins with these octets, and what to do.
pub(super) fn of_other_protocol(first: &[u8], scheme: Scheme) -> (String, String) {
    let has_tls = tls_of(scheme) == Some(scheme);
    let named = |protocol: &str, advice: String| (protocol.to_string(), advice);
    let port = match scheme {
        Scheme::ZmqIpc => "name the socket of the broker".to_string(),
        _ => format!(
            "name the port of the broker: {scheme}:// has {} by default",
            scheme.default_port()
        ),
    };
    if first.starts_with(b"HTTP/") {
        named("HTTP", format!("{port}, RabbitMQ's management 15672"))
    } else if first.starts_with(b"\x15\x03") {
        let tls = tls_of(scheme).unwrap_or(Scheme::Zmqs);
        named("TLS", format!("the port has TLS: use {tls}://, or the port without TLS"))
    } else if first.starts_with(b"\xff") {
        let other = if has_tls { Scheme::Zmqs } else { Scheme::Zmq };
        named("ZeroMQ", format!("use {other}:// for a hosted broker of carrot"))
    } else if first.starts_with(b"AMQP") {
        let other = if has_tls { Scheme::Amqps } else { Scheme::Amqp };
        named("AMQP", format!("use {other}://, or name the port of the other broker"))
    } else if is_openwire(first) {
        let other = if has_tls { Scheme::ActiveMqSsl } else { Scheme::ActiveMq };
        named("OpenWire", format!("use {other}:// for ActiveMQ"))
    } else if first.starts_with(b"SSH-") {
        named("SSH", port)
    } else if first.starts_with(b"ERROR") {
        named("STOMP", port)
    } else {
        let shown = escaping::octets(first);
        (format!("another protocol, which begins with \"{shown}\""), port)
    }
}
