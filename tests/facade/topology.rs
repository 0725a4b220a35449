//! Topologies as data: declared together, and compared with the broker.

use carrot::topology::{DifferenceKind, Overflow, Topology};
use carrot::{Binding, Error, Exchange, ExchangeKind, Queue};

use crate::support::{SOON, exchange, queue, rabbitmqctl, ready, unique};

/// An exchange, a queue and a binding that no other test uses.
fn prices() -> Topology {
    let (exchange, queue) = (exchange(ExchangeKind::Topic), queue());
    let binding = Binding::queue(&exchange.name, &queue.name, "usd.#");
    Topology::new().exchange(exchange).queue(queue).binding(binding)
}

on_both_backends! {
    fn topology_is_declared_and_equal(connection: &Connection) {
        let topology = prices();
        connection.declare_all(&topology).unwrap();
        connection.declare_all(&topology).unwrap();
        assert!(connection.check(&topology).unwrap().is_equal());

        let publisher = connection.publisher().exchange(&topology.exchanges[0]).build().unwrap();
        publisher.message().routing_key("usd.stock").mandatory().send("IBM 83.1").unwrap();
        assert_eq!(ready(connection, &topology.queues[0].name), 1);
    }

    fn topology_with_refused_entity_names_it(connection: &Connection) {
        let mut topology = prices();
        let existing = queue();
        connection.declare_queue(&existing).unwrap();
        topology.queues.push(existing.clone().message_ttl(SOON));
        let last = queue();
        topology.queues.push(last.clone());

        let error = connection.declare_all(&topology).unwrap_err();
        let Error::Declaration { entity, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*entity, format!("queue {:?}", existing.name));
        assert_eq!(error.reply_code(), Some(406));
        assert!(!error.is_retryable() && !error.is_disconnected());
        // The entities before the refusal were declared, and those after it were not.
        connection.declare_queue(Queue::existing(&topology.queues[0].name)).unwrap();
        let missing = connection.declare_queue(Queue::existing(&last.name)).unwrap_err();
        assert!(matches!(missing, Error::NotFound { .. }), "{missing:?}");
    }

    fn topology_with_invalid_entity_declares_nothing(connection: &Connection) {
        let topology = prices().queue("");
        let error = connection.declare_all(&topology).unwrap_err();
        assert!(matches!(&error, Error::Declaration { entity, .. } if entity == "queue \"\""));
        let first = Queue::existing(&topology.queues[0].name);
        assert!(matches!(connection.declare_queue(first), Err(Error::NotFound { .. })));
    }

    fn check_lists_every_difference_and_changes_nothing(connection: &Connection) {
        let equal = prices();
        connection.declare_all(&equal).unwrap();
        let (missing, different) = (queue(), queue());
        connection.declare_queue(&different).unwrap();
        let other_kind = Exchange::fanout(&equal.exchanges[0].name).auto_delete();
        let missing_exchange = Exchange::direct(unique("exchange"));
        let topology = equal
            .clone()
            .exchange(&other_kind)
            .exchange(&missing_exchange)
            .queue(&missing)
            .queue(different.clone().message_ttl(SOON));

        for _ in 0..2 {
            let check = connection.check(&topology).unwrap();
            let found: Vec<_> =
                check.differences.iter().map(|found| (&*found.entity, found.kind)).collect();
            let name = |kind: &str, name: &str| format!("{kind} {name:?}");
            let expected = [
                (name("exchange", &other_kind.name), DifferenceKind::Different),
                (name("exchange", &missing_exchange.name), DifferenceKind::Missing),
                (name("queue", &missing.name), DifferenceKind::Missing),
                (name("queue", &different.name), DifferenceKind::Different),
            ];
            let expected: Vec<_> =
                expected.iter().map(|(entity, kind)| (&**entity, *kind)).collect();
            assert_eq!(found, expected, "{check}");
            let reason = &check.differences[3].reason;
            assert!(reason.contains("x-message-ttl"), "{reason}");
        }
        let gone = connection.declare_queue(Queue::existing(&missing.name)).unwrap_err();
        assert!(matches!(gone, Error::NotFound { .. }), "{gone:?}");
        assert!(connection.check(&equal).unwrap().is_equal());
    }
}

#[test]
fn check_on_memory_finds_missing_bindings() {
    let connection = crate::support::memory();
    let topology = prices();
    connection.declare_all(&topology).unwrap();
    connection.unbind(&topology.bindings[0]).unwrap();
    // The exchange deleted itself with its last binding.
    connection.declare_exchange(&topology.exchanges[0]).unwrap();
    let check = connection.check(&topology).unwrap();
    assert_eq!(check.differences.len(), 1, "{check}");
    assert!(check.differences[0].entity.starts_with("binding of queue"), "{check}");
    assert!(check.unchecked.is_empty());
}

on_both_amqp_brokers! {
    fn check_on_amqp_cannot_compare_bindings(broker: &RemoteBroker) {
        let connection = broker.connect();
        let topology = prices();
        connection.declare_all(&topology).unwrap();
        let check = connection.check(&topology).unwrap();
        assert!(check.is_equal());
        assert_eq!(check.unchecked.len(), 1);
        assert!(check.to_string().ends_with("1 not compared"), "{check}");
    }
}

#[test]
fn check_of_exclusive_queue_of_another_connection_is_refused() {
    let topology = Topology::new().queue(Queue::new(unique("queue")).exclusive());
    let name = unique("broker");
    let url = format!("memory://{name}");
    let (owner, other) = (carrot::connect(&*url).unwrap(), carrot::connect(&*url).unwrap());
    owner.declare_all(&topology).unwrap();
    let check = other.check(&topology).unwrap();
    assert_eq!(check.differences[0].kind, DifferenceKind::Refused, "{check}");
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn definitions_that_rabbitmq_exports_are_equal() {
    let connection = crate::support::rabbitmq();
    let topology = prices()
        .exchange(exchange(ExchangeKind::Fanout).alternate_exchange("unrouted"))
        .queue(queue().quorum().max_length(10).overflow(Overflow::RejectPublish));
    let copies = Binding::exchange(&topology.exchanges[0].name, &topology.exchanges[1].name, "#");
    let topology = topology.binding(copies.argument("n", 1));
    connection.declare_all(&topology).unwrap();

    let exported = rabbitmqctl(&["export_definitions", "-"]);
    // Other tests declare and delete entities meanwhile.
    let all = Topology::from_definitions(&exported, "/").unwrap();
    let queue = |name: &str| all.queues.iter().find(|queue| queue.name == name).cloned();
    let exchange = |name: &str| all.exchanges.iter().find(|kept| kept.name == name).cloned();
    let mut read = Topology::new();
    read.queues = topology.queues.iter().map(|kept| queue(&kept.name).unwrap()).collect();
    read.exchanges = topology.exchanges.iter().map(|kept| exchange(&kept.name).unwrap()).collect();
    let check = connection.check(&read).unwrap();
    assert!(check.is_equal(), "{check}");
    assert!(topology.bindings.iter().all(|binding| all.bindings.iter().any(|read| {
        (&read.source, &read.destination, &read.routing_key)
            == (&binding.source, &binding.destination, &binding.routing_key)
    })));
}
