//! A broker with one fault: the memory broker behind connectors, channels and subscriptions that
//! change one behaviour.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use carrot_backend_memory::Broker;
use carrot_conformance::{Feature, Features, Harness};
use carrot_core::backend::{
    Acknowledgement, ArrivedDeliveries, Backend, Capabilities, ChannelOptions, Clock, Connector,
    ConsumeOptions, Content, Declare, Delete, Deleted, Delivery, DeliveryTag, Event, Extent,
    Outcome, Publication, PublishTag, QueueInfo, Rejection, Role, Status, Subscription,
};
use carrot_core::{Error, Queue, Result};

/// One fault of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    AckDoesNothing,
    AckCoversOneOnly,
    RequeueDiscards,
    DiscardRequeues,
    NeverRedelivered,
    PrefetchIgnored,
    MandatoryIgnored,
    RefusalsHidden,
    BodyShortened,
    PropertiesLost,
    HeadersUnreadable,
    PurgeDoesNothing,
    PassiveDeclarationCreates,
    ConditionsIgnored,
    ArgumentsIgnored,
    WrongErrorKind,
    CloseDoesNothing,
    TagsFromZero,
    CancelDoesNothing,
    DelayIgnored,
    ExchangesRefused,
    UpToCoversUnreceived,
    WakesNoThread,
    FailureKeepsMessages,
    ConsumerArgumentsIgnored,
    PublishReportsRefusal,
    AutomaticIsManual,
    QueuePropertiesIgnored,
    FailureForgetsConfirms,
    DropDoesNothing,
}

#[derive(Debug)]
pub(crate) struct Wrong<T> {
    fault: Fault,
    inner: T,
    /// A delivery that was received before the caller asked for it.
    read_ahead: Mutex<Option<Delivery>>,
}

pub(crate) struct WrongBroker {
    pub(crate) fault: Fault,
    pub(crate) broker: Broker,
}

impl Harness for WrongBroker {
    fn name(&self) -> &str {
        "wrong"
    }

    fn features(&self) -> Features {
        Features::rabbitmq().with(Feature::DelayedPublish)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        Arc::new(Wrong::new(self.fault, self.broker.connector()))
    }

    fn pass(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

impl Connector for Wrong<Arc<dyn Connector>> {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Wrong::new(self.fault, self.inner.open(options, timeout)?)))
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.inner.close(timeout)
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.inner.connect(role, timeout)
    }

    fn endpoint(&self) -> String {
        self.inner.endpoint()
    }

    fn status(&self, role: Role) -> Status {
        self.inner.status(role)
    }

    fn update_secret(&self, secret: &str, reason: &str, timeout: Duration) -> Result<()> {
        self.inner.update_secret(secret, reason, timeout)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.delayed_publish = true;
        capabilities
    }

    fn clock(&self) -> Clock {
        self.inner.clock()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.inner.observe(observer);
    }
}

impl<T> Wrong<T> {
    pub(crate) fn new(fault: Fault, inner: T) -> Wrong<T> {
        Wrong { fault, inner, read_ahead: Mutex::default() }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    fn error<R>(&self, result: Result<R>) -> Result<R> {
        match result {
            Err(Error::NotFound { reason }) if self.has(Fault::WrongErrorKind) => {
                Err(Error::PreconditionFailed { reason })
            }
            other => other,
        }
    }

    fn delivery(&self, mut delivery: Delivery) -> Delivery {
        match self.fault {
            Fault::NeverRedelivered => delivery.redelivered = false,
            Fault::TagsFromZero => delivery.tag.0 -= 1,
            Fault::HeadersUnreadable if delivery.content.properties.headers().is_some() => {
                delivery = delivery.with_unreadable("no header can be read");
            }
            _ => {}
        }
        delivery
    }
}

impl Wrong<Arc<dyn Backend>> {
    /// Refuses exchanges and bindings before anything is sent, if the broker has none.
    fn refuse_exchange(&self, is_queue: bool) -> Result<()> {
        if is_queue || !self.has(Fault::ExchangesRefused) {
            return Ok(());
        }
        Err(Error::invalid("exchange", "any", "only queues, which this backend supports"))
    }

