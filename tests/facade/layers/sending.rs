use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use carrot::layers::{HandleLayer, OutgoingMessage, PublishLayer, SentMessage};
use carrot::memory::Broker;
use carrot::topology::Overflow;
use carrot::{Connection, Error};

use super::{Calls, Outcomes, Recorder};
use crate::support::{SOON, next, queue, ready, unique};

/// Sends to another queue, with another body and more headers.
struct Redirect(String);

impl PublishLayer for Redirect {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        assert_eq!(message.header("given"), Some(&"by the message".into()));
        assert_eq!((&**message.exchange(), message.is_mandatory()), ("", true));
        assert!(message.properties().message_id().is_some_and(|id| !id.is_empty()));
        message.set_routing_key(&*self.0);
        message.set_header("added", 7);
        message.change_properties(|properties| properties.with_priority(3));
        let body = [b"changed ", message.body()].concat();
        message.set_body(body);
        Ok(())
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        assert_eq!(&**message.routing_key(), &*self.0);
        assert_eq!(message.body(), b"changed text");
    }
}

/// Refuses, panics or takes its time, as the body asks.
#[derive(Default)]
struct Faulty;

impl PublishLayer for Faulty {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        match message.body() {
            b"refuse" => Err(Error::Layer { reason: "it is refused".into(), source: None }),
            b"panic before" => panic!("it panics"),
            b"long key" => {
                message.set_routing_key("x".repeat(256));
                Ok(())
            }
            b"late" => {
                let deadline = message.deadline().unwrap();
                while Instant::now() < deadline {
                    thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        assert_ne!(message.body(), b"panic after");
    }
}

/// Blocks one message until the test continues.
struct Gate {
    before: bool,
    reached: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl Gate {
    fn pass(&self, body: &[u8]) {
        if body == b"slow" {
            self.reached.send(()).unwrap();
            self.go.lock().unwrap().recv_timeout(SOON).unwrap();
        }
    }
}

impl PublishLayer for Gate {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        if self.before {
            self.pass(message.body());
        }
        Ok(())
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        if !self.before {
            self.pass(message.body());
        }
    }
}

on_both_backends! {
    fn layers_of_connection_and_publisher_are_called_in_order(connection: &Connection) {
        let calls = Calls::default();
        let recorder = |name| Recorder(name, calls.clone());
        let layered = connection.clone().with_publish_layer(recorder("1")).with_publish_layer(recorder("2"));
        let publisher = layered.publisher().queue(queue()).layer(recorder("3")).layer(recorder("4")).build().unwrap();
        publisher.send("x").unwrap();
        let expected = ["1 before", "2 before", "3 before", "4 before", "4 after: confirmed", "3 after: confirmed", "2 after: confirmed", "1 after: confirmed"];
        assert_eq!(calls.take(), expected);
        connection.publisher().queue(queue()).build().unwrap().send("x").unwrap();
        assert_eq!(calls.take(), [""; 0], "the first handle has no layers");
    }

    fn layer_changes_key_headers_properties_and_body(connection: &Connection) {
        let (from, to) = (queue(), queue());
        let consumer = connection.consumer(&to).build().unwrap();
        let publisher = connection.publisher().queue(&from).layer(Redirect(to.name.to_string())).build().unwrap();
        publisher.message().header("given", "by the message").send_bytes("text").unwrap();
        let message = next(&consumer);
        assert_eq!(message.text(), Some("changed text"));
        assert_eq!(message.header("added").and_then(|value| value.as_i64()), Some(7));
        assert_eq!(message.header("given").and_then(|value| value.as_str()), Some("by the message"));
        assert_eq!(message.properties().priority(), Some(3));
        message.ack().unwrap();
        assert_eq!(ready(connection, &from.name), 0);
    }

    fn refusal_or_panic_of_layer_fails_its_own_message(connection: &Connection) {
        let (queue, calls) = (queue(), Calls::default());
        let publisher = connection
            .publisher()
            .queue(&queue)
            .layer(Recorder("outer", calls.clone()))
            .layer(Faulty)
            .layer(Recorder("inner", calls.clone()))
            .codec(carrot::Codec::text())
            .build()
            .unwrap();
        let error = publisher.send("refuse").unwrap_err();
        assert!(matches!(&error, Error::Layer { reason, .. } if reason == "it is refused"), "{error:?}");
        let failed = ["outer before", "outer after: layer"];
        assert_eq!(calls.take(), failed);
        let error = publisher.send("panic before").unwrap_err();
        assert!(matches!(&error, Error::Layer { reason, .. } if reason.contains("it panics")), "{error:?}");
        assert_eq!(calls.take(), failed);
        publisher.send("panic after").unwrap();
        assert_eq!(calls.take(), ["outer before", "inner before", "inner after: confirmed", "outer after: confirmed"]);
        let error = publisher.send_all(["one", "refuse", "two", "panic before", "three", "panic after", "long key"]).unwrap_err();
        let Error::Batch { confirmed: 4, failures, .. } = &error else { panic!("{error:?}") };
        assert_eq!(failures.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 3, 6]);
        assert!(matches!(failures[2].1, Error::Invalid { .. }), "{failures:?}");
        assert_eq!(ready(connection, &queue.name), 5);
    }

