//! The figures of consumers.

use std::sync::mpsc;
use std::time::Duration;

use carrot::consume::{HandlerError, Retry};
use carrot::{Message, Settlement};

use super::{PAUSE, consuming};
use crate::failures::manual_clock::{refuse_declarations, setup};
use crate::support::{SOON, eventually, next, queue};

on_both_backends! {
    fn each_way_of_receiving_counts_deliveries(connection: &Connection) {
        let queue = queue();
        let mut consumer = connection.consumer(&queue).discard_failed().build().unwrap();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.send_all(0..10_u32).unwrap();
        consumer.fetch().unwrap().unwrap().ack().unwrap();
        consumer.fetch_all().take(2).for_each(|message| message.unwrap().ack().unwrap());
        next(&consumer).ack().unwrap();
        assert_eq!((consuming(connection).delivered, consuming(connection).acknowledged), (4, 0));
        consumer.register_callback(|_: u32, _: &Message| ());
        consumer.handle_next(2).unwrap();
        assert_eq!((consuming(connection).delivered, consuming(connection).acknowledged), (6, 2));
        let workers = consumer.workers(2).spawn(|_: u32, _: &Message| ()).unwrap();
        eventually("all are acknowledged", || consuming(connection).acknowledged == 6);
        workers.stop(SOON).unwrap();
        drop(consumer);
        let figures = consuming(connection);
        assert_eq!((figures.delivered, figures.acknowledged), (10, 6), "{figures:?}");
        assert_eq!(figures.handlers_running, 0, "{figures:?}");
    }

    fn reports_of_ended_runs_are_summed(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        let definition = connection.consumer(&queue).retry(Retry::never()).discard_failed();
        for run in 1..=3 {
            let consumer = definition.clone().build().unwrap();
            publisher.send_all(["ack", "reject", "fail"]).unwrap();
            publisher.message().send_bytes("no JSON").unwrap();
            let workers = consumer.workers(2).spawn(|text: String, _: &Message| match &*text {
                "ack" => Ok(Settlement::Ack),
                "reject" => Ok(Settlement::Reject),
                _ => Err("no"),
            });
            let workers = workers.unwrap();
            eventually("the run is done", || consuming(connection).discarded == 2 * run);
            eventually("all are counted", || consuming(connection).acknowledged == run);
            eventually("all are counted", || consuming(connection).rejected == run);
            workers.stop(SOON).unwrap();
        }
        let figures = consuming(connection);
        assert_eq!((figures.failed, figures.undecodable), (3, 3), "{figures:?}");
        assert_eq!((figures.delivered, figures.discarded), (12, 6), "{figures:?}");
    }

    fn handlers_running_counts_busy_workers(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().queue(&queue).build().unwrap().send_all(0..3_u32).unwrap();
        let (release, released) = mpsc::channel::<()>();
        let released = std::sync::Mutex::new(released);
        let workers = consumer.workers(2).spawn(move |_: u32, _: &Message| {
            let _ = released.lock().unwrap().recv();
        });
        let workers = workers.unwrap();
        eventually("both workers are busy", || consuming(connection).handlers_running == 2);
        drop(release);
        eventually("all are handled", || consuming(connection).acknowledged == 3);
        workers.stop(SOON).unwrap();
        assert_eq!(consuming(connection).handlers_running, 0);
    }

    fn held_bytes_and_prefetch_changes_show_the_bound(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.send_all((0..100).map(|_| "x".repeat(1022))).unwrap();
        let consumer =
            connection.consumer(&queue).prefetch(32).max_held_bytes(8 << 10).build().unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        // More than the prefetch arrive only on another subscription.
        let mut held: Vec<_> = messages.by_ref().take(40).map(Result::unwrap).collect();
        let figures = consuming(connection);
        assert!(figures.held_bytes >= 40 * 1024, "{figures:?}");
        assert!(figures.prefetch_changes >= 1, "{figures:?}");
        held.drain(..).for_each(|message| message.ack().unwrap());
        for message in messages.by_ref().take(55) {
            message.unwrap().ack().unwrap();
        }
        let figures = consuming(connection);
        assert!(figures.held_bytes <= 8 << 10, "{figures:?}");
        drop(messages);
        drop(consumer);
        let ended = consuming(connection);
        assert_eq!((ended.held_bytes, ended.delivered), (0, 95), "{ended:?}");
        assert_eq!(ended.prefetch_changes, figures.prefetch_changes);
    }
}

