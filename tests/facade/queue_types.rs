//! The types of queues and exchanges that a release of RabbitMQ adds.

use std::time::Duration;

use carrot::topology::{DelayedRetry, LeaderLocator};
use carrot::{Connection, Error, Exchange, Queue};

use crate::support::{release, unique};

/// Declares the queue twice, and deletes it.
fn declare(connection: &Connection, queue: Queue) {
    connection.declare_queue(&queue).unwrap();
    connection.declare_queue(&queue).unwrap();
    connection.delete_queue(&queue.name, carrot::topology::DeleteIf::default()).unwrap();
}

on_both_backends! {
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

#[test]
fn memory_broker_refuses_a_stream_by_name() {
    let connection = crate::support::memory();
    let error = connection.declare_queue(Queue::new("events").stream()).unwrap_err();
    assert!(matches!(error, Error::PreconditionFailed { .. }), "{error}");
    assert!(error.to_string().contains("stream"), "{error}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn exchange_type_of_a_plug_in_is_refused_with_its_name_or_routes() {
    let connection = crate::support::rabbitmq();
    let since = |exchange: Exchange, since: Option<(u32, u32)>| {
        let declared = connection.declare_exchange(&exchange);
        match since {
            Some(least) if release() >= least => {
                declared.unwrap();
                let queue = crate::support::queue();
                connection.declare_queue(&queue).unwrap();
                let binding = carrot::Binding::queue(&exchange.name, &queue.name, "");
                connection.bind(&binding).unwrap();
                let publisher =
                    connection.publisher().exchange(exchange).routing_key("key").build().unwrap();
                publisher.send("x").unwrap();
                assert_eq!(crate::support::ready(&connection, &queue.name), 1);
                connection
                    .delete_queue(&queue.name, carrot::topology::DeleteIf::default())
                    .unwrap();
            }
            _ => {
                let error = declared.unwrap_err();
                assert!(error.to_string().contains(exchange.kind.as_str()), "{error}");
                match error {
                    Error::PreconditionFailed { .. } => assert!(release() >= (4, 0)),
                    error => {
                        assert!(matches!(error, Error::HardError { code: 503, .. }), "{error}")
                    }
                }
            }
        }
    };
    let name = || unique("exchange");
    since(Exchange::local_random(name()).auto_delete(), Some((4, 0)));
    since(Exchange::modulus_hash(name()).auto_delete(), Some((4, 3)));
    since(Exchange::consistent_hash(name()).auto_delete(), None);
    since(Exchange::random(name()).auto_delete(), None);
    since(Exchange::recent_history(name()).auto_delete(), None);
}