    #[without_activemq("x-max-length")]
    fn each_outcome_is_seen_once(connection: &Connection) {
        let outcomes = Outcomes::default();
        let full = queue().max_length(1).overflow(Overflow::RejectPublish);
        let publisher = connection.publisher().queue(&full).layer(outcomes.clone()).layer(Faulty).build().unwrap();
        publisher.message().send_bytes("first").unwrap();
        // The length of a queue is enforced after its confirm.
        let mut refused = 0;
        while refused == 0 {
            match publisher.message().send_bytes(format!("more {refused}")) {
                Err(Error::Refused) => refused += 1,
                result => {
                    result.unwrap();
                    outcomes.take();
                }
            }
        }
        let seen = outcomes.take();
        assert!(seen.contains(&("more 0".into(), "refused")), "{seen:?}");
        let elsewhere = || publisher.message().routing_key(unique("nowhere"));
        elsewhere().mandatory().send_bytes("unroutable").unwrap_err();
        elsewhere().not_mandatory().send_bytes("dropped").unwrap();
        publisher.message().send_bytes("long key").unwrap_err();
        publisher.message().send_bytes("refuse").unwrap_err();
        publisher.message().timeout(Duration::from_millis(20)).send_bytes("late").unwrap_err();
        let expected = [("dropped", "confirmed"), ("late", "timeout"), ("long key", "invalid"), ("refuse", "layer"), ("unroutable", "unroutable")];
        assert_eq!(outcomes.take(), expected.map(|(body, outcome)| (body.to_string(), outcome)));
        publisher.close().unwrap();
        publisher.message().send_bytes("closed").unwrap_err();
        assert_eq!(outcomes.take(), [("closed".to_string(), "closed")]);
    }

    fn outcome_of_dropped_confirmation_is_seen_by_flush(connection: &Connection) {
        let outcomes = Outcomes::default();
        let publisher = connection.publisher().queue(queue()).layer(outcomes.clone()).build().unwrap();
        for number in 0..20 {
            drop(publisher.message().publish_bytes(number.to_string()).unwrap());
        }
        publisher.flush().unwrap();
        assert!(outcomes.take().iter().all(|(_, outcome)| *outcome == "confirmed"));
        drop(publisher.message().try_publish_bytes("tried").unwrap());
        drop(publisher.message().publish_bytes("last").unwrap());
        drop(publisher);
        let expected = [("last".to_string(), "confirmed"), ("tried".to_string(), "confirmed")];
        assert_eq!(outcomes.take(), expected, "dropping the publisher flushes");
    }

