//! Checks hard errors. Only the refused message or declaration fails when the broker closes the
//! connection. Finding the refused one costs at most one more connection.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_amqp::AmqpConnector;
use carrot_core::backend::{ChannelOptions, Connector, Declare};
use carrot_core::{
    Confirmation, Connection, ConnectionOptions, Error, Exchange, ExchangeKind, Publisher, Queue,
};
use support::fake::{Fake, Script};
use support::refusing::{CODE, LATER, POISON, WORDS};

const LONG: Duration = Duration::from_secs(20);

struct Fixture {
    connection: Connection,
    lost: Arc<AtomicUsize>,
    _fake: Fake,
}

fn options(fake: &Fake) -> ConnectionOptions {
    ConnectionOptions::new().host("127.0.0.1").port(fake.port())
}

fn fixture(names_method: bool) -> Fixture {
    let fake = Fake::start(Script::Refuses { names_method });
    let options = options(&fake);
    let connection =
        Connection::with_options(Arc::new(AmqpConnector::new(&options).unwrap()), &options);
    let lost = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lost);
    connection.on_disconnect(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    Fixture { connection, lost, _fake: fake }
}

impl Fixture {
    fn publisher(&self) -> Publisher {
        self.connection.publisher().exchange("feed").send_timeout(LONG).build().unwrap()
    }

    /// Waits for reports of `least` lost connections. Panics if fewer, or more than `most`, were
    /// lost.
    #[track_caller]
    fn has_lost(&self, least: usize, most: usize) {
        let deadline = Instant::now() + LONG;
        while self.lost.load(Ordering::SeqCst) < least && Instant::now() < deadline {
            thread::yield_now();
        }
        thread::sleep(Duration::from_millis(50));
        let lost = self.lost.load(Ordering::SeqCst);
        assert!((least..=most).contains(&lost), "{lost} connections were lost");
    }
}

fn odd(name: &str) -> Exchange {
    Exchange::new(name, ExchangeKind::Custom(POISON.into()))
}

#[track_caller]
fn assert_refused(error: &Error) {
    assert!(
        matches!(error, Error::HardError { code: CODE, reason } if reason == WORDS),
        "{error:?}"
    );
    assert!(!error.is_retryable() && !error.is_disconnected() && !error.is_channel_error());
}

fn publish(publisher: &Publisher, count: usize, poison: Option<usize>) -> Vec<Confirmation> {
    let body =
        |number| if Some(number) == poison { POISON.to_string() } else { number.to_string() };
    (0..count).map(|number| publisher.message().publish_bytes(body(number)).unwrap()).collect()
}

#[track_caller]
fn only_the_poison_fails(receipts: Vec<Confirmation>, poison: Option<usize>) {
    for (number, receipt) in receipts.into_iter().enumerate() {
        match receipt.wait() {
            Ok(()) => assert_ne!(Some(number), poison, "the poison was confirmed"),
            Err(error) => {
                assert_eq!(Some(number), poison, "{error:?}");
                assert_refused(&error);
            }
        }
    }
}

#[test]
fn a_refused_message_is_found_though_nobody_waits_for_its_receipt() {
    for names_method in [true, false] {
        let fixture = fixture(names_method);
        let publisher = fixture.publisher();
        let receipts = publish(&publisher, 20, Some(7));
        // The message is sent once with others and once alone. The first loss is enough if the
        // broker names the method.
        let least = if names_method { 1 } else { 2 };
        fixture.has_lost(least, 3);
        // Resending the message repeatedly would lose several more connections in this time.
        thread::sleep(Duration::from_secs(2));
        fixture.has_lost(least, 3);
        only_the_poison_fails(receipts, Some(7));
    }
}

#[test]
fn one_message_of_a_hundred_fails_alone() {
    for names_method in [true, false] {
        for poison in [0, 50, 99] {
            let fixture = fixture(names_method);
            let publisher = fixture.publisher();
            only_the_poison_fails(publish(&publisher, 100, Some(poison)), Some(poison));
            fixture.has_lost(1, 2);
            only_the_poison_fails(publish(&publisher, 100, None), None);
            fixture.has_lost(1, 2);
        }
    }
}

#[test]
fn a_message_that_is_alone_costs_one_connection_if_the_broker_names_the_method() {
    let fixture = fixture(true);
    let publisher = fixture.publisher();
    publisher.message().send_bytes("first").unwrap();
    let started = Instant::now();
    assert_refused(&publisher.message().send_bytes(POISON).unwrap_err());
    assert!(started.elapsed() < LONG / 4, "{:?}", started.elapsed());
    publisher.message().send_bytes("last").unwrap();
    fixture.has_lost(1, 1);
}

#[test]
fn publishers_of_one_connection_do_not_fail_for_each_other() {
    for names_method in [true, false] {
        for round in 0..5 {
            let fixture = fixture(names_method);
            let publishers = [(); 3].map(|()| fixture.publisher());
            let start = Barrier::new(publishers.len());
            thread::scope(|scope| {
                for (index, publisher) in publishers.iter().enumerate() {
                    let start = &start;
                    let poison = (index == 1).then_some(20 * round + 10);
                    scope.spawn(move || {
                        start.wait();
                        only_the_poison_fails(publish(publisher, 100, poison), poison);
                        publisher.message().send_bytes("more").unwrap();
                    });
                }
            });
            fixture.has_lost(1, 2);
        }
    }
}

