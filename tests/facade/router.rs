//! Routers, which select the handler of a message by its type or its routing key.

use std::sync::{Arc, Mutex};

use carrot::consume::{Retry, Router};
use carrot::{Message, Queue, Settlement};

use crate::support::{SOON, eventually, memory, passing, queue, ready, unique};

/// Collects the calls of handlers.
#[derive(Clone, Default)]
struct Calls(Arc<Mutex<Vec<String>>>);

impl Calls {
    fn note(&self, call: impl Into<String>) {
        self.0.lock().unwrap().push(call.into());
    }

    fn sorted(&self) -> Vec<String> {
        let mut calls = self.0.lock().unwrap().clone();
        calls.sort();
        calls
    }
}

/// A router of two types, and of all others if `has_default` is set.
fn router(calls: &Calls, has_default: bool) -> Router {
    let (texts, numbers, others) = (calls.clone(), calls.clone(), calls.clone());
    let router = Router::new()
        .on("text", move |text: String, _: &Message| texts.note(format!("text {text}")))
        .on("number", move |number: u32, _: &Message| {
            numbers.note(format!("number {number}"));
            if number == 0 { Err("zero") } else { Ok(()) }
        });
    if !has_default {
        return router;
    }
    router.otherwise(move |message: &Message| {
        others.note(format!("other {:?}", message.kind()));
        Settlement::Reject
    })
}

on_both_backends! {
    fn router_passes_each_type_to_its_handler(connection: &Connection) {
        let (queue, calls) = (queue(), Calls::default());
        let consumer = connection.consumer(&queue).build().unwrap();
        let workers = consumer.workers(2).spawn_router(router(&calls, true)).unwrap();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.message().kind("text").send("a").unwrap();
        publisher.message().kind("number").send(&7).unwrap();
        publisher.message().kind("unknown").send(&7).unwrap();
        publisher.send(&7).unwrap();
        eventually("all messages are settled", || {
            let report = workers.report();
            report.acknowledged + report.rejected == 4
        });
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.rejected), (2, 2), "{report:?}");
        let expected = ["number 7", "other None", "other Some(\"unknown\")", "text a"];
        assert_eq!(calls.sorted(), expected);
    }

    fn router_without_default_parks_what_no_handler_takes(connection: &Connection) {
        let (queue, calls) = (queue(), Calls::default());
        let parking = unique("parked");
        let parked = passing(&parking);
        let mut consumer = connection
            .consumer(&queue)
            .retry(Retry::never())
            .park_with(parked)
            .build()
            .unwrap();
        consumer.register_router(router(&calls, false));
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        // A type that no handler takes, a body of another type, and a handler that fails.
        publisher.message().kind("x".repeat(255)).send(&1).unwrap();
        publisher.message().kind("number").send("no number").unwrap();
        publisher.message().kind("number").send(&0).unwrap();
        let report = consumer.handle_next(3).unwrap();
        assert_eq!((report.parked, report.undecodable, report.failed), (3, 1, 2), "{report:?}");
        assert_eq!(ready(connection, &parking), 3);
        let parked = connection.consumer(Queue::existing(&parking)).build().unwrap();
        let first = parked.fetch().unwrap().unwrap();
        let reason = first.header("carrot-error").and_then(|error| error.as_str()).unwrap();
        assert!(reason.starts_with("the router has no handler for type \"xxx"), "{reason}");
        assert!(reason.len() < 320, "{} bytes", reason.len());
        first.ack().unwrap();
    }

    fn router_by_routing_key_compares_the_original_key(connection: &Connection) {
        let (queue, calls) = (queue(), Calls::default());
        let exchange = crate::support::exchange(carrot::ExchangeKind::Topic);
        let noted = calls.clone();
        let router = Router::new().by_routing_key().on("order.placed", move |_: u32, message: &Message| {
            noted.note(message.routing_key());
        });
        let mut consumer = connection
            .consumer(&queue)
            .exchange(&exchange)
            .routing_key("order.#")
            .discard_failed()
            .build()
            .unwrap();
        consumer.register_router(router);
        let publisher = connection.publisher().exchange(&exchange).build().unwrap();
        publisher.message().routing_key("order.placed").send(&1).unwrap();
        publisher.message().routing_key("order.lost").send(&2).unwrap();
        let report = consumer.handle_next(2).unwrap();
        assert_eq!((report.acknowledged, report.discarded), (1, 1), "{report:?}");
        assert_eq!(calls.sorted(), ["order.placed"]);
    }
}

#[test]
fn router_of_a_panicking_default_fails_the_message() {
    let connection = memory();
    let queue = queue();
    let mut consumer =
        connection.consumer(&queue).retry(Retry::never()).discard_failed().build().unwrap();
    let panics = |message: &Message| -> Settlement { panic!("of {}", message.body().len()) };
    consumer.register_router(Router::new().otherwise(panics));
    connection.publisher().queue(&queue).build().unwrap().send(&1).unwrap();
    let report = consumer.handle_next(1).unwrap();
    assert_eq!((report.failed, report.discarded), (1, 1), "{report:?}");
}