    fn publisher_without_confirms_reports_sent_messages(connection: &Connection) {
        let outcomes = Outcomes::default();
        let publisher = connection.publisher().queue(queue()).without_confirms().layer(outcomes.clone()).layer(Faulty).build().unwrap();
        publisher.message().send_bytes("one").unwrap();
        publisher.message().publish_bytes("two").unwrap().wait().unwrap();
        publisher.message().try_publish_bytes("three").unwrap().wait().unwrap();
        publisher.message().send_bytes("refuse").unwrap_err();
        publisher.message().send_bytes("long key").unwrap_err();
        let expected = [("long key", "invalid"), ("one", "sent"), ("refuse", "layer"), ("three", "sent"), ("two", "sent")];
        assert_eq!(outcomes.take(), expected.map(|(body, outcome)| (body.to_string(), outcome)));
    }

    fn slow_layer_delays_no_message_of_another_thread(connection: &Connection) {
        for before in [true, false] {
            let (reached, is_reached) = mpsc::channel();
            let (go, gate) = mpsc::channel();
            let gate = Gate { before, reached, go: Mutex::new(gate) };
            let publisher = connection.publisher().queue(queue()).layer(gate).build().unwrap();
            thread::scope(|scope| {
                let slow = scope.spawn(|| publisher.message().send_bytes("slow"));
                is_reached.recv_timeout(SOON).unwrap();
                for number in 0..100 {
                    publisher.message().send_bytes(number.to_string()).unwrap();
                }
                assert!(!slow.is_finished());
                go.send(()).unwrap();
                slow.join().unwrap().unwrap();
            });
        }
    }
}

#[test]
fn lost_confirm_full_window_and_nack_are_seen_once() {
    let broker = Broker::new();
    let outcomes = Outcomes::default();
    let connection = Connection::new(broker.connector());
    let publisher = connection
        .publisher()
        .queue("orders")
        .max_in_flight(1)
        .layer(outcomes.clone())
        .build()
        .unwrap();
    broker.faults().lose_confirms(1);
    let timeout = Duration::from_millis(300);
    let lost = publisher.message().timeout(timeout).publish_bytes("lost").unwrap();
    let full = publisher.message().try_publish_bytes("tried");
    assert!(matches!(full, Err(Error::Timeout { .. })), "{full:?}");
    let full = publisher.message().timeout(Duration::from_millis(20)).publish_bytes("full");
    assert!(matches!(full, Err(Error::Timeout { .. })), "{full:?}");
    drop(lost);
    publisher.flush().unwrap_err();
    broker.faults().nack_publishes(1);
    publisher.message().send_bytes("nacked").unwrap_err();
    let expected =
        [("full", "timeout"), ("lost", "timeout"), ("nacked", "refused"), ("tried", "timeout")];
    assert_eq!(outcomes.take(), expected.map(|(body, outcome)| (body.to_string(), outcome)));
}

/// A value that panics when it is dropped.
struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

/// Attaches such a value to each message.
struct Attaches;

impl PublishLayer for Attaches {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        message.attach(PanicsWhenDropped);
        Ok(())
    }
}

/// A layer that panics when it is dropped.
struct LayerPanicsWhenDropped(#[allow(dead_code, reason = "it is dropped")] PanicsWhenDropped);

impl PublishLayer for LayerPanicsWhenDropped {}
impl HandleLayer for LayerPanicsWhenDropped {}

#[test]
fn layers_that_all_panic_when_dropped_fail_no_program() {
    let connection = Connection::new(Broker::new().connector());
    let layer = || LayerPanicsWhenDropped(PanicsWhenDropped);
    let publisher =
        connection.publisher().queue("orders").layer(layer()).layer(layer()).build().unwrap();
    publisher.send("x").unwrap();
    drop(publisher);
    let consumer = connection.consumer("orders").layer(layer()).layer(layer()).build().unwrap();
    drop(consumer);
}

#[test]
fn attached_values_that_all_panic_when_dropped_fail_no_message() {
    let connection = Connection::new(Broker::new().connector());
    let publisher =
        connection.publisher().queue("orders").layer(Attaches).layer(Attaches).build().unwrap();
    publisher.send("x").unwrap();
    assert_eq!(connection.statistics().publishing.confirmed, 1);
}