#[test]
fn retried_and_parked_messages_are_counted() {
    let setup = setup();
    let figures = || setup.connection.statistics().consuming;
    let consumer =
        setup.connection.consumer("orders").retry(Retry::fixed(PAUSE).attempts(2)).build().unwrap();
    let workers = consumer.workers(1).spawn(|_: String, _: &Message| Err::<(), _>("no")).unwrap();
    setup.connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    eventually("it is retried", || figures().retried == 1);
    eventually("it is parked", || {
        setup.clock.advance(PAUSE);
        figures().parked == 1
    });
    workers.stop(SOON).unwrap();
    let figures = figures();
    assert_eq!((figures.failed, figures.delivered, figures.paused), (2, 2, 0), "{figures:?}");
    assert_eq!(setup.connection.statistics().publishing.published, 1, "copies do not count");
}

#[test]
fn message_that_the_program_fails_is_counted() {
    let setup = setup();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    publisher.send_all(["fails", "waits"]).unwrap();
    consumer.fetch().unwrap().unwrap().fail(HandlerError::permanent("no")).unwrap();
    consumer.fetch().unwrap().unwrap().retry_after(PAUSE).unwrap();
    drop(consumer);
    let figures = consuming(&setup.connection);
    assert_eq!((figures.parked, figures.retried), (1, 1), "{figures:?}");
    assert_eq!((figures.failed, figures.delivered), (1, 2), "a chosen retry is no failure");
}

#[test]
fn messages_that_pause_in_the_process_are_seen_until_they_return() {
    let setup = setup();
    let figures = || setup.connection.statistics().consuming;
    let consumer =
        setup.connection.consumer("orders").prefetch(2).retry(Retry::fixed(PAUSE)).build().unwrap();
    let workers = consumer.workers(2).spawn(|_: String, _: &Message| Err::<(), _>("no")).unwrap();
    refuse_declarations(&setup.broker, 2);
    setup
        .connection
        .publisher()
        .routing_key("orders")
        .build()
        .unwrap()
        .send_all(["1", "2"])
        .unwrap();
    // One message waits apart, and a worker waits with the other.
    // A message is held before its handler counts as ended.
    eventually("both pause", || {
        let now = figures();
        (now.paused_messages, now.paused, now.handlers_running) == (2, 2, 0)
    });
    eventually("none pauses", || {
        setup.clock.advance(Duration::from_secs(1));
        figures().paused_messages == 0 && figures().retried == 2
    });
    assert_eq!(figures().paused, 2);
    workers.stop(SOON).unwrap();
}

#[test]
fn pauses_after_failures_are_counted_and_seen() {
    let setup = setup();
    let figures = || setup.connection.statistics().consuming;
    let consumer = setup
        .connection
        .consumer("orders")
        .pause_after_failures(3)
        .discard_failed()
        .retry(Retry::never())
        .build()
        .unwrap();
    let workers = consumer.workers(1).spawn(|_: u32, _: &Message| Err::<(), _>("no")).unwrap();
    let publisher = setup.connection.publisher().routing_key("orders").build().unwrap();
    publisher.send_all(0..4_u32).unwrap();
    eventually("it pauses", || figures().paused_consumers == 1);
    assert_eq!((figures().consumer_pauses, figures().discarded), (1, 3), "{:?}", figures());
    setup.clock.advance(Duration::from_secs(1));
    eventually("it pauses again", || figures().consumer_pauses == 2);
    eventually("it pauses again", || figures().paused_consumers == 1);
    workers.stop(SOON).unwrap();
    drop(consumer);
    assert_eq!((figures().consumer_pauses, figures().paused_consumers), (2, 0));
}
