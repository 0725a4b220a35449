//! Dead letters of channels that end, on a real broker, at the address in
//! `CARROT_TEST_ACTIVEMQ_URL`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete,
    DeleteIf, Delivery, Extent, Outcome, Publication, Rejection, Subscription,
};
use carrot_core::{ConnectionOptions, Queue};

const SOON: Duration = Duration::from_secs(20);
const MESSAGES: u8 = 20;

fn connector() -> ActiveMqConnector {
    let url = env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap();
    ActiveMqConnector::new(&url.parse::<ConnectionOptions>().unwrap()).unwrap()
}

fn publish(channel: &dyn Backend, queue: &str, body: u8) {
    let content = Arc::new(Content::new("", queue, [body].to_vec()));
    let tag = channel.publish(&Publication::new(&content), SOON).unwrap();
    assert_eq!(channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
}

fn get(channel: &dyn Backend, queue: &str) -> Option<Delivery> {
    channel.get(queue, Acknowledgement::Automatic, SOON).unwrap()
}

/// Discards messages, ends the channel with `end`, and checks that each message is a dead letter
/// once, in order, and that none is left.
fn check(test: &str, end: impl FnOnce(ActiveMqConnector, Arc<dyn Backend>, Box<dyn Subscription>)) {
    let channel = connector().open(&ChannelOptions::publish(), SOON).unwrap();
    let queue = format!("carrot.test.letters.{test}.{}", std::process::id());
    let dead = format!("{queue}.dead");
    channel.declare(Declare::Queue(&Queue::new(&dead)), SOON).unwrap();
    let work = Queue::new(&queue).dead_letter_exchange("").dead_letter_routing_key(&dead);
    channel.declare(Declare::Queue(&work), SOON).unwrap();
    for number in 0..MESSAGES {
        publish(&*channel, &queue, number);
    }
    let connector = connector();
    let consuming = connector.open(&ChannelOptions::consume(), SOON).unwrap();
    let options = ConsumeOptions::with_prefetch(MESSAGES.into());
    let subscription = consuming.consume(&queue, &options, SOON).unwrap();
    let mut expected = Vec::new();
    for _ in 0..MESSAGES {
        let delivery = subscription.next(SOON).unwrap().unwrap();
        expected.push(delivery.content.body.to_vec());
        consuming.reject(delivery.tag, Rejection::Discard, Extent::One).unwrap();
    }
    end(connector, consuming, subscription);
    let mut letters = Vec::new();
    let deadline = Instant::now() + SOON;
    while letters.len() < expected.len() {
        letters.extend(get(&*channel, &dead).map(|letter| letter.content.body.to_vec()));
        assert!(Instant::now() < deadline, "{} letters after {SOON:?}", letters.len());
    }
    assert_eq!(letters, expected);
    // The queue cannot be deleted while a slot holds a message.
    let condition = DeleteIf::UNUSED;
    loop {
        let deletion = Delete::Queue { name: &queue, condition };
        let channel = self::connector().open(&ChannelOptions::publish(), SOON).unwrap();
        match channel.delete(deletion, SOON) {
            Ok(deleted) => {
                assert_eq!(deleted.message_count, 0);
                break;
            }
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
    }
    assert_eq!(get(&*channel, &dead), None);
    let deletion = Delete::Queue { name: &dead, condition: DeleteIf::ALWAYS };
    channel.delete(deletion, SOON).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn dropped_channel_dead_letters_its_messages_once() {
    check("dropped", |connector, channel, subscription| {
        drop((subscription, channel));
        drop(connector);
    });
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn closed_channel_dead_letters_its_messages_once() {
    check("closed", |_connector, channel, _subscription| channel.close(SOON).unwrap());
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn closed_connector_dead_letters_its_messages_once() {
    check("connector", |connector, _channel, _subscription| connector.close(SOON).unwrap());
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn cancelled_subscription_dead_letters_its_messages_once() {
    check("cancelled", |_connector, _channel, subscription| subscription.cancel(SOON).unwrap());
}
