//! The rules of streams and of delayed retries, which the definition of the queue shows.

use crate::backend::Acknowledgement;
use crate::consumer::settings::ConsumerSettings;
use crate::consumer::stream_offset::STREAM_OFFSET;
use crate::error::{Error, Result};
use crate::model::Value;

impl ConsumerSettings {
    /// Returns whether the definition describes a stream, by its queue or by an offset.
    pub(crate) fn reads_stream(&self) -> bool {
        self.queue.is_stream()
            || self.stream_offset.is_some()
            || self.options.arguments.contains(STREAM_OFFSET)
    }

    /// Refuses the settings that a stream refuses, some of them with the loss of the connection.
    pub(super) fn validate_stream(&self) -> Result<()> {
        if let Some(offset) = self.stream_offset {
            offset.validate()?;
            if self.options.arguments.contains(STREAM_OFFSET) {
                let reason = "excludes the argument x-stream-offset";
                return Err(Error::config("stream_offset", reason));
            }
        }
        if !self.reads_stream() {
            return Ok(());
        }
        let refused = [
            (
                "automatic_acknowledgement",
                self.options.acknowledgement == Acknowledgement::Automatic,
                "not supported by streams, which send more messages only after acknowledgements",
            ),
            (
                "requeue_failed",
                self.failures.requeues,
                "not supported by streams, which take no message back",
            ),
            (
                "priority",
                self.options.arguments.contains("x-priority"),
                "not supported by streams, whose consumers all receive every message",
            ),
        ];
        match refused.into_iter().find(|(_, is_set, _)| *is_set) {
            Some((option, _, reason)) => Err(Error::config(option, reason)),
            None => Ok(()),
        }
    }

    /// Refuses pauses with which the broker would not delay.
    pub(super) fn validate_delayed_retry(&self) -> Result<()> {
        if !self.queue.delays_failed() {
            return Ok(());
        }
        let pause = |name| self.queue.arguments.get(name).and_then(Value::as_i64);
        let shortest = pause("x-delayed-retry-min").unwrap_or(0);
        if shortest < 1 {
            let limit = "at least 1 ms, because the broker would not delay";
            return Err(Error::invalid("delayed retry", &format!("{shortest} ms"), limit));
        }
        match pause("x-delayed-retry-max") {
            Some(longest) if longest < shortest => Err(Error::Invalid {
                field: "longest delayed retry".into(),
                value: format!("{longest} ms"),
                limit: format!("at least the shortest, {shortest} ms").into(),
            }),
            _ => Ok(()),
        }
    }
}
