//! The errors of a handshake that failed; pure.

use std::io;

use amiquip::Error as AmqpError;
use carrot_core::Error;

use super::capabilities::RABBITMQ_MIN_FRAME_MAX;
use super::close_method::ConnectionClose;
use super::connect_error::connect_error;
use super::handshake::{HandshakeRefusal, HandshakeStep};
use super::read_end::{HandshakeEnd, ReadEnd};

/// The reason why one address was given up.
pub(crate) enum ConnectFailure {
    /// No answer in its share of the time.
    Slow,
    /// Another address may succeed.
    Failed(Error),
    /// Another address would fail in the same way.
    Final(Error),
}

impl ConnectFailure {
    /// Returns the failure of a step that has its share of the time.
    pub(crate) fn of_step(endpoint: &str, reason: &str, error: io::Error) -> ConnectFailure {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => ConnectFailure::Slow,
            _ => ConnectFailure::Failed(connect_error(endpoint, reason, Some(error))),
        }
    }
}

/// The largest frame that RabbitMQ before 4.1 accepts before authentication.
const RABBITMQ_FIRST_FRAME_MAX: usize = 4096;

/// An attempt to connect, besides its error.
#[derive(Debug)]
pub(crate) struct Attempted<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) user: &'a str,
    pub(crate) vhost: &'a str,
    /// Whether the broker accepted the credentials and the tuning before. A connection that ends
    /// without a word after either was sent is then taken as lost, and not as refused.
    pub(crate) accepted_before: bool,
    /// Whether this side gave up.
    pub(crate) is_abandoned: bool,
    /// The size of the frame with the credentials.
    pub(crate) start_ok_size: usize,
    /// The size of frames that this side asked for.
    pub(crate) wanted_frame_max: u32,
    /// The size of frames that was agreed on.
    pub(crate) frame_max: u32,
    /// The smallest size of frames that the broker accepts; 0 if it is not known.
    pub(crate) min_frame_max: u32,
}

/// Returns the reason why a handshake failed.
pub(crate) fn refused(
    error: AmqpError,
    end: Option<HandshakeEnd>,
    attempted: &Attempted<'_>,
) -> ConnectFailure {
    let error = match failure_of_system(error) {
        Ok(source) => return attempted.failed("starting channel 0 failed", Some(source)),
        Err(error) => error,
    };
    // amiquip also gives up over connection.close.
    let was_closed = matches!(end, Some((ReadEnd::Closed(_), _)));
    let is_slow = attempted.is_abandoned || matches!(error, AmqpError::ConnectionTimeout);
    if is_slow && !was_closed {
        return ConnectFailure::Slow;
    }
    let Some((end, step)) = end else {
        return attempted.failed("the driver panicked", None);
    };
    match end {
        ReadEnd::Closed(close) => attempted.closed(&close),
        ReadEnd::Refused(refusal @ (HandshakeRefusal::Mechanism(_) | HandshakeRefusal::Secure)) => {
            attempted.denied(refusal.to_string())
        }
        ReadEnd::Refused(refusal) => attempted.failed(refusal.to_string(), None),
        ReadEnd::Broken(violation) => attempted.failed(violation.text, None),
        ReadEnd::Eof | ReadEnd::Io(_) if step == HandshakeStep::Tune => {
            let mut words = "it closed the connection when it saw the credentials".to_string();
            words += &large_first_frame(attempted.start_ok_size);
            if attempted.accepted_before {
                words += "; it accepted earlier ones";
                attempted.failed(words, None)
            } else {
                attempted.denied(words)
            }
        }
        ReadEnd::Eof | ReadEnd::Io(_)
            if step == HandshakeStep::Open
                && attempted.wanted_frame_max < attempted.min_frame_max
                && !attempted.accepted_before =>
        {
            ConnectFailure::Final(Error::config(
                "frame_max",
                format!(
                    "{} must be at least {} bytes for the broker at {}, which is RabbitMQ 4.1 or \
                     later",
                    attempted.wanted_frame_max, attempted.min_frame_max, attempted.endpoint
                ),
            ))
        }
        ReadEnd::Eof | ReadEnd::Io(_)
            if step == HandshakeStep::Open && attempted.frame_max < RABBITMQ_MIN_FRAME_MAX =>
        {
            let words = "it closed the connection after tuning";
            attempted.failed(words.to_string() + &small_frame_max(attempted.frame_max), None)
        }
        ReadEnd::Eof => attempted.failed("the broker closed the socket without a word", None),
        ReadEnd::Io(error) => attempted.failed("reading from the socket failed", Some(error)),
    }
}

