//! Calls, and the servers that answer them.

mod errors;
mod layers;
mod losses;
mod raw;
mod without_direct_replies;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use carrot::call::Caller;
use carrot::message::Properties;
use carrot::{Codec, Connection, Error, ExchangeKind, Message, Queue, Workers};

use crate::support::{SOON, eventually, exchange, queue, ready, unique};

/// A call that is expected to fail by its deadline.
const SHORT: Duration = Duration::from_millis(300);

/// Starts a server that adds one.
fn serve_increments(connection: &Connection, queue: &Queue) -> Workers {
    let add_one = |number: u64| number.checked_add(1).ok_or("too large");
    connection.consumer(queue.clone()).build().unwrap().serve(4, add_one).unwrap()
}

fn caller(connection: &Connection, queue: &Queue) -> Caller {
    connection.caller(&*queue.name).build().unwrap()
}

on_both_backends! {
    fn calls_of_eight_threads_and_four_servers_get_their_own_answers(connection: &Connection) {
        let queue = queue();
        let servers: Vec<_> = (0..4).map(|_| serve_increments(connection, &queue)).collect();
        let shared = caller(connection, &queue);
        thread::scope(|scope| {
            for thread in 0..8_u64 {
                // Half of the threads share a caller.
                let caller =
                    if thread % 2 == 0 { shared.clone() } else { caller(connection, &queue) };
                scope.spawn(move || {
                    for number in (0..50).map(|call| thread * 1000 + call) {
                        let answer: u64 = caller.call(&number, SOON).unwrap();
                        assert_eq!(answer, number + 1);
                    }
                });
            }
        });
        let answered: u64 =
            servers.into_iter().map(|server| server.stop(SOON).unwrap().acknowledged).sum();
        assert_eq!(answered, 400);
    }

    fn call_without_a_queue_is_unroutable_at_once(connection: &Connection) {
        let caller = connection.caller(unique("nowhere")).build().unwrap();
        let started = Instant::now();
        let error = caller.call::<_, u64>(&1, Duration::from_secs(60)).unwrap_err();
        assert!(matches!(error, Error::Unroutable { .. }), "{error:?}");
        assert!(started.elapsed() < SOON);
    }

    fn call_without_a_server_ends_at_its_deadline_and_its_request_expires(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(queue.clone()).unwrap();
        let error = caller(connection, &queue).call::<_, u64>(&1, SHORT).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        assert!(error.is_retryable());
        let server = connection.consumer(queue.clone()).build().unwrap();
        eventually("the expiry of the request", || match server.fetch().unwrap() {
            Some(request) => { request.requeue().unwrap(); false }
            None => true,
        });
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn late_answer_is_dropped(connection: &Connection) {
        let queue = queue();
        let (release, released) = channel::<()>();
        let released = std::sync::Mutex::new(released);
        let wait_for_one = move |number: u64| {
            if number == 1 {
                let _ = released.lock().unwrap().recv_timeout(SOON);
            }
            Ok::<_, Error>(number * 10)
        };
        let server =
            connection.consumer(queue.clone()).build().unwrap().serve(1, wait_for_one).unwrap();
        let caller = caller(connection, &queue);
        let error = caller.call::<_, u64>(&1, SHORT).unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
        release.send(()).unwrap();
        for number in 2..20 {
            assert_eq!(caller.call::<_, u64>(&number, SOON).unwrap(), number * 10);
        }
        assert_eq!(server.stop(SOON).unwrap().acknowledged, 19);
    }

    fn request_can_have_its_own_properties_key_and_exchange(connection: &Connection) {
        let (queue, exchange) = (queue(), exchange(ExchangeKind::Topic));
        let consumer = connection
            .consumer(queue)
            .exchange(exchange.clone())
            .routing_key("rates.#")
            .build()
            .unwrap();
        let describe = |name: String, message: &Message| {
            let header = |name| message.header(name).and_then(|value| value.as_str()).unwrap_or("-");
            Ok::<_, Error>(format!(
                "{name} {} {} {} {:?}",
                message.routing_key(),
                header("tenant"),
                header("origin"),
                message.properties().app_id()
            ))
        };
        let _server = consumer.serve_messages(1, describe).unwrap();
        let caller = connection
            .caller("rates.usd")
            .exchange(exchange)
            .properties(Properties::new().with_app_id("shop"))
            .header("origin", "test")
            .build()
            .unwrap();
        assert_eq!(
            caller.call::<_, String>("a", SOON).unwrap(),
            "a rates.usd - test Some(\"shop\")"
        );
        let answer: String = caller
            .request()
            .routing_key("rates.gbp")
            .header("tenant", "acme")
            .call("b", SOON)
            .unwrap();
        assert_eq!(answer, "b rates.gbp acme test Some(\"shop\")");
        let elsewhere = caller.request().routing_key("orders").call::<_, String>("c", SOON);
        assert!(matches!(elsewhere, Err(Error::Unroutable { .. })), "{elsewhere:?}");
    }

    fn call_of_another_codec_is_answered_in_it(connection: &Connection) {
        let queue = queue();
        let shout = |text: String| Ok::<_, Error>(text.to_uppercase());
        let _server = connection.consumer(queue.clone()).build().unwrap().serve(1, shout).unwrap();
        let caller = connection.caller(&*queue.name).codec(Codec::text()).build().unwrap();
        assert_eq!(caller.call::<_, String>("hello", SOON).unwrap(), "HELLO");
        let reply = caller.call_message("plain", SOON).unwrap();
        assert_eq!((reply.text(), reply.properties().content_type()), (Some("PLAIN"), Some("text/plain")));
        // Without a content type, the server reads JSON.
        let reply = caller.call_bytes("\"json\"", SOON).unwrap();
        assert_eq!(reply.text(), Some("\"JSON\""));
        assert_eq!(reply.decode::<String>().unwrap(), "JSON");
    }

    fn request_without_reply_to_is_handled_and_acknowledged(connection: &Connection) {
        let queue = queue();
        let handled = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&handled);
        let count = move |number: u32| {
            counted.fetch_add(number, Ordering::SeqCst);
            if number == 1 { Ok(()) } else { Err("not one") }
        };
        let server = connection.consumer(queue.clone()).build().unwrap().serve(1, count).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        publisher.send_all([1, 2]).unwrap();
        publisher.message().reply_to("").send(&4).unwrap();
        eventually("the requests", || handled.load(Ordering::SeqCst) == 7);
        eventually("their acknowledgement", || server.report().acknowledged == 3);
        assert_eq!(server.stop(SOON).unwrap().failed, 2);
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn answer_to_a_client_that_is_gone_is_dropped_and_the_request_acknowledged(
        connection: &Connection
    ) {
        let queue = queue();
        let server = serve_increments(connection, &queue);
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        for address in [unique("gone"), "amq.rabbitmq.reply-to.gone".into()] {
            publisher.message().reply_to(address).correlation_id("1").send(&1).unwrap();
        }
        eventually("the acknowledgements", || server.report().acknowledged == 2);
        server.stop(SOON).unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn closed_caller_fails_its_calls(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(queue.clone()).unwrap();
        let caller = caller(connection, &queue);
        let waiting = caller.clone();
        let call = thread::spawn(move || waiting.call::<_, u64>(&1, Duration::from_secs(60)));
        eventually("the request", || ready(connection, &queue.name) == 1);
        caller.close().unwrap();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error:?}");
        let error = caller.call::<_, u64>(&1, SOON).unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error:?}");
    }

    fn caller_of_a_closed_connection_fails_at_once(connection: &Connection) {
        let caller = connection.caller("queue").build().unwrap();
        connection.close().unwrap();
        let started = Instant::now();
        let error = caller.call::<_, u64>(&1, Duration::from_secs(60)).unwrap_err();
        assert!(matches!(error, Error::Closed { .. }), "{error:?}");
        assert!(started.elapsed() < SOON);
    }
}
