//! The behaviour that the comparison on the wire leaves out.
//!
//! # Not compared
//!
//! * The words about malformed octets: RabbitMQ shows Erlang terms there. See [`shown_text`](crate::wire::observed::shown_text).
//!   Codes, classes and methods are compared.
//! * Names that the broker generates, which are replaced with numbers.
//! * The properties of the broker in `connection.start`, and heartbeats.
//! * The types `U` and `L` of values. RabbitMQ closes the connection over the first, and the server
//!   reads it. RabbitMQ 4 forwards the second as `l`, and the server as it arrived.
//! * Frames of a connection that the broker closes in the same step.
//! * The order of frames of different [`StreamKind`]s, and of
//!   different channels. Different processes of RabbitMQ send them.
//! * AMQP 0-8, which RabbitMQ 3 speaks, too.
//! * The use of `multiple` in confirms. Each message has to be confirmed once.
//! * What follows `connection.close` of the broker.
//!
//! # Unspecified
//!
//! See [`WireUnspecified`]. A program that differs after such a behaviour is counted and is no
//! divergence.

use crate::wire::difference::WireDifference;
use crate::wire::observed::{Stream, StreamKind, THE_END};
use crate::wire::program::WireProgram;
use crate::wire::run::WireLog;

/// A behaviour that AMQP does not specify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WireUnspecified {
    /// A channel had several consumers. Each queue is a process, so that the tags of deliveries
    /// depend on a race. So does all that depends on the tags, if the program settles deliveries,
    /// and the choice of the deliveries, if the channel has a prefetch.
    SeveralConsumers,
    /// A channel had a consumer and fetched a message. Both queues are processes, so that the tags
    /// of the delivery and of the fetched message depend on a race. Only tags differ.
    FetchedBesideConsumer,
    /// A channel with a consumer settled a delivery that is unknown on one side. The delivery
    /// depends on a race with the method.
    SettledBeforeDelivery,
    /// A channel was closed over an error. What a queue sent to it at the same time, such as
    /// confirms and `basic.consume-ok`, depends on a race.
    ClosedChannel,
    /// A process of RabbitMQ crashes: over a method without a known number, over a malformed table
    /// in a method, and RabbitMQ 4.3 over `basic.cancel-ok`. The connection ends without a close,
    /// or with `INTERNAL_ERROR` for the last. The server closes the connection (501 or 503).
    Crash,
    /// A consumer was cancelled before the queue had answered that it started. RabbitMQ 3.10
    /// crashes, and RabbitMQ 4.3 does not send `basic.consume-ok`. The server answers both.
    CancelledAtOnce,
    /// A method had an empty name of a queue, on a channel that is not open or waits for the answer
    /// to its close. RabbitMQ looks for the last declared queue first, and closes the channel.
    EmptyName,
    /// Several frames or fields of one step were wrong. The reader of RabbitMQ refuses frames out
    /// of place, and its channel refuses methods, at the same time. One of them is
    /// `channel.close-ok` on an open channel, after which the reader expects `channel.open`.
    SeveralErrors,
    /// A method followed `tx.commit` before its answer. RabbitMQ closes the connection (504) if the
    /// messages are not on disk yet. The server has committed then.
    CommitInProgress,
    /// A body is longer than its header announced. The server closes the connection (501). RabbitMQ
    /// waits for octets without an end.
    LongBody,
}

