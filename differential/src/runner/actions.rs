//! The calls of the contract for each action.

use std::sync::Arc;

use carrot_core::backend::{
    Acknowledgement, Backend, Declare, Delete, Publication, PublishTag, Rejection,
};
use carrot_core::{Result, Value};

use super::entities::{binding, condition, content, exchange, queue};
use super::result::ActionResult;
use super::state::{ChannelState, DEADLINE, ReceivedDelivery, Runner};
use crate::program::{DeliveryChoice, ProgramAction, ProgramOperation, UNCONFIRMED, connection_of};
use crate::specs::{ExchangeSpec, PublishSpec, QueueName, QueueSpec};
use crate::text;
use crate::unspecified::{self, Unspecified};

impl Runner<'_> {
    /// Runs an operation.
    pub(super) fn perform(&mut self, operation: &ProgramOperation) -> ActionResult {
        let mut slot = operation.channel;
        if let ProgramAction::Ack { delivery: DeliveryChoice::Unsettled(_), .. }
        | ProgramAction::Reject { delivery: DeliveryChoice::Unsettled(_), .. } =
            &operation.action
            && !operation.even_if_failed
        {
            slot = self.channel_with_unsettled(slot);
        }
        match &operation.action {
            ProgramAction::Wait => {
                if self.expiring.len() > 1 && !self.limited_and_expiring.is_empty() {
                    self.note_unspecified(Unspecified::SimultaneousExpiry);
                }
                self.broker.pass(unspecified::WAIT);
                self.timing.waited();
                return ActionResult::moved(vec!["waited".into()]);
            }
            ProgramAction::Take { subscription, most } => {
                return self.receive_lazily(*subscription, *most);
            }
            ProgramAction::Cancel { subscription } => return self.cancel(*subscription),
            ProgramAction::DropSubscription { subscription } => {
                return self.drop_subscription(*subscription);
            }
            ProgramAction::DropChannel => {
                let live: Vec<usize> = (0..self.subscribers.len())
                    .filter(|index| {
                        self.subscribers[*index].channel == slot
                            && self.subscribers[*index].subscription.is_some()
                    })
                    .collect();
                let holds = |channel: &ChannelState| {
                    channel.received.iter().any(|delivery| !delivery.settled)
                };
                let more =
                    live.len() > 1 || self.channels[usize::from(slot)].as_ref().is_some_and(holds);
                if more && live.iter().any(|index| self.subscribers[*index].lazy) {
                    self.note_unspecified(Unspecified::DroppedChannel);
                }
                live.into_iter().for_each(|index| self.before_cancel(index));
                self.drop_channel(slot);
                return ActionResult::moved(vec!["dropped".into()]);
            }
            ProgramAction::CloseConnection => return self.close_connection(connection_of(slot)),
            _ => {}
        }
        let channel = match self.channel(slot, operation.even_if_failed) {
            Ok(channel) => channel,
            Err(error) => {
                self.fail(slot, &error);
                return ActionResult::moved(vec![format!(
                    "opening a channel: {}",
                    text::error(&error)
                )]);
            }
        };
        let (result, moves) = match &operation.action {
            ProgramAction::Publish(publish) => return self.publish(slot, &*channel, publish),
            ProgramAction::Confirm => return self.confirm(slot, &*channel),
            ProgramAction::Ack { delivery, multiple } => {
                return self.settle(slot, &*channel, *delivery, None, *multiple);
            }
            ProgramAction::Reject { delivery, requeue, failed, multiple } => {
                let rejection = match (requeue, failed) {
                    (false, _) => Rejection::Discard,
                    (true, false) => Rejection::Requeue,
                    (true, true) => Rejection::RequeueFailed,
                };
                return self.settle(slot, &*channel, *delivery, Some(rejection), *multiple);
            }
            ProgramAction::DeclareExchange(spec) => (self.declare_exchange(&*channel, spec), false),
            ProgramAction::DeclareQueue(spec) => (self.declare_queue(slot, &*channel, spec), false),
            ProgramAction::Bind(spec) => (
                channel
                    .declare(Declare::Binding(&binding(&self.names, spec)), DEADLINE)
                    .map(|_| "ok".into()),
                false,
            ),
            ProgramAction::Unbind(spec) => (
                channel
                    .delete(Delete::Binding(&binding(&self.names, spec)), DEADLINE)
                    .map(|_| "ok".into()),
                false,
            ),
            ProgramAction::DeleteExchange { name, if_unused } => {
                let name = self.names.exchange(name);
                let condition = condition(*if_unused, false);
                (
                    channel
                        .delete(Delete::Exchange { name: &name, condition }, DEADLINE)
                        .map(|_| "ok".into()),
                    false,
                )
            }
            ProgramAction::DeleteQueue { name, if_unused, if_empty } => {
                let name = self.names.queue(name);
                let condition = condition(*if_unused, *if_empty);
                let deleted = channel.delete(Delete::Queue { name: &name, condition }, DEADLINE);
                (deleted.map(|deleted| format!("ok messages={}", deleted.message_count)), true)
            }
            ProgramAction::Purge(name) => {
                let name = self.names.queue(name);
                if self.at_least_once.contains(&name) {
                    self.note_unspecified(Unspecified::PurgedDeadLetters);
                }
                let deleted = channel.delete(Delete::Messages { queue: &name }, DEADLINE);
                (deleted.map(|deleted| format!("ok messages={}", deleted.message_count)), true)
            }
            ProgramAction::Get { queue, automatic } => {
                (self.get(slot, &*channel, queue, *automatic), true)
            }
            ProgramAction::Consume(spec) => (self.consume(slot, &*channel, spec), true),
            ProgramAction::CloseChannel => {
                let result = channel.close(DEADLINE);
                self.mark_failed(slot);
                (result.map(|()| "closed".into()), true)
            }
            ProgramAction::Wait
            | ProgramAction::Take { .. }
            | ProgramAction::Cancel { .. }
            | ProgramAction::DropSubscription { .. }
            | ProgramAction::DropChannel
            | ProgramAction::CloseConnection => unreachable!("handled above"),
        };
        let may_move_messages = moves || result.is_err();
        let line = self.line(slot, result);
        ActionResult { lines: vec![line], may_move_messages, receive: None }
    }

    fn declare_exchange(&mut self, channel: &dyn Backend, spec: &ExchangeSpec) -> Result<String> {
        let exchange = exchange(&self.names, spec);
        let declared = channel.declare(Declare::Exchange(&exchange), DEADLINE)?;
        if !exchange.name.starts_with("amq.") {
            self.names.know_exchange(&exchange.name);
            self.log.created.exchanges.insert(exchange.name);
        }
        Ok(format!("ok {}", declared.name))
    }

    fn declare_queue(
        &mut self,
        slot: u8,
        channel: &dyn Backend,
        spec: &QueueSpec,
    ) -> Result<String> {
        let queue = queue(&self.names, spec);
        let declared = channel.declare(Declare::Queue(&queue), DEADLINE)?;
        if spec.name == QueueName::Empty && !spec.passive {
            self.names.learn_server_named(&declared.name);
        }
        if queue.arguments.get("x-single-active-consumer").and_then(Value::as_bool) == Some(true) {
            self.single_active.insert(declared.name.clone());
        }
        let has = |name: &str| queue.arguments.contains(name);
        if has("x-message-ttl") && has("x-dead-letter-exchange") {
            self.expiring.insert(declared.name.clone());
            if has("x-max-length") {
                self.limited_and_expiring.insert(declared.name.clone());
            }
        }
        let kind = queue.arguments.get("x-queue-type").and_then(Value::as_str);
        if kind == Some("quorum") {
            self.has_quorum_queue = true;
            let strategy = queue.arguments.get("x-dead-letter-strategy").and_then(Value::as_str);
            if strategy == Some("at-least-once") {
                self.at_least_once.insert(declared.name.clone());
            }
            if queue.arguments.get("x-message-ttl").and_then(Value::as_i64) == Some(0) {
                self.note_unspecified(Unspecified::ImmediateExpiry);
            }
        }
        if spec.name == QueueName::ReplyTo {
            return Ok(format!(
                "ok ready={} consumers={}",
                declared.message_count, declared.consumer_count
            ));
        }
        let owner = (spec.exclusive && !spec.passive).then_some(connection_of(slot));
        self.know_queue(&declared.name, owner);
        Ok(format!(
            "ok {} ready={} consumers={}",
            declared.name, declared.message_count, declared.consumer_count
        ))
    }

    fn publish(&mut self, slot: u8, channel: &dyn Backend, spec: &PublishSpec) -> ActionResult {
        self.published += 1;
        let number = self.published;
        let content = Arc::new(content(&self.names, spec, number));
        let expiration = content.properties.expiration();
        if self.has_quorum_queue && expiration.is_some_and(|text| text.parse() == Ok(0)) {
            self.note_unspecified(Unspecified::ImmediateExpiry);
        }
        let result =
            channel.publish(&Publication::new(&content).with_mandatory(spec.mandatory), DEADLINE);
        let mut lines = vec![format!("m{number}")];
        match result {
            Err(error) => lines.push(self.line(slot, Err(error))),
            Ok(tag) if slot == UNCONFIRMED || spec.confirm_later => {
                // A quorum queue may not have received the message yet.
                self.effect_pending |= self.has_quorum_queue;
                let synchronised = Self::synchronise(channel);
                match synchronised {
                    Ok(()) => {
                        if let Some(channel) = &mut self.channels[usize::from(slot)]
                            && slot != UNCONFIRMED
                        {
                            channel.unconfirmed.push((number, tag));
                        }
                    }
                    Err(error) => lines.push(format!("then {}", self.line(slot, Err(error)))),
                }
            }
            Ok(tag) => {
                let answer = channel.confirm(tag, DEADLINE).map(|outcome| text::outcome(&outcome));
                lines.push(self.line(slot, answer));
            }
        }
        ActionResult::moved(lines)
    }

    fn confirm(&mut self, slot: u8, channel: &dyn Backend) -> ActionResult {
        if slot == UNCONFIRMED {
            let result = channel.confirm(PublishTag(1), DEADLINE);
            let line = self.line(slot, result.map(|outcome| text::outcome(&outcome)));
            return ActionResult::nothing(&line);
        }
        let owed = self.channels[usize::from(slot)]
            .as_mut()
            .map(|channel| std::mem::take(&mut channel.unconfirmed))
            .unwrap_or_default();
        let mut lines = Vec::new();
        for (number, tag) in owed {
            let answer = channel.confirm(tag, DEADLINE).map(|outcome| text::outcome(&outcome));
            lines.push(format!("m{number} {}", self.line(slot, answer)));
        }
        ActionResult { lines, ..ActionResult::default() }
    }

    fn get(
        &mut self,
        slot: u8,
        channel: &dyn Backend,
        queue: &QueueName,
        automatic: bool,
    ) -> Result<String> {
        let queue = self.names.queue(queue);
        let acknowledgement =
            if automatic { Acknowledgement::Automatic } else { Acknowledgement::Manual };
        let Some(delivery) = channel.get(&queue, acknowledgement, DEADLINE)? else {
            return Ok("nothing".into());
        };
        self.names.learn_reply_address(delivery.content.properties.reply_to());
        let mut with_tag = false;
        if let Some(channel) = &mut self.channels[usize::from(slot)] {
            with_tag = channel.sources.len() <= 1;
            if !automatic {
                channel.received.push(ReceivedDelivery {
                    tag: delivery.tag,
                    consumer: None,
                    settled: false,
                });
            }
        }
        Ok(self.delivery(&delivery, with_tag))
    }

    fn close_connection(&mut self, slot: usize) -> ActionResult {
        let Some(connector) = self.connections[slot].take() else {
            return ActionResult::nothing("not connected");
        };
        self.connection_ended(slot);
        let result = connector.close(DEADLINE);
        let line = result.map_or_else(|error| text::error(&error), |()| "closed".into());
        ActionResult::moved(vec![line])
    }
}
