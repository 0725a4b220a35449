//! Operations that the broker refuses by closing the connection or the channel: reported at once,
//! with one reconnect for other channels.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use carrot::topology::DeleteIf;
use carrot::{Binding, Connection, Error, Exchange, ExchangeKind, Message, Queue, message::Value};

use crate::support::{SOON, eventually, passing, queue, ready, unique};

const MESSAGES: usize = 200;

/// Runs a refused call while a consumer of the same connection is at work, and checks that the
/// consumer reconnects once.
#[track_caller]
fn costs_a_consumer_one_reconnect(
    connection: &Connection,
    most_lost: usize,
    refused: impl FnOnce() -> Error,
) -> Error {
    let queue = queue();
    let consumer = connection.consumer(&queue).prefetch(5).build().unwrap();
    let publisher =
        connection.publisher().routing_key(&*queue.name).send_timeout(SOON).build().unwrap();
    publisher.send_all(0..MESSAGES).unwrap();
    let lost = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lost);
    connection.on_disconnect(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let handled = Arc::new(Mutex::new(BTreeSet::new()));
    let numbers = Arc::clone(&handled);
    let handler = move |number: usize, _: &Message| {
        numbers.lock().unwrap().insert(number);
        std::thread::sleep(std::time::Duration::from_millis(1));
    };
    let workers = consumer.workers(2).spawn(handler).unwrap();
    eventually("the consumer is at work", || handled.lock().unwrap().len() > 10);
    let started = Instant::now();
    let error = refused();
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    assert!(!error.is_retryable() && !error.is_disconnected(), "{error:?}");
    eventually("all is handled", || handled.lock().unwrap().len() == MESSAGES);
    eventually("all is settled", || ready(connection, &queue.name) == 0);
    workers.stop(SOON).unwrap();
    assert!(lost.load(Ordering::SeqCst) <= most_lost, "{} lost", lost.load(Ordering::SeqCst));
    error
}

on_both_backends! {
    fn unknown_exchange_type_fails_at_once(connection: &Connection) {
        let name = unique("exchange");
        let delayed = Exchange::new(&*name, ExchangeKind::Custom("x-delayed-message".into()));
        let error = costs_a_consumer_one_reconnect(connection, 1, || connection.declare_exchange(delayed.clone()).unwrap_err());
        // RabbitMQ 4.0 and later close the channel only.
        match &error {
            Error::HardError { code: 503, reason } => assert!(reason.contains("x-delayed-message"), "{error}"),
            other => assert!(matches!(other, Error::PreconditionFailed { .. }), "{other:?}"),
        }
        let error = connection.publisher().exchange(delayed.clone()).build().unwrap_err();
        assert!(matches!(error, Error::HardError { code: 503, .. } | Error::PreconditionFailed { .. }), "{error:?}");
        let error = connection.consumer(queue()).exchange(delayed).build().unwrap_err();
        assert!(matches!(error, Error::HardError { code: 503, .. } | Error::PreconditionFailed { .. }), "{error:?}");
    }

    #[without_activemq("x-queue-type")]
    fn conditional_delete_of_quorum_queue_fails_at_once(connection: &Connection) {
        let name = unique("quorum");
        connection.declare_queue(Queue::new(&*name).argument("x-queue-type", "quorum")).unwrap();
        let delete = || connection.delete_queue(&name, DeleteIf::UNUSED).unwrap_err();
        let error = costs_a_consumer_one_reconnect(connection, 1, delete);
        assert!(matches!(&error, Error::HardError { code: 540, reason } if reason.contains(&*name)), "{error:?}");
        connection.delete_queue(&name, DeleteIf::ALWAYS).unwrap();
    }

    // RabbitMQ fails over a decimal number when it formats the difference, and does not name the
    // refused operation.
    fn call_with_unexplained_hard_error_is_made_twice(connection: &Connection) {
        let name = unique("queue");
        let with = |ttl: Value| passing(&*name).argument("x-message-ttl", ttl);
        connection.declare_queue(with(Value::I32(1000))).unwrap();
        let odd = with(Value::Decimal { scale: 1, value: 7 });
        let error = costs_a_consumer_one_reconnect(connection, 2, || connection.declare_queue(&odd).unwrap_err());
        assert!(matches!(&error, Error::HardError { code: 541, .. } | Error::PreconditionFailed { .. }), "{error:?}");
        connection.delete_queue(&name, DeleteIf::ALWAYS).unwrap();
    }

    #[differs_on_activemq(user_ids_are_not_checked)]
    fn message_with_wrong_user_id_fails_alone(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).send_timeout(SOON).build().unwrap();
        let receipts: Vec<_> = (0..100)
            .map(|number| {
                let message = publisher.message();
                let message = match number % 40 {
                    20 => message.properties(|properties| properties.with_user_id("somebody-else")),
                    _ => message,
                };
                message.publish(&number).unwrap()
            })
            .collect();
        for (number, receipt) in receipts.into_iter().enumerate() {
            match receipt.wait() {
                Ok(()) => assert_ne!(number % 40, 20),
                Err(error) => {
                    assert_eq!(number % 40, 20, "{error}");
                    assert!(matches!(&error, Error::PreconditionFailed { reason } if reason.contains("somebody-else")), "{error:?}");
                }
            }
        }
        let consumer = connection.consumer(&queue).automatic_acknowledgement().build().unwrap();
        let mut last = -1;
        let mut numbers = BTreeSet::new();
        for message in consumer.fetch_all() {
            let number: i64 = message.unwrap().decode().unwrap();
            // Duplicates arrive in order, too.
            assert!(numbers.contains(&number) || number > last, "{number} after {last}");
            last = last.max(number);
            numbers.insert(number);
        }
        assert_eq!(numbers, (0..100).filter(|number| number % 40 != 20).collect());
    }

    fn binding_to_missing_exchange_closes_no_connection(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let bind = || connection.bind(&Binding::queue(unique("exchange"), &*queue.name, "")).unwrap_err();
        let error = costs_a_consumer_one_reconnect(connection, 0, bind);
        assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    }
}
