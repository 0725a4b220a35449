//! Operations that the broker refuses by closing the whole connection: the cause fails, and no
//! other operation.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot::backend::{Connector, DeleteIf, Event, HardClose};
use carrot::memory::{Broker, Operation};
use carrot::{Connection, Error, Message, Publisher, Queue, publish::Confirmation};

use crate::support::{SOON, eventually, ready};

const POISON: &[u8] = b"poison";

/// The errors of a broker that names the refused operation, and of one that does not.
fn hard_error() -> Error {
    Error::HardError { code: 541, reason: "INTERNAL_ERROR".into() }
}

fn unsure() -> Error {
    let close = HardClose::new(541, "INTERNAL_ERROR", 0, 0);
    Error::Disconnected {
        reason: "the broker closed the connection".into(),
        source: Some(Arc::new(close)),
    }
}

fn precondition() -> Error {
    Error::PreconditionFailed { reason: "PRECONDITION_FAILED".into() }
}

/// A broker that refuses a poison message with an error, and the number of closed connections.
struct Fixture {
    broker: Broker,
    connector: Arc<dyn Connector>,
    connection: Connection,
    lost: Arc<AtomicUsize>,
}

fn fixture(error: Error) -> Fixture {
    let broker = Broker::new();
    broker.faults().refuse_messages(error, |content| content.body == POISON);
    let connector = broker.connector();
    let connection = Connection::new(connector.clone());
    connection.declare_queue("queue").unwrap();
    let lost = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lost);
    // Hooks run later, on a thread of their own. Observers run on the thread that loses.
    on_loss(&*connector, move || {
        count.fetch_add(1, Ordering::SeqCst);
    });
    Fixture { broker, connector, connection, lost }
}

fn on_loss(connector: &dyn Connector, action: impl Fn() + Send + Sync + 'static) {
    connector.observe(Arc::new(move |event| {
        if let Event::Disconnected { .. } = event {
            action();
        }
    }));
}

impl Fixture {
    fn publisher(&self) -> Publisher {
        self.connection.publisher().routing_key("queue").send_timeout(SOON).build().unwrap()
    }

    fn lost(&self) -> usize {
        self.lost.load(Ordering::SeqCst)
    }
}

/// Publishes messages, one of them poison.
fn publish(publisher: &Publisher, count: usize, poison: usize) -> Vec<Confirmation> {
    let body =
        |number| if number == poison { POISON.to_vec() } else { format!("{number}").into_bytes() };
    (0..count).map(|number| publisher.message().publish_bytes(body(number)).unwrap()).collect()
}

/// Asserts that only the poison message fails, with an error that is not retryable.
#[track_caller]
fn one_fails(receipts: Vec<Confirmation>, poison: usize) {
    for (number, receipt) in receipts.into_iter().enumerate() {
        match receipt.wait() {
            Ok(()) => assert_ne!(number, poison),
            Err(error) => {
                assert_eq!(number, poison, "{error}");
                assert!(
                    matches!(
                        error,
                        Error::HardError { code: 541, .. } | Error::PreconditionFailed { .. }
                    ),
                    "{error:?}"
                );
                assert!(!error.is_retryable() && !error.is_disconnected());
            }
        }
    }
}

/// The numbers in the queue, in its order.
fn numbers(connection: &Connection) -> Vec<usize> {
    let consumer = connection.consumer("queue").automatic_acknowledgement().build().unwrap();
    consumer.fetch_all().map(|message| message.unwrap().text().unwrap().parse().unwrap()).collect()
}

#[test]
fn refused_message_among_many_fails_alone() {
    // A loss that is noted while the message is being published costs one more.
    for (error, most_lost) in [(hard_error(), 2), (unsure(), 2), (precondition(), 0)] {
        let fixture = fixture(error);
        let publisher = fixture.publisher();
        one_fails(publish(&publisher, 100, 50), 50);
        assert!(fixture.lost() <= most_lost, "{} lost", fixture.lost());
        let expected: Vec<_> = (0..100).filter(|number| *number != 50).collect();
        assert_eq!(numbers(&fixture.connection), expected);
    }
}

#[test]
fn unanswered_messages_are_resent_one_at_a_time() {
    for (error, most_lost) in [(hard_error(), 2), (unsure(), 2), (precondition(), 0)] {
        let fixture = fixture(error);
        let publisher = fixture.publisher();
        fixture.broker.faults().lose_confirms(30);
        one_fails(publish(&publisher, 100, 30), 30);
        assert!(fixture.lost() <= most_lost, "{} lost", fixture.lost());
        let numbers = numbers(&fixture.connection);
        let expected = (0..30).chain(0..30).chain(31..100);
        assert_eq!(
            numbers,
            expected.collect::<Vec<_>>(),
            "those without an answer come twice, in order"
        );
    }
}

