//! The choices of a program for failed messages.

use std::sync::mpsc;
use std::time::Duration;

use carrot::{
    Error, Message, Queue, Settlement,
    consume::{HandlerError, Retry},
    message::{Properties, Value},
};

use super::{SHORTEST, with_parking};
use crate::support::{SOON, eventually, ready};

on_both_backends! {
    fn permanent_error_parks_at_once(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).build().unwrap();
        let workers = consumer.workers(1).spawn(|text: String, _message: &Message| match &*text {
            "park" => Ok(Settlement::Park("nobody wants it".into())),
            _ => Err(HandlerError::permanent("never")),
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(["park", "fail"]).unwrap();
        eventually("both are parked", || ready(connection, &parking) == 2);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.parked, report.retried), (1, 2, 0));
        let parked = connection.consumer(Queue::existing(&*parking)).build().unwrap();
        let errors: Vec<_> = parked.fetch_all().map(|message| {
            let message = message.unwrap();
            let error = message.header("carrot-error").and_then(Value::as_str).unwrap().to_string();
            message.ack().unwrap();
            error
        }).collect();
        assert_eq!(errors, ["nobody wants it", "never"]);
    }

    fn handler_chooses_its_pause(connection: &Connection) {
        let (queue, _) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::fixed(Duration::from_secs(1000))).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |_: String, message: &Message| match message.attempt() {
            1 => Settlement::RetryAfter(SHORTEST),
            attempt => {
                sender.send(attempt).unwrap();
                Settlement::Ack
            }
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        assert_eq!(handled.recv_timeout(SOON), Ok(2));
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.retried, report.acknowledged), (0, 1, 1));
    }

    fn requeue_failed_requeues_at_once(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).requeue_failed().build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
            if !message.is_redelivered() {
                return Err("the first time");
            }
            sender.send(message.attempt()).map_err(|_| "nobody listens")
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        assert_eq!(handled.recv_timeout(SOON), Ok(1));
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.requeued, report.acknowledged), (1, 1, 1));
        assert!(matches!(connection.declare_queue(Queue::existing(&*parking)), Err(Error::NotFound { .. })));
    }

    fn exclusive_queue_pauses_in_process(connection: &Connection) {
        let consumer = connection.consumer(Queue::server_named()).retry(Retry::fixed(Duration::from_millis(100)).attempts(3)).park_with(super::queue()).build().unwrap();
        let name = consumer.queue().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |text: String, message: &Message| {
            sender.send((text.clone(), message.attempt())).unwrap();
            if text == "poison" || message.attempt() < 2 { Err("not yet") } else { Ok(()) }
        }).unwrap();
        connection.publisher().routing_key(&*name).build().unwrap().send_all(["poison", "good"]).unwrap();
        let seen: Vec<_> = (0..5).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
        let expected = [("poison", 1), ("poison", 2), ("poison", 3), ("good", 1), ("good", 2)].map(|(text, attempt)| (text.to_string(), attempt));
        assert_eq!(seen, expected, "the queue stands still, and its order holds");
        eventually("it is parked", || workers.report().parked == 1);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.retried, report.parked, report.acknowledged), (4, 3, 1, 1));
    }

    fn message_fail_on_exclusive_queue_counts_attempts_in_process(connection: &Connection) {
        let retry = Retry::fixed(Duration::from_millis(50)).attempts(3);
        let consumer = connection.consumer(Queue::server_named()).retry(retry).park_with(super::queue()).build().unwrap();
        let name = consumer.queue().unwrap();
        connection.publisher().routing_key(&*name).build().unwrap().send("x").unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        for attempt in 1..=3 {
            let message = messages.next().unwrap().unwrap();
            assert_eq!(message.attempt(), attempt);
            message.fail("no").unwrap();
        }
        assert_eq!(messages.timeout(Duration::from_millis(200)).count(), 0);
    }

    fn undecodable_message_fails_unless_program_decides(connection: &Connection) {
        let (queue, parking) = with_parking();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let garbage = |text: &'static str, content_type: &str| {
            publisher.message().properties(|properties: Properties| properties.with_content_type(content_type)).send_bytes(text).unwrap();
        };
        let consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: u32, _message: &Message| ()).unwrap();
        garbage("no number", "application/json");
        garbage("7", "application/x-unknown");
        eventually("both are parked", || ready(connection, &parking) == 2);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.undecodable, report.failed, report.parked), (2, 0, 2));

        let (sender, asked) = mpsc::channel();
        let consumer = connection.consumer(&queue).on_undecodable(move |message, error| {
            sender.send((message.text().unwrap_or_default().to_string(), error.to_string()))?;
            Ok(Settlement::Ack)
        }).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: u32, _message: &Message| ()).unwrap();
        garbage("still no number", "application/json");
        let (text, error) = asked.recv_timeout(SOON).unwrap();
        assert!(text == "still no number" && error.contains("application/json"), "{error}");
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.undecodable, report.parked), (1, 0, 0));
    }

    fn json_content_type_variants_are_decoded(connection: &Connection) {
        let (queue, _) = with_parking();
        let mut consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let names = ["application/json", "application/cloudevents+json", "application/vnd.acme.order+json; version=2", "text/json", "TEXT/JSON"];
        for name in names {
            publisher.message().properties(|properties: Properties| properties.with_content_type(name)).send_bytes("7").unwrap();
        }
        consumer.register_callback(|number: u32, _message: &Message| assert_eq!(number, 7));
        assert_eq!(consumer.handle_next(names.len() as u64).unwrap().acknowledged, names.len() as u64);
    }
}

#[test]
fn contradicting_settings_are_refused() {
    let connection = crate::support::memory();
    let consumer = || connection.consumer("queue");
    for (builder, option) in [
        (consumer().automatic_acknowledgement().retry(Retry::default()), "retry"),
        (consumer().automatic_acknowledgement().park("elsewhere"), "park"),
        (consumer().automatic_acknowledgement().discard_failed(), "discard_failed"),
        (consumer().requeue_failed().retry(Retry::default()), "requeue_failed"),
        (consumer().requeue_failed().park("elsewhere"), "requeue_failed"),
    ] {
        let error = builder.build().unwrap_err();
        assert!(
            matches!(&error, Error::Config { option: named, .. } if named.contains(option)),
            "{error}"
        );
    }
    for builder in [
        consumer().retry(Retry::default().attempts(0)),
        consumer().retry(Retry::fixed(Duration::ZERO)),
        consumer().retry(Retry::fixed(Duration::MAX)),
        consumer().retry(Retry::exponential(Duration::from_secs(4), Duration::from_secs(2))),
        consumer().pause_after_failures(0),
        consumer().park(""),
        consumer().park("queue"),
        consumer().park("queue.retry.v1.4s"),
        consumer().park("x".repeat(256)),
    ] {
        let error = builder.build().unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }
}
