//! The state that a consumer and its runs share.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ConsumeOptions};
use crate::codec::body_decoder::BodyDecoder;
use crate::consumer::failure::FailurePolicy;
use crate::consumer::layer::HandleLayers;
use crate::consumer::message::{DeliverySource, FailedMessages, Message};
use crate::consumer::stop::Stop;
use crate::consumer::stream_position::StreamPosition;
use crate::error::{Error, Result};
use crate::publish_layer::layer::PublishLayers;
use crate::recovery::channel::RecoveringChannel;
use crate::recovery::effects::is_worth_another;
use crate::recovery::reconnecting::ChannelOwner;

/// The state that a consumer and its runs share.
#[derive(Debug)]
pub(crate) struct ConsumerShared {
    pub(crate) channel: RecoveringChannel<Arc<str>>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) options: ConsumeOptions,
    pub(crate) give_up_after: Option<Duration>,
    pub(crate) redeclares: bool,
    pub(crate) max_held_bytes: Option<u64>,
    /// Whether its queue can disappear by itself, such as after its last consumer.
    pub(crate) goes_by_itself: bool,
    /// Whether its queue is exclusive to its connection.
    pub(crate) is_exclusive: bool,
    /// Whether its definition describes a stream.
    pub(crate) is_stream: bool,
    pub(crate) policy: Arc<FailurePolicy>,
    pub(crate) layers: HandleLayers,
    /// The layers that the answers to requests pass.
    pub(crate) answer_layers: PublishLayers,
    /// The number of runs.
    pub(crate) runs: AtomicUsize,
    pub(super) decoder: Arc<BodyDecoder>,
}

impl ConsumerShared {
    /// Fetches the message at the head of the queue, if any.
    pub(crate) fn fetch(&self) -> Result<Option<Message>> {
        self.refuse_for_stream("fetch")?;
        self.with_queue(|| {
            self.channel.call(|opened, timeout| {
                let delivery =
                    opened.channel.get(&opened.state, self.options.acknowledgement, timeout)?;
                Ok(delivery.map(|delivery| {
                    self.policy.figures().fetched.fetch_add(1, Ordering::Relaxed);
                    Message::new(delivery, self.source(&opened.channel, &opened.state, None))
                }))
            })
        })
    }

    /// Calls `operation`, and calls it again if the queue has disappeared by itself: opening the
    /// next channel declares such a queue.
    pub(crate) fn with_queue<T>(&self, mut operation: impl FnMut() -> Result<T>) -> Result<T> {
        match operation() {
            Err(Error::NotFound { .. }) if self.goes_by_itself => operation(),
            result => result,
        }
    }

    /// Refuses a call that no stream supports.
    pub(crate) fn refuse_for_stream(&self, call: &'static str) -> Result<()> {
        if self.is_stream {
            return Err(Error::invalid(
                call,
                "stream",
                "no stream, which is read by messages, wait and workers, and never emptied",
            ));
        }
        Ok(())
    }

    pub(crate) fn source(
        &self,
        channel: &Arc<dyn Backend>,
        queue: &Arc<str>,
        stream: Option<&Arc<StreamPosition>>,
    ) -> Arc<DeliverySource> {
        let (channel, decoder, queue) =
            (Arc::clone(channel), Arc::clone(&self.decoder), Arc::clone(queue));
        let failed = Arc::clone(&self.policy) as Arc<dyn FailedMessages>;
        Arc::new(DeliverySource {
            channel,
            decoder,
            queue,
            acknowledgement: self.options.acknowledgement,
            failed,
            stream: stream.cloned(),
        })
    }
}

impl ChannelOwner for ConsumerShared {
    fn reopen(&self, deadline: Instant) -> bool {
        // A run reopens its channel itself, and counts the losses that this causes.
        if self.stop.is_stopped() || self.runs.load(Ordering::Acquire) > 0 {
            return false;
        }
        if let Some((channel, error)) = self.channel.ended() {
            self.channel.failed(&channel, &error);
        }
        self.channel.reopen(deadline).is_err_and(|error| is_worth_another(&error))
    }
}

impl Drop for ConsumerShared {
    /// Flushes the last acknowledgements, unless a message that is still held needs the channel.
    fn drop(&mut self) {
        self.policy.release();
        if let Some(opened) = self.channel.shut()
            && Arc::strong_count(&opened.channel) == 1
            && let Err(error) = opened.channel.close(self.channel.connection().call_timeout)
        {
            log::warn!("closing the channel of a consumer failed: {error}");
        }
    }
}
