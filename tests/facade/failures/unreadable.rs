//! Messages of which the driver cannot read a part: each costs itself only.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use carrot::memory::Broker;
use carrot::{
    Connection, Consumer, Error, Handler, Message, Queue, Settlement,
    consume::{HandlerError, Report, Retry},
};

use super::raw_client::{RawClient, headers, nested};
use super::{SHORTEST, with_parking};
use crate::remote_broker::RemoteBroker;
use crate::support::{SOON, eventually, ready, unique};

/// The prefetch: less than the messages, all of them, and more.
const PREFETCHES: [u16; 3] = [1, 7, 32];
/// The body of the unreadable message, which would decode.
const BAD: &str = "99";
const GOOD: [u32; 6] = [0, 1, 2, 3, 4, 5];

/// A queue of three readable messages, an unreadable one, and three readable ones.
struct World {
    connection: Connection,
    way: Way,
    queue: Queue,
    parking: String,
    /// The queue for dead letters.
    dead: String,
    /// The property list of the unreadable message on a broker with a port.
    properties: Vec<u8>,
    /// A part of the reason.
    reason: &'static str,
    losses: Arc<AtomicUsize>,
}

/// The broker, and the cause of unreadable messages.
enum Way {
    /// The broker makes messages unreadable.
    Memory(Broker),
    /// Another client publishes them.
    Amqp(RemoteBroker),
}

impl World {
    fn new(connection: Connection, way: Way) -> World {
        let losses = Arc::<AtomicUsize>::default();
        let counted = Arc::clone(&losses);
        connection.on_disconnect(move |_, _| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let (queue, parking) = with_parking();
        let dead = unique("dead");
        let expiring = Queue::new(&*dead).expires(Duration::from_secs(300));
        connection.declare_queue(expiring).unwrap();
        let queue = queue.dead_letter_exchange("").dead_letter_routing_key(&*dead);
        let (properties, reason) = (headers(&nested(130)), "more than 128 levels");
        World { connection, way, queue, parking, dead, properties, reason, losses }
    }

    fn memory() -> World {
        let broker = Broker::new();
        broker
            .faults()
            .make_unreadable("nested too deep", |content| content.body == BAD.as_bytes());
        let world = World::new(Connection::new(broker.connector()), Way::Memory(broker));
        World { reason: "nested too deep", ..world }
    }

    fn server() -> World {
        World::amqp(RemoteBroker::on_server())
    }

    fn rabbitmq() -> World {
        World::amqp(RemoteBroker::on_rabbitmq())
    }

    fn amqp(broker: RemoteBroker) -> World {
        World::new(broker.connect(), Way::Amqp(broker))
    }

    fn publish(&self) {
        self.publish_good(&GOOD[..3]);
        match &self.way {
            Way::Memory(_) => {
                let publisher = self.connection.publisher().routing_key(&*self.queue.name);
                let publisher = publisher.build().unwrap();
                publisher.message().header("tenant", "acme").send_bytes(BAD).unwrap();
            }
            Way::Amqp(broker) => {
                let key = self.queue.name.as_bytes();
                RawClient::connect(&broker.options()).publish(
                    "",
                    key,
                    &self.properties,
                    BAD.as_bytes(),
                );
            }
        }
        self.publish_good(&GOOD[3..]);
    }

    fn publish_good(&self, numbers: &[u32]) {
        let publisher = self.connection.publisher().routing_key(&*self.queue.name);
        publisher.build().unwrap().send_all(numbers).unwrap();
    }

    /// Asserts that the six readable messages were handled once and in order, that the unreadable
    /// one was rejected at its first delivery, and that no connection was lost.
    fn assert_rejected(&self, handled: &mpsc::Receiver<u32>, report: Report) {
        assert_eq!(handled.try_iter().collect::<Vec<_>>(), GOOD);
        let mut expected = Report::default();
        (expected.acknowledged, expected.undecodable, expected.discarded) = (6, 1, 1);
        assert_eq!(report, expected);
        self.assert_dead_lettered();
    }

    /// Asserts that the whole unreadable message, and no other, is dead-lettered.
    fn assert_dead_lettered(&self) {
        eventually("it is dead-lettered", || ready(&self.connection, &self.dead) == 1);
        assert_eq!(ready(&self.connection, &self.queue.name), 0);
        let parked = self.connection.declare_queue(Queue::existing(&*self.parking));
        assert!(parked.is_err() || parked.unwrap().message_count == 0);
        if let Way::Memory(broker) = &self.way {
            broker.faults().clear();
        }
        let dead = self.connection.consumer(Queue::existing(&*self.dead)).build().unwrap();
        let message = dead.fetch().unwrap().unwrap();
        assert_eq!(message.text(), Some(BAD));
        match &self.way {
            Way::Memory(_) => assert_eq!(message.header("tenant"), Some(&"acme".into())),
            Way::Amqp(_) => assert!(message.unreadable().unwrap().contains(self.reason)),
        }
        message.ack().unwrap();
        assert_eq!(self.losses.load(Ordering::SeqCst), 0, "a connection was lost");
    }

    fn assert_unreadable(&self, message: &Message) {
        let reason = message.unreadable().unwrap();
        assert!(reason.contains(self.reason), "{reason}");
        let error = message.decode::<u32>().unwrap_err();
        assert!(
            matches!(&error, Error::Decode { source, .. } if source.to_string().contains(reason)),
            "{error:?}"
        );
        assert!(!error.is_retryable() && !error.is_disconnected());
        assert!(format!("{message:?}").contains(reason));
    }

    fn assert_first_failure(&self, failure: Option<String>) {
        let failure = failure.unwrap();
        assert!(failure.contains(self.reason), "{failure}");
    }
}

/// Turns each function into a test on the memory broker, one on Carrot's server, and one on
/// RabbitMQ.
macro_rules! in_both_worlds {
    ($(fn $name:ident($world:ident: fn() -> World) $body:block)*) => {
        $(fn $name($world: fn() -> World) $body)*

        mod memory {
            $(#[test]
            fn $name() {
                super::$name(super::World::memory);
            })*
        }

        mod server {
            $(#[test]
            fn $name() {
                super::$name(super::World::server);
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::$name(super::World::rabbitmq);
            })*
        }
    };
}

/// Sends each number to a test.
struct Sends(mpsc::Sender<u32>);

impl Handler for Sends {
    type Payload = u32;

