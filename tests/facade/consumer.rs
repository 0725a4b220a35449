use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use carrot::{
    Consumer, Error, Exchange, ExchangeKind, Handler, Message, Queue, Settlement,
    consume::{ConsumerDefinition, HandlerError, Retry},
};

use crate::support::{A_MOMENT, SOON, eventually, exchange, next, queue, ready, unique};

fn send_numbers(connection: &carrot::Connection, queue: &Queue, count: u32) {
    connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..count).unwrap();
}

fn numbers(consumer: &Consumer) -> Vec<u32> {
    consumer
        .fetch_all()
        .map(|message| {
            let message = message.unwrap();
            let number = message.decode().unwrap();
            message.ack().unwrap();
            number
        })
        .collect()
}

/// Waits until the broker has deleted a queue with its last run.
fn await_deletion(connection: &carrot::Connection, queue: &str) {
    eventually("the deletion of the queue", || {
        let found = connection.declare_queue(Queue::existing(queue));
        matches!(found, Err(Error::NotFound { .. }))
    });
}

on_both_backends! {
    fn fetch_from_empty_queue_returns_none(connection: &Connection) {
        let consumer = connection.consumer(Queue::server_named()).build().unwrap();
        assert!(consumer.fetch().unwrap().is_none());
    }

    fn fetch_returns_messages_in_order(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        send_numbers(connection, &queue, 10);
        assert_eq!(numbers(&consumer), (0..10).collect::<Vec<_>>());
    }

    fn server_named_queue_receives_unique_name(connection: &Connection) {
        let one = connection.consumer(Queue::server_named()).build().unwrap();
        let other = connection.consumer(Queue::server_named()).build().unwrap();
        assert!(!one.queue().unwrap().is_empty());
        assert_ne!(one.queue().unwrap(), other.queue().unwrap());
    }

    #[without_activemq("auto_delete")]
    fn queue_that_went_with_its_last_run_is_declared_again(connection: &Connection) {
        let exchange = exchange(ExchangeKind::Fanout);
        let named = Queue::new(unique("auto-delete")).auto_delete();
        let expected = "declared again with its bindings";
        for queue in [named, Queue::server_named()] {
            let consumer = connection.consumer(&queue).exchange(&exchange).build().unwrap();
            let publisher = connection.publisher().exchange(&exchange).build().unwrap();
            consumer.messages().map(drop).unwrap();
            await_deletion(connection, &consumer.queue().unwrap());
            let mut messages = consumer.messages().unwrap().timeout(SOON);
            publisher.send(expected).unwrap();
            let message = messages.next().unwrap().unwrap();
            assert_eq!(message.decode::<String>().unwrap(), expected);
            assert_eq!(consumer.queue().unwrap(), message.queue());
            message.ack().unwrap();
            drop(messages);
            await_deletion(connection, &consumer.queue().unwrap());
            assert!(consumer.fetch().unwrap().is_none());
            publisher.send(expected).unwrap();
            assert_eq!(consumer.fetch().unwrap().unwrap().text(), Some(&*format!("{expected:?}")));
        }
    }

    fn consumer_binds_queue_several_times(connection: &Connection) {
        let (direct, fanout) = (exchange(ExchangeKind::Direct), exchange(ExchangeKind::Fanout));
        let consumer = connection
            .consumer(Queue::server_named())
            .exchange(&direct).routing_key("one").routing_key("two")
            .exchange(&fanout)
            .build()
            .unwrap();
        let publisher = connection.publisher().exchange(&direct).build().unwrap();
        for (number, key) in ["one", "two", "three"].into_iter().enumerate() {
            publisher.message().routing_key(key).send(&number).unwrap();
        }
        connection.publisher().exchange(&fanout).build().unwrap().send(&7).unwrap();
        assert_eq!(numbers(&consumer), [0, 1, 7]);
    }

    fn existing_queue_missing_is_not_found(connection: &Connection) {
        let error = connection.consumer(Queue::existing(unique("queue"))).build().unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }

    fn existing_queue_is_usable_without_its_properties(connection: &Connection) {
        let queue = queue().message_ttl(Duration::from_secs(3600));
        connection.declare_queue(&queue).unwrap();
        send_numbers(connection, &queue, 1);
        let consumer = connection.consumer(Queue::existing(&*queue.name)).build().unwrap();
        assert_eq!(numbers(&consumer), [0]);
        let error = connection.consumer(&*queue.name).build().unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error}");
    }

    fn queue_deleted_ends_iterator_with_error(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let mut messages = consumer.messages().unwrap();
        connection.delete_queue(&queue.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
        let error = messages.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::Cancelled { .. }), "{error}");
        assert!(messages.next().is_none());
    }

    fn iterator_waits_for_next_message(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let messages = consumer.messages().unwrap();
        let (sender, received) = mpsc::channel();
        let reader = thread::spawn(move || {
            for message in messages.take(2) {
                let message = message.unwrap();
                sender.send(message.decode::<u32>().unwrap()).unwrap();
                message.ack().unwrap();
            }
        });
        assert!(received.recv_timeout(A_MOMENT).is_err());
        send_numbers(connection, &queue, 2);
        assert_eq!((received.recv_timeout(SOON), received.recv_timeout(SOON)), (Ok(0), Ok(1)));
        reader.join().unwrap();
    }

    fn iterator_ends_at_its_timeout(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        send_numbers(connection, &queue, 3);
        let started = Instant::now();
        let taken = consumer.messages().unwrap().timeout(Duration::from_secs(1)).map(|message| message.unwrap().ack().unwrap()).count();
        assert_eq!(taken, 3);
        assert!(started.elapsed() >= Duration::from_secs(1) && started.elapsed() < SOON);
    }

    fn iterator_dropped_requeues_undelivered_messages(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        send_numbers(connection, &queue, 5);
        let mut messages = consumer.messages().unwrap();
        let first = messages.next().unwrap().unwrap();
        drop(messages);
        eventually("the rest is back", || ready(connection, &queue.name) == 4);
        first.ack().unwrap();
        assert_eq!(numbers(&consumer), [1, 2, 3, 4]);
    }

    fn stop_from_other_thread_ends_iterator(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let messages = consumer.messages().unwrap();
        let reader = thread::spawn(move || messages.map(Result::unwrap).count());
        let stop = consumer.stop_handle();
        stop.stop().unwrap();
        assert_eq!(reader.join().unwrap(), 0);
        assert!(stop.is_stopped());
        assert_eq!(consumer.messages().unwrap().count(), 0);
    }

    fn callbacks_run_in_order_until_one_rejects(connection: &Connection) {
        let queue = queue();
        let mut consumer = connection.consumer(&queue).build().unwrap();
        send_numbers(connection, &queue, 3);
        let (sender, calls) = mpsc::channel();
        let second = sender.clone();
        consumer.register_callback(move |number: u32, _message: &Message| {
            sender.send(("first", number)).unwrap();
            if number == 1 { Settlement::Reject } else { Settlement::Ack }
        });
        consumer.register_callback(move |number: u32, _message: &Message| second.send(("second", number)));
        let report = consumer.handle_next(3).unwrap();
        assert_eq!((report.acknowledged, report.rejected), (2, 1));
        drop(consumer);
        assert_eq!(calls.iter().collect::<Vec<_>>(), [("first", 0), ("second", 0), ("first", 1), ("first", 2), ("second", 2)]);
    }

    fn handle_next_takes_no_further_messages(connection: &Connection) {
        let queue = queue();
        let mut consumer = connection.consumer(&queue).build().unwrap();
        send_numbers(connection, &queue, 10);
        consumer.register_callback(|_number: u32, _message: &Message| ());
        consumer.handle_next(4).unwrap();
        assert_eq!(consumer.handle_next(0).unwrap().acknowledged, 0);
        for number in 4..10 {
            let message = consumer.fetch().unwrap().unwrap();
            assert_eq!((message.decode::<u32>().unwrap(), message.is_redelivered()), (number, false));
            message.ack().unwrap();
        }
    }

    fn wait_ends_when_stopped(connection: &Connection) {
        let queue = queue();
        let mut consumer = connection.consumer(&queue).build().unwrap();
        send_numbers(connection, &queue, 5);
        let stop = consumer.stop_handle();
        let mut seen = 0;
        consumer.register_callback(move |_number: u32, _message: &Message| {
            seen += 1;
            if seen == 3 { stop.stop() } else { Ok(()) }
        });
        let report = consumer.wait().unwrap();
        // Messages that had arrived are requeued. The others never left the queue.
        assert!(report.acknowledged == 3 && report.requeued_unhandled <= 2, "{report:?}");
        assert_eq!(consumer.wait().unwrap().acknowledged, 0);
        eventually("the rest is back", || ready(connection, &queue.name) == 2);
    }

    fn wait_without_callback_fails(connection: &Connection) {
        let mut consumer = connection.consumer(Queue::server_named()).build().unwrap();
        assert!(matches!(consumer.wait(), Err(Error::Invalid { .. })));
    }

    fn callback_error_with_discard_failed_rejects_message(connection: &Connection) {
        let dead = exchange(ExchangeKind::Fanout);
        let queue = queue().dead_letter_exchange(&*dead.name);
        let graveyard = connection.consumer(crate::support::queue()).exchange(&dead).build().unwrap();
        let mut consumer = connection.consumer(&queue).retry(Retry::never()).discard_failed().build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        publisher.send_all(["error", "panic"]).unwrap();
        publisher.send(&17).unwrap();
        consumer.register_callback(|what: String, _message: &Message| match &*what {
            "panic" => panic!("a handler that panics"),
            _ => Err::<(), _>("a handler that fails"),
        });
        let report = consumer.handle_next(3).unwrap();
        assert_eq!((report.failed, report.undecodable, report.discarded), (2, 1, 3));
        let mut dead: Vec<String> = (0..3).map(|_| next(&graveyard)).map(|message| {
            let text = message.text().unwrap().to_string();
            message.ack().unwrap();
            text
        }).collect();
        dead.sort();
        assert_eq!(dead, ["\"error\"", "\"panic\"", "17"]);
    }

    fn definition_with_handler_consumes(connection: &Connection) {
        struct Sum(mpsc::Sender<u32>);
        impl Handler for Sum {
            type Payload = Vec<u32>;
            fn receive(&self, numbers: Vec<u32>, _message: &Message) -> Result<Settlement, HandlerError> {
                self.0.send(numbers.iter().sum())?;
                Ok(Settlement::Ack)
            }
        }
        let queue = queue();
        let definition = ConsumerDefinition::new(&queue).prefetch(3);
        let mut consumer = definition.open(connection).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send(&[1, 2, 3]).unwrap();
        let (sender, sums) = mpsc::channel();
        consumer.register_handler(Sum(sender));
        consumer.handle_next(1).unwrap();
        assert_eq!(sums.recv(), Ok(6));
    }

    fn fetch_all_ends_with_empty_queue_and_purge_counts(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        send_numbers(connection, &queue, 4);
        assert_eq!(numbers(&consumer).len(), 4);
        send_numbers(connection, &queue, 3);
        let held = consumer.fetch().unwrap().unwrap();
        assert_eq!(consumer.purge().unwrap(), 2);
        held.ack().unwrap();
        assert!(consumer.fetch().unwrap().is_none());
    }

    #[without_activemq("exclusive")]
    fn exclusive_consumer_locks_out_others(connection: &Connection) {
        let queue = queue();
        let exclusive = connection.consumer(&queue).exclusive().build().unwrap();
        let _messages = exclusive.messages().unwrap();
        let other = connection.consumer(&queue).build().unwrap();
        let error = other.messages().unwrap_err();
        assert!(matches!(error, Error::ResourceLocked { .. }), "{error}");
    }

    fn automatic_acknowledgement_needs_no_settlement(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).automatic_acknowledgement().build().unwrap();
        send_numbers(connection, &queue, 3);
        drop(consumer.fetch().unwrap().unwrap());
        let messages: Vec<_> = consumer.messages().unwrap().take(2).map(Result::unwrap).collect();
        for message in messages {
            message.ack().unwrap();
        }
        consumer.close().unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    // A consumer without a prefetch has a connection of its own, which has no access.
    #[without_activemq("exclusive")]
    fn exclusive_queue_is_consumed_by_name_without_acknowledgement(connection: &Connection) {
        let queue = Queue::new(unique("queue")).exclusive();
        let name = connection.declare_queue(queue.clone()).unwrap().name;
        let existing = Queue::existing(&*name);
        let consumer = connection.consumer(existing).automatic_acknowledgement().build().unwrap();
        send_numbers(connection, &queue, 2);
        let numbers = consumer.messages().unwrap().take(2).map(|message| message.unwrap().decode());
        assert_eq!(numbers.collect::<Result<Vec<u32>, _>>().unwrap(), [0, 1]);
    }

    fn prefetch_limits_unacknowledged_messages(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).prefetch(3).build().unwrap();
        send_numbers(connection, &queue, 10);
        let mut messages = consumer.messages().unwrap().timeout(Duration::from_secs(1));
        let held: Vec<_> = messages.by_ref().map(Result::unwrap).collect();
        assert_eq!(held.len(), 3);
        assert_eq!(ready(connection, &queue.name), 7);
    }

    fn consumer_with_invalid_settings_is_refused(connection: &Connection) {
        for (builder, field) in [
            (connection.consumer("queue").prefetch(0), "prefetch"),
            (connection.consumer("q".repeat(300)), "queue"),
            (connection.consumer("queue").exchange("e".repeat(256)), "exchange"),
            (connection.consumer("queue").exchange("exchange").routing_key("k".repeat(256)), "routing key"),
            (connection.consumer("queue").routing_key("with no exchange"), "routing key"),
            (connection.consumer("queue").argument("a".repeat(256), 1), "consumer arguments"),
        ] {
            match builder.build() {
                Err(Error::Invalid { field: named, .. }) => assert_eq!(named, field),
                other => panic!("{field}: {other:?}"),
            }
        }
        connection.consumer(Queue::server_named()).build().unwrap();
    }

    fn reserved_name_is_refused(connection: &Connection) {
        let error = connection.consumer("amq.mine").build().unwrap_err();
        assert!(matches!(error, Error::AccessRefused { .. }), "{error}");
        let error = connection.publisher().exchange(Exchange::direct("amq.mine")).build().unwrap_err();
        assert!(matches!(error, Error::AccessRefused { .. }), "{error}");
    }

    fn consumer_closed_returns_closed_error(connection: &Connection) {
        let consumer = connection.consumer(Queue::server_named()).build().unwrap();
        consumer.close().unwrap();
        consumer.close().unwrap();
        assert!(matches!(consumer.fetch(), Err(Error::Closed { .. })));
        assert!(matches!(consumer.messages(), Err(Error::Closed { .. })));
    }
}
