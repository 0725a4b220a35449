//! The first difference between the frames of two brokers.

use crate::wire::observed::{ObservedFrames, Stream, StreamKind, THE_END};
use crate::wire::run::WireLog;

/// The first difference between the frames of two brokers.
#[derive(Debug, Clone, PartialEq)]
pub struct WireDifference {
    /// The step, or the number of steps for the end.
    pub step: usize,
    /// The stream that differs.
    pub stream: Option<Stream>,
    /// The frames of the stream that the server sent, from the first that differs.
    pub server: Vec<String>,
    /// The frames of the stream that RabbitMQ sent, from the first that differs.
    pub rabbitmq: Vec<String>,
}

/// Returns the first difference.
pub(crate) fn difference(server: &WireLog, rabbitmq: &WireLog) -> Option<WireDifference> {
    let streams: Vec<&Stream> = server.frames.keys().chain(rabbitmq.frames.keys()).collect();
    let lines =
        |frames: &ObservedFrames, stream: &Stream| frames.get(stream).cloned().unwrap_or_default();
    // A channel and the connection answer independently, and the close of the connection wins.
    let is_closed = |connection: usize| {
        let stream = Stream { connection, channel: 0, kind: StreamKind::Answers };
        let is_close = |line: &String| line.starts_with("connection.close ") || line == THE_END;
        lines(&rabbitmq.frames, &stream).iter().any(is_close)
    };
    // The step that was under way when the run on RabbitMQ stopped.
    let step = rabbitmq.counts.len().saturating_sub(1);
    let counted = server.counts.get(step);
    let differences = streams.into_iter().filter_map(|stream| {
        let (server, rabbitmq) = (lines(&server.frames, stream), lines(&rabbitmq.frames, stream));
        // The run on RabbitMQ may have stopped before.
        let most = counted.and_then(|counts| counts.get(stream)).copied().unwrap_or(0);
        let at = server.iter().zip(&rabbitmq).position(|(one, other)| one != other);
        let at = at.or_else(|| {
            let shorter = rabbitmq.len().min(server.len());
            if stream.channel > 0 && is_closed(stream.connection) {
                return None;
            }
            (rabbitmq.len() < most || rabbitmq.len() > server.len()).then_some(shorter)
        })?;
        Some(WireDifference {
            step,
            stream: Some(stream.clone()),
            server: server[at..].to_vec(),
            rabbitmq: rabbitmq[at..].to_vec(),
        })
    });
    // The run on RabbitMQ stopped at a frame that differs. Others are only missing.
    differences.min_by_key(|difference| {
        let is_missing = difference.rabbitmq.is_empty();
        let is_answer = difference
            .stream
            .as_ref()
            .is_some_and(|stream| stream.kind == StreamKind::Answers && stream.channel > 0);
        (is_missing, is_answer)
    })
}
