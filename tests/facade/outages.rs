//! Loss of the broker, and recovery.

use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carrot::topology::DeleteIf;
use carrot::{Connection, Error, Queue, config::Role};

use crate::support::{SOON, eventually, queue, ready, unique};

/// The longest time that counts as "at once" on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(2);

/// The events that the hooks of a connection received.
fn heard(connection: &Connection) -> Arc<Mutex<Vec<String>>> {
    let heard: Arc<Mutex<Vec<String>>> = Arc::default();
    let (lost, back) = (Arc::clone(&heard), Arc::clone(&heard));
    connection.on_disconnect(move |role, _| lost.lock().unwrap().push(format!("{role} lost")));
    connection.on_reconnect(move |role| back.lock().unwrap().push(format!("{role} back")));
    heard
}

on_both_breakable! {
    fn idle_channels_are_reopened_in_background(broker: Breakable) {
        let heard = heard(&broker.connection);
        let queue = queue();
        let _consumer = broker.connection.consumer(&queue).build().unwrap();
        let publisher = broker.connection.publisher().queue(&queue).build().unwrap();
        assert!(broker.connection.is_connected());
        broker.take_away();
        eventually("the loss shows", || !broker.connection.is_connected());
        eventually("both roles are lost", || heard.lock().unwrap().len() == 2);
        broker.bring_back();
        let back = Instant::now();
        eventually("it is connected, though nobody sends", || broker.connection.is_connected());
        // A pause of 1.5 s at most, and the time to connect.
        assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
        eventually("both roles are back", || heard.lock().unwrap().len() == 4);
        assert!([Role::Publish, Role::Consume].iter().all(|role| broker.connection.is_connected_to(*role)));
        let mut heard = heard.lock().unwrap().clone();
        heard[..2].sort();
        heard[2..].sort();
        assert_eq!(heard, ["consume lost", "publish lost", "consume back", "publish back"]);
        publisher.send("x").unwrap();
    }

    fn circuit_breaker_on_is_connected_closes_after_recovery(broker: Breakable) {
        let publisher = broker.connection.publisher().queue(queue()).build().unwrap();
        let send = || if broker.connection.is_connected() { publisher.try_publish("x").is_ok() } else { false };
        assert!(send());
        broker.take_away();
        eventually("the breaker opens", || !send());
        broker.bring_back();
        eventually("the breaker closes", send);
    }

    fn unconfirmed_messages_are_resent_without_waiting_threads(broker: Breakable) {
        const MESSAGES: u32 = 10;
        let queue = queue();
        let publisher = broker.connection.publisher().queue(&queue).build().unwrap();
        broker.lose_confirms(MESSAGES);
        let receipts: Vec<_> = (0..MESSAGES).map(|number| publisher.publish(&number).unwrap()).collect();
        let before = ready(&broker.onlooker, &queue.name);
        broker.take_away();
        broker.bring_back();
        eventually("they are sent again", || ready(&broker.onlooker, &queue.name) == before + MESSAGES);
        receipts.into_iter().for_each(|receipt| receipt.wait().unwrap());
    }

    fn waiting_threads_receive_address_time_and_cause(broker: Breakable) {
        const THREADS: usize = 24;
        let publisher = broker.connection.publisher().queue(queue()).build().unwrap();
        broker.take_away();
        let started = Barrier::new(THREADS);
        let errors: Vec<Error> = thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|number| {
                    let (publisher, started) = (&publisher, &started);
                    scope.spawn(move || {
                        started.wait();
                        publisher.message().timeout(Duration::from_secs(1)).send(&number).unwrap_err()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for error in errors {
            let text = error.to_string();
            assert!(error.is_retryable(), "{text}");
            assert!(text.contains(&broker.endpoint()), "{text}");
            assert!(text.contains("within 1.") || text.contains("within 0.9"), "{text}");
            assert!(text.contains("refused"), "{text}");
        }
    }

    fn message_timeout_includes_connecting(broker: Breakable) {
        let publisher = broker.connection.publisher().queue(queue()).build().unwrap();
        assert!(matches!(publisher.message().timeout(Duration::ZERO).send("x"), Err(Error::Invalid { .. })));
        publisher.message().timeout(SOON).send("x").unwrap();
        broker.take_away();
        for send in [true, false] {
            let started = Instant::now();
            let message = publisher.message().timeout(Duration::from_millis(300));
            let result = if send { message.send("x") } else { message.publish("x").and_then(carrot::publish::Confirmation::wait) };
            assert!(result.is_err());
            assert!(started.elapsed() < Duration::from_millis(300) + AT_ONCE, "{:?}", started.elapsed());
        }
        broker.bring_back();
        publisher.send("x").unwrap();
    }

    fn try_publish_without_connection_fails_at_once(broker: Breakable) {
        let queue = queue();
        let publisher = broker.connection.publisher().queue(&queue).build().unwrap();
        publisher.try_publish("x").unwrap().wait().unwrap();
        broker.take_away();
        eventually("the loss shows", || !broker.connection.is_connected());
        for _ in 0..100 {
            let started = Instant::now();
            let error = publisher.try_publish("x").unwrap_err();
            assert!(started.elapsed() < AT_ONCE, "{:?}", started.elapsed());
            assert!(matches!(error, Error::Connect { .. }) && error.to_string().contains(&broker.endpoint()), "{error}");
        }
        broker.bring_back();
        eventually("it can send again", || publisher.try_publish("y").is_ok_and(|receipt| receipt.wait().is_ok()));
        assert_eq!(ready(&broker.onlooker, &queue.name), 2);
    }

    fn service_answers_every_request_in_time(broker: Breakable) {
        const BOUND: Duration = Duration::from_secs(2);
        let publisher = broker.connection.publisher().queue(queue()).build().unwrap();
        let answers = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for number in 0..3 {
                        let started = Instant::now();
                        let sent = publisher.message().timeout(BOUND).send(&number).is_ok();
                        answers.lock().unwrap().push((started.elapsed(), sent));
                        if number == 0 {
                            broker.take_away();
                        }
                    }
                });
            }
        });
        let answers = answers.into_inner().unwrap();
        assert_eq!(answers.len(), 24);
        assert!(answers.iter().all(|(took, _)| *took < BOUND + AT_ONCE), "{answers:?}");
        assert!(answers.iter().any(|(_, sent)| !sent), "{answers:?}");
    }

    fn program_starts_before_its_broker(broker: Breakable) {
        broker.take_away();
        let started = Instant::now();
        let error = carrot::connect_within(&broker.options, Duration::from_millis(600)).unwrap_err();
        assert!(matches!(error, Error::Connect { .. }) && error.to_string().contains(&broker.endpoint()), "{error}");
        assert!(started.elapsed() >= Duration::from_millis(500) && started.elapsed() < Duration::from_millis(600) + AT_ONCE);

        let queue = queue();
        let lazy = carrot::connect_lazily(&broker.options).unwrap();
        let publisher = lazy.publisher().queue(&queue).build().unwrap();
        let consumer = lazy.consumer(&queue).build().unwrap();
        assert!(!lazy.is_connected());
        assert!(publisher.try_publish("x").is_err());
        thread::scope(|scope| {
            let waiting = scope.spawn(|| carrot::connect_within(&broker.options, SOON).map(drop));
            broker.bring_back();
            waiting.join().unwrap().unwrap();
        });
        eventually("it is connected", || lazy.is_connected());
        publisher.send("x").unwrap();
        assert!(consumer.fetch().unwrap().is_some());
    }

    #[differs_on_activemq(consumers_of_other_connections_keep_a_queue)]
    fn deleted_entities_stay_deleted(broker: Breakable) {
        let queue = Queue::new(unique("queue"));
        let consumer = broker.connection.consumer(&queue).build().unwrap();
        assert!(consumer.fetch().unwrap().is_none());
        broker.onlooker.delete_queue(&queue.name, DeleteIf::ALWAYS).unwrap();
        for _ in 0..3 {
            assert!(matches!(consumer.fetch(), Err(Error::NotFound { .. })));
        }
        assert!(matches!(broker.onlooker.declare_queue(Queue::existing(&*queue.name)), Err(Error::NotFound { .. })));
        broker.onlooker.declare_queue(&queue).unwrap();
        assert!(consumer.fetch().unwrap().is_none());

        // A run ends, and does not declare the queue again.
        let workers = consumer.workers(1).spawn(|_: String, _message: &carrot::Message| ()).unwrap();
        broker.onlooker.delete_queue(&queue.name, DeleteIf::ALWAYS).unwrap();
        let ended = workers.join_timeout(SOON).expect("the run ends");
        assert!(matches!(ended, Err(Error::Cancelled { .. })));
        assert!(matches!(consumer.fetch(), Err(Error::NotFound { .. })));
    }

    #[differs_on_activemq(try_publish_to_no_queue_times_out)]
    fn try_publish_reports_deletion_and_recovery(broker: Breakable) {
        let exchange = carrot::Exchange::fanout(unique("exchange"));
        let publisher = broker.connection.publisher().exchange(&exchange).build().unwrap();
        publisher.try_publish("x").unwrap().wait().unwrap();
        broker.onlooker.delete_exchange(&exchange.name, DeleteIf::ALWAYS).unwrap();
        eventually("the deletion is told", || match publisher.try_publish("x").and_then(carrot::publish::Confirmation::wait) {
            Ok(()) => false,
            Err(error) => matches!(error, Error::NotFound { .. }),
        });
        assert!(publisher.try_publish("x").is_err(), "it stays deleted");
        broker.onlooker.declare_exchange(&exchange).unwrap();
        eventually("it works again", || publisher.try_publish("x").is_ok_and(|receipt| receipt.wait().is_ok()));
        broker.onlooker.delete_exchange(&exchange.name, DeleteIf::ALWAYS).unwrap();
    }

    fn lazy_connection_reports_refused_declaration(broker: Breakable) {
        let queue = queue();
        broker.onlooker.declare_queue(&queue).unwrap();
        let lazy = carrot::connect_lazily(&broker.options).unwrap();
        let other = Queue::new(&queue.name).message_ttl(SOON);
        let publisher = lazy.publisher().queue(&other).build().unwrap();
        assert!(matches!(publisher.send("x"), Err(Error::PreconditionFailed { .. })));
        eventually("a call that does not wait is told", || matches!(publisher.try_publish("x"), Err(Error::PreconditionFailed { .. })));
        let consumer = lazy.consumer(&other).build().unwrap();
        assert!(matches!(consumer.fetch(), Err(Error::PreconditionFailed { .. })));
        assert!(lazy.is_connected());
    }

    // A consumer without a prefetch has a connection of its own, which has no access.
    #[without_activemq("exclusive")]
    fn lazy_connection_consumes_exclusive_queue_by_name_without_acknowledgement(broker: Breakable) {
        let lazy = carrot::connect_lazily(&broker.options).unwrap();
        let name = lazy.declare_queue(queue().exclusive()).unwrap().name;
        let existing = Queue::existing(&*name);
        let consumer = lazy.consumer(existing).automatic_acknowledgement().build().unwrap();
        lazy.publisher().routing_key(&*name).build().unwrap().send(&7).unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        assert_eq!(messages.next().unwrap().unwrap().decode::<u32>().unwrap(), 7);
    }

    fn stop_without_broker_is_no_error(broker: Breakable) {
        let consumer = broker.connection.consumer(queue()).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: String, _message: &carrot::Message| ()).unwrap();
        let workers = workers.join_timeout(Duration::from_millis(50)).expect_err("they go on");
        broker.take_away();
        eventually("the loss shows", || !broker.connection.is_connected_to(Role::Consume));
        consumer.stop_handle().stop().unwrap();
        workers.join_timeout(SOON).expect("they end").unwrap();
    }

    fn hooks_declare_and_send_on_their_connection(broker: Breakable) {
        let (queue, lost, back) = (queue(), queue(), queue());
        let publisher = broker.connection.publisher().queue(&queue).build().unwrap();
        let publisher = Arc::new(publisher);
        let (sender, results) = mpsc::channel();
        let (disconnected, sending) = (Arc::clone(&publisher), sender.clone());
        let (connection, declared) = (broker.connection.clone(), lost.clone());
        broker.connection.on_disconnect(move |role, _| {
            // Both calls wait for the connection that was just lost.
            let result = connection.declare_queue(&declared).and_then(|_| disconnected.send(&format!("{role} lost")));
            sending.send(result).unwrap();
        });
        let (reconnected, connection, declared) = (Arc::clone(&publisher), broker.connection.clone(), back.clone());
        broker.connection.on_reconnect(move |role| {
            let result = connection.declare_queue(&declared).and_then(|_| reconnected.send(&format!("{role} back")));
            sender.send(result).unwrap();
        });
        let consumer = broker.connection.consumer(&queue).build().unwrap();
        broker.take_away();
        eventually("the loss shows", || !broker.connection.is_connected());
        broker.bring_back();
        for _ in 0..4 {
            results.recv_timeout(SOON).unwrap().unwrap();
        }
        let mut bodies: Vec<_> = (0..4).map(|_| consumer.fetch().unwrap().unwrap()).map(|message| {
            let body: String = message.decode().unwrap();
            message.ack().unwrap();
            body
        }).collect();
        bodies.sort();
        assert_eq!(bodies, ["consume back", "consume lost", "publish back", "publish lost"]);
        for queue in [&lost, &back] {
            assert_eq!(broker.connection.declare_queue(queue).unwrap().message_count, 0);
        }
    }

    fn hook_and_error_name_address_and_cause(broker: Breakable) {
        let (sender, told) = mpsc::channel();
        broker.connection.on_disconnect(move |_, error| drop(sender.send(error.to_string())));
        broker.cut();
        let text = told.recv_timeout(SOON).unwrap();
        assert!(text.contains(&broker.endpoint()), "{text}");
        assert!(["cut", "closed", "reset", "os error"].iter().any(|cause| text.contains(cause)), "{text}");
    }
}
