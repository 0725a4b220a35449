//! Checks channels that the broker closes, and other channels of the same connection. Each test
//! needs a broker, named by `CARROT_TEST_AMQP_URL`.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::Arc;
use std::thread;

use carrot_core::backend::{
    Acknowledgement, ConsumeOptions, Content, Declare, Delete, DeleteIf, DeliveryTag, Extent,
    Outcome, Publication, PublishTag,
};
use carrot_core::{Error, Exchange, ExchangeKind, Properties, Queue};
use support::channels::*;
use support::release::{UNKNOWN_EXCHANGE_TYPE_COSTS_THE_CHANNEL, release};
use support::unique;

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn the_first_error_of_a_channel_stays_and_the_connection_lives() {
    let connector = connector();
    let queue = unique("missing");
    let channel = publishing(&connector);
    let neighbour = publishing(&connector);
    let error = channel.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap_err();
    assert!(matches!(&error, Error::NotFound { reason } if reason.contains(&queue)), "{error}");
    let not_found = |error: Error| assert!(matches!(error, Error::NotFound { .. }), "{error}");
    not_found(channel.declare(Declare::Queue(&Queue::new(&*queue)), LONG).unwrap_err());
    not_found(channel.delete(Delete::Messages { queue: &queue }, LONG).unwrap_err());
    not_found(channel.publish(&Publication::new(&message(&queue, "x")), LONG).unwrap_err());
    not_found(channel.confirm(PublishTag(1), LONG).unwrap_err());
    not_found(channel.get(&queue, Acknowledgement::Manual, LONG).unwrap_err());
    not_found(channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap_err());
    let stale = channel.ack(DeliveryTag(1), Extent::One).unwrap_err();
    assert!(
        matches!(&stale, Error::Stale { source: Some(cause) } if matches!(**cause, Error::NotFound { .. })),
        "{stale:?}"
    );
    channel.close(LONG).unwrap();
    declare(&*neighbour);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn each_refusal_has_its_own_error() {
    let connector = connector();
    let queue = declare(&*publishing(&connector));
    let refused = |entity: Declare<'_>| publishing(&connector).declare(entity, LONG).unwrap_err();
    let other = Queue::new(&*queue).transient();
    assert!(matches!(refused(Declare::Queue(&other)), Error::PreconditionFailed { .. }));
    assert!(matches!(
        refused(Declare::Queue(&Queue::new("amq.mine"))),
        Error::AccessRefused { .. }
    ));
    assert!(matches!(
        refused(Declare::Exchange(&Exchange::default_exchange())),
        Error::AccessRefused { .. }
    ));
    let private =
        consuming(&connector).declare(Declare::Queue(&Queue::server_named()), LONG).unwrap().name;
    assert!(matches!(
        refused(Declare::Queue(&Queue::existing(private))),
        Error::ResourceLocked { .. }
    ));
    let error = consuming(&connector)
        .consume(&unique("missing"), &ConsumeOptions::default(), LONG)
        .unwrap_err();
    assert!(matches!(error, Error::NotFound { .. }), "{error}");
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn an_unknown_exchange_type_costs_the_connection_or_since_4_0_the_channel() {
    let connector = connector();
    let channel = publishing(&connector);
    let neighbour = publishing(&connector);
    let costs_the_channel = release() >= UNKNOWN_EXCHANGE_TYPE_COSTS_THE_CHANNEL;
    let odd = Exchange::new(unique("odd"), ExchangeKind::Custom("x-odd".into()));
    for _ in 0..2 {
        let error = channel.declare(Declare::Exchange(&odd), LONG).unwrap_err();
        let reason = match &error {
            Error::PreconditionFailed { reason } if costs_the_channel => reason,
            Error::HardError { code: 503, reason } if !costs_the_channel => reason,
            _ => panic!("{error:?}"),
        };
        assert!(reason.contains("x-odd"), "{reason}");
    }
    if costs_the_channel {
        declare(&*neighbour);
    } else {
        let error = neighbour.declare(Declare::Queue(&Queue::new("x")), LONG).unwrap_err();
        assert!(
            matches!(&error, Error::Disconnected { reason, source: None } if reason.contains("503")),
            "{error}"
        );
    }
    declare(&*publishing(&connector));
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_missing_exchange_is_told_by_confirm_to_every_thread_that_waits() {
    let connector = connector();
    let channel = publishing(&connector);
    let content = Arc::new(Content::new(unique("nowhere"), "k", "x"));
    let tags: Vec<_> =
        (0..4).filter_map(|_| channel.publish(&Publication::new(&content), LONG).ok()).collect();
    assert!(!tags.is_empty());
    thread::scope(|scope| {
        for tag in tags {
            let channel = &channel;
            scope.spawn(move || {
                let error = channel.confirm(tag, LONG).unwrap_err();
                assert!(matches!(error, Error::NotFound { .. }), "{error}");
            });
        }
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn an_unknown_tag_closes_the_channel_and_the_rest_comes_back() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    fill(&*publishing(&connector), &queue, &["a", "b"]);
    let first = channel.get(&queue, Acknowledgement::Manual, LONG).unwrap().unwrap();
    let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    assert_eq!(body(&take(&*subscription)), "b");
    channel.ack(first.tag, Extent::One).unwrap();
    channel.ack(first.tag, Extent::One).unwrap();
    let error = subscription.next(LONG).unwrap_err();
    assert!(
        matches!(&error, Error::PreconditionFailed { reason } if reason.contains("unknown delivery tag 1")),
        "{error}"
    );
    assert!(matches!(
        channel.ack(DeliveryTag(2), Extent::One).unwrap_err(),
        Error::Stale { source: Some(_) }
    ));
    let other = consuming(&connector);
    eventually("b is back", || {
        other
            .get(&queue, Acknowledgement::Automatic, LONG)
            .unwrap()
            .is_some_and(|delivery| delivery.redelivered && body(&delivery) == "b")
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_deleted_queue_cancels_its_consumers_and_every_waiting_thread_hears_it() {
    let connector = connector();
    let channel = consuming(&connector);
    let queue = declare(&*channel);
    let subscription = channel.consume(&queue, &ConsumeOptions::default(), LONG).unwrap();
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..4).map(|_| scope.spawn(|| subscription.next(LONG))).collect();
        publishing(&connector)
            .delete(Delete::Queue { name: &queue, condition: DeleteIf::ALWAYS }, LONG)
            .unwrap();
        for waiter in waiting {
            assert!(matches!(waiter.join().unwrap().unwrap_err(), Error::Cancelled { .. }));
        }
    });
    declare(&*channel);
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn channels_close_under_their_consumers_without_harm_to_the_connection() {
    let connector = connector();
    let publisher = publishing(&connector);
    let queue = declare(&*publisher);
    fill(&*publisher, &queue, &["x"; 50]);
    let keeps = consuming(&connector);
    for round in 0..1000 {
        let channel = consuming(&connector);
        let subscription =
            channel.consume(&queue, &ConsumeOptions::with_prefetch(8), LONG).unwrap();
        match round % 4 {
            0 => channel.close(LONG).unwrap(),
            1 => drop(subscription),
            2 => subscription.cancel(LONG).unwrap(),
            _ => assert!(channel.ack(DeliveryTag(1000), Extent::One).is_ok()),
        }
    }
    assert!(keeps.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).is_ok());
    eventually("all are back", || {
        publisher.declare(Declare::Queue(&Queue::existing(&*queue)), LONG).unwrap().message_count
            == 50
    });
}

#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn a_channel_that_is_closed_in_the_middle_of_messages_costs_no_other() {
    let connector = connector();
    let neighbour = publishing(&connector);
    for size in [10, 100, 100_000, 300_000].into_iter().cycle().take(40) {
        let channel = publishing(&connector);
        let content = Arc::new(Content::new(unique("nowhere"), "k", vec![b'x'; size]));
        let messages = 3_000_000 / (size + 1_000);
        let refused =
            (0..messages).find_map(|_| channel.publish(&Publication::new(&content), LONG).err());
        let error = refused.unwrap_or_else(|| {
            channel.declare(Declare::Exchange(&Exchange::existing("amq.direct")), LONG).unwrap_err()
        });
        assert!(matches!(error, Error::NotFound { .. }), "{size}: {error:?}");
        neighbour
            .declare(Declare::Exchange(&Exchange::existing("amq.direct")), LONG)
            .unwrap_or_else(|error| panic!("{size}: {error:?}"));
    }
}

/// Checks deliveries that arrive for a closed channel. Closing the channel requeues a message.
/// The message expires and is dead-lettered. The dead-letter queue still lists a consumer of the
/// closed channel, and delivers the message to that consumer.
#[test]
#[ignore = "needs a broker: set CARROT_TEST_AMQP_URL"]
fn what_arrives_for_a_channel_after_its_end_costs_no_other() {
    let connector = connector();
    let neighbour = publishing(&connector);
    let letters = declare(&*neighbour);
    let source = unique("queue");
    let queue = Queue::new(&*source).argument("x-expires", 60_000);
    let queue = queue
        .argument("x-dead-letter-exchange", "")
        .argument("x-dead-letter-routing-key", &*letters);
    neighbour.declare(Declare::Queue(&queue), LONG).unwrap();
    for round in 0..20 {
        let channel = publishing(&connector);
        let expiring = channel.consume(&source, &ConsumeOptions::with_prefetch(0), LONG).unwrap();
        let properties = Properties::new().with_message_id(unique("id")).with_expiration("0");
        let content = Arc::new(Content::new("", &*source, "x").with_properties(properties));
        let tag = publish(&*channel, &content);
        assert_eq!(channel.confirm(tag, LONG).unwrap(), Outcome::Accepted);
        take(&*expiring);
        let dead = channel.consume(&letters, &ConsumeOptions::with_prefetch(0), LONG).unwrap();
        assert!(
            channel.declare(Declare::Queue(&Queue::existing(unique("nowhere"))), LONG).is_err()
        );
        let error = loop {
            match dead.next(LONG) {
                Ok(delivery) => assert!(delivery.is_some(), "the end is not told"),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::NotFound { .. }), "round {round}: {error:?}");
        eventually("the letter is there", || {
            let found = neighbour.declare(Declare::Queue(&Queue::existing(&*letters)), LONG);
            found.unwrap_or_else(|error| panic!("round {round}: {error:?}")).message_count
                == round + 1
        });
    }
}
