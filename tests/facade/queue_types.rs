//! The types of queues and exchanges that a release of RabbitMQ adds.

use std::time::Duration;

use carrot::topology::{DelayedRetry, LeaderLocator, Overflow};
use carrot::{Connection, Error, Exchange, Queue};

use crate::support::{ready, release, unique};

/// Declares the queue twice, and deletes it.
fn declare(connection: &Connection, queue: Queue) {
    connection.declare_queue(&queue).unwrap();
    connection.declare_queue(&queue).unwrap();
    connection.delete_queue(&queue.name, carrot::topology::DeleteIf::default()).unwrap();
}

on_both_backends! {
    #[without_activemq("x-queue-type")]
    fn queues_of_both_types_are_declared_with_their_arguments(connection: &Connection) {
        declare(connection, Queue::new(unique("classic")).classic());
        declare(
            connection,
            Queue::new(unique("quorum"))
                .quorum()
                .delivery_limit(7)
                .dead_letter_exchange("amq.direct")
                .dead_letter_at_least_once()
                .leader_locator(LeaderLocator::ClientLocal)
                .initial_group_size(1),
        );
        declare(connection, Queue::new(unique("quorum")).quorum().without_delivery_limit());
        declare(
            connection,
            Queue::new(unique("quorum")).quorum().delayed_retry(
                DelayedRetry::All,
                Duration::from_secs(1),
                Duration::from_secs(2),
            ),
        );
    }

    #[without_activemq("x-queue-type")]
    fn group_of_no_node_is_refused(connection: &Connection) {
        let queue = Queue::new(unique("quorum")).quorum().initial_group_size(0);
        let error = connection.declare_queue(queue).unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error}");
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn stream_is_declared_with_its_limits() {
    let connection = crate::support::rabbitmq();
    let stream = Queue::new(unique("stream"))
        .stream()
        .max_age(Duration::from_millis(3_599_001))
        .max_length_bytes(1_000_000_000)
        .max_segment_bytes(1_000_000)
        .leader_locator(LeaderLocator::Balanced);
    declare(&connection, stream);
}

/// RabbitMQ 4.3.6 stops serving such a queue.
#[test]
fn delayed_retry_of_a_queue_that_drops_its_head_is_refused_by_every_declaration() {
    let connection = crate::support::memory();
    let delaying = |delayed| {
        Queue::new("delaying").quorum().delayed_retry(
            delayed,
            Duration::from_secs(1),
            Duration::from_secs(2),
        )
    };
    for delayed in [DelayedRetry::All, DelayedRetry::Failed, DelayedRetry::Returned] {
        for queue in [delaying(delayed).max_length(9), delaying(delayed).max_length_bytes(9)] {
            let refused = [
                connection.declare_queue(&queue).map(drop),
                connection.publisher().queue(queue.clone()).build().map(drop),
                connection.consumer(queue.clone()).build().map(drop),
                connection.consumer("queue").park_with(queue.clone()).build().map(drop),
            ];
            for error in refused.map(Result::unwrap_err) {
                assert!(
                    matches!(&error, Error::Invalid { field, .. } if field == "delayed retry"),
                    "{error}"
                );
            }
            connection.declare_queue(queue.clone().overflow(Overflow::RejectPublish)).unwrap();
            connection.delete_queue(&queue.name, carrot::topology::DeleteIf::default()).unwrap();
        }
    }
    connection.declare_queue(Queue::new("limited").quorum().max_length(9)).unwrap();
}

#[test]
fn memory_broker_refuses_a_stream_by_name() {
    let connection = crate::support::memory();
    let error = connection.declare_queue(Queue::new("events").stream()).unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed { .. }), "{error}");
    assert!(error.to_string().contains("stream"), "{error}");
}

/// The exchange types of a release, and of the plug-ins in the nodes of `scripts/rabbitmq`.
#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn exchange_types_of_plug_ins_route_and_missing_ones_are_refused_with_their_name() {
    let connection = crate::support::rabbitmq();
    // Each with the binding key, which is the weight of the queue for a consistent hash.
    let exchanges = [
        (Exchange::consistent_hash(unique("exchange")), "1", (3, 0)),
        (Exchange::random(unique("exchange")), "1", (3, 0)),
        (Exchange::recent_history(unique("exchange")), "1", (3, 0)),
        (Exchange::local_random(unique("exchange")), "", (4, 0)),
        (Exchange::modulus_hash(unique("exchange")), "1", (4, 3)),
    ];
    for (exchange, key, since) in exchanges {
        let exchange = exchange.auto_delete();
        let declared = connection.declare_exchange(&exchange);
        if release() < since {
            let error = declared.unwrap_err();
            assert!(error.to_string().contains(exchange.kind.as_str()), "{error}");
            match error {
                Error::PreconditionFailed { .. } => assert!(release() >= (4, 0)),
                error => assert!(matches!(error, Error::HardError { code: 503, .. }), "{error}"),
            }
            continue;
        }
        declared.unwrap();
        let queues = [unique("first"), unique("second")];
        for queue in &queues {
            connection.declare_queue(queue).unwrap();
            connection.bind(&carrot::Binding::queue(&exchange.name, queue, key)).unwrap();
        }
        let publisher = connection.publisher().exchange(&exchange).build().unwrap();
        for number in 0..100 {
            publisher.message().routing_key(number.to_string()).send(&number).unwrap();
        }
        let received: Vec<u32> = queues.iter().map(|queue| ready(&connection, queue)).collect();
        let copies = if exchange.kind.as_str() == "x-recent-history" { 2 } else { 1 };
        assert_eq!(received.iter().sum::<u32>(), 100 * copies, "{exchange:?}: {received:?}");
        assert!(received.iter().all(|count| *count > 0), "{exchange:?}: {received:?}");
        let late = unique("late");
        connection.declare_queue(&late).unwrap();
        connection.bind(&carrot::Binding::queue(&exchange.name, &late, key)).unwrap();
        assert_eq!(ready(&connection, &late) > 0, copies == 2, "{exchange:?}");
        for queue in queues.iter().chain([&late]) {
            connection.delete_queue(queue, carrot::topology::DeleteIf::default()).unwrap();
        }
    }
}
