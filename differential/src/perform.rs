//! What each action does with the contract.

use std::collections::BTreeSet;
use std::sync::Arc;

use carrot_core::backend::{
    Acknowledgement, Backend, ConsumeOptions, Content, Declare, Delete, DeleteIf, DeliveryTag,
    Extent, Publication, Rejection,
};
use carrot_core::{
    Binding, DeliveryMode, Destination, Exchange, ExchangeKind, Properties, Queue, Result, Value,
};

use crate::names::{Names, REPLY_TO};
use crate::open::{self, Freedom};
use crate::program::{
    Action, BindingSpec, CHANNELS, ConsumeSpec, ExchangeSpec, Operation, Pick, PropertiesSpec,
    PublishSpec, QueueName, QueueSpec, Target, UNCONFIRMED, connection_of,
};
use crate::run::{Channel, DEADLINE, Held, Runner, Subscriber};
use crate::text;

/// What an action came to.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) lines: Vec<String>,
    /// Whether it may have moved messages.
    pub(crate) look: bool,
    /// From which subscriber to take, and how many deliveries.
    pub(crate) taking: Option<(usize, u8)>,
}

impl Done {
    fn nothing(why: &str) -> Done {
        Done { lines: vec![why.to_string()], ..Done::default() }
    }
}

impl Runner<'_> {
    pub(crate) fn perform(&mut self, operation: &Operation) -> Done {
        let mut slot = operation.channel;
        if let Action::Ack { delivery: Pick::Unsettled(_), .. }
        | Action::Reject { delivery: Pick::Unsettled(_), .. } = &operation.action
            && !operation.even_if_dead
        {
            slot = self.channel_with_unsettled(slot);
        }
        match &operation.action {
            Action::Wait => {
                self.side.pass(open::WAIT);
                self.pace.waited();
                return Done { lines: vec!["waited".into()], look: true, taking: None };
            }
            Action::Take { subscription, most } => return self.take_lazily(*subscription, *most),
            Action::Cancel { subscription } => return self.cancel(*subscription),
            Action::DropSubscription { subscription } => {
                return self.drop_subscription(*subscription);
            }
            Action::DropChannel => {
                let live: Vec<usize> = (0..self.subscribers.len())
                    .filter(|index| {
                        self.subscribers[*index].channel == slot
                            && self.subscribers[*index].subscription.is_some()
                    })
                    .collect();
                let holds = |channel: &Channel| channel.held.iter().any(|held| !held.settled);
                let more =
                    live.len() > 1 || self.channels[usize::from(slot)].as_ref().is_some_and(holds);
                if more && live.iter().any(|index| self.subscribers[*index].lazy) {
                    self.leave_open(Freedom::DroppedChannel);
                }
                live.into_iter().for_each(|index| self.before_cancel(index));
                self.drop_channel(slot);
                return Done { lines: vec!["dropped".into()], look: true, taking: None };
            }
            Action::CloseConnection => return self.close_connection(connection_of(slot)),
            _ => {}
        }
        let channel = match self.channel(slot, operation.even_if_dead) {
            Ok(channel) => channel,
            Err(error) => {
                self.fail(slot, &error);
                return Done {
                    lines: vec![format!("opening a channel: {}", text::error(&error))],
                    look: true,
                    taking: None,
                };
            }
        };
        let (result, moves) = match &operation.action {
            Action::Publish(publish) => return self.publish(slot, &*channel, publish),
            Action::Confirm => return self.confirm(slot, &*channel),
            Action::Ack { delivery, multiple } => {
                return self.settle(slot, &*channel, *delivery, None, *multiple);
            }
            Action::Reject { delivery, requeue, multiple } => {
                let rejection = if *requeue { Rejection::Requeue } else { Rejection::Discard };
                return self.settle(slot, &*channel, *delivery, Some(rejection), *multiple);
            }
            Action::DeclareExchange(spec) => (self.declare_exchange(&*channel, spec), false),
            Action::DeclareQueue(spec) => (self.declare_queue(slot, &*channel, spec), false),
            Action::Bind(spec) => (
                channel.declare(Declare::Binding(&binding(&self.names, spec))).map(|_| "ok".into()),
                false,
            ),
            Action::Unbind(spec) => (
                channel.delete(Delete::Binding(&binding(&self.names, spec))).map(|_| "ok".into()),
                false,
            ),
            Action::DeleteExchange { name, if_unused } => {
                let name = self.names.exchange(name);
                let condition = condition(*if_unused, false);
                (
                    channel
                        .delete(Delete::Exchange { name: &name, condition })
                        .map(|_| "ok".into()),
                    false,
                )
            }
            Action::DeleteQueue { name, if_unused, if_empty } => {
                let name = self.names.queue(name);
                let condition = condition(*if_unused, *if_empty);
                let deleted = channel.delete(Delete::Queue { name: &name, condition });
                (deleted.map(|deleted| format!("ok messages={}", deleted.message_count)), true)
            }
            Action::Purge(name) => {
                let name = self.names.queue(name);
                let deleted = channel.delete(Delete::Messages { queue: &name });
                (deleted.map(|deleted| format!("ok messages={}", deleted.message_count)), true)
            }
            Action::Get { queue, automatic } => {
                (self.get(slot, &*channel, queue, *automatic), true)
            }
            Action::Consume(spec) => (self.consume(slot, &*channel, spec), true),
            Action::CloseChannel => {
                let result = channel.close(DEADLINE);
                self.bury(slot);
                (result.map(|()| "closed".into()), true)
            }
            Action::Wait
            | Action::Take { .. }
            | Action::Cancel { .. }
            | Action::DropSubscription { .. }
            | Action::DropChannel
            | Action::CloseConnection => unreachable!("they were done above"),
        };
        let look = moves || result.is_err();
        let line = self.line(slot, result);
        Done { lines: vec![line], look, taking: None }
    }

    /// The result as text, its meaning for the channel taken note of.
    fn line(&mut self, slot: u8, result: Result<String>) -> String {
        match result {
            Ok(text) => text,
            Err(error) => {
                self.fail(slot, &error);
                text::error(&error)
            }
        }
    }

    fn declare_exchange(&mut self, channel: &dyn Backend, spec: &ExchangeSpec) -> Result<String> {
        let exchange = exchange(&self.names, spec);
        let declared = channel.declare(Declare::Exchange(&exchange))?;
        if !exchange.name.starts_with("amq.") {
            self.names.know_exchange(&exchange.name);
            self.log.made.exchanges.insert(exchange.name);
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
        let declared = channel.declare(Declare::Queue(&queue))?;
        if spec.name == QueueName::Empty && !spec.passive {
            self.names.learn(&declared.name);
        }
        if queue.arguments.get("x-single-active-consumer").and_then(Value::as_bool) == Some(true) {
            self.single_active.insert(declared.name.clone());
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

    fn publish(&mut self, slot: u8, channel: &dyn Backend, spec: &PublishSpec) -> Done {
        self.published += 1;
        let number = self.published;
        let content = Arc::new(content(&self.names, spec, number));
        let result = channel
            .publish(&Publication { content: &content, mandatory: spec.mandatory }, DEADLINE);
        let mut lines = vec![format!("m{number}")];
        match result {
            Err(error) => lines.push(self.line(slot, Err(error))),
            Ok(tag) if slot == UNCONFIRMED || spec.confirm_later => {
                let synchronised = Self::synchronise(channel);
                match synchronised {
                    Ok(()) => {
                        if let Some(channel) = &mut self.channels[usize::from(slot)]
                            && slot != UNCONFIRMED
                        {
                            channel.owed.push((number, tag));
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
        Done { lines, look: true, taking: None }
    }

    fn confirm(&mut self, slot: u8, channel: &dyn Backend) -> Done {
        if slot == UNCONFIRMED {
            let result = channel.confirm(carrot_core::backend::PublishTag(1), DEADLINE);
            let line = self.line(slot, result.map(|outcome| text::outcome(&outcome)));
            return Done::nothing(&line);
        }
        let owed = self.channels[usize::from(slot)]
            .as_mut()
            .map(|channel| std::mem::take(&mut channel.owed))
            .unwrap_or_default();
        let mut lines = Vec::new();
        for (number, tag) in owed {
            let answer = channel.confirm(tag, DEADLINE).map(|outcome| text::outcome(&outcome));
            lines.push(format!("m{number} {}", self.line(slot, answer)));
        }
        Done { lines, ..Done::default() }
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
        let Some(delivery) = channel.get(&queue, acknowledgement)? else {
            return Ok("nothing".into());
        };
        self.names.learn_answer(delivery.content.properties.reply_to());
        let mut with_tag = false;
        if let Some(channel) = &mut self.channels[usize::from(slot)] {
            with_tag = channel.sources.len() <= 1;
            if !automatic {
                channel.held.push(Held { tag: delivery.tag, consumer: None, settled: false });
            }
        }
        Ok(self.delivery(&delivery, with_tag))
    }

    fn consume(&mut self, slot: u8, channel: &dyn Backend, spec: &ConsumeSpec) -> Result<String> {
        let queue = self.names.queue(&spec.queue);
        let mut options = ConsumeOptions::prefetch(spec.prefetch);
        options.exclusive = spec.exclusive;
        options.arguments = self.names.table(&spec.arguments);
        if spec.automatic {
            options = options.automatic();
        }
        let acknowledgement = options.acknowledgement;
        let subscription = channel.consume(&queue, &options)?;
        if let Some(channel) = &mut self.channels[usize::from(slot)] {
            channel.sources.insert(queue.clone());
        }
        let index = self.subscribers.len();
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

    fn take_lazily(&mut self, number: u8, most: u8) -> Done {
        match self.pick_subscriber(number) {
            Some(index) => {
                Done { lines: vec!["taking".into()], look: true, taking: Some((index, most)) }
            }
            None => Done::nothing("no consumer"),
        }
    }

    /// Takes note of a cancel that RabbitMQ is not up to.
    fn before_cancel(&mut self, index: usize) {
        let queue = self.subscribers[index].queue.clone();
        if self.single_active.contains(&queue) {
            self.leave_open(Freedom::SingleActiveConsumer);
        }
    }

    fn cancel(&mut self, number: u8) -> Done {
        let Some(index) = self.pick_subscriber(number) else { return Done::nothing("no consumer") };
        self.before_cancel(index);
        let slot = self.subscribers[index].channel;
        let result = self.subscribers[index]
            .subscription
            .as_ref()
            .map_or(Ok(()), |subscription| subscription.cancel());
        let line = self.line(slot, result.map(|()| format!("cancelled consumer {index}")));
        Done { lines: vec![line], look: true, taking: None }
    }

    fn drop_subscription(&mut self, number: u8) -> Done {
        let Some(index) = self.pick_subscriber(number) else { return Done::nothing("no consumer") };
        self.before_cancel(index);
        self.subscribers[index].subscription = None;
        Done { lines: vec![format!("dropped consumer {index}")], look: true, taking: None }
    }

    /// This channel, or the next that is open and has something to settle.
    fn channel_with_unsettled(&self, slot: u8) -> u8 {
        let has_some = |slot: &u8| {
            let channel =
                self.channels[usize::from(*slot)].as_ref().filter(|channel| !channel.dead);
            channel.is_some_and(|channel| channel.held.iter().any(|held| !held.settled))
        };
        (slot..CHANNELS).chain(0..slot).find(has_some).unwrap_or(slot)
    }

    fn settle(
        &mut self,
        slot: u8,
        channel: &dyn Backend,
        pick: Pick,
        rejection: Option<Rejection>,
        multiple: bool,
    ) -> Done {
        let Some(state) = &mut self.channels[usize::from(slot)] else {
            return Done::nothing("no channel");
        };
        let of = |settled: bool, number: u8| {
            let candidates: Vec<DeliveryTag> = state
                .held
                .iter()
                .filter(|held| held.settled == settled)
                .map(|held| held.tag)
                .collect();
            (!candidates.is_empty()).then(|| candidates[usize::from(number) % candidates.len()])
        };
        let picked = match pick {
            Pick::Unsettled(number) => of(false, number),
            Pick::Settled(number) => of(true, number),
            Pick::Zero => Some(DeliveryTag(0)),
            Pick::Unknown => Some(DeliveryTag(1_000_000)),
        };
        let Some(tag) = picked else { return Done::nothing("nothing to settle") };
        let several = state.sources.len() > 1;
        let mut consumers = BTreeSet::new();
        for held in &mut state.held {
            if !held.settled
                && if multiple { held.tag <= tag || tag.0 == 0 } else { held.tag == tag }
            {
                held.settled = true;
                consumers.insert(held.consumer);
            }
        }
        if several && multiple && tag.0 != 0 {
            self.leave_open(Freedom::TagsOfSeveralQueues);
        }
        if consumers.len() > 1 {
            self.leave_open(Freedom::SeveralConsumers);
        }
        let extent = if multiple { Extent::UpTo } else { Extent::One };
        let result = match rejection {
            None => channel.ack(tag, extent),
            Some(rejection) => channel.reject(tag, rejection, extent),
        };
        let mut lines = vec![self.line(slot, result.map(|()| "ok".into()))];
        if lines[0] == "ok"
            && let Err(error) = Self::synchronise(channel)
        {
            lines.push(format!("then {}", self.line(slot, Err(error))));
        }
        Done { lines, look: true, taking: None }
    }

    fn close_connection(&mut self, slot: usize) -> Done {
        let Some(connector) = self.connections[slot].take() else {
            return Done::nothing("not connected");
        };
        self.connection_ended(slot);
        let result = connector.close(DEADLINE);
        let line = result.map_or_else(|error| text::error(&error), |()| "closed".into());
        Done { lines: vec![line], look: true, taking: None }
    }
}

fn condition(if_unused: bool, if_empty: bool) -> DeleteIf {
    match (if_unused, if_empty) {
        (false, false) => DeleteIf::ALWAYS,
        (true, false) => DeleteIf::IF_UNUSED,
        (false, true) => DeleteIf::IF_EMPTY,
        (true, true) => DeleteIf::IF_UNUSED_AND_EMPTY,
    }
}

fn exchange(names: &Names, spec: &ExchangeSpec) -> Exchange {
    let mut exchange =
        Exchange::new(names.exchange(&spec.name), ExchangeKind::from(spec.kind.as_str()));
    exchange.durable = !spec.transient;
    exchange.auto_delete = spec.auto_delete;
    exchange.internal = spec.internal;
    exchange.passive = spec.passive;
    exchange.arguments = names.table(&spec.arguments);
    exchange
}

fn queue(names: &Names, spec: &QueueSpec) -> Queue {
    let mut queue = Queue::new(names.queue(&spec.name));
    queue.durable = !spec.transient;
    queue.exclusive = spec.exclusive;
    queue.auto_delete = spec.auto_delete;
    queue.passive = spec.passive;
    queue.arguments = names.table(&spec.arguments);
    queue
}

fn binding(names: &Names, spec: &BindingSpec) -> Binding {
    let (source, key) = (names.exchange(&spec.from), names.key(&spec.key));
    let mut binding = match &spec.to {
        Target::Queue(queue) => Binding::queue(source, names.queue(queue), key),
        Target::Exchange(exchange) => Binding::exchange(source, names.exchange(exchange), key),
    };
    debug_assert!(matches!(binding.destination, Destination::Queue(_) | Destination::Exchange(_)));
    binding.arguments = names.table(&spec.arguments);
    binding
}

fn content(names: &Names, spec: &PublishSpec, number: u32) -> Content {
    let body = format!("m{number}{}", ".".repeat(spec.padding.into()));
    Content::new(names.exchange(&spec.exchange), names.key(&spec.key), body)
        .with_properties(properties(names, &spec.properties, number))
}

fn properties(names: &Names, spec: &PropertiesSpec, number: u32) -> Properties {
    let mut properties = Properties::new();
    if let Some(expiration) = &spec.expiration {
        properties = properties.with_expiration(expiration.as_str());
    }
    if let Some(priority) = spec.priority {
        properties = properties.with_priority(priority);
    }
    if let Some(mode) = spec.delivery_mode {
        properties = properties.with_delivery_mode(DeliveryMode::from(mode));
    }
    if let Some(headers) = &spec.headers {
        properties = properties.with_headers(names.table(headers));
    }
    if let Some(user) = &spec.user_id {
        properties = properties.with_user_id(user.as_str());
    }
    if spec.descriptive {
        properties = properties
            .with_content_type("text/plain")
            .with_content_encoding("identity")
            .with_message_id(format!("id-{number}"))
            .with_correlation_id("correlation")
            .with_reply_to("somewhere")
            .with_kind("kind")
            .with_app_id("app")
            .with_cluster_id("cluster")
            .with_timestamp(u64::from(number));
    }
    if spec.answer_here {
        properties = properties.with_reply_to(REPLY_TO);
    }
    properties
}
