//! What amiquip's errors mean for a channel, a connection and a handshake; pure.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use amiquip::Error as AmqpError;
use carrot_core::backend::printable;
use carrot_core::{Cause, Error};

use crate::inspector::Refused;

const MALFORMED: &str = "a frame that cannot be parsed: as a rule the delivery of a message whose routing key, exchange or other short \
                         property is not UTF-8; the message stays in its queue";

/// What a failed call on a channel says.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The broker closed this channel; the connection lives on.
    Channel(Error),
    /// The connection is gone, for this reason.
    Connection(Error),
    /// The connection is gone, and the reason is to be had from the connection only.
    Unexplained,
    /// Nothing is lost but the call.
    Call(Error),
}

pub(crate) fn fault(error: AmqpError) -> Fault {
    match error {
        AmqpError::ServerClosedChannel { code, message, .. } => {
            Fault::Channel(channel_closed(code, &message))
        }
        AmqpError::ServerClosedConnection { code, message } => {
            Fault::Connection(connection_closed(code, &message))
        }
        AmqpError::ExhaustedChannelIds => Fault::Call(Error::Backend {
            reason: "the connection has no channel left; see the option channel_max".to_string(),
            source: None,
        }),
        _ => Fault::Unexplained,
    }
}

/// RabbitMQ uses one code for several conditions, which its words tell apart.
/// The broker's words, which may hold names that a stranger chose, fit for logs and errors.
pub(crate) fn words(text: &str) -> String {
    const LONGEST: usize = 1000;
    printable(LONGEST, text)
}

pub(crate) fn channel_closed(code: u16, text: &str) -> Error {
    let reason = words(text);
    let text = &*reason;
    match code {
        404 if text.contains("is down or inaccessible") => return Error::Unavailable { reason },
        403 if text.contains("in exclusive use") => return Error::ResourceLocked { reason },
        _ => {}
    }
    Error::from_channel_close(code, text).unwrap_or_else(|| Error::Backend {
        reason: format!("the broker closed the channel: {code} {text}"),
        source: None,
    })
}

fn connection_closed(code: u16, text: &str) -> Error {
    Error::disconnected(format!("the broker closed the connection: {code} {}", words(text)))
}

/// Why an open connection ended, by what closing it gave.
pub(crate) fn death(result: Result<(), AmqpError>) -> Error {
    let error = match result {
        Ok(()) | Err(AmqpError::ClientClosedConnection) => return Error::closed("connection"),
        Err(AmqpError::ServerClosedConnection { code, message }) => {
            return connection_closed(code, &message);
        }
        Err(AmqpError::MalformedFrame) => {
            return Error::Unreadable { reason: MALFORMED.to_string() };
        }
        Err(AmqpError::IoErrorReadingSocket { source }) if is_refused(&source) => {
            return Error::Unreadable {
                reason: format!("the delivery of {source}; the message stays in its queue"),
            };
        }
        Err(error) => error,
    };
    let (reason, source) = explain(error);
    let reason =
        source.as_ref().map_or_else(|| reason.to_string(), |source| format!("{reason}: {source}"));
    Error::Disconnected { reason, source }
}

fn is_refused(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Refused>())
}

fn explain(error: AmqpError) -> (&'static str, Option<Cause>) {
    match error {
        AmqpError::UnexpectedSocketClose => ("the broker closed the socket without a word", None),
        AmqpError::IoErrorReadingSocket { source } => {
            ("reading from the socket failed", cause(source))
        }
        AmqpError::IoErrorWritingSocket { source } => {
            ("writing to the socket failed", cause(source))
        }
        AmqpError::MissedServerHeartbeats => {
            ("nothing came from the broker for two heartbeat intervals", None)
        }
        AmqpError::IoThreadPanic => ("the driver's I/O thread panicked", None),
        other => ("the driver gave up", cause(other)),
    }
}