    fn receive(&self, number: u32, _message: &Message) -> Result<Settlement, HandlerError> {
        self.0.send(number)?;
        Ok(Settlement::Ack)
    }
}

/// Handles the messages with one worker, until `settled` of them are.
fn work(world: &World, consumer: &Consumer, settled: u64) -> (mpsc::Receiver<u32>, Report) {
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn_handler(Sends(sender)).unwrap();
    eventually("all are settled", || {
        let report = workers.report();
        report.acknowledged + report.discarded + report.rejected >= settled
    });
    world.assert_first_failure(workers.first_failure());
    (handled, workers.stop(SOON).unwrap())
}

in_both_worlds! {
    fn unreadable_request_is_rejected_by_its_server(new: fn() -> World) {
        let world = new();
        let consumer = world.connection.consumer(&world.queue).build().unwrap();
        world.publish();
        let (sender, handled) = mpsc::channel();
        let serve = move |number: u32| {
            sender.send(number).unwrap();
            Ok::<_, carrot::call::RemoteError>(number)
        };
        let server = consumer.serve(1, serve).unwrap();
        eventually("all are settled", || {
            let report = server.report();
            report.acknowledged + report.discarded == 7
        });
        let report = server.stop(SOON).unwrap();
        world.assert_rejected(&handled, report);
    }

    fn unreadable_message_without_a_route_is_undecodable(new: fn() -> World) {
        let world = new();
        let consumer = world.connection.consumer(&world.queue).build().unwrap();
        world.publish();
        let router = carrot::consume::Router::new().on("other", |_: u32, _: &Message| {});
        let workers = consumer.workers(1).spawn_router(router).unwrap();
        eventually("all are treated", || {
            let report = workers.report();
            report.parked == 6 && report.discarded == 1
        });
        assert_eq!(workers.stop(SOON).unwrap().undecodable, 1);
    }

    fn unreadable_message_is_rejected_and_others_are_handled(new: fn() -> World) {
        for prefetch in PREFETCHES {
            for retry in [Retry::default(), Retry::never()] {
                let world = new();
                let consumer = world.connection.consumer(&world.queue).prefetch(prefetch);
                let consumer = consumer.retry(retry).build().unwrap();
                world.publish();
                let (handled, report) = work(&world, &consumer, 7);
                world.assert_rejected(&handled, report);
            }
        }
    }

    fn unreadable_message_is_rejected_without_parking(new: fn() -> World) {
        for prefetch in PREFETCHES {
            let world = new();
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch);
            let consumer = consumer.discard_failed().build().unwrap();
            world.publish();
            let (handled, report) = work(&world, &consumer, 7);
            world.assert_rejected(&handled, report);
        }
    }

