//! A broker without the statistics plug-in, which counts nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete,
    DeleteIf, Outcome, Publication, QueueInfo,
};
use carrot_core::{Error, Queue, Result};

use crate::process::{OwnBroker, SOON};

const QUEUE: &str = "uncounted";

fn open(broker: &OwnBroker) -> Arc<dyn Backend> {
    let connector = ActiveMqConnector::new(&broker.options()).unwrap();
    connector.open(&ChannelOptions::publish(), SOON).unwrap()
}

fn declare(channel: &dyn Backend, queue: &Queue) -> QueueInfo {
    channel.declare(Declare::Queue(queue), SOON).unwrap()
}

fn publish(channel: &dyn Backend, count: usize) {
    let content = Arc::new(Content::new("", QUEUE, "x"));
    for _ in 0..count {
        let tag = channel.publish(&Publication::new(&content), SOON).unwrap();
        assert_eq!(channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
    }
}

/// Deletes the queue on a condition. Returns the number of its messages.
fn delete(channel: &dyn Backend, condition: DeleteIf) -> Result<u32> {
    channel
        .delete(Delete::Queue { name: QUEUE, condition }, SOON)
        .map(|deleted| deleted.message_count)
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn broker_without_statistics_counts_nothing_and_does_the_rest() {
    let broker = OwnBroker::start(&["--without-statistics"]);
    let channel = open(&broker);
    declare(&*channel, &Queue::new(QUEUE));
    publish(&*channel, 3);
    let found = declare(&*channel, &Queue::existing(QUEUE));
    assert_eq!((found.message_count, found.consumer_count), (0, 0));
    // The refusal leaves the channel open, and the queue as it was.
    let text = delete(&*channel, DeleteIf::EMPTY).unwrap_err().to_string();
    assert!(text.contains("if_empty") && text.contains("statistics plug-in"), "{text}");
    let purged = channel.delete(Delete::Messages { queue: QUEUE }, SOON).unwrap();
    assert_eq!(purged.message_count, 3);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn refused_deletion_keeps_the_messages() {
    let broker = OwnBroker::start(&["--without-statistics"]);
    let channel = open(&broker);
    declare(&*channel, &Queue::new(QUEUE));
    publish(&*channel, 2);
    let consuming = open(&broker);
    let subscription = consuming.consume(QUEUE, &ConsumeOptions::with_prefetch(1), SOON).unwrap();
    subscription.next(SOON).unwrap().unwrap();
    // The broker itself knows the consumer.
    for condition in [DeleteIf::UNUSED, DeleteIf::ALWAYS] {
        let error = delete(&*open(&broker), condition).unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
    }
    drop(subscription);
    consuming.close(SOON).unwrap();
    let get = || channel.get(QUEUE, Acknowledgement::Automatic, SOON).unwrap();
    assert!(get().is_some() && get().is_some() && get().is_none());
    publish(&*channel, 2);
    assert_eq!(delete(&*channel, DeleteIf::UNUSED).unwrap(), 0);
    declare(&*channel, &Queue::new(QUEUE));
    assert!(channel.get(QUEUE, Acknowledgement::Automatic, SOON).unwrap().is_none());
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn missing_statistics_are_not_waited_for() {
    const CALLS: u32 = 60;
    let broker = OwnBroker::start(&["--without-statistics"]);
    let channel = open(&broker);
    declare(&*channel, &Queue::new(QUEUE));
    let started = Instant::now();
    for _ in 0..CALLS {
        declare(&*channel, &Queue::existing(QUEUE));
    }
    assert!(started.elapsed() < Duration::from_secs(1) * CALLS / 2, "{:?}", started.elapsed());
}
