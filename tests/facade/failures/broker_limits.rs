//! Delivery limits. Consumer timeouts and permissions, which only RabbitMQ has.

use std::sync::mpsc;
use std::time::Duration;

use carrot::{ConnectionOptions, Message, Queue, consume::Retry};

use crate::remote_broker::RemoteBroker;
use crate::support::{
    SOON, eventually, passing, rabbitmq_url, rabbitmqctl, ready, release, unique,
};

/// Starts a consumer at the default prefetch, waits until it holds every message, and ends it in
/// one of four ways.
fn start_and_stop(broker: &RemoteBroker, queue: &Queue, messages: u32, way: u32) {
    let connection = broker.connect();
    let consumer = connection.consumer(queue).build().unwrap();
    let holds_all =
        || eventually("it holds every message", || ready(&connection, &queue.name) == 0);
    let (go, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let (sender, started) = mpsc::channel();
    let handle = move |_: u32, _message: &Message| {
        sender.send(()).unwrap();
        let _ = gate.lock().unwrap().recv();
    };
    match way % 4 {
        // One message is being handled at the stop, and is requeued with the others at the
        // deadline.
        0 => {
            let workers = consumer.workers(1).spawn(handle).unwrap();
            started.recv_timeout(SOON).unwrap();
            holds_all();
            let report = workers.stop(Duration::from_millis(50)).unwrap();
            assert_eq!(
                (report.requeued_unhandled, report.unfinished),
                (u64::from(messages) - 1, 1)
            );
        }
        1 => {
            let iterator = consumer.messages().unwrap();
            holds_all();
            drop(iterator);
        }
        2 => {
            let _iterator = consumer.messages().unwrap();
            holds_all();
            consumer.close().unwrap();
        }
        _ => {
            let _workers = consumer.workers(1).spawn(handle).unwrap();
            started.recv_timeout(SOON).unwrap();
            holds_all();
            connection.close().unwrap();
        }
    }
    drop(go);
}

on_remote_brokers! {
    #[without_activemq("x-queue-type")]
    fn consumer_restarts_count_no_failed_delivery(broker: &RemoteBroker) {
        const MESSAGES: u32 = 3;
        const LIMIT: u32 = 3;
        let connection = broker.connect();
        let queue = Queue::new(unique("quorum")).quorum().delivery_limit(LIMIT);
        connection.declare_queue(&queue).unwrap();
        connection
            .publisher()
            .routing_key(&*queue.name)
            .build()
            .unwrap()
            .send_all(0..MESSAGES)
            .unwrap();
        let there = || ready(&connection, &queue.name);
        if broker.release() >= (4, 3) {
            for round in 0..100 {
                start_and_stop(broker, &queue, MESSAGES, round);
                eventually("every message is back", || there() == MESSAGES);
            }
        } else {
            // RabbitMQ before 4.3 counts every delivery. docs/guarantees.md records this.
            for round in 0..LIMIT {
                start_and_stop(broker, &queue, MESSAGES, round);
                eventually("every message is back", || there() == MESSAGES);
            }
            start_and_stop(broker, &queue, MESSAGES, 0);
            eventually("the broker has dropped them", || there() == 0);
        }
        connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    #[without_activemq("x-queue-type")]
    fn requeue_failed_counts_towards_delivery_limit(broker: &RemoteBroker) {
        let connection = broker.connect();
        let dead = passing(unique("dead"));
        connection.declare_queue(&dead).unwrap();
        let queue = Queue::new(unique("quorum"))
            .quorum()
            .delivery_limit(2)
            .dead_letter_exchange("")
            .dead_letter_routing_key(&*dead.name);
        let consumer = connection.consumer(&queue).requeue_failed().build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        let workers =
            consumer.workers(1).spawn(|_: String, _message: &Message| Err::<(), _>("no")).unwrap();
        eventually("the broker dead-letters it", || ready(&connection, &dead.name) == 1);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.requeued), (3, 3));
        connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }
}

