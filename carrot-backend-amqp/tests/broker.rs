//! What the driver does with a real broker. Each test needs one, named by `CARROT_TEST_AMQP_URL`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{
    Acknowledgement, ChannelOptions, Condition, Connector, ConsumeOptions, Content, Declare, Delete, DeliveryTag, Extent, Outcome,
    Publication, PublishTag, Rejection,
};
use carrot_core::{Binding, Error, Exchange, ExchangeKind, Headers, Properties, Queue, Value};
use support::channels::*;
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
        .with_header("nested", Value::Table([("list", Value::Array(vec![Value::from(1), Value::Void]))].into()))
        .with_header("decimal", Value::Decimal { scale: 1, value: 5 })
        .with_priority(3)
        .with_timestamp(1_700_000_000);
    let content = Arc::new(Content::new("", &*queue, "hello").with_properties(properties));
    let tag = publish(&*publisher, &content);
    assert_eq!(tag, PublishTag(1));
    assert_eq!(publisher.confirm(tag, LONG).unwrap(), Outcome::Accepted);

    let consumer = consuming(&connector);
    let subscription = consumer.consume(&queue, &ConsumeOptions::default()).unwrap();
    let delivery = take(&*subscription);
    assert_eq!(delivery.content, content);
    assert_eq!((delivery.tag, delivery.redelivered), (DeliveryTag(1), false));
    consumer.ack(delivery.tag, Extent::One).unwrap();
    consumer.close(LONG).unwrap();
    assert_eq!(publisher.declare(Declare::Queue(&Queue::existing(&*queue))).unwrap().message_count, 0);
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
        let delivery = channel.get(&queue, Acknowledgement::Automatic).unwrap().unwrap();
        assert!(delivery.content.body == content.body, "{size} bytes");
    }
    assert_eq!(channel.get(&queue, Acknowledgement::Manual).unwrap(), None);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn topology_is_declared_checked_and_deleted() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let (first, second) = (unique("first"), unique("second"));
    let source = Exchange::new(&*first, ExchangeKind::Fanout).transient().auto_delete();
    channel.declare(Declare::Exchange(&source)).unwrap();
    channel.declare(Declare::Exchange(&Exchange::topic(&*second).auto_delete())).unwrap();
    channel.declare(Declare::Exchange(&Exchange::existing(&*second))).unwrap();
    let binding = Binding::exchange(&*first, &*second, "");
    channel.declare(Declare::Binding(&binding)).unwrap();
    channel.declare(Declare::Binding(&Binding::queue(&*second, &*queue, "a.#"))).unwrap();

    let content = Arc::new(Content::new(&*first, "a.b", "x"));
    assert_eq!(channel.confirm(publish(&*channel, &content), LONG).unwrap(), Outcome::Accepted);
    let declared = channel.declare(Declare::Queue(&Queue::existing(&*queue))).unwrap();
    assert_eq!((declared.message_count, declared.consumer_count), (1, 0));
    assert_eq!(channel.delete(Delete::Messages { queue: &queue }).unwrap().message_count, 1);
    channel.delete(Delete::Binding(&binding)).unwrap();
    channel.delete(Delete::Exchange { name: &second, condition: Condition::ALWAYS }).unwrap();
    channel.delete(Delete::Queue { name: &queue, condition: Condition::IF_UNUSED_AND_EMPTY }).unwrap();
    channel.delete(Delete::Queue { name: &queue, condition: Condition::ALWAYS }).unwrap();

    let named = channel.declare(Declare::Queue(&Queue::server_named())).unwrap().name;
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
            Outcome::Returned { code, text } => assert!(!routable && code == 312 && text == "NO_ROUTE", "{tag:?} {text}"),
            Outcome::Refused => panic!("{tag:?}"),
        }
    }
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_full_queue_refuses_and_only_what_it_refuses() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = Queue::new(unique("full")).max_length(1).overflow(carrot_core::Overflow::RejectPublish).argument("x-expires", 60_000);
    channel.declare(Declare::Queue(&queue)).unwrap();
    let tags: Vec<_> = (0..20).map(|_| publish(&*channel, &message(&queue.name, "x"))).collect();
    let outcomes: Vec<_> = tags.into_iter().map(|tag| channel.confirm(tag, LONG).unwrap()).collect();
    let accepted = outcomes.iter().filter(|outcome| **outcome == Outcome::Accepted).count();
    assert!((1..20).contains(&accepted), "{outcomes:?}");
    let declared = channel.declare(Declare::Queue(&Queue::existing(&*queue.name))).unwrap();
    assert_eq!(declared.message_count as usize, accepted);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn settling_out_of_order_settles_what_was_named() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let bodies: Vec<String> = (1..=9).map(|number| number.to_string()).collect();
    fill(&*publishing(&connector), &queue, &bodies.iter().map(String::as_str).collect::<Vec<_>>());
    let subscription = channel.consume(&queue, &ConsumeOptions::prefetch(100)).unwrap();
    let tags: Vec<DeliveryTag> = (0..9).map(|_| take(&*subscription).tag).collect();
    channel.ack(tags[4], Extent::One).unwrap();
    channel.ack(tags[1], Extent::UpTo).unwrap();
    channel.reject(tags[7], Rejection::Discard, Extent::One).unwrap();
    channel.reject(tags[5], Rejection::Discard, Extent::UpTo).unwrap();
    channel.close(LONG).unwrap();
    let back = consuming(&connector);
    let rest: Vec<String> = std::iter::from_fn(|| back.get(&queue, Acknowledgement::Automatic).unwrap())
        .map(|delivery| {
            assert!(delivery.redelivered);
            body(&delivery).to_string()
        })
        .collect();
    assert_eq!(rest, ["7", "9"]);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn what_arrived_before_a_cancel_can_be_taken_and_settled() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let publisher = publishing(&connector);
    fill(&*publisher, &queue, &["a", "b"]);
    let subscription = channel.consume(&queue, &ConsumeOptions::default()).unwrap();
    let first = take(&*subscription);
    eventually("b arrived", || format!("{subscription:?}").contains("arrived: 1"));
    subscription.cancel().unwrap();
    subscription.cancel().unwrap();
    fill(&*publisher, &queue, &["c"]);
    let second = take(&*subscription);
    assert_eq!((body(&first), body(&second)), ("a", "b"));
    channel.ack(second.tag, Extent::UpTo).unwrap();
    for _ in 0..2 {
        assert!(matches!(subscription.next(LONG).unwrap_err(), Error::Cancelled { queue: name, .. } if name == queue));
    }
    drop(subscription);
    assert_eq!(body(&channel.get(&queue, Acknowledgement::Manual).unwrap().unwrap()), "c");
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_dropped_subscription_returns_what_it_had_not_handed_out() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    fill(&*publishing(&connector), &queue, &["a", "b", "c"]);
    let subscription = channel.consume(&queue, &ConsumeOptions::default()).unwrap();
    let first = take(&*subscription);
    eventually("the others arrived", || format!("{subscription:?}").contains("arrived: 2"));
    drop(subscription);
    let other = consuming(&connector);
    let mut back = Vec::new();
    eventually("b and c are back", || {
        back.extend(other.get(&queue, Acknowledgement::Automatic).unwrap().map(|delivery| body(&delivery).to_string()));
        back.len() == 2
    });
    assert_eq!(back, ["b", "c"]);
    channel.ack(first.tag, Extent::One).unwrap();
    assert_eq!(channel.declare(Declare::Queue(&Queue::existing(&*queue))).unwrap().consumer_count, 0);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn several_subscriptions_and_gets_share_a_channel() {
    let connector = connector();
    let channel = consuming(&connector);
    let publisher = publishing(&connector);
    let queues: Vec<String> = (0..3).map(|_| declare(&*channel)).collect();
    for queue in &queues {
        fill(&*publisher, queue, &["1", "2", "3", "4"]);
    }
    let subscriptions: Vec<_> = queues[..2].iter().map(|queue| channel.consume(queue, &ConsumeOptions::prefetch(2)).unwrap()).collect();
    let mut tags = BTreeSet::new();
    for _ in 0..4 {
        for subscription in subscriptions.iter().rev() {
            let delivery = take(&**subscription);
            assert!(tags.insert(delivery.tag));
            channel.ack(delivery.tag, Extent::One).unwrap();
        }
        let got = channel.get(&queues[2], Acknowledgement::Manual).unwrap().unwrap();
        assert!(tags.insert(got.tag));
        channel.ack(got.tag, Extent::One).unwrap();
    }
    assert_eq!(subscriptions[0].next(SHORT).unwrap(), None);
    channel.close(LONG).unwrap();
    let probe = consuming(&connector);
    for queue in &queues {
        assert_eq!(probe.declare(Declare::Queue(&Queue::existing(&**queue))).unwrap().message_count, 0);
    }
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_consuming_channel_publishes_too_with_confirms_and_returns() {
    let connector = connector();
    let channel = connector.open(&ChannelOptions::consume().with_confirms(), LONG).unwrap();
    let queue = declare(&*channel);
    let before = publish(&*channel, &message(&queue, "before"));
    let subscription = channel.consume(&queue, &ConsumeOptions::default()).unwrap();
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
        // Calls of another thread hold nobody up and break nothing.
        scope.spawn(|| {
            for _ in 0..100 {
                channel.declare(Declare::Queue(&Queue::existing(&*queue))).unwrap();
            }
        });
    });
    assert_eq!(channel.declare(Declare::Queue(&Queue::existing(&*queue))).unwrap().message_count, 3200);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn calls_get_through_while_messages_flood_the_socket() {
    let connector = connector();
    let caller = publishing(&connector);
    let flooding = AtomicBool::new(true);
    thread::scope(|scope| {
        for _ in 0..2 {
            let channel = connector.open(&ChannelOptions::publish().without_confirms(), LONG).unwrap();
            let flooding = &flooding;
            scope.spawn(move || {
                let content = Arc::new(Content::new("", unique("nowhere"), vec![b'x'; 200_000]));
                while flooding.load(Ordering::Relaxed) {
                    channel.publish(&Publication { content: &content, mandatory: false }, LONG).unwrap();
                }
            });
        }
        for _ in 0..50 {
            caller.declare(Declare::Exchange(&Exchange::existing("amq.direct"))).unwrap();
        }
        flooding.store(false, Ordering::Relaxed);
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn many_workers_on_one_subscription_settle_each_message_once() {
    const COUNT: usize = 20_000;
    let connector = connector();
    let publisher = publishing(&connector);
    let queue = declare(&*publisher);
    let channel = consuming(&connector);
    let subscription = channel.consume(&queue, &ConsumeOptions::prefetch(500)).unwrap();
    let (seen, received) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| {
            let tags: Vec<_> = (0..COUNT).map(|number| publish(&*publisher, &message(&queue, &number.to_string()))).collect();
            tags.into_iter().for_each(|tag| assert_eq!(publisher.confirm(tag, LONG).unwrap(), Outcome::Accepted));
        });
        for _ in 0..8 {
            let (seen, channel, subscription) = (seen.clone(), &channel, &subscription);
            scope.spawn(move || {
                while let Ok(Some(delivery)) = subscription.next(LONG) {
                    seen.send(body(&delivery).parse::<usize>().unwrap()).unwrap();
                    channel.ack(delivery.tag, Extent::One).unwrap();
                }
            });
        }
        let numbers: BTreeSet<usize> = received.iter().take(COUNT).collect();
        assert_eq!(numbers.len(), COUNT);
        subscription.cancel().unwrap();
    });
    channel.close(LONG).unwrap();
    assert_eq!(publisher.declare(Declare::Queue(&Queue::existing(&*queue))).unwrap().message_count, 0);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn what_is_too_large_or_too_long_is_refused_and_harms_nothing() {
    let connector = connector();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let long = "x".repeat(300);
    let invalid = |error: Error, name: &str| assert!(matches!(&error, Error::Invalid { field, .. } if field == name), "{error}");
    invalid(channel.declare(Declare::Queue(&Queue::new(&*long))).unwrap_err(), "queue");
    invalid(channel.get(&long, Acknowledgement::Manual).unwrap_err(), "queue");
    invalid(channel.consume(&long, &ConsumeOptions::default()).unwrap_err(), "queue");
    let content = Arc::new(Content::new("", &*long, "x"));
    invalid(channel.publish(&Publication { content: &content, mandatory: false }, LONG).unwrap_err(), "routing key");
    let headers: Headers = (0..200).map(|index| (format!("h{index}"), "x".repeat(1000))).collect();
    let content = Arc::new(Content::new("", &*queue, "x").with_properties(Properties::new().with_headers(headers)));
    invalid(channel.publish(&Publication { content: &content, mandatory: false }, LONG).unwrap_err(), "headers");
    let large = Queue::new(unique("large")).argument("x", "y".repeat(140_000));
    invalid(channel.declare(Declare::Queue(&large)).unwrap_err(), "queue arguments");

    // The largest header that fits does pass: the limit is the broker's, to the byte.
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
    let subscription = channel.consume(&queue, &ConsumeOptions::default()).unwrap();
    let publisher = publishing(&connector);
    thread::scope(|scope| {
        let waiter = scope.spawn(|| subscription.next(LONG));
        connector.close(LONG).unwrap();
        assert!(matches!(waiter.join().unwrap().unwrap_err(), Error::Closed { .. }));
    });
    assert!(matches!(publisher.get(&queue, Acknowledgement::Manual).unwrap_err(), Error::Closed { .. }));
    assert!(matches!(publisher.confirm(PublishTag(1), LONG).unwrap_err(), Error::Closed { .. }));
    assert!(matches!(channel.ack(DeliveryTag(1), Extent::One).unwrap_err(), Error::Stale { .. }));
    assert!(matches!(connector.open(&ChannelOptions::publish(), LONG).unwrap_err(), Error::Closed { .. }));
    channel.close(LONG).unwrap();
    connector.close(LONG).unwrap();
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn acknowledgements_leave_before_a_connection_closes() {
    let first = connector();
    let channel = consuming(&first);
    let queue = declare(&*channel);
    let bodies = vec!["x"; 200];
    fill(&*publishing(&first), &queue, &bodies);
    let subscription = channel.consume(&queue, &ConsumeOptions::prefetch(0)).unwrap();
    for _ in 0..200 {
        channel.ack(take(&*subscription).tag, Extent::One).unwrap();
    }
    first.close(LONG).unwrap();
    let second = connector();
    assert_eq!(publishing(&second).declare(Declare::Queue(&Queue::existing(&*queue))).unwrap().message_count, 0);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn refused_credentials_and_vhosts_are_told_without_the_password() {
    let wrong = broker_options().credentials("guest", "not-the-password");
    let error = AmqpConnector::new(&wrong).unwrap().open(&ChannelOptions::publish(), LONG).unwrap_err();
    assert!(matches!(&error, Error::Authentication { user, .. } if user == "guest"), "{error}");
    assert!(!format!("{error} {error:?}").contains("not-the-password"));
    let error = AmqpConnector::new(&broker_options().vhost("nowhere")).unwrap().open(&ChannelOptions::publish(), LONG).unwrap_err();
    assert!(matches!(&error, Error::Authentication { reason, .. } if reason.contains("nowhere")), "{error}");
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_dropped_channel_returns_its_deliveries_without_waiting() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    fill(&*publishing(&connector), &queue, &["a"]);
    let subscription = channel.consume(&queue, &ConsumeOptions::default()).unwrap();
    take(&*subscription);
    drop(channel);
    assert_eq!(subscription.next(SHORT).unwrap(), None, "a subscription keeps its channel alive");
    drop(subscription);
    let other = consuming(&connector);
    eventually("a is back", || other.get(&queue, Acknowledgement::Automatic).unwrap().is_some());
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn the_negotiated_frame_size_is_kept() {
    let connector = AmqpConnector::new(&broker_options().frame_max(4096)).unwrap();
    let channel = publishing(&connector);
    let queue = declare(&*channel);
    let large = Properties::new().with_header("h", "x".repeat(4096));
    let content = Arc::new(Content::new("", &*queue, "x").with_properties(large));
    let error = channel.publish(&Publication { content: &content, mandatory: false }, LONG).unwrap_err();
    assert!(matches!(&error, Error::Invalid { limit, .. } if limit.contains("4088")), "{error}");
    fill(&*channel, &queue, &["x".repeat(10_000).as_str()]);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn consumers_come_and_go_without_harm_to_the_connection() {
    const ROUNDS: usize = 1000;
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let publisher = publishing(&connector);
    let total = ROUNDS + 20;
    fill(&*publisher, &queue, &vec!["x"; total]);
    for round in 0..ROUNDS {
        let subscription = channel.consume(&queue, &ConsumeOptions::prefetch(8)).unwrap();
        let delivery = take(&*subscription);
        drop(subscription);
        channel.ack(delivery.tag, Extent::One).unwrap_or_else(|error| panic!("round {round}: {error}"));
    }
    eventually("all but the acknowledged ones are back", || {
        let left = publisher.declare(Declare::Queue(&Queue::existing(&*queue))).unwrap();
        left.message_count as usize == total - ROUNDS && left.consumer_count == 0
    });
    assert!(channel.get(&queue, Acknowledgement::Manual).unwrap().is_some());
}
