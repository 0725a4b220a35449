//! Copies of failed messages on a broker that delays messages, and has no waiting queues.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::backend::{
    Acknowledgement, Backend, Capabilities, ChannelOptions, Clock, Connector, ConsumeOptions,
    Declare, Delete, Deleted, Delivery, DeliveryTag, Event, Extent, Outcome, Publication,
    PublishTag, QueueInfo, Rejection, Status, Subscription,
};
use carrot::config::Role;
use carrot::consume::Retry;
use carrot::memory::Broker;
use carrot::message::Value;
use carrot::{Binding, Connection, Message, Result};

use crate::support::{SOON, eventually};

const QUEUE: &str = "orders";
/// No step of a ladder of seconds.
const PAUSE: Duration = Duration::from_millis(1234);

/// A delayed message as the broker receives it.
#[derive(Debug, Clone, PartialEq)]
struct Delayed {
    exchange: String,
    routing_key: String,
    delay: Duration,
    mandatory: bool,
    attempt: Option<i64>,
}

/// The state that all channels share.
#[derive(Debug, Default)]
struct Scheduler {
    /// Whether each delayed message is refused.
    refuses: bool,
    delayed: Mutex<Vec<Delayed>>,
}

/// The memory broker with a scheduler, whose delays pass at once, and without waiting queues.
#[derive(Debug)]
struct WithScheduler<T>(T, Arc<Scheduler>);

impl Connector for WithScheduler<Arc<dyn Connector>> {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        Ok(Arc::new(WithScheduler(self.0.open(options, timeout)?, Arc::clone(&self.1))))
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.0.connect(role, timeout)
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.0.close(timeout)
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn status(&self, role: Role) -> Status {
        self.0.status(role)
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.waiting_queues = false;
        capabilities.delayed_publish = true;
        capabilities
    }

    fn clock(&self) -> Clock {
        self.0.clock()
    }

    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.0.observe(observer);
    }
}

impl Backend for WithScheduler<Arc<dyn Backend>> {
    fn declare(&self, entity: Declare<'_>, timeout: Duration) -> Result<QueueInfo> {
        self.0.declare(entity, timeout)
    }

    fn delete(&self, entity: Delete<'_>, timeout: Duration) -> Result<Deleted> {
        self.0.delete(entity, timeout)
    }

    fn publish(&self, publication: &Publication<'_>, timeout: Duration) -> Result<PublishTag> {
        let Some(delay) = publication.delay else { return self.0.publish(publication, timeout) };
        let content = publication.content;
        self.1.delayed.lock().unwrap().push(Delayed {
            exchange: content.exchange.to_string(),
            routing_key: content.routing_key.to_string(),
            delay,
            mandatory: publication.mandatory,
            attempt: content.properties.header("carrot-attempt").and_then(Value::as_i64),
        });
        if self.1.refuses {
            publication.refuse_delay()?;
        }
        self.0.publish(&Publication::new(content), timeout)
    }

    fn confirm(&self, tag: PublishTag, timeout: Duration) -> Result<Outcome> {
        self.0.confirm(tag, timeout)
    }

    fn get(
        &self,
        queue: &str,
        acknowledgement: Acknowledgement,
        timeout: Duration,
    ) -> Result<Option<Delivery>> {
        self.0.get(queue, acknowledgement, timeout)
    }

    fn consume(
        &self,
        queue: &str,
        options: &ConsumeOptions,
        timeout: Duration,
    ) -> Result<Box<dyn Subscription>> {
        self.0.consume(queue, options, timeout)
    }

    fn ack(&self, tag: DeliveryTag, extent: Extent) -> Result<()> {
        self.0.ack(tag, extent)
    }

    fn reject(&self, tag: DeliveryTag, rejection: Rejection, extent: Extent) -> Result<()> {
        self.0.reject(tag, rejection, extent)
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        self.0.close(timeout)
    }
}

fn connect(refuses: bool) -> (Connection, Arc<Scheduler>) {
    let scheduler = Arc::new(Scheduler { refuses, ..Scheduler::default() });
    let connector = WithScheduler(Broker::new().connector(), Arc::clone(&scheduler));
    (Connection::new(Arc::new(connector)), scheduler)
}

/// Sends a message through an exchange, and fails at it until it is parked. Returns the attempts.
fn fail_until_parked(connection: &Connection, retry: Retry) -> Vec<u32> {
    let consumer = connection.consumer(QUEUE).retry(retry).build().unwrap();
    connection.bind(&Binding::queue("amq.direct", QUEUE, "order.new")).unwrap();
    let (sender, attempts) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |body: String, message: &Message| {
        assert_eq!((message.exchange(), message.routing_key()), ("amq.direct", "order.new"));
        assert_eq!((&*body, message.id()), ("x", Some("id")));
        assert!(message.deaths().is_empty());
        sender.send(message.attempt()).unwrap();
        Err::<(), _>("not today")
    });
    let workers = workers.unwrap();
    let publisher = connection.publisher().exchange("amq.direct").routing_key("order.new");
    let publisher = publisher.build().unwrap();
    let message = publisher.message().message_id("id").expiration(Duration::from_secs(60));
    message.send("x").unwrap();
    eventually("parking", || connection.statistics().consuming.parked == 1);
    workers.stop(SOON).unwrap();
    attempts.try_iter().collect()
}

#[test]
fn copy_is_delayed_on_its_way_to_the_queue_of_the_message() {
    let (connection, scheduler) = connect(false);
    let attempts = fail_until_parked(&connection, Retry::fixed(PAUSE).attempts(3));
    assert_eq!(attempts, [1, 2, 3]);
    let delayed = |attempt| Delayed {
        exchange: String::new(),
        routing_key: QUEUE.into(),
        delay: PAUSE,
        mandatory: false,
        attempt: Some(attempt),
    };
    assert_eq!(*scheduler.delayed.lock().unwrap(), [delayed(2), delayed(3)]);
    assert_eq!(connection.statistics().consuming.retried, 2);
}

#[test]
fn message_whose_copy_is_refused_pauses_in_the_process() {
    let (connection, scheduler) = connect(true);
    let retry = Retry::fixed(Duration::from_millis(1)).attempts(2);
    assert_eq!(fail_until_parked(&connection, retry), [1, 2]);
    assert_eq!(scheduler.delayed.lock().unwrap().len(), 1);
    let figures = connection.statistics().consuming;
    assert_eq!((figures.retried, figures.paused, figures.parked), (0, 1, 1));
}
