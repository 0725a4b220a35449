//! Panics in code of the program: no worker ends, and every panic is reported.

use std::error::Error as StdError;
use std::fmt;
use std::sync::mpsc;

use carrot::memory::Broker;
use carrot::{Connection, Message, consume::Retry};
use serde::{Deserialize, Deserializer};

use super::with_parking;
use crate::support::{SOON, eventually, ready};

/// Panics in `Display`, or in `Drop`.
#[derive(Debug)]
struct Bomb {
    shown: bool,
}

impl fmt::Display for Bomb {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        assert!(!self.shown, "a Display that panics");
        formatter.write_str("a bomb")
    }
}

impl StdError for Bomb {}

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(self.shown || std::thread::panicking(), "a Drop that panics");
    }
}

/// Panics when it is deserialized from anything except a number.
#[derive(Debug)]
struct Price(u32);

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Price, D::Error> {
        Ok(Price(String::deserialize(deserializer)?.parse().expect("a price is a number")))
    }
}

on_both_backends! {
    fn deserialize_panic_fails_one_message(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(2).spawn(move |price: Price, _message: &Message| sender.send(price.0)).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(["12 EUR", "7", "12 GBP", "8"]).unwrap();
        let mut seen = [handled.recv_timeout(SOON).unwrap(), handled.recv_timeout(SOON).unwrap()];
        seen.sort_unstable();
        assert_eq!(seen, [7, 8]);
        eventually("the others are parked", || ready(connection, &parking) == 2);
        assert!(!workers.is_finished());
        let failure = workers.first_failure().unwrap();
        assert!(failure.contains("a price is a number"), "{failure}");
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.undecodable, report.parked, report.acknowledged), (2, 2, 2));
    }

    fn error_display_or_drop_panic_fails_one_message(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |what: String, _message: &Message| match &*what {
            "display" => Err(Bomb { shown: true }),
            "drop" => Err(Bomb { shown: false }),
            "payload" => std::panic::panic_any(Bomb { shown: true }),
            _ => {
                sender.send(what).unwrap();
                Ok(())
            }
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(["display", "drop", "payload", "fine"]).unwrap();
        assert_eq!(handled.recv_timeout(SOON), Ok("fine".into()));
        eventually("the others are parked", || ready(connection, &parking) == 3);
        assert!(!workers.is_finished());
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.parked, report.acknowledged), (3, 3, 1));
    }

    fn payload_drop_or_source_display_panic_fails_one_message(connection: &Connection) {
        #[derive(Debug, Deserialize)]
        struct Fragile(u32);
        impl Drop for Fragile {
            fn drop(&mut self) {
                assert!(self.0 != 1 || std::thread::panicking(), "a payload whose Drop panics");
            }
        }
        #[derive(Debug)]
        struct Outer(Bomb);
        impl fmt::Display for Outer {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("outer")
            }
        }
        impl StdError for Outer {
            fn source(&self) -> Option<&(dyn StdError + 'static)> {
                Some(&self.0)
            }
        }
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |payload: Fragile, _message: &Message| match payload.0 {
            2 => Err(Outer(Bomb { shown: true })),
            number => {
                sender.send(number).unwrap();
                Ok(())
            }
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all([1, 2, 3]).unwrap();
        assert_eq!((handled.recv_timeout(SOON), handled.recv_timeout(SOON)), (Ok(1), Ok(3)));
        eventually("the others are parked", || ready(connection, &parking) == 2);
        assert!(!workers.is_finished());
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.parked, report.acknowledged), (2, 2, 1));
    }

    fn on_undecodable_panic_fails_one_message(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::never()).on_undecodable(|_, _| panic!("a hook that panics")).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: u32, _message: &Message| ()).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(["one", "two"]).unwrap();
        eventually("both are parked", || ready(connection, &parking) == 2);
        assert!(!workers.is_finished());
        assert_eq!(workers.stop(SOON).unwrap().parked, 2);
    }

    fn callback_panic_does_not_end_wait(connection: &Connection) {
        let (queue, _) = with_parking();
        let mut consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        consumer.register_callback(|price: Price, _message: &Message| assert_ne!(price.0, 1, "a callback that panics"));
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(["1", "no price", "2"]).unwrap();
        let report = consumer.handle_next(3).unwrap();
        assert_eq!((report.failed, report.undecodable, report.parked, report.acknowledged), (1, 1, 2, 1));
    }

    fn raw_handler_panic_does_not_end_worker(connection: &Connection) {
        let (queue, _) = with_parking();
        let consumer = connection.consumer(&queue).prefetch(1).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn_raw(move |message| {
            assert!(message.is_redelivered(), "a handler that panics");
            sender.send(()).unwrap();
            message.ack().unwrap();
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        handled.recv_timeout(SOON).unwrap();
        assert!(!workers.is_finished());
        workers.stop(SOON).unwrap();
    }
}

#[test]
fn hook_panic_does_not_stop_other_hooks() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let (sender, told) = mpsc::channel();
    connection.on_disconnect(|_, _| panic!("a hook that panics"));
    connection.on_disconnect(move |_, error| sender.send(error.to_string()).unwrap());
    connection.open().unwrap();
    broker.faults().drop_connections();
    told.recv_timeout(SOON).unwrap();
    connection.open().unwrap();
}