    /// Redirects a message to a new queue, which dead-letters it to its exchange after `delay`.
    fn waiting(&self, content: Content, delay: Duration, timeout: Duration) -> Result<Content> {
        let queue = Queue::new("")
            .message_ttl(delay)
            .expires(delay + Duration::from_secs(60))
            .dead_letter_exchange(content.exchange.to_string())
            .dead_letter_routing_key(content.routing_key.to_string());
        let waiting = self.inner.declare(Declare::Queue(&queue), timeout)?;
        Ok(Content { exchange: "".into(), routing_key: waiting.name.into(), ..content })
    }
}

impl Backend for Wrong<Arc<dyn Backend>> {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        entity.validate()?;
        self.refuse_exchange(matches!(entity, Declare::Queue(_)))?;
        if let Declare::Queue(queue) = entity {
            let mut queue = queue.clone();
            if self.has(Fault::PassiveDeclarationCreates) {
                queue.passive = false;
            }
            if self.has(Fault::QueuePropertiesIgnored) {
                queue.durable = true;
                queue.auto_delete = false;
            }
            if self.has(Fault::ArgumentsIgnored) {
                queue.arguments = Default::default();
            }
            return self.error(self.inner.declare(Declare::Queue(&queue), timeout));
        }
        self.error(self.inner.declare(entity, timeout))
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        entity.validate()?;
        self.refuse_exchange(matches!(entity, Delete::Queue { .. } | Delete::Messages { .. }))?;
        match entity {
            Delete::Messages { .. } if self.has(Fault::PurgeDoesNothing) => Ok(Deleted::default()),
            Delete::Queue { name, .. } if self.has(Fault::ConditionsIgnored) => {
                self.inner.delete(Delete::Queue { name, condition: Default::default() }, timeout)
            }
            entity => self.error(self.inner.delete(entity, timeout)),
        }
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        let mut content = Content::clone(publication.content);
        match self.fault {
            Fault::BodyShortened => {
                content.body = content.body[..content.body.len().min(1000)].into()
            }
            Fault::PropertiesLost => content.properties = Default::default(),
            _ => {}
        }
        publication.validate()?;
        if let Some(delay) = publication.delay.filter(|_| !self.has(Fault::DelayIgnored)) {
            content = self.waiting(content, delay, timeout)?;
        }
        let mandatory = publication.mandatory && !self.has(Fault::MandatoryIgnored);
        let content = Arc::new(content);
        let tag =
            self.inner.publish(&Publication::new(&content).with_mandatory(mandatory), timeout)?;
        if self.has(Fault::PublishReportsRefusal) {
            self.inner.check()?;
        }
        Ok(tag)
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        if self.has(Fault::FailureForgetsConfirms) {
            self.inner.check()?;
        }
        match self.error(self.inner.confirm(tag, timeout)) {
            Ok(Outcome::Refused) if self.has(Fault::RefusalsHidden) => Ok(Outcome::Accepted),
            other => other,
        }
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        if self.has(Fault::FailureKeepsMessages) {
            return Err(Error::NotFound { reason: "the channel is not closed".into() });
        }
        Ok(self
            .error(self.inner.get(queue, acknowledgement, timeout))?
            .map(|delivery| self.delivery(delivery)))
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        let mut options = options.clone();
        if self.has(Fault::PrefetchIgnored) {
            options.prefetch = 0;
        }
        if self.has(Fault::ConsumerArgumentsIgnored) {
            options.arguments = Default::default();
        }
        if self.has(Fault::AutomaticIsManual) {
            options.acknowledgement = Acknowledgement::Manual;
        }
        let subscription: Arc<dyn Subscription> =
            self.error(self.inner.consume(queue, &options, timeout))?.into();
        if self.has(Fault::DropDoesNothing) {
            std::mem::forget(Arc::clone(&subscription));
        }
        Ok(Box::new(Wrong::new(self.fault, subscription)))
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        match self.fault {
            Fault::AckDoesNothing => Ok(()),
            Fault::AckCoversOneOnly => self.inner.ack(tag, Extent::One),
            _ => self.inner.ack(tag, extent),
        }
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        let rejection = match self.fault {
            Fault::RequeueDiscards => Rejection::Discard,
            Fault::DiscardRequeues => Rejection::Requeue,
            _ => rejection,
        };
        self.inner.reject(tag, rejection, extent)
    }

    fn check(&self) -> Result<()> {
        self.inner.check()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        if self.has(Fault::CloseDoesNothing) {
            return Ok(());
        }
        self.inner.close(timeout)
    }
}

impl Subscription for Wrong<Arc<dyn Subscription>> {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        let read_ahead = || self.read_ahead.lock().expect("no code panics with this lock held");
        let earlier = read_ahead().take();
        let next = match earlier {
            Some(delivery) => Some(delivery),
            None if self.has(Fault::WakesNoThread) => match self.inner.next(Duration::ZERO)? {
                Some(delivery) => Some(delivery),
                None => {
                    thread::sleep(timeout);
                    self.inner.next(Duration::ZERO)?
                }
            },
            None => self.inner.next(timeout)?,
        };
        if self.has(Fault::UpToCoversUnreceived) {
            *read_ahead() = self.inner.next(Duration::ZERO)?;
        }
        Ok(next.map(|delivery| self.delivery(delivery)))
    }

    fn arrived(&self) -> ArrivedDeliveries {
        let read_ahead = self.read_ahead.lock().expect("no code panics with this lock held");
        let earlier = read_ahead.iter().map(|delivery| delivery.content.body.len());
        let (earlier, later) = (ArrivedDeliveries::of_sizes(earlier), self.inner.arrived());
        let messages = earlier.messages + later.messages;
        ArrivedDeliveries::new(messages, earlier.bytes + later.bytes)
    }

    fn cancel(&self, timeout: Duration) -> Result<()> {
        if self.has(Fault::CancelDoesNothing) {
            return Ok(());
        }
        self.inner.cancel(timeout)
    }
}