#[test]
fn several_refused_messages_fail_each() {
    for error in [hard_error(), unsure(), precondition()] {
        let fixture = fixture(error);
        let publisher = fixture.publisher();
        let bodies: Vec<_> =
            (0..60)
                .map(|number| {
                    if number % 3 == 0 { POISON.to_vec() } else { number.to_string().into_bytes() }
                })
                .collect();
        let started = Instant::now();
        fixture.broker.faults().lose_confirms(1);
        let first = publisher.message().publish_bytes("1000").unwrap();
        let receipts: Vec<_> = bodies
            .iter()
            .map(|body| publisher.message().publish_bytes(body.clone()).unwrap())
            .collect();
        first.wait().unwrap();
        for (number, receipt) in receipts.into_iter().enumerate() {
            assert_eq!(receipt.wait().is_err(), number % 3 == 0, "{number}");
        }
        assert!(fixture.lost() <= 41, "{} lost", fixture.lost());
        assert!(started.elapsed() < SOON, "the pauses grow: {:?}", started.elapsed());
    }
}

#[test]
fn publishers_of_one_connection_fail_independently() {
    for (error, most_lost) in [(hard_error(), 2), (unsure(), 2), (precondition(), 0)] {
        let fixture = fixture(error);
        let publishers: Vec<_> = (0..3).map(|_| fixture.publisher()).collect();
        // After a channel error, the messages of other channels are not sent again.
        fixture.broker.faults().lose_confirms(if most_lost > 0 { 30 } else { 0 });
        let mut receipts: Vec<Vec<Confirmation>> =
            publishers.iter().map(|publisher| publish(publisher, 10, usize::MAX)).collect();
        receipts.push(publish(&publishers[1], 100, 70));
        thread::scope(|scope| {
            for (index, receipts) in receipts.into_iter().enumerate() {
                scope.spawn(move || one_fails(receipts, if index == 3 { 70 } else { usize::MAX }));
            }
        });
        assert!(fixture.lost() <= most_lost, "{} lost", fixture.lost());
        publishers.iter().for_each(|publisher| publisher.send("still there").unwrap());
    }
}

#[test]
fn send_and_send_all_report_only_the_refused_message() {
    for error in [hard_error(), unsure(), precondition()] {
        let fixture = fixture(error);
        let publisher = fixture
            .connection
            .publisher()
            .routing_key("queue")
            .codec(carrot::Codec::text())
            .build()
            .unwrap();
        let values: Vec<_> = (0..100)
            .map(|number| if number == 20 { "poison".into() } else { number.to_string() })
            .collect();
        let Err(Error::Batch { confirmed, failures, .. }) = publisher.send_all(&values) else {
            panic!("all were taken")
        };
        assert_eq!((confirmed, failures.len(), failures[0].0), (99, 1, 20), "{failures:?}");
        let started = Instant::now();
        let error = publisher.send("poison").unwrap_err();
        assert!(!error.is_retryable() && started.elapsed() < SOON, "{error:?}");
        publisher.send("1").unwrap();
    }
}

#[test]
fn publisher_without_confirms_continues_after_hard_error() {
    for error in [hard_error(), unsure(), precondition()] {
        let fixture = fixture(error);
        let publisher = fixture
            .connection
            .publisher()
            .routing_key("queue")
            .without_confirms()
            .send_timeout(SOON)
            .build()
            .unwrap();
        for number in 0..10 {
            let body = if number == 5 { POISON.to_vec() } else { number.to_string().into_bytes() };
            publisher.message().send_bytes(body).unwrap();
        }
        assert!(fixture.lost() <= 1);
        assert_eq!(ready(&fixture.connection, "queue"), 9);
    }
}

#[test]
fn refused_call_fails_at_once_and_costs_others_one_reconnect() {
    let fixture = fixture(hard_error());
    let consumer = fixture.connection.consumer("queue").build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let publisher = fixture.publisher();
    fixture.broker.faults().close_connection_at(Operation::Delete, 1, 540, "NOT_IMPLEMENTED");
    let started = Instant::now();
    let error = fixture.connection.purge_queue("queue").unwrap_err();
    assert!(
        matches!(&error, Error::HardError { code: 540, reason } if reason == "NOT_IMPLEMENTED"),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        "the broker refused the operation and closed the connection: 540 NOT_IMPLEMENTED"
    );
    assert!(started.elapsed() < SOON / 2 && fixture.lost() == 1);
    publisher.send(&1).unwrap();
    messages.next().unwrap().unwrap().ack().unwrap();
    assert_eq!(fixture.lost(), 1);
}

#[test]
fn suspect_call_is_repeated_once() {
    let fixture = fixture(hard_error());
    let faults = fixture.broker.faults();
    faults.fail_next(Operation::Declare, unsure());
    fixture.connection.declare_queue("other").unwrap();
    assert_eq!(fixture.lost(), 1);
    faults.fail_next(Operation::Declare, unsure()).fail_next(Operation::Declare, unsure());
    let error = fixture.connection.declare_queue("another").unwrap_err();
    assert!(matches!(error, Error::HardError { code: 541, .. }), "{error:?}");
    assert_eq!(fixture.lost(), 3);
}