#[test]
fn a_publisher_without_confirms_goes_on_beside_others() {
    for names_method in [true, false] {
        let fixture = fixture(names_method);
        let blind = fixture
            .connection
            .publisher()
            .exchange("feed")
            .without_confirms()
            .send_timeout(LONG)
            .build()
            .unwrap();
        let publisher = fixture.publisher();
        let receipts = publish(&publisher, 50, None);
        for number in 0..50 {
            blind
                .message()
                .send_bytes(if number == 25 { POISON.to_string() } else { number.to_string() })
                .unwrap();
        }
        only_the_poison_fails(receipts, None);
        publisher.message().send_bytes("more").unwrap();
        fixture.has_lost(1, 1);
    }
}

#[test]
fn a_refused_declaration_is_told_at_once() {
    for (names_method, lost) in [(true, 1), (false, 2)] {
        let fixture = fixture(names_method);
        let started = Instant::now();
        assert_refused(&fixture.connection.declare_exchange(odd("odd")).unwrap_err());
        assert!(started.elapsed() < LONG / 4, "{:?}", started.elapsed());
        fixture.has_lost(lost, lost);
        fixture.connection.declare_queue(Queue::new("queue")).unwrap();
        assert_refused(&fixture.connection.publisher().exchange(odd("odd")).build().unwrap_err());
        fixture.has_lost(lost + 1, 2 * lost + 1);
    }
}

#[test]
fn of_declarations_at_the_same_time_the_refused_one_fails() {
    let fake = Fake::start(Script::Refuses { names_method: true });
    let options = options(&fake);
    let connector: Arc<dyn Connector> = Arc::new(AmqpConnector::new(&options).unwrap());
    let lost = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&lost);
    connector.observe(Arc::new(move |event| {
        count.fetch_add(
            usize::from(matches!(event, carrot_core::backend::Event::Disconnected { .. })),
            Ordering::SeqCst,
        );
    }));
    // Each declaration uses a separate channel, as several consumers do.
    let suspects = AtomicUsize::new(0);
    let start = Barrier::new(4);
    thread::scope(|scope| {
        for index in 0..4 {
            let (connector, start, suspects) = (&connector, &start, &suspects);
            scope.spawn(move || {
                let exchange = if index == 2 {
                    odd("odd")
                } else {
                    Exchange::direct(format!("exchange-{index}"))
                };
                start.wait();
                let error = loop {
                    let opened = connector.open(&ChannelOptions::consume(), LONG);
                    match opened
                        .and_then(|channel| channel.declare(Declare::Exchange(&exchange), LONG))
                    {
                        Ok(_) => break None,
                        Err(error @ Error::HardError { .. }) => break Some(error),
                        Err(error) => {
                            assert!(error.is_disconnected(), "{error:?}");
                            suspects.fetch_add(
                                usize::from(error.hard_close().is_some()),
                                Ordering::SeqCst,
                            );
                        }
                    }
                };
                assert_eq!(error.is_some(), index == 2);
                error.iter().for_each(assert_refused);
            });
        }
    });
    let (lost, suspects) = (lost.load(Ordering::SeqCst), suspects.load(Ordering::SeqCst));
    assert!(lost <= 2 && suspects <= 4, "{lost} connections were lost, with {suspects} suspects");
}

#[test]
fn an_innocent_run_goes_on_after_one_reconnect() {
    let fixture = fixture(true);
    let consumer = fixture.connection.consumer("queue").build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(LONG);
    assert_refused(&fixture.connection.consumer("queue").exchange(odd("odd")).build().unwrap_err());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| messages.next().map(|message| message.map(drop)));
        thread::sleep(Duration::from_millis(100));
        assert!(!waiting.is_finished());
        consumer.stop().unwrap();
        assert!(waiting.join().unwrap().is_none());
    });
    fixture.has_lost(1, 1);
}

#[test]
fn a_run_whose_exchange_is_refused_on_renewal_ends() {
    for (names_method, lost) in [(true, 2), (false, 6)] {
        let fixture = fixture(names_method);
        let odd = odd(LATER);
        let consumer = fixture.connection.consumer("queue").exchange(odd).build().unwrap();
        let mut messages = consumer.messages().unwrap().timeout(LONG);
        let innocent = fixture.connection.consumer("queue").build().unwrap();
        let mut others = innocent.messages().unwrap().timeout(LONG);
        thread::scope(|scope| {
            let run = scope.spawn(|| messages.next().unwrap().unwrap_err());
            let other = scope.spawn(|| others.next().map(|message| message.map(drop)));
            // The peer accepts the exchange once, and refuses each later declaration.
            let error = fixture.connection.declare_exchange(self::odd("odd")).unwrap_err();
            assert_refused(&error);
            assert_refused(&run.join().unwrap());
            // The other declaration is refused at the same time, and may cause two of the losses.
            fixture.has_lost(lost, lost + 2 * usize::from(!names_method));
            assert!(!other.is_finished());
            // `stop` may fail because the consumer may be about to resubscribe.
            let _ = innocent.stop();
            assert!(other.join().unwrap().is_none());
        });
    }
}