/// RabbitMQ before 4.3 closes the channel instead, and looks for it once a minute.
#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn consumer_timed_out_by_broker_subscribes_again() {
    if release() < (4, 3) {
        return;
    }
    let connection = carrot::connect(rabbitmq_url()).unwrap();
    let queue = Queue::new(unique("quorum")).quorum().argument("x-consumer-timeout", 1000);
    let publisher = connection.publisher().queue(&queue).build().unwrap();
    let consumer = connection.consumer(&queue).prefetch(1).build().unwrap();
    let (sender, handled) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let handle = move |number: u32, message: &Message| {
        if number == 1 && !message.is_redelivered() {
            let _ = gate.lock().unwrap().recv();
        }
        sender.send((number, message.is_redelivered())).unwrap();
    };
    let workers = consumer.workers(2).spawn(handle).unwrap();
    publisher.send_all(1..=3).unwrap();
    // While the first is held, the others are handled. Then the broker redelivers the first.
    let mut others: Vec<_> = (0..3).map(|_| handled.recv_timeout(SOON * 3).unwrap()).collect();
    others.sort_unstable();
    assert_eq!(others, [(1, true), (2, false), (3, false)]);
    drop(release);
    assert_eq!(handled.recv_timeout(SOON), Ok((1, false)));
    publisher.send(&4).unwrap();
    // RabbitMQ may deliver it to the consumer that it has cancelled, and again after the requeue.
    assert_eq!(handled.recv_timeout(SOON).map(|(number, _)| number), Ok(4));
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.acknowledged, report.stale, report.failed), (4, 1, 0), "{report:?}");
    connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn messages_held_over_time_out_are_stale_and_delivered_again() {
    if release() < (4, 3) {
        return;
    }
    let connection = carrot::connect(rabbitmq_url()).unwrap();
    let queue = Queue::new(unique("quorum")).quorum().argument("x-consumer-timeout", 1000);
    connection.publisher().queue(&queue).build().unwrap().send_all(1..=2).unwrap();
    let consumer = connection.consumer(&queue).build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON * 3);
    let held: Vec<_> = (0..2).map(|_| messages.next().unwrap().unwrap()).collect();
    let again: Vec<_> = (0..2).map(|_| messages.next().unwrap().unwrap()).collect();
    assert!(again.iter().all(Message::is_redelivered));
    for message in held {
        assert!(matches!(message.ack(), Err(carrot::Error::Stale { .. })));
    }
    again.into_iter().for_each(|message| message.ack().unwrap());
    drop(messages);
    assert_eq!(ready(&connection, &queue.name), 0);
    connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn time_out_of_consumer_keeps_order_of_keys() {
    if release() < (4, 3) {
        return;
    }
    let connection = carrot::connect(rabbitmq_url()).unwrap();
    let queue = Queue::new(unique("quorum")).quorum().argument("x-consumer-timeout", 1000);
    connection.publisher().queue(&queue).build().unwrap().send_all(1..=3).unwrap();
    let consumer = connection.consumer(&queue).build().unwrap();
    let (sender, handled) = mpsc::channel();
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let handle = move |number: u32, message: &Message| {
        sender.send((number, message.is_redelivered())).unwrap();
        if number == 1 && !message.is_redelivered() {
            let _ = gate.lock().unwrap().recv();
        }
    };
    let workers = consumer.workers(2).ordered_by(|_| "one key").spawn(handle).unwrap();
    let delivered = || connection.statistics().consuming.delivered;
    eventually("all are redelivered", || delivered() == 6);
    drop(release);
    let mut all: Vec<_> = (0..4).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
    eventually("all are acknowledged", || workers.report().acknowledged == 3);
    workers.stop(SOON).unwrap();
    all.extend(handled.try_iter());
    assert_eq!(all, [(1, false), (1, true), (2, true), (3, true)]);
    connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn failed_message_without_permissions_is_kept() {
    let owner = carrot::connect(rabbitmq_url()).unwrap();
    let queue = Queue::new(unique("queue")).expires(Duration::from_secs(300));
    owner.declare_queue(&queue).unwrap();
    let user = unique("user");
    rabbitmqctl(&["add_user", &user, "password"]);
    let name = &*queue.name;
    rabbitmqctl(&["set_permissions", &user, "^$", r"^amq\.default$", &format!("^{name}$")]);
    let options: ConnectionOptions = rabbitmq_url().parse().unwrap();
    let connection = carrot::connect(options.credentials(&*user, "password")).unwrap();
    let consumer = connection
        .consumer(Queue::existing(&*queue.name))
        .retry(Retry::fixed(Duration::from_secs(1)).attempts(2))
        .build()
        .unwrap();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
        sender.send(message.attempt()).unwrap();
        Err::<(), _>("no")
    });
    let workers = workers.unwrap();
    owner.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
    for attempt in 1..=3 {
        // After the second attempt, the message should be parked, but cannot be.
        assert_eq!(handled.recv_timeout(SOON), Ok(attempt));
    }
    assert!(workers.report().paused >= 1 && !workers.is_finished(), "{:?}", workers.report());

    // Queues that a user with the permission has declared, as in docs/guarantees.md, serve as well.
    let waiting = Queue::new(format!("{}.retry.v1.1s", queue.name))
        .message_ttl(Duration::from_secs(1))
        .dead_letter_exchange("")
        .dead_letter_routing_key(&*queue.name)
        .quorum()
        .argument("x-dead-letter-strategy", "at-least-once")
        .argument("x-overflow", "reject-publish");
    owner.declare_queue(&waiting).unwrap();
    let parking = Queue::new(format!("{}.failed", queue.name)).expires(Duration::from_secs(300));
    owner.declare_queue(&parking).unwrap();
    eventually("it is parked", || workers.report().parked == 1);
    owner.publisher().routing_key(name).build().unwrap().send("y").unwrap();
    eventually("the next one waits, and is parked", || workers.report().parked == 2);
    assert_eq!(workers.report().retried, 1);

    // With the permissions that the page names, missing queues are declared again.
    owner.delete_queue(&waiting.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    let (configure, read) =
        (format!(r"^{name}\.(retry\.v1\..*|failed)$"), format!(r"^{name}(\.retry\.v1\..*)?$"));
    rabbitmqctl(&["set_permissions", &user, &configure, r"^amq\.default$", &read]);
    owner.publisher().routing_key(name).build().unwrap().send("z").unwrap();
    eventually("all are parked", || workers.report().parked == 3);
    workers.stop(SOON).unwrap();
    assert_eq!((ready(&owner, &queue.name), ready(&owner, &parking.name)), (0, 3));
    rabbitmqctl(&["delete_user", &user]);
}
