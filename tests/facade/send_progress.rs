//! The progress of sending many values.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use carrot::memory::Broker;
use carrot::publish::SendProgress;
use carrot::{Connection, Error, Result};

use crate::on_activemq::is_on_activemq;
use crate::support::{SOON, queue, ready, unique};

/// More than the time between two reports.
const INTERVAL: Duration = Duration::from_millis(120);

/// Values that are slow to come: every fourth takes longer than the time between two reports.
fn slow_values(count: u32) -> impl Iterator<Item = u32> {
    (0..count).inspect(|number| {
        if number % 4 == 3 {
            thread::sleep(INTERVAL);
        }
    })
}

fn numbers(progress: &SendProgress) -> [usize; 4] {
    [progress.sent, progress.confirmed, progress.returned, progress.failed]
}

on_both_backends! {
    fn progress_of_100_000_values_grows_to_the_end(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).transient().build().unwrap();
        let mut seen: Vec<SendProgress> = Vec::new();
        let started = Instant::now();
        let sent = publisher.send_all_with(0..100_000_u32, |progress| {
            seen.push(progress);
            ControlFlow::Continue(())
        });
        let (sent, elapsed) = (sent.unwrap(), started.elapsed());
        assert_eq!(numbers(&sent), [100_000, 100_000, 0, 0]);
        assert_eq!(seen.last(), Some(&sent));
        // At most one report in 100 ms, and one at the end.
        assert!(seen.len() as u128 <= elapsed.as_millis() / 100 + 1, "{} in {elapsed:?}", seen.len());
        for pair in seen.windows(2) {
            assert!(pair[0].sent <= pair[1].sent && pair[0].confirmed <= pair[1].confirmed);
        }
        assert!(seen.iter().all(|progress| progress.confirmed <= progress.sent));
        assert_eq!(ready(connection, &queue.name), 100_000);
        // ActiveMQ purges message by message, which takes longer than a call may.
        if !is_on_activemq() {
            connection.purge_queue(&queue.name).unwrap();
        }
    }

    fn progress_shows_returned_values_before_the_window_is_full(connection: &Connection) {
        let missing = unique("missing");
        let publisher = connection.publisher().routing_key(&missing).max_in_flight(100_000);
        let publisher = publisher.build().unwrap();
        let deadline = Instant::now() + SOON;
        let values = (0..100_000_u32).take_while(|_| {
            thread::sleep(Duration::from_millis(1));
            Instant::now() < deadline
        });
        let mut seen: Vec<SendProgress> = Vec::new();
        let failed = publisher.send_all_with(values, |progress| {
            seen.push(progress);
            if progress.returned > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // The calls before the last one are made while values are sent.
        assert!(seen.len() >= 2 && seen[seen.len() - 2].returned > 0, "{seen:?}");
        assert!(Instant::now() < deadline, "{seen:?}");
        assert!(matches!(failed, Err(Error::Batch { confirmed: 0, .. })));
        let last = seen[seen.len() - 1];
        assert_eq!(numbers(&last), [last.sent, 0, last.sent, 0]);
    }
}

#[test]
fn progress_shows_nacked_values_at_the_next_call_and_never_falls() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let publisher = connection.publisher().queue("orders").build().unwrap();
    broker.faults().nack_publishes(2);
    let mut seen: Vec<[usize; 4]> = Vec::new();
    let failed = publisher.send_all_with(slow_values(12), |progress| {
        seen.push(numbers(&progress));
        ControlFlow::Continue(())
    });
    assert!(matches!(failed, Err(Error::Batch { confirmed: 10, .. })));
    // The memory broker answers at once: no value is in flight when the function is called.
    let is_whole = |[sent, confirmed, _, failed]: &[usize; 4]| sent == &(confirmed + failed);
    assert!(seen.len() >= 4 && seen.iter().all(is_whole), "{seen:?}");
    assert!(seen.is_sorted() && seen[0][3] == 2, "{seen:?}");
    assert_eq!(seen.last(), Some(&[12, 10, 0, 2]));
}

#[test]
fn progress_counts_confirmed_returned_and_failed_values_apart() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    connection.declare_queue("orders").unwrap();
    let missing = connection.publisher().routing_key("missing").build().unwrap();
    let mut last = None;
    let failed = missing.send_all_with(["a", "b"], |progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    });
    assert!(matches!(failed, Err(Error::Batch { confirmed: 0, .. })));
    assert_eq!(last.as_ref().map(numbers), Some([2, 0, 2, 0]));

    let publisher = connection.publisher().routing_key("orders").build().unwrap();
    broker.faults().nack_publishes(3);
    let mut last = None;
    let failed = publisher.send_all_with(0..10, |progress| {
        last = Some(progress);
        ControlFlow::Continue(())
    });
    assert!(matches!(failed, Err(Error::Batch { confirmed: 7, .. })));
    assert_eq!(last.as_ref().map(numbers), Some([10, 7, 0, 3]));
}

#[test]
fn break_stops_sending_and_waits_for_values_in_flight() {
    let connection = crate::support::memory();
    let publisher = connection.publisher().queue("orders").build().unwrap();
    let mut taken = 0;
    let values = slow_values(1000).inspect(|_| taken += 1);
    let mut calls = 0;
    let sent = publisher.send_all_with(values, |_| {
        calls += 1;
        ControlFlow::Break(())
    });
    let sent = sent.unwrap();
    // One call stops the sending, and the last one has the final numbers.
    assert_eq!(calls, 2);
    assert_eq!(sent.sent, taken);
    assert!(sent.sent >= 4 && sent.sent < 1000, "{sent:?}");
    assert_eq!(sent.confirmed, sent.sent);
    assert_eq!(ready(&connection, "orders") as usize, sent.sent);
}

#[test]
fn panic_of_the_function_ends_its_calls_and_harms_nothing() {
    let connection = crate::support::memory();
    let publisher = connection.publisher().queue("orders").build().unwrap();
    let mut calls = 0;
    let sent: Result<SendProgress> = publisher.send_all_with(slow_values(20), |_| {
        calls += 1;
        panic!("a bug of the program");
    });
    assert_eq!(numbers(&sent.unwrap()), [20, 20, 0, 0]);
    assert_eq!(calls, 1);
    publisher.send(&21).unwrap();
}

#[test]
fn progress_of_no_values_is_reported_once() {
    let connection = crate::support::memory();
    let publisher = connection.publisher().queue("orders").build().unwrap();
    let mut calls = Vec::new();
    let sent = publisher.send_all_with(Vec::<u32>::new(), |progress| {
        calls.push(progress);
        ControlFlow::Continue(())
    });
    assert_eq!(calls, [sent.unwrap()]);
    assert_eq!(numbers(&calls[0]), [0, 0, 0, 0]);
}
