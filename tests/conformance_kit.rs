//! The conformance kit itself: each case named here fails on a broker with the fault that the case
//! tests for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_memory::{Broker, ManualClock};
use carrot_conformance::{Feature, Features, Harness, Tier, Verdict, cases, matrix};
use carrot_core::backend::{
    Acknowledgement, Backend, Capabilities, ChannelOptions, Clock, Connector, ConsumeOptions,
    Content, Declare, Delete, Deleted, Delivery, DeliveryTag, Event, Extent, Outcome, Publication,
    PublishTag, QueueInfo, Rejection, Role, Status, Subscription,
};
use carrot_core::{Error, Queue, Result};

/// One fault of a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
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
}

#[derive(Debug)]
struct Wrong<T: ?Sized> {
    fault: Fault,
    inner: T,
}

struct WrongBroker {
    fault: Fault,
    broker: Broker,
}

impl Harness for WrongBroker {
    fn name(&self) -> &str {
        "wrong"
    }

    fn features(&self) -> Features {
        Features::rabbitmq().with(Feature::DelayedPublish)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        Arc::new(Wrong { fault: self.fault, inner: self.broker.connector() })
    }

    fn pass(&self, duration: Duration) {
        thread::sleep(duration);
    }
}

impl Connector for Wrong<Arc<dyn Connector>> {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(Wrong { fault: self.fault, inner: self.inner.open(options, timeout)? }))
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
        self.inner.publish(&Publication::new(&Arc::new(content)).with_mandatory(mandatory), timeout)
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
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
        Ok(Box::new(Wrong {
            fault: self.fault,
            inner: self.error(self.inner.consume(queue, &options, timeout))?,
        }))
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

impl Subscription for Wrong<Box<dyn Subscription>> {
    fn next(&self, timeout: Duration) -> Result<Option<Delivery>> {
        Ok(self.inner.next(timeout)?.map(|delivery| self.delivery(delivery)))
    }

    fn cancel(&self, timeout: Duration) -> Result<()> {
        if self.has(Fault::CancelDoesNothing) {
            return Ok(());
        }
        self.inner.cancel(timeout)
    }
}

fn fails(name: &str, fault: Fault) -> bool {
    let case = cases()
        .iter()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("there is no case {name}"));
    catch_unwind(AssertUnwindSafe(|| case.run(&WrongBroker { fault, broker: Broker::new() })))
        .is_err()
}

macro_rules! caught {
    ($($test:ident: $fault:ident by $case:ident;)*) => {$(
        #[test]
        fn $test() {
            assert!(!fails(stringify!($case), Fault::None), "the case fails without a fault");
            assert!(fails(stringify!($case), Fault::$fault), "the case passes in spite of the fault");
        }
    )*};
}

caught! {
    ack_without_effect_is_caught: AckDoesNothing by an_acknowledged_message_is_gone;
    ack_of_too_few_deliveries_is_caught: AckCoversOneOnly by an_ack_up_to_a_tag_settles_all_before_it;
    requeue_that_discards_is_caught: RequeueDiscards by a_requeued_message_returns_to_its_old_place;
    discard_that_requeues_is_caught: DiscardRequeues by a_discarded_message_is_gone;
    missing_redelivered_flag_is_caught: NeverRedelivered by a_requeued_message_comes_back_redelivered;
    ignored_prefetch_is_caught: PrefetchIgnored by a_consumer_holds_no_more_than_its_prefetch;
    ignored_mandatory_flag_is_caught: MandatoryIgnored by a_mandatory_message_that_fits_no_queue_is_returned;
    hidden_refusal_is_caught: RefusalsHidden by a_full_queue_that_rejects_refuses_new_messages;
    shortened_body_is_caught: BodyShortened by a_body_larger_than_a_frame_survives;
    lost_properties_are_caught: PropertiesLost by properties_survive;
    purge_without_effect_is_caught: PurgeDoesNothing by purging_drops_and_counts_the_ready_messages;
    passive_declaration_that_creates_is_caught: PassiveDeclarationCreates by a_passive_declaration_of_a_missing_queue_is_not_found;
    ignored_conditions_are_caught: ConditionsIgnored by a_queue_in_use_is_not_deleted_if_that_was_asked;
    ignored_arguments_are_caught: ArgumentsIgnored by a_full_queue_drops_its_oldest_messages;
    wrong_kind_of_error_is_caught: WrongErrorKind by getting_from_a_missing_queue_is_not_found;
    close_without_effect_is_caught: CloseDoesNothing by every_verb_of_a_closed_channel_says_closed;
    wrong_tags_are_caught: TagsFromZero by delivery_tags_count_up_from_one;
    ignored_delay_is_caught: DelayIgnored by a_delayed_message_is_confirmed_and_arrives_after_its_delay;
    ignored_order_of_delays_is_caught: DelayIgnored by delayed_messages_arrive_in_the_order_of_their_delays;
    cancel_without_effect_is_caught: CancelDoesNothing by a_cancelled_consumer_gets_no_more;
}

/// A broker with queues and the default exchange only.
struct QueuesOnly {
    clock: ManualClock,
    broker: Broker,
}

impl Harness for QueuesOnly {
    fn name(&self) -> &str {
        "queues only"
    }

    fn features(&self) -> Features {
        Features::rabbitmq()
            .with(Feature::ManualClock)
            .without(Feature::Exchanges)
            .without(Feature::TopicExchange)
            .without(Feature::HeadersExchange)
            .without(Feature::ExchangeToExchange)
            .without(Feature::AlternateExchange)
            .without(Feature::InternalExchange)
            .without(Feature::PredeclaredExchanges)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        Arc::new(Wrong { fault: Fault::ExchangesRefused, inner: self.broker.connector() })
    }

    fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

#[test]
fn backend_without_exchanges_passes_the_cases_of_its_features() {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let matrix = matrix(&[&QueuesOnly { clock, broker }], &Tier::ALL);
    assert!(matrix.passed(), "{matrix}");
}

#[test]
fn case_names_are_unique() {
    let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases().len());
}

/// A harness that cannot connect, with one feature.
struct Dead;

impl Harness for Dead {
    fn name(&self) -> &str {
        "dead"
    }

    fn features(&self) -> Features {
        Features::none().with(Feature::Returns)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        panic!("no broker");
    }

    fn pass(&self, _: Duration) {}
}

#[test]
fn matrix_separates_passed_failed_and_unsupported() {
    let good = WrongBroker { fault: Fault::None, broker: Broker::new() };
    let matrix = matrix(&[&good, &Dead], &[Tier::Failure, Tier::Basics]);
    assert!(!matrix.passed());
    for (case, verdicts) in matrix.rows() {
        match case.lacks(&Dead) {
            Some(feature) => assert_eq!(verdicts[1], Verdict::Unsupported(feature)),
            None => assert_eq!(
                verdicts,
                [Verdict::Passed, Verdict::Failed("no broker".into())],
                "{}",
                case.name
            ),
        }
    }
    let table = matrix.to_string();
    assert!(
        table.contains("FAILED dead: basics::a_publication_is_confirmed\n    no broker"),
        "{table}"
    );
    assert!(table.contains("\nwrong: "), "{table}");
}
