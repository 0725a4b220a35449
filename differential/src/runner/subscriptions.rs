//! Consumers: start, receive, cancel, drop.

use carrot_core::Result;
use carrot_core::backend::{Backend, ConsumeOptions};

use super::result::ActionResult;
use super::state::{DEADLINE, Runner, Subscriber};
use crate::specs::ConsumeSpec;
use crate::unspecified::Unspecified;

/// A source of deliveries that may or may not have arrived.
const LATE: &str = "a lazy consumer";

impl Runner<'_> {
    pub(super) fn consume(
        &mut self,
        slot: u8,
        channel: &dyn Backend,
        spec: &ConsumeSpec,
    ) -> Result<String> {
        let queue = self.names.queue(&spec.queue);
        let mut options = ConsumeOptions::with_prefetch(spec.prefetch);
        options.exclusive = spec.exclusive;
        options.arguments = self.names.table(&spec.arguments);
        if spec.automatic {
            options = options.automatic();
        }
        let acknowledgement = options.acknowledgement;
        let subscription = channel.consume(&queue, &options, DEADLINE)?;
        let index = self.subscribers.len();
        let source =
            if self.has_quorum_queue { format!("consumer {index}") } else { queue.clone() };
        if let Some(channel) = &mut self.channels[usize::from(slot)] {
            channel.sources.insert(source);
            if self.has_quorum_queue && spec.lazy {
                channel.sources.insert(LATE.into());
            }
        }
        let subscriber = Subscriber {
            channel: slot,
            subscription: Some(subscription),
            queue,
            acknowledgement,
            lazy: spec.lazy,
        };
        self.subscribers.push(subscriber);
        Ok(format!("consumer {index}"))
    }

    fn pick_subscriber(&self, number: u8) -> Option<usize> {
        let live: Vec<usize> = (0..self.subscribers.len())
            .filter(|index| self.subscribers[*index].subscription.is_some())
            .collect();
        (!live.is_empty()).then(|| live[usize::from(number) % live.len()])
    }

    pub(super) fn receive_lazily(&mut self, number: u8, most: u8) -> ActionResult {
        match self.pick_subscriber(number) {
            Some(index) => ActionResult {
                lines: vec!["taking".into()],
                may_move_messages: true,
                receive: Some((index, most)),
            },
            None => ActionResult::nothing("no consumer"),
        }
    }

    /// Records a cancel that RabbitMQ does not handle correctly.
    pub(super) fn before_cancel(&mut self, index: usize) {
        let queue = self.subscribers[index].queue.clone();
        if self.single_active.contains(&queue) {
            self.note_unspecified(Unspecified::SingleActiveConsumer);
        }
        if self.has_quorum_queue && self.subscribers[index].lazy {
            self.note_unspecified(Unspecified::LateDelivery);
        }
    }

    pub(super) fn cancel(&mut self, number: u8) -> ActionResult {
        let Some(index) = self.pick_subscriber(number) else {
            return ActionResult::nothing("no consumer");
        };
        self.before_cancel(index);
        let slot = self.subscribers[index].channel;
        let result = self.subscribers[index]
            .subscription
            .as_ref()
            .map_or(Ok(()), |subscription| subscription.cancel(DEADLINE));
        let line = self.line(slot, result.map(|()| format!("cancelled consumer {index}")));
        ActionResult::moved(vec![line])
    }

    pub(super) fn drop_subscription(&mut self, number: u8) -> ActionResult {
        let Some(index) = self.pick_subscriber(number) else {
            return ActionResult::nothing("no consumer");
        };
        self.before_cancel(index);
        self.subscribers[index].subscription = None;
        ActionResult::moved(vec![format!("dropped consumer {index}")])
    }
}