#[test]
fn run_with_refused_declaration_ends() {
    let refused = |error: Error, times: usize| {
        let fixture = fixture(hard_error());
        let consumer = fixture.connection.consumer("queue").build().unwrap();
        let workers = consumer.workers(2).spawn(|(): (), _: &carrot::Message| {}).unwrap();
        let faults = fixture.broker.faults();
        for _ in 0..times {
            faults.fail_next(Operation::Declare, error.clone());
        }
        faults.drop_connections();
        let error = workers.join_timeout(SOON).expect("the run ends").unwrap_err();
        assert!(matches!(error, Error::HardError { code: 541, .. }), "{error:?}");
        assert_eq!((faults.outstanding(), fixture.lost()), (0, 1 + times));
        thread::sleep(Duration::from_millis(50));
        assert_eq!(fixture.lost(), 1 + times, "it goes on");
    };
    refused(hard_error(), 1);
    refused(unsure(), 5);
}

#[test]
fn run_survives_unexplained_hard_errors() {
    let fixture = fixture(hard_error());
    let consumer = fixture.connection.consumer("queue").build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(SOON);
    let faults = fixture.broker.faults();
    faults
        .fail_next(Operation::Consume, unsure())
        .fail_next(Operation::Declare, unsure())
        .drop_connections();
    fixture.publisher().send(&7).unwrap();
    assert_eq!(messages.next().unwrap().unwrap().decode::<u32>().unwrap(), 7);
    assert_eq!(faults.outstanding(), 0);
}

#[test]
fn run_ends_once_its_queue_is_deleted() {
    let fixture = fixture(hard_error());
    let other = Connection::new(fixture.broker.connector());
    let consumer = fixture.connection.consumer("queue").build().unwrap();
    let workers = consumer.workers(1).spawn(|_: u32, _: &Message| ()).unwrap();
    let deleting = other.clone();
    on_loss(&*fixture.connector, move || {
        deleting.delete_queue("queue", DeleteIf::ALWAYS).unwrap();
    });
    let faults = fixture.broker.faults();
    faults.close_connection_at(Operation::Consume, 1, 541, "INTERNAL_ERROR");
    cancel(&other);
    let ended = workers.join_timeout(SOON).unwrap();
    assert!(matches!(ended, Err(Error::Cancelled { .. })), "{ended:?}");
    assert_eq!((faults.outstanding(), fixture.lost()), (0, 1));
    let fetched = consumer.fetch().map(drop);
    assert!(matches!(fetched, Err(Error::NotFound { .. })), "{fetched:?}");
    let found = other.declare_queue(Queue::existing("queue"));
    assert!(matches!(found, Err(Error::NotFound { .. })), "{found:?}");
}

#[test]
fn run_continues_after_cancel_and_refused_subscription() {
    let fixture = fixture(hard_error());
    let other = Connection::new(fixture.broker.connector());
    let faults = fixture.broker.faults();
    for redeclares in [false, true] {
        let consumer = fixture.connection.consumer("queue");
        let consumer =
            if redeclares { consumer.redeclare_if_deleted() } else { consumer }.build().unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        faults.close_connection_at(Operation::Consume, 1, 541, "INTERNAL_ERROR");
        cancel(&other);
        fixture.publisher().send(&7).unwrap();
        let message = messages.next().unwrap().unwrap();
        assert_eq!(message.decode::<u32>().unwrap(), 7);
        message.ack().unwrap();
        assert_eq!(faults.outstanding(), 0);
    }
}

/// Cancels the consumers of the queue at the broker. The queue exists when they look for it.
fn cancel(connection: &Connection) {
    connection.delete_queue("queue", DeleteIf::ALWAYS).unwrap();
    connection.declare_queue("queue").unwrap();
}

#[test]
fn messages_fail_at_once_when_exchange_is_refused() {
    let fixture = fixture(hard_error());
    let publisher =
        fixture.connection.publisher().exchange("exchange").send_timeout(SOON).build().unwrap();
    let faults = fixture.broker.faults();
    faults.lose_confirms(50);
    let receipts = publish(&publisher, 50, usize::MAX);
    faults.close_connection_at(Operation::Declare, 1, 503, "COMMAND_INVALID").drop_connections();
    for receipt in receipts {
        let error = receipt.wait().unwrap_err();
        assert!(matches!(error, Error::HardError { code: 503, .. }), "{error:?}");
    }
    // The cut loses the connection of each role, the refusal one of them.
    eventually("the losses are told", || fixture.lost() == 3);
    publisher.send(&1).unwrap();
}

#[test]
fn isolated_message_respects_its_deadline() {
    let fixture = fixture(unsure());
    let brief = Duration::from_millis(300);
    let publisher =
        fixture.connection.publisher().routing_key("queue").send_timeout(brief).build().unwrap();
    fixture.broker.faults().lose_confirms(1_000_000);
    let started = Instant::now();
    let body = |number| if number == 19 { POISON.to_vec() } else { vec![b'0'] };
    // Some may not be published in time, while others are resent.
    let receipts: Vec<_> =
        (0..20).map(|number| publisher.message().publish_bytes(body(number))).collect();
    assert!(receipts.into_iter().all(|receipt| receipt.and_then(Confirmation::wait).is_err()));
    assert!(started.elapsed() < brief + SOON / 2, "{:?}", started.elapsed());
    fixture.broker.faults().clear();
    eventually("the publisher works again", || publisher.send(&1).is_ok());
}
