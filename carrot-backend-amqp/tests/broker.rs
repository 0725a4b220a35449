//! Tests the driver against a real broker. Each test needs a broker, named by
//! `CARROT_TEST_AMQP_URL`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    Acknowledgement, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete, DeleteIf,
    DeliveryTag, Extent, Outcome, Publication, PublishTag,
};
use carrot_core::{Binding, Error, Exchange, ExchangeKind, Headers, Properties, Queue, Value};
use support::channels::*;
use support::release::{SMALL_FRAMES_ARE_REFUSED, release};
use support::{broker_options, unique};

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_message_goes_there_and_back() {
    let connector = connector();
    let publisher = publishing(&connector);
    let queue = declare(&*publisher);
    let properties = Properties::new()
        .with_content_type("text/plain")
        .with_message_id("m1")
        .with_header(
            "nested",
            Value::Table([("list", Value::Array(vec![Value::from(1), Value::Void]))].into()),
        )
        .with_header("decimal", Value::Decimal { scale: 1, value: 5 })
        .with_priority(3)
        .with_timestamp(1_700_000_000);
    let content = Arc::new(Content::new("", &*queue, "hello").with_properties(properties));
    let tag = publish(&*publisher, &content);
    assert_eq!(tag, PublishTag(1));
    assert_eq!(publisher.confirm(tag, LONG).unwrap(), Outcome::Accepted);

    let consumer = consuming(&connector);
    let subscription = consumer.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    let delivery = take(&*subscription);
    assert_eq!(delivery.content, content);
    assert_eq!((delivery.tag, delivery.redelivered), (DeliveryTag(1), false));
    consumer.ack(delivery.tag, Extent::One).unwrap();
    consumer.close(LONG).unwrap();
    assert_eq!(
        publisher.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap().message_count,
        0
    );
    connector.close(LONG).unwrap();
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn bodies_of_no_byte_and_of_16_mebibytes_survive() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    for size in [0, 131_072 - 8, 131_072 - 7, 16 << 20] {
        let bytes: Vec<u8> = (0..size).map(|index| (index % 251) as u8).collect();
        let content = Arc::new(Content::new("", &*queue, bytes));
        let tag = publish(&*channel, &content);
        assert_eq!(channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
        let delivery = channel.get(&queue, Acknowledgement::Automatic, LONG).unwrap().unwrap();
        assert!(delivery.content.body == content.body, "{size} bytes");
    }
    assert_eq!(channel.get(&queue, Acknowledgement::Manual, LONG).unwrap(), None);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn topology_is_declared_checked_and_deleted() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let (first, second) = (unique("first"), unique("second"));
    let source = Exchange::new(&*first, ExchangeKind::Fanout).transient().auto_delete();
    channel.declare(Declare::Exchange(&source), LONG).unwrap();
    channel.declare(Declare::Exchange(&Exchange::topic(&*second).auto_delete()), LONG).unwrap();
    channel.declare(Declare::Exchange(&Exchange::existing(&*second)), LONG).unwrap();
    let binding = Binding::exchange(&*first, &*second, "");
    channel.declare(Declare::Binding(&binding), LONG).unwrap();
    channel.declare(Declare::Binding(&Binding::queue(&*second, &*queue, "a.#")), LONG).unwrap();

    let content = Arc::new(Content::new(&*first, "a.b", "x"));
    assert_eq!(channel.confirm(publish(&*channel, &content), LONG).unwrap(), Outcome::Accepted);
    let declared = channel.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap();
    assert_eq!((declared.message_count, declared.consumer_count), (1, 0));
    assert_eq!(channel.delete(Delete::Messages { queue: &queue }, LONG).unwrap().message_count, 1);
    channel.delete(Delete::Binding(&binding), LONG).unwrap();
    channel.delete(Delete::Exchange { name: &second, condition: DeleteIf::ALWAYS }, LONG).unwrap();
    channel
        .delete(Delete::Queue { name: &queue, condition: DeleteIf::UNUSED_AND_EMPTY }, LONG)
        .unwrap();
    channel.delete(Delete::Queue { name: &queue, condition: DeleteIf::ALWAYS }, LONG).unwrap();

    let named = channel.declare(Declare::Queue(&Queue::server_named()), LONG).unwrap().name;
    assert!(named.starts_with("amq.gen-"), "{named}");
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn returns_meet_their_messages() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let nowhere = unique("nowhere");
    let mut expected = Vec::new();
    for index in 0..500 {
        let routable = index % 3 != 0;
        let key = if routable { &queue } else { &nowhere };
        let plain = Arc::new(Content::new("", &**key, format!("{}", index % 7)));
        let content = if index % 2 == 0 { plain } else { message(key, "x") };
        expected.push((publish_mandatory(&*channel, &content), routable));
    }
    for (tag, routable) in expected.into_iter().rev() {
        match channel.confirm(tag, LONG).unwrap() {
            Outcome::Accepted => assert!(routable, "{tag:?}"),
            Outcome::Returned { code, text } => {
                assert!(!routable && code == 312 && text == "NO_ROUTE", "{tag:?} {text}")
            }
            other => panic!("{tag:?} {other:?}"),
        }
    }
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_full_queue_refuses_and_only_what_it_refuses() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = Queue::new(unique("full"))
        .max_length(1)
        .overflow(carrot_core::Overflow::RejectPublish)
        .argument("x-expires", 60_000);
    channel.declare(Declare::Queue(&queue), LONG).unwrap();
    let tags: Vec<_> = (0..20).map(|_| publish(&*channel, &message(&queue.name, "x"))).collect();
    let outcomes: Vec<_> =
        tags.into_iter().map(|tag| channel.confirm(tag, LONG).unwrap()).collect();
    let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
    assert!((1..20).contains(&accepted), "{outcomes:?}");
    let declared = channel.declare(Declare::Queue(&Queue::existing(&*queue.name)), LONG).unwrap();
    assert_eq!(declared.message_count as usize, accepted);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_consuming_channel_publishes_too_with_confirms_and_returns() {
    let connector = connector();
    let channel = connector.open(&ChannelOptions::consume().with_confirms(), LONG).unwrap();
    let queue = declare(&*channel);
    let before = publish(&*channel, &message(&queue, "before"));
    let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    let after = publish(&*channel, &message(&queue, "after"));
    let lost = publish_mandatory(&*channel, &message(&unique("nowhere"), "lost"));
    assert_eq!((before, after, lost), (PublishTag(1), PublishTag(2), PublishTag(3)));
    assert!(matches!(channel.confirm(lost, LONG).unwrap(), Outcome::Returned { code: 312, .. }));
    assert_eq!(channel.confirm(after, LONG).unwrap(), Outcome::Accepted);
    assert_eq!(channel.confirm(before, LONG).unwrap(), Outcome::Accepted);
    assert_eq!((body(&take(&*subscription)), body(&take(&*subscription))), ("before", "after"));
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn many_threads_publish_and_confirm_on_one_channel() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..200 {
                    let tag = publish(&*channel, &message(&queue, "x"));
                    assert_eq!(channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
                }
            });
        }
        // Calls from another thread neither block nor break the publishers.
        scope.spawn(|| {
            for _ in 0..100 {
                channel.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap();
            }
        });
    });
    assert_eq!(
        channel.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap().message_count,
        3200
    );
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn calls_get_through_while_messages_flood_the_socket() {
    let connector = connector();
    let caller = publishing(&connector);
    let flooding = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..2 {
            let channel =
                connector.open(&ChannelOptions::publish().without_confirms(), LONG).unwrap();
            let flooding = &flooding;
            scope.spawn(move || {
                let content = Arc::new(Content::new("", unique("nowhere"), vec![b'x'; 200_000]));
                while flooding.load(Ordering::Relaxed) {
                    channel.publish(&Publication::new(&content), LONG).unwrap();
                }
            });
        }
        for _ in 0..50 {
            caller.declare(Declare::Exchange(&Exchange::existing("amq.direct")), LONG).unwrap();
        }
        flooding.store(false, Ordering::Relaxed);
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn what_is_too_large_or_too_long_is_refused_and_harms_nothing() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let long = "x".repeat(300);
    let invalid = |error: Error, name: &str| {
        assert!(matches!(&error, Error::Invalid { field, .. } if field == name), "{error}")
    };
    invalid(channel.declare(Declare::Queue(&Queue::new(&*long)), LONG).unwrap_err(), "queue");
    invalid(channel.get(&long, Acknowledgement::Manual, LONG).unwrap_err(), "queue");
    invalid(channel.consume(&long, &ConsumeOptions::default(), LONG).unwrap_err(), "queue");
    let content = Arc::new(Content::new("", &*long, "x"));
    invalid(channel.publish(&Publication::new(&content), LONG).unwrap_err(), "routing key");
    let headers: Headers = (0..200).map(|index| (format!("h{index}"), "x".repeat(1000))).collect();
    let content = Arc::new(
        Content::new("", &*queue, "x").with_properties(Properties::new().with_headers(headers)),
    );
    invalid(channel.publish(&Publication::new(&content), LONG).unwrap_err(), "headers");
    let large = Queue::new(unique("large")).argument("x", "y".repeat(140_000));
    invalid(channel.declare(Declare::Queue(&large), LONG).unwrap_err(), "queue arguments");

    // The largest header that fits is accepted: the limit equals the broker's to the byte.
    let fitting = Properties::new().with_header("h", "x".repeat(131_072 - 8 - 14 - 4 - 2 - 1 - 4));
    let content = Arc::new(Content::new("", &*queue, "x").with_properties(fitting));
    assert_eq!(channel.confirm(publish(&*channel, &content), LONG).unwrap(), Outcome::Accepted);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn closing_ends_everything_and_is_told() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    let publisher = publishing(&connector);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| subscription.next(LONG));
        connector.close(LONG).unwrap();
        assert!(matches!(waiter.join().unwrap().unwrap_err(), Error::Closed { .. }));
    });
    assert!(matches!(
        publisher.get(&queue, Acknowledgement::Manual, LONG).unwrap_err(),
        Error::Closed { .. }
    ));
    assert!(matches!(publisher.confirm(PublishTag(1), LONG).unwrap_err(), Error::Closed { .. }));
    assert!(matches!(channel.ack(DeliveryTag(1), Extent::One).unwrap_err(), Error::Stale { .. }));
    assert!(matches!(
        connector.open(&ChannelOptions::publish(), LONG).unwrap_err(),
        Error::Closed { .. }
    ));
    channel.close(LONG).unwrap();
    connector.close(LONG).unwrap();
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn refused_credentials_and_vhosts_are_told_without_the_password() {
    let wrong = broker_options().credentials("guest", "not-the-password");
    let error =
        AmqpConnector::new(&wrong).unwrap().open(&ChannelOptions::publish(), LONG).unwrap_err();
    assert!(matches!(&error, Error::Authentication { user, .. } if user == "guest"), "{error}");
    assert!(!format!("{error} {error:?}").contains("not-the-password"));
    let error = AmqpConnector::new(&broker_options().vhost("nowhere"))
        .unwrap()
        .open(&ChannelOptions::publish(), LONG)
        .unwrap_err();
    assert!(
        matches!(&error, Error::Authentication { reason, .. } if reason.contains("nowhere")),
        "{error}"
    );
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn the_negotiated_frame_size_is_kept() {
    let frame_max = if release() >= SMALL_FRAMES_ARE_REFUSED { 8192 } else { 4096 };
    let connector = AmqpConnector::new(&broker_options().frame_max(frame_max)).unwrap();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let payload = frame_max as usize - 8;
    let large = Properties::new().with_header("h", "x".repeat(payload));
    let content = Arc::new(Content::new("", &*queue, "x").with_properties(large));
    let error = channel.publish(&Publication::new(&content), LONG).unwrap_err();
    assert!(
        matches!(&error, Error::Invalid { limit, .. } if limit.contains(&payload.to_string())),
        "{error}"
    );
    fill(&*channel, &queue, &["x".repeat(10_000).as_str()]);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_frame_size_below_that_of_the_release_is_a_mistake_of_the_configuration() {
    for frame_max in [4096, 8191] {
        let connector = AmqpConnector::new(&broker_options().frame_max(frame_max)).unwrap();
        let opened = connector.open(&ChannelOptions::publish(), LONG);
        if release() < SMALL_FRAMES_ARE_REFUSED {
            opened.unwrap();
            continue;
        }
        let error = opened.unwrap_err();
        let Error::Config { option, reason } = &error else { panic!("{error:?}") };
        assert_eq!(option, "frame_max");
        assert!(reason.contains(&frame_max.to_string()) && reason.contains("8192"), "{error}");
    }
}
