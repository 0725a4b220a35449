//! Dead letters that a broker does not take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare,
    Delivery, Extent, Outcome, Publication, Rejection, Subscription,
};
use carrot_core::{Binding, Exchange, Queue};

use crate::process::{OwnBroker, SOON};

const WORK: &str = "work";
const DEAD: &str = "dead";

/// Publishing and consuming channels of a broker with a queue, and a queue for its dead letters.
struct LetterBroker {
    connector: ActiveMqConnector,
    publishing: Arc<dyn Backend>,
    consuming: Arc<dyn Backend>,
}

impl LetterBroker {
    fn new(broker: &OwnBroker, exchange: &str) -> LetterBroker {
        let connector = ActiveMqConnector::new(&broker.options()).unwrap();
        let publishing = connector.open(&ChannelOptions::publish(), SOON).unwrap();
        let consuming = connector.open(&ChannelOptions::consume(), SOON).unwrap();
        let declare = |entity: Declare<'_>| publishing.declare(entity, SOON).unwrap();
        declare(Declare::Queue(&Queue::new(DEAD)));
        declare(Declare::Exchange(&Exchange::fanout(exchange)));
        declare(Declare::Binding(&Binding::queue(exchange, DEAD, "")));
        declare(Declare::Queue(&Queue::new(WORK).dead_letter_exchange(exchange)));
        LetterBroker { connector, publishing, consuming }
    }

    fn subscription(&self, prefetch: u16) -> Box<dyn Subscription> {
        self.consuming.consume(WORK, &ConsumeOptions::with_prefetch(prefetch), SOON).unwrap()
    }

    /// Publishes a body. Returns the outcome, or an error after `timeout`.
    fn publish(&self, size: usize, timeout: Duration) -> carrot_core::Result<Outcome> {
        let content = Arc::new(Content::new("", WORK, vec![7; size]));
        let tag = self.publishing.publish(&Publication::new(&content), timeout)?;
        self.publishing.confirm(tag, timeout)
    }

    fn discard(&self, delivery: &Delivery) {
        self.consuming.reject(delivery.tag, Rejection::Discard, Extent::One).unwrap();
    }

    /// Waits for the next dead letter.
    #[track_caller]
    fn letter(&self) -> Delivery {
        let channel = self.connector.open(&ChannelOptions::consume(), SOON).unwrap();
        let letters = channel.consume(DEAD, &ConsumeOptions::with_prefetch(1), SOON).unwrap();
        let letter = letters.next(SOON).unwrap().expect("a dead letter");
        channel.ack(letter.tag, Extent::One).unwrap();
        drop(letters);
        channel.close(SOON).unwrap();
        letter
    }

    fn has_letter(&self) -> bool {
        self.publishing.get(DEAD, Acknowledgement::Automatic, SOON).unwrap().is_some()
    }
}

/// Waits for the next delivery.
#[track_caller]
fn next(subscription: &dyn Subscription) -> Delivery {
    subscription.next(SOON).unwrap().expect("a delivery")
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn letters_that_a_full_broker_holds_back_stop_no_acknowledgement() {
    let broker = OwnBroker::start(&["--memory", "1mb"]);
    // As the configuration that ActiveMQ comes with: publications are held back without an end.
    broker.configure(r#"sendFailIfNoSpaceAfterTimeout="3000""#, "");
    let letters = LetterBroker::new(&broker, "letters");
    let subscription = letters.subscription(4);
    let patience = Duration::from_secs(2);
    let mut taken = 0;
    while letters.publish(100_000, patience).is_ok() {
        taken += 1;
        assert!(taken < 100, "the broker takes everything");
    }
    let discarded = next(&*subscription);
    letters.discard(&discarded);
    let started = Instant::now();
    for _ in 1..taken {
        let delivery = next(&*subscription);
        letters.consuming.ack(delivery.tag, Extent::One).unwrap();
    }
    letters.consuming.declare(Declare::Queue(&Queue::existing(DEAD)), SOON).unwrap();
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    assert_eq!(letters.letter().content.body, discarded.content.body);
    assert!(!letters.has_letter());
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn refused_letter_keeps_its_message() {
    let broker = OwnBroker::start(&[]);
    broker.limit_queue(DEAD, 120_000);
    let letters = LetterBroker::new(&broker, "letters");
    let subscription = letters.subscription(1);
    const MESSAGES: usize = 6;
    for _ in 0..MESSAGES {
        assert_eq!(letters.publish(50_000, SOON).unwrap(), Outcome::Accepted);
    }
    let mut discarded = 0;
    let returned = loop {
        let delivery = next(&*subscription);
        if delivery.redelivered {
            break delivery;
        }
        discarded += 1;
        letters.discard(&delivery);
    };
    println!("refused: {discarded} discarded, then one returned");
    letters.consuming.check().unwrap();
    // Room for letters. No message is lost, and none is there twice.
    let mut arrived = 0;
    while arrived < discarded - 1 {
        letters.letter();
        arrived += 1;
    }
    letters.discard(&returned);
    letters.letter();
    for _ in discarded..MESSAGES {
        let delivery = next(&*subscription);
        letters.consuming.ack(delivery.tag, Extent::One).unwrap();
    }
    assert!(!letters.has_letter());
}

/// Publishes the largest body that the broker takes, less some bytes. Returns its size.
fn publish_largest(letters: &LetterBroker, less: usize) -> usize {
    let (mut fits, mut exceeds) = (1, 200_000);
    while exceeds - fits > 1 {
        let size = fits + (exceeds - fits) / 2;
        match letters.publish(size, SOON) {
            Ok(_) => fits = size,
            Err(_) => exceeds = size,
        }
    }
    let purge = carrot_core::backend::Delete::Messages { queue: WORK };
    letters.publishing.delete(purge, SOON).unwrap();
    assert_eq!(letters.publish(fits - less, SOON).unwrap(), Outcome::Accepted);
    fits - less
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn letter_over_the_frame_limit_has_a_shorter_record() {
    let broker = OwnBroker::start(&[]);
    broker.configure_port("wireFormat.maxFrameSize=80000");
    let letters = LetterBroker::new(&broker, "e");
    for (less, has_record) in [(150, true), (40, false)] {
        let size = publish_largest(&letters, less);
        let subscription = letters.subscription(1);
        letters.discard(&next(&*subscription));
        let letter = letters.letter();
        assert_eq!(letter.content.body.len(), size);
        let properties = &letter.content.properties;
        assert_eq!(properties.header("x-death").is_some(), has_record, "{properties:?}");
        assert_eq!(properties.header("x-first-death-queue"), None);
        letters.consuming.check().unwrap();
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn letter_that_is_too_large_returns_to_its_queue() {
    let broker = OwnBroker::start(&[]);
    broker.configure_port("wireFormat.maxFrameSize=80000");
    let letters = LetterBroker::new(&broker, &"e".repeat(100));
    publish_largest(&letters, 0);
    let subscription = letters.subscription(1);
    letters.discard(&next(&*subscription));
    for _ in 0..2 {
        let returned = next(&*subscription);
        assert!(returned.redelivered);
        letters.consuming.check().unwrap();
        letters.discard(&returned);
    }
    let returned = next(&*subscription);
    letters.consuming.ack(returned.tag, Extent::One).unwrap();
    assert!(!letters.has_letter());
}
