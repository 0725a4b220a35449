//! The advice about failures.

use std::io::ErrorKind;

use carrot::config::Scheme;

use crate::escaping;

pub(super) const SAYS_NOTHING: &str = "check the port, and what stands between: a load balancer without a broker, a broker that hangs";
pub(super) const CLOSES: &str =
    "check the port; a TLS port needs amqps://, and a proxy may have no broker behind it";

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
pub(super) fn tls(text: &str) -> &'static str {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["UnknownIssuer", "BadSignature"]) {
        "name the authority of the certificate in the URL: ?cacertfile=FILE"
    } else if has(&["not valid for name", "NotValidForName"]) {
        "connect by a name of the certificate, or add ?server_name_indication=NAME to the URL"
    } else if has(&["Expired", "expired", "NotValidYet", "not valid yet"]) {
        "renew the certificate of the broker; check the clock of this machine"
    } else if has(&["InvalidContentType", "corrupt message", "InvalidMessage"]) {
        "the port has no TLS: use amqp:// or zmq://, or the port of TLS"
    } else if has(&["CertificateRequired", "HandshakeFailure", "BadCertificate", "AccessDenied"]) {
        "the broker may want a certificate of the client: ?certfile=FILE&keyfile=FILE"
    } else {
        "check that the port has TLS: 5671 by default for amqps://, 5556 for zmqs://"
    }
}

/// Names the protocol that begins with these octets, and what to do.
pub(super) fn of_other_protocol(first: &[u8]) -> (String, &'static str) {
    let known: [(&[u8], &str, &str); 6] = [
        (
            b"HTTP/",
            "HTTP",
            "name the port of the broker: AMQP is at 5672, RabbitMQ's management at 15672",
        ),
        (b"\x15\x03", "TLS", "the port has TLS: use amqps://, or the port without TLS"),
        (b"\xff", "ZeroMQ", "use zmq:// for a hosted broker of carrot"),
        (b"AMQP", "AMQP", "use amqp://, or name the port of the ZeroMQ host"),
        (b"SSH-", "SSH", "name the port of the broker: AMQP is at 5672"),
        (b"ERROR", "STOMP", "name the port of the broker: AMQP is at 5672"),
    ];
    match known.iter().find(|(start, _, _)| first.starts_with(start)) {
        Some((_, protocol, advice)) => ((*protocol).to_string(), advice),
        None => {
            let shown = escaping::octets(first);
            (
                format!("another protocol, which begins with {shown:?}"),
                "check the port: amqp:// has 5672, amqps:// 5671 and zmq:// 5555 by default",
            )
        }
    }
}