    fn unreadable_message_of_a_single_active_consumer_is_rejected(new: fn() -> World) {
        for prefetch in PREFETCHES {
            let mut world = new();
            // Failed messages of such a queue pause in the process.
            world.queue = world.queue.single_active_consumer();
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch).build().unwrap();
            world.publish();
            let (handled, report) = work(&world, &consumer, 7);
            world.assert_rejected(&handled, report);
        }
    }

    fn unreadable_message_with_requeue_failed_is_counted_by_the_broker(new: fn() -> World) {
        for prefetch in PREFETCHES {
            let mut world = new();
            world.queue = Queue::new(&*world.queue.name).quorum().delivery_limit(2).dead_letter_exchange("").dead_letter_routing_key(&*world.dead);
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch).requeue_failed().build().unwrap();
            world.publish();
            let (sender, handled) = mpsc::channel();
            let workers = consumer.workers(1).spawn_handler(Sends(sender)).unwrap();
            eventually("it is dead-lettered", || ready(&world.connection, &world.dead) == 1);
            eventually("the others are handled", || workers.report().acknowledged == 6);
            world.assert_first_failure(workers.first_failure());
            let report = workers.stop(SOON).unwrap();
            assert_eq!((report.undecodable, report.requeued, report.discarded), (3, 3, 0));
            assert_eq!(handled.try_iter().collect::<Vec<_>>(), GOOD);
            world.assert_dead_lettered();
            world.connection.delete_queue(&world.queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
        }
    }

    fn on_undecodable_settles_an_unreadable_message(new: fn() -> World) {
        for prefetch in PREFETCHES {
            let world = new();
            let (sender, told) = mpsc::channel();
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch).on_undecodable(move |message, error| {
                let reason = message.unreadable().unwrap().to_string();
                sender.send((reason, message.text().unwrap().to_string(), error.clone()))?;
                Ok(Settlement::Ack)
            });
            let consumer = consumer.build().unwrap();
            world.publish();
            let (sender, handled) = mpsc::channel();
            let workers = consumer.workers(1).spawn_handler(Sends(sender)).unwrap();
            eventually("all are settled", || workers.report().acknowledged == 7);
            let report = workers.stop(SOON).unwrap();
            assert_eq!((report.undecodable, report.discarded), (0, 0), "the program has decided");
            assert_eq!(handled.try_iter().collect::<Vec<_>>(), GOOD);
            let (reason, body, error) = told.try_recv().unwrap();
            assert!(reason.contains(world.reason) && body == BAD, "{reason}");
            assert!(matches!(&error, Error::Decode { content_type, source } if content_type == "application/json" && source.to_string().contains(&reason)), "{error:?}");
            assert!(told.try_recv().is_err(), "it is called once");
            assert_eq!((ready(&world.connection, &world.dead), ready(&world.connection, &world.queue.name)), (0, 0));
            assert_eq!(world.losses.load(Ordering::SeqCst), 0);
        }
    }

    fn on_undecodable_cannot_copy_an_unreadable_message(new: fn() -> World) {
        type Choice = fn() -> Result<Settlement, HandlerError>;
        let choices: [Choice; 4] = [
            || Err("no".into()),
            || Err(HandlerError::permanent("no")),
            || Ok(Settlement::RetryAfter(SHORTEST)),
            || Ok(Settlement::Park("no".into())),
        ];
        for (choice, prefetch) in choices.into_iter().zip(PREFETCHES.into_iter().cycle()) {
            let world = new();
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch).on_undecodable(move |_, _| choice());
            let consumer = consumer.build().unwrap();
            world.publish();
            let (sender, handled) = mpsc::channel();
            let workers = consumer.workers(1).spawn_handler(Sends(sender)).unwrap();
            eventually("all are settled", || workers.report().acknowledged + workers.report().discarded == 7);
            let report = workers.stop(SOON).unwrap();
            assert_eq!((report.discarded, report.retried, report.parked, report.paused), (1, 0, 0, 0));
            assert_eq!(handled.try_iter().collect::<Vec<_>>(), GOOD);
            world.assert_dead_lettered();
        }
    }

    fn raw_handler_receives_no_unreadable_message(new: fn() -> World) {
        for prefetch in PREFETCHES {
            let world = new();
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch).build().unwrap();
            world.publish();
            let (sender, handled) = mpsc::channel();
            let workers = consumer.workers(1).spawn_raw(move |message: Message| {
                sender.send(message.decode().unwrap()).unwrap();
                message.ack().unwrap();
            });
            let workers = workers.unwrap();
            eventually("all are settled", || ready(&world.connection, &world.dead) == 1 && workers.report().discarded == 1);
            let seen: Vec<u32> = (0..6).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
            assert_eq!(seen, GOOD);
            world.assert_first_failure(workers.first_failure());
            let report = workers.stop(SOON).unwrap();
            assert_eq!((report.undecodable, report.discarded, report.acknowledged), (1, 1, 0));
            world.assert_dead_lettered();
        }
    }

    fn callback_receives_no_unreadable_message(new: fn() -> World) {
        for prefetch in PREFETCHES {
            let world = new();
            let mut consumer = world.connection.consumer(&world.queue).prefetch(prefetch).build().unwrap();
            world.publish();
            let (sender, handled) = mpsc::channel();
            consumer.register_callback(move |number: u32, _message: &Message| sender.send(number));
            let report = consumer.handle_next(7).unwrap();
            world.assert_rejected(&handled, report);
        }
    }

    fn messages_returns_an_unreadable_message(new: fn() -> World) {
        for prefetch in PREFETCHES {
            let world = new();
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch).build().unwrap();
            world.publish();
            let mut bodies = Vec::new();
            for message in consumer.messages().unwrap().timeout(SOON).take(7) {
                let message = message.unwrap();
                bodies.push(message.text().unwrap().to_string());
                if bodies.len() == 4 {
                    world.assert_unreadable(&message);
                    // Neither a retry nor parking is possible.
                    message.fail("no").unwrap();
                } else {
                    assert_eq!(message.unreadable(), None);
                    message.ack().unwrap();
                }
            }
            assert_eq!(bodies, ["0", "1", "2", BAD, "3", "4", "5"]);
            world.assert_dead_lettered();
        }
    }

    fn fetch_returns_an_unreadable_message(new: fn() -> World) {
        let world = new();
        let consumer = world.connection.consumer(&world.queue).build().unwrap();
        world.publish();
        let fetch_unreadable = || loop {
            let message = consumer.fetch().unwrap().unwrap();
            if message.unreadable().is_some() {
                break message;
            }
            message.ack().unwrap();
        };
        let message = fetch_unreadable();
        world.assert_unreadable(&message);
        let error = message.forward().unwrap_err();
        assert!(matches!(&error, Error::Backend { reason, .. } if reason.contains(world.reason)), "{error}");
        eventually("it is requeued", || ready(&world.connection, &world.queue.name) == 4);
        fetch_unreadable().requeue().unwrap();
        fetch_unreadable().retry_after(SHORTEST).unwrap();
        for message in consumer.fetch_all() {
            message.unwrap().ack().unwrap();
        }
        world.assert_dead_lettered();
    }
}

