//! Settings of a consumer.

mod queue_rules;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::backend::{Acknowledgement, Backend, ConsumeOptions, Declare};
use crate::codec::Codecs;
use crate::codec::compression::DEFAULT_MAX_INFLATED;
use crate::consumer::failure::FailureSettings;
use crate::consumer::layer::HandleLayers;
use crate::consumer::stream_offset::StreamOffset;
use crate::deadline::left;
use crate::error::{Error, Result};
use crate::model::{Binding, Exchange, Headers, Queue};
use crate::publish_layer::layer::PublishLayers;

/// The settings of a consumer, as plain data.
#[derive(Debug, Clone)]
pub(crate) struct ConsumerSettings {
    pub(crate) options: ConsumeOptions,
    pub(crate) codecs: Codecs,
    pub(crate) give_up_after: Option<Duration>,
    pub(crate) redeclares: bool,
    pub(crate) max_held_bytes: Option<u64>,
    pub(crate) max_inflated_bytes: u64,
    pub(crate) stream_offset: Option<StreamOffset>,
    pub(crate) failures: FailureSettings,
    pub(crate) layers: HandleLayers,
    /// The layers that the answers to requests pass.
    pub(crate) answer_layers: PublishLayers,
    pub(crate) queue: Queue,
    pub(crate) sources: Vec<BoundExchange>,
}

/// An exchange, and the bindings from it to the queue.
#[derive(Debug, Clone)]
pub(crate) struct BoundExchange {
    pub(crate) exchange: Exchange,
    pub(crate) bindings: Vec<(String, Headers)>,
}

impl ConsumerSettings {
    pub(crate) fn new(queue: Queue) -> ConsumerSettings {
        ConsumerSettings {
            options: ConsumeOptions::default(),
            codecs: Codecs::default(),
            give_up_after: None,
            redeclares: false,
            max_held_bytes: None,
            max_inflated_bytes: DEFAULT_MAX_INFLATED,
            stream_offset: None,
            failures: FailureSettings::default(),
            layers: HandleLayers::default(),
            answer_layers: PublishLayers::default(),
            queue,
            sources: Vec::new(),
        }
    }

    pub(crate) fn bind(&mut self, routing_key: String, arguments: Headers) {
        if self.sources.is_empty() {
            self.sources.push(BoundExchange {
                exchange: Exchange::default_exchange(),
                bindings: Vec::new(),
            });
        }
        if let Some(source) = self.sources.last_mut() {
            source.bindings.push((routing_key, arguments));
        }
    }

    pub(crate) fn validate(&self) -> Result<()> {
        if self.options.prefetch == 0 {
            return Err(Error::invalid(
                "prefetch",
                "0",
                "1 to 65535; 0 would let the broker send without limit",
            ));
        }
        if let Some(source) = self
            .sources
            .iter()
            .find(|source| source.exchange.is_default() && !source.bindings.is_empty())
        {
            let (routing_key, _) = &source.bindings[0];
            return Err(Error::invalid(
                "routing key",
                routing_key,
                "an exchange to bind to has to be named before it",
            ));
        }
        self.options.validate()?;
        self.validate_held_bytes()?;
        self.validate_delayed_retry()?;
        self.queue.validate_delayed_length()?;
        self.validate_stream()?;
        self.failures.validate(&self.queue, &self.options)?;
        Declare::Queue(&self.queue).validate()?;
        self.sources
            .iter()
            .try_for_each(|source| Declare::Exchange(&source.exchange).validate())?;
        self.bindings(&self.queue.name)
            .try_for_each(|binding| Declare::Binding(&binding).validate())
    }

    /// Checks that the consumer can be cancelled, and started again where it ended.
    fn validate_held_bytes(&self) -> Result<()> {
        let Some(bytes) = self.max_held_bytes else { return Ok(()) };
        let refuse = |limit| Err(Error::invalid("max_held_bytes", &bytes.to_string(), limit));
        if bytes == 0 {
            return refuse("at least 1 byte");
        }
        if self.options.acknowledgement == Acknowledgement::Automatic {
            return Ok(());
        }
        if self.queue.auto_delete {
            return refuse("a queue that is not deleted with its last consumer");
        }
        if self.reads_stream() {
            return refuse("no stream, whose consumers start at an offset");
        }
        Ok(())
    }

    /// Declares the exchanges, the queue and its bindings. Returns the name of the queue.
    pub(crate) fn declare(&self, channel: &dyn Backend, deadline: Instant) -> Result<Arc<str>> {
        for source in self.sources.iter().filter(|source| !source.exchange.is_default()) {
            channel.declare(Declare::Exchange(&source.exchange), left(deadline))?;
        }
        let queue = channel.declare(Declare::Queue(&self.queue), left(deadline))?.name;
        for binding in self.bindings(&queue) {
            channel.declare(Declare::Binding(&binding), left(deadline))?;
        }
        Ok(queue.into())
    }

    /// Checks that the queue exists, and returns its name. `last` is the name that the broker
    /// generated if the queue is server-named.
    pub(crate) fn check(
        &self,
        channel: &dyn Backend,
        last: Option<&Arc<str>>,
        deadline: Instant,
    ) -> Result<Arc<str>> {
        let name = last.map_or(&*self.queue.name, |last| last);
        Ok(channel.declare(Declare::Queue(&Queue::existing(name)), left(deadline))?.name.into())
    }

    fn bindings(&self, queue: &str) -> impl Iterator<Item = Binding> {
        let empty = (String::new(), Headers::new());
        self.sources.iter().filter(|source| !source.exchange.is_default()).flat_map(
            move |BoundExchange { exchange, bindings }| {
                let bindings =
                    if bindings.is_empty() { vec![empty.clone()] } else { bindings.clone() };
                bindings.into_iter().map(move |(routing_key, arguments)| {
                    let binding = Binding::queue(&exchange.name, queue, routing_key);
                    arguments
                        .into_iter()
                        .fold(binding, |binding, (name, value)| binding.argument(name, value))
                })
            },
        )
    }
}
