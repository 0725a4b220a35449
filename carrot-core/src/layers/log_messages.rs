use std::fmt;
use std::time::Instant;

use crate::consumer::handled::Handled;
use crate::consumer::layer::{HandleLayer, Next};
use crate::consumer::message::Message;
use crate::escaping::Printable;
use crate::layers::quoted::Quoted;
use crate::model::Properties;
use crate::publish_layer::layer::PublishLayer;
use crate::publish_layer::outgoing::SentMessage;

/// The maximum length of an error or a reason in a line, in bytes.
const LONGEST_REASON: usize = 300;

/// Logs one line for each message that is sent, and for each attempt at handling one.
///
/// A line names the exchange, the routing key, the message id, the number of bytes, the outcome and
/// the time. It never contains a body or the value of a header. Text of a peer is escaped and cut.
///
/// The outcome of handling is the decision of the handler and of the layers inside this one, before
/// the message is settled.
///
/// ```
/// use carrot::layers::LogMessages;
///
/// let connection = carrot::connect("memory://")?
///     .with_publish_layer(LogMessages::new())
///     .with_handle_layer(LogMessages::new().level(log::Level::Info));
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct LogMessages {
    level: log::Level,
}

impl LogMessages {
    /// Creates a layer that logs at debug level.
    pub fn new() -> LogMessages {
        LogMessages { level: log::Level::Debug }
    }

    /// Sets the level of the lines.
    ///
    /// Defaults to debug.
    #[must_use = "it returns the changed layer"]
    pub fn level(mut self, level: log::Level) -> LogMessages {
        self.level = level;
        self
    }
}

impl Default for LogMessages {
    fn default() -> LogMessages {
        LogMessages::new()
    }
}

impl PublishLayer for LogMessages {
    fn after_send(&self, message: &SentMessage<'_>) {
        log::log!(
            self.level,
            "{} {} time={:?}",
            SentOutcome(message),
            ShownMessage {
                exchange: message.exchange(),
                routing_key: message.routing_key(),
                properties: message.properties(),
                body: message.body(),
            },
            message.elapsed()
        );
    }
}

impl HandleLayer for LogMessages {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        let start = Instant::now();
        let handled = next.run(message);
        log::log!(
            self.level,
            "{} queue={} {} attempt={} time={:?}",
            HandledOutcome(&handled),
            Quoted(message.queue()),
            ShownMessage {
                exchange: message.exchange(),
                routing_key: message.routing_key(),
                properties: message.properties(),
                body: message.body(),
            },
            message.attempt(),
            start.elapsed()
        );
        handled
    }
}

/// Displays the outcome of sending.
struct SentOutcome<'a>(&'a SentMessage<'a>);

impl fmt::Display for SentOutcome<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.error() {
            Some(error) => {
                write!(formatter, "sending a message failed: ")?;
                Printable::new(LONGEST_REASON, error).fmt(formatter)
            }
            None if self.0.is_confirmed() => formatter.write_str("message was confirmed"),
            None => formatter.write_str("message was sent without a confirm"),
        }
    }
}

/// Displays the outcome of handling.
struct HandledOutcome<'a>(&'a Handled);

impl fmt::Display for HandledOutcome<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HandledOutcome(handled) = self;
        if let Some(settlement) = handled.settlement() {
            return write!(formatter, "message was handled: {settlement:?}");
        }
        let what = match () {
            () if handled.is_undecodable() => "decoding a message failed",
            () if handled.is_postponed() && handled.is_permanent() => "handler parked a message",
            () if handled.is_postponed() => "handler postponed a message",
            () => "handling a message failed",
        };
        let reason = handled.failure().unwrap_or_default();
        write!(formatter, "{what}: {}", Printable::new(LONGEST_REASON, reason))
    }
}

/// Displays the names and the size of a message.
struct ShownMessage<'a> {
    exchange: &'a str,
    routing_key: &'a str,
    properties: &'a Properties,
    body: &'a [u8],
}

impl fmt::Display for ShownMessage<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "exchange={} routing_key={} message_id={} bytes={}",
            Quoted(self.exchange),
            Quoted(self.routing_key),
            Quoted(self.properties.message_id().unwrap_or_default()),
            self.body.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::consumer::handler_error::HandlerError;
    use crate::consumer::settlement::Settlement;

    #[test]
    fn outcomes_of_handling_are_named_and_cut() {
        let shown = |handled: Handled| HandledOutcome(&handled).to_string();
        assert_eq!(shown(Handled::settled(Settlement::Reject)), "message was handled: Reject");
        let postponed = Handled::settled(Settlement::RetryAfter(Duration::from_secs(1)));
        assert_eq!(shown(postponed), "handler postponed a message: another attempt in 1s");
        let parked = Handled::settled(Settlement::Park("a\nb".into()));
        assert_eq!(shown(parked), "handler parked a message: a\\nb");
        let failed = shown(Handled::failed(HandlerError::permanent("x".repeat(5000))));
        assert!(failed.starts_with("handling a message failed: xxx"), "{failed}");
        assert!(failed.len() < LONGEST_REASON + 50, "{failed}");
    }
}