impl WireUnspecified {
    /// Returns the behaviour that explains a difference.
    pub fn of(
        program: &WireProgram,
        log: &WireLog,
        difference: &WireDifference,
    ) -> Option<WireUnspecified> {
        let stream = difference.stream.as_ref()?;
        let WireDifference { server, rabbitmq, .. } = difference;
        let first = server.first().map(String::as_str).unwrap_or_default();
        let closes = |codes: &[&str]| {
            codes.iter().any(|code| {
                first.strip_prefix("connection.close ").is_some_and(|close| close.starts_with(code))
            })
        };
        let crash = rabbitmq.first().map(String::as_str).unwrap_or_default();
        if closes(&["501 ", "503 "]) && crash == THE_END
            || closes(&["503 "]) && first.ends_with("(60, 31)") && crash == INTERNAL_ERROR
        {
            return Some(WireUnspecified::Crash);
        }
        let is_delivery = matches!(stream.kind, StreamKind::Deliveries(_));
        if (crash == INTERNAL_ERROR || is_delivery && rabbitmq.is_empty())
            && program.cancels_at_once()
        {
            return Some(WireUnspecified::CancelledAtOnce);
        }
        if first.starts_with(LONG_BODY) && (rabbitmq.is_empty() || crash.ends_with(MISSED_BODY)) {
            return Some(WireUnspecified::LongBody);
        }
        if rabbitmq.iter().any(|line| line.contains("while processing 'tx.commit'")) {
            return Some(WireUnspecified::CommitInProgress);
        }
        let is_out_of_place = crash.starts_with("connection.close 505 ");
        if first.contains("expected 'channel.open'") && (is_out_of_place || crash == MALFORMED_TEXT)
            || first.starts_with("connection.close 540 ") && is_out_of_place
            || first.ends_with("unimplemented method (20, 41)")
                && crash.contains("expected 'channel.open'")
        {
            return Some(WireUnspecified::SeveralErrors);
        }
        if rabbitmq.iter().any(|line| line.contains("NOT_FOUND - no previously declared queue")) {
            return Some(WireUnspecified::EmptyName);
        }
        let is_here = |other: &Stream| {
            (other.connection, other.channel) == (stream.connection, stream.channel)
        };
        let is_consumer =
            |other: &&Stream| is_here(other) && matches!(other.kind, StreamKind::Deliveries(_));
        let untagged = |lines: &[String]| -> Vec<String> {
            lines.iter().map(|line| without_tag(line)).collect()
        };
        let differs_in_tags =
            !rabbitmq.is_empty() && untagged(server).starts_with(&untagged(rabbitmq));
        if log.frames.keys().filter(is_consumer).count() > 1
            && (differs_in_tags || program.has_settlements() || program.has_channel_prefetch())
        {
            return Some(WireUnspecified::SeveralConsumers);
        }
        let is_unknown =
            |line: &String| line.contains("PRECONDITION_FAILED - unknown delivery tag");
        if log.frames.keys().any(|other| is_consumer(&other))
            && server.iter().chain(rabbitmq).any(is_unknown)
        {
            return Some(WireUnspecified::SettledBeforeDelivery);
        }
        let fetches = |line: &String| line.starts_with("BasicGetOk");
        let answers = Stream { kind: StreamKind::Answers, ..stream.clone() };
        let has_fetched = |answers: &Vec<String>| answers.iter().any(fetches);
        if log.frames.keys().any(|other| is_consumer(&other))
            && (log.frames.get(&answers).is_some_and(has_fetched))
            && untagged(server) == untagged(rabbitmq)
        {
            return Some(WireUnspecified::FetchedBesideConsumer);
        }
        let is_closed = log.frames.get(&answers).is_some_and(|answers| {
            answers.iter().any(|answer| answer.starts_with("channel.close "))
        });
        (is_closed && stream.kind != StreamKind::Answers).then_some(WireUnspecified::ClosedChannel)
    }
}

/// Returns a line without the tag of its delivery.
fn without_tag(line: &str) -> String {
    let Some((before, tagged)) = line.split_once("delivery_tag: ") else { return line.to_string() };
    let rest = tagged.trim_start_matches(|digit: char| digit.is_ascii_digit());
    format!("{before}{rest}")
}

/// The close after a crash that RabbitMQ catches.
const INTERNAL_ERROR: &str = "connection.close 541 INTERNAL_ERROR (0, 0)";
/// The close over a name that is not UTF-8.
const MALFORMED_TEXT: &str = "connection.close 501 FRAME_ERROR (0, 0)";
/// The end of the close over what follows a body that is too long.
const MISSED_BODY: &str = " 505 UNEXPECTED_FRAME (60, 40)";
/// The close over a body that is too long.
const LONG_BODY: &str = "connection.close 501 FRAME_ERROR (60, 40)";
