//! The part of a run that only streams need.

use crate::backend::ConsumeOptions;
use crate::consumer::disposition::Disposition;
use crate::consumer::message::Message;
use crate::consumer::run::ConsumerRun;
use crate::consumer::stream_offset::{STREAM_OFFSET, StreamOffset};

impl ConsumerRun {
    pub(crate) fn is_stream(&self) -> bool {
        self.stream.is_some()
    }

    /// Returns `options` with the offset where the last subscription ended.
    pub(super) fn resume_options(&self, mut options: ConsumeOptions) -> ConsumeOptions {
        if let Some(offset) = self.stream.as_ref().and_then(|position| position.resume()) {
            options.arguments.insert(STREAM_OFFSET, StreamOffset::Number(offset));
        }
        options
    }

    /// Returns whether the run has settled the message of a stream before the last loss.
    pub(super) fn was_handled(&self, message: &Message) -> bool {
        match (&self.stream, message.stream_offset()) {
            (Some(position), Some(offset)) => !position.is_open(offset),
            _ => false,
        }
    }

    /// Acknowledges a message that the run has handled before, so that the broker sends the next
    /// one.
    pub(super) fn skip(&self, mut message: Message) {
        if let Err(error) = message.settle(Disposition::Ack) {
            log::debug!("skipping a message failed: {error} queue={:?}", message.queue());
        }
    }
}