fn cause(error: impl std::error::Error + Send + Sync + 'static) -> Option<Cause> {
    Some(Arc::new(error))
}

/// What is known of a connection attempt besides its error.
#[derive(Debug)]
pub(crate) struct Attempted<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) user: &'a str,
    pub(crate) vhost: &'a str,
    /// Whether the peer ended the conversation, rather than this side.
    pub(crate) ended_by_peer: bool,
    /// Whether the credentials were accepted before. Then a connection that ends just after they were sent is taken for lost, not refused.
    pub(crate) accepted_before: bool,
}

/// Why a handshake failed; `None` if the peer did not answer in time.
pub(crate) fn handshake(error: AmqpError, attempted: &Attempted<'_>) -> Option<Error> {
    let refused = |reason: String| Error::Authentication {
        endpoint: attempted.endpoint.to_string(),
        user: attempted.user.to_string(),
        reason,
    };
    let connect = |reason: String, source: Option<Cause>| {
        Error::connect(attempted.endpoint, reason, Duration::ZERO, source)
    };
    Some(match error {
        AmqpError::ConnectionTimeout => return None,
        AmqpError::InvalidCredentials | AmqpError::IoThreadPanic if !attempted.ended_by_peer => {
            return None;
        }
        AmqpError::InvalidCredentials if attempted.accepted_before => connect(
            "it closed the connection when it saw the credentials, which it accepted before"
                .to_string(),
            None,
        ),
        AmqpError::InvalidCredentials => {
            refused("it closed the connection when it saw the credentials".to_string())
        }
        AmqpError::ServerClosedConnection { code: code @ (403 | 530), message } => {
            refused(format!("vhost {:?}: {code} {}", attempted.vhost, words(&message)))
        }
        AmqpError::ServerClosedConnection { code, message } => {
            connect(format!("the broker closed the connection: {code} {}", words(&message)), None)
        }
        AmqpError::UnsupportedAuthMechanism { available, requested } => refused(format!(
            "it does not offer the mechanism {requested}, only {}",
            words(&available)
        )),
        AmqpError::MalformedFrame => {
            connect("the peer does not speak AMQP 0-9-1".to_string(), None)
        }
        AmqpError::FrameMaxTooSmall { min, requested } => connect(
            format!("the peer allows frames of {requested} bytes only; AMQP asks for {min}"),
            None,
        ),
        other => {
            let (reason, source) = explain(other);
            connect(reason.to_string(), source)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error as _;

    fn closed_with(code: u16, message: &str) -> Error {
        match fault(AmqpError::ServerClosedChannel { channel_id: 1, code, message: message.into() })
        {
            Fault::Channel(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_may_pass_is_told_apart_by_the_words_of_the_broker() {
        let down = "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor, is down or inaccessible";
        let error = closed_with(404, down);
        assert!(
            matches!(error, Error::Unavailable { .. })
                && error.is_retryable()
                && error.is_channel_error()
        );
        let used = "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use";
        assert!(
            matches!(closed_with(403, used), Error::ResourceLocked { reason } if reason == used)
        );
        assert!(matches!(
            closed_with(404, "NOT_FOUND - no queue 'q' in vhost '/'"),
            Error::NotFound { .. }
        ));
        assert!(matches!(closed_with(406, used), Error::PreconditionFailed { .. }));
    }

    fn closed_channel(code: u16) -> Fault {
        fault(AmqpError::ServerClosedChannel { channel_id: 1, code, message: "WORDS".into() })
    }

    #[test]
    fn a_channel_error_is_typed_by_its_code() {
        assert!(matches!(closed_channel(403), Fault::Channel(Error::AccessRefused { .. })));
        assert!(matches!(closed_channel(404), Fault::Channel(Error::NotFound { .. })));
        assert!(matches!(closed_channel(405), Fault::Channel(Error::ResourceLocked { .. })));
        assert!(matches!(closed_channel(406), Fault::Channel(Error::PreconditionFailed { .. })));
        assert!(
            matches!(closed_channel(311), Fault::Channel(Error::Backend { reason, .. }) if reason.contains("311 WORDS"))
        );
    }

    #[test]
    fn the_words_of_the_broker_are_escaped() {
        let text = "NOT_FOUND - no queue 'a\u{1b}[31m\nb'";
        let closed =
            AmqpError::ServerClosedChannel { channel_id: 1, code: 404, message: text.into() };
        let Fault::Channel(Error::NotFound { reason }) = fault(closed) else { panic!() };
        assert_eq!(reason, "NOT_FOUND - no queue 'a\\u{1b}[31m\\nb'");
        let Fault::Connection(error) =
            fault(AmqpError::ServerClosedConnection { code: 320, message: text.into() })
        else {
            panic!()
        };
        assert!(!error.to_string().chars().any(char::is_control), "{error}");
    }

    #[test]
    fn a_connection_error_carries_the_words_of_the_broker() {
        let closed =
            AmqpError::ServerClosedConnection { code: 540, message: "NOT_IMPLEMENTED".into() };
        let Fault::Connection(error) = fault(closed) else { panic!() };
        assert!(
            error.to_string().contains("540 NOT_IMPLEMENTED") && error.is_retryable(),
            "{error}"
        );
        assert!(matches!(fault(AmqpError::EventLoopDropped), Fault::Unexplained));
    }

    #[test]
    fn every_death_but_our_own_is_retryable() {
        let io_error = || io::Error::from(io::ErrorKind::ConnectionReset);
        for error in [
            AmqpError::UnexpectedSocketClose,
            AmqpError::IoErrorReadingSocket { source: io_error() },
            AmqpError::MissedServerHeartbeats,
            AmqpError::IoThreadPanic,
            AmqpError::FrameUnexpected,
        ] {
            let death = death(Err(error));
            assert!(matches!(death, Error::Disconnected { .. }) && death.is_retryable());
        }
        let unreadable = death(Err(AmqpError::MalformedFrame));
        assert!(
            matches!(&unreadable, Error::Unreadable { reason } if reason.contains("UTF-8"))
                && unreadable.is_retryable()
        );
        let refused = io::Error::new(io::ErrorKind::InvalidData, Refused::Large(u64::MAX));
        let refused = death(Err(AmqpError::IoErrorReadingSocket { source: refused }));
        assert!(
            matches!(&refused, Error::Unreadable { reason } if reason.contains("18446744073709551615 bytes")),
            "{refused}"
        );
        assert!(matches!(death(Ok(())), Error::Closed { .. }));
        let reset = death(Err(AmqpError::IoErrorReadingSocket { source: io_error() }));
        assert!(reset.source().is_some_and(|source| source.to_string().contains("reset")));
    }

    #[test]
    fn credentials_are_refused_by_the_peer_only() {
        let by = |ended_by_peer| Attempted {
            endpoint: "h:1",
            user: "u",
            vhost: "/",
            ended_by_peer,
            accepted_before: false,
        };
        assert!(matches!(
            handshake(AmqpError::InvalidCredentials, &by(true)),
            Some(Error::Authentication { .. })
        ));
        assert!(handshake(AmqpError::InvalidCredentials, &by(false)).is_none());
        let cut = Attempted { accepted_before: true, ..by(true) };
        assert!(matches!(
            handshake(AmqpError::InvalidCredentials, &cut),
            Some(Error::Connect { .. })
        ));
        assert!(handshake(AmqpError::ConnectionTimeout, &by(false)).is_none());
        let vhost = AmqpError::ServerClosedConnection {
            code: 530,
            message: "NOT_ALLOWED - vhost x not found".into(),
        };
        assert!(
            matches!(handshake(vhost, &by(true)), Some(Error::Authentication { reason, .. }) if reason.contains("not found"))
        );
    }
}