/// Describes credentials in a frame that RabbitMQ may refuse, which it does without a word, after
/// 3 s or more. Empty for a smaller frame.
pub(crate) fn large_first_frame(size: usize) -> String {
    if size <= RABBITMQ_FIRST_FRAME_MAX {
        return String::new();
    }
    format!(
        ", with credentials in a frame of {size} bytes; RabbitMQ accepts \
         {RABBITMQ_FIRST_FRAME_MAX} bytes before authentication, and {RABBITMQ_MIN_FRAME_MAX} \
         since 4.1"
    )
}

/// Describes a frame_max that RabbitMQ may refuse, which it does without a word, after 3 s or more.
/// Empty for a larger one, and for 0, which stands for no limit.
pub(crate) fn small_frame_max(frame_max: u32) -> String {
    if frame_max == 0 || frame_max >= RABBITMQ_MIN_FRAME_MAX {
        return String::new();
    }
    format!(", with frame_max={frame_max}; RabbitMQ 4.1 and later require {RABBITMQ_MIN_FRAME_MAX}")
}

/// Returns the error of the operating system over which amiquip has ended, or any other error.
fn failure_of_system(error: AmqpError) -> Result<io::Error, AmqpError> {
    match error {
        AmqpError::CreatePollHandle { source }
        | AmqpError::RegisterWithPollHandle { source }
        | AmqpError::FailedToPoll { source }
        | AmqpError::ForkFailed { source } => Ok(source),
        other => Err(other),
    }
}

impl Attempted<'_> {
    fn failed(&self, reason: impl AsRef<str>, source: Option<io::Error>) -> ConnectFailure {
        ConnectFailure::Failed(connect_error(self.endpoint, reason.as_ref(), source))
    }

    fn denied(&self, reason: impl Into<String>) -> ConnectFailure {
        ConnectFailure::Final(Error::Authentication {
            endpoint: self.endpoint.to_string(),
            user: self.user.to_string(),
            reason: reason.into(),
        })
    }

    fn closed(&self, close: &ConnectionClose) -> ConnectFailure {
        let ConnectionClose { code, text, .. } = close;
        match code {
            403 => self.denied(format!("it refused the credentials: {code} {text}")),
            530 => self.denied(format!("vhost {:?}: {code} {text}", self.vhost)),
            _ => self.failed(close.to_string(), None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_of_the_system_is_named_and_not_taken_for_a_timeout() {
        let attempted = Attempted {
            endpoint: "localhost:5672",
            user: "guest",
            vhost: "/",
            accepted_before: false,
            is_abandoned: true,
            start_ok_size: 0,
            wanted_frame_max: 0,
            frame_max: 0,
            min_frame_max: 0,
        };
        let source = || io::Error::other("too many open files");
        for error in [
            AmqpError::CreatePollHandle { source: source() },
            AmqpError::RegisterWithPollHandle { source: source() },
            AmqpError::ForkFailed { source: source() },
        ] {
            let failure = refused(error, None, &attempted);
            assert!(matches!(&failure, ConnectFailure::Failed(error)
                    if error.to_string().contains("too many open files")));
        }
        assert!(matches!(
            refused(AmqpError::ConnectionTimeout, None, &attempted),
            ConnectFailure::Slow
        ));
    }
}