#[test]
fn unreadable_message_with_automatic_acknowledgement_is_lost_and_counted() {
    let world = World::memory();
    let consumer =
        world.connection.consumer(&world.queue).automatic_acknowledgement().build().unwrap();
    world.publish();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn_handler(Sends(sender)).unwrap();
    eventually("all are handled", || {
        workers.report().acknowledged == 6 && workers.report().lost == 1
    });
    assert_eq!(workers.stop(SOON).unwrap().undecodable, 1);
    assert_eq!(handled.try_iter().collect::<Vec<_>>(), GOOD);
}

#[test]
fn unreadable_message_is_dropped_without_a_dead_letter_exchange() {
    let world = World::memory();
    let queue = Queue::new(unique("plain"));
    let consumer = world.connection.consumer(&queue).build().unwrap();
    let workers = consumer.workers(1).spawn(|_: u32, _message: &Message| ()).unwrap();
    let publisher = world.connection.publisher().routing_key(&*queue.name).build().unwrap();
    publisher.message().send_bytes(BAD).unwrap();
    publisher.send(&7).unwrap();
    eventually("the next message is handled", || workers.report().acknowledged == 1);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.undecodable, report.discarded), (1, 1), "it is delivered once");
    assert_eq!(ready(&world.connection, &queue.name), 0);
}

on_both_amqp_brokers! {
    fn message_with_an_unknown_property_is_rejected(broker: &RemoteBroker) {
        // RabbitMQ ignores the flag of a property that does not exist. From 4.0 on, and for a dead
        // letter, it writes a property list of its own, without the flag.
        let is_readable = broker.release() >= (4, 0);
        for prefetch in PREFETCHES {
            let world = World { properties: vec![0, 2], reason: "0x0002", ..World::amqp(broker.clone()) };
            let consumer = world.connection.consumer(&world.queue).prefetch(prefetch).build().unwrap();
            world.publish();
            if is_readable {
                for message in consumer.fetch_all() {
                    let message = message.unwrap();
                    assert_eq!(message.unreadable(), None);
                    message.ack().unwrap();
                }
                continue;
            }
            let (handled, report) = work(&world, &consumer, 7);
            assert_eq!(handled.try_iter().collect::<Vec<_>>(), GOOD);
            assert_eq!((report.acknowledged, report.discarded), (6, 1));
            eventually("it is dead-lettered", || ready(&world.connection, &world.dead) == 1);
            let dead = world.connection.consumer(Queue::existing(&*world.dead)).build().unwrap();
            let message = dead.fetch().unwrap().unwrap();
            assert_eq!((message.unreadable(), message.decode::<u32>().unwrap()), (None, 99));
            message.ack().unwrap();
            assert_eq!(world.losses.load(Ordering::SeqCst), 0);
        }
    }
}
