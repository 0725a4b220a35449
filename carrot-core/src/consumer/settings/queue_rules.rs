//! The rules of streams, which the definition of the queue shows.

use crate::backend::Acknowledgement;
use crate::consumer::settings::ConsumerSettings;
use crate::consumer::stream_offset::STREAM_OFFSET;
use crate::error::{Error, Result};

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
}
