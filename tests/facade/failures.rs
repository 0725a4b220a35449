//! Messages whose handler fails: retried, then parked, and never dropped unless the program asks
//! for that.

mod broker_limits;
mod cuts;
mod edges;
mod foreign_octets;
pub mod manual_clock;
mod panics;
mod paused;
mod policies;
mod raw_client;
mod reports;
mod scheduled_copies;
mod unreadable;
mod virtual_time;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use carrot::{
    Error, Message, Queue,
    consume::Retry,
    message::{Headers, Properties, Value},
};

use crate::support::{SOON, eventually, next, queue, ready};

/// The shortest pause.
const SHORTEST: Duration = Duration::from_secs(1);

/// A queue whose failed messages are parked in the queue of the second name.
fn with_parking() -> (Queue, String) {
    let queue = queue();
    let parking = format!("{}.failed", queue.name);
    (queue, parking)
}

on_both_backends! {
    fn prefetched_messages_keep_all_attempts(connection: &Connection) {
        const MESSAGES: u32 = 10;
        let (queue, parking) = with_parking();
        let consumer = |prefetch| connection.consumer(&queue).prefetch(prefetch).retry(Retry::fixed(SHORTEST).attempts(2)).build().unwrap();
        let before = consumer(10);
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..MESSAGES).unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = before.workers(1).spawn(move |number: u32, message: &Message| {
            sender.send(number).unwrap();
            assert_eq!(message.attempt(), 1);
            std::thread::sleep(Duration::from_millis(20));
        }).unwrap();
        handled.recv_timeout(SOON).unwrap();
        let handled_before = workers.stop(SOON).unwrap().acknowledged;
        assert!(handled_before < u64::from(MESSAGES) / 2, "{handled_before}");

        // The next release of the program fails at each message once.
        let failed = Arc::new(Mutex::new(BTreeSet::new()));
        let (sender, handled) = mpsc::channel();
        let workers = consumer(10).workers(2).spawn(move |number: u32, message: &Message| {
            if failed.lock().unwrap().insert(number) {
                return Err(format!("failed at attempt {}", message.attempt()));
            }
            sender.send((number, message.attempt())).map_err(|error| error.to_string())
        }).unwrap();
        let left = MESSAGES as usize - handled_before as usize;
        let seen: BTreeMap<u32, u32> = (0..left).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
        assert_eq!(seen.len(), left);
        assert!(seen.values().all(|attempt| *attempt == 2), "{seen:?}");
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.retried, report.acknowledged, report.parked), (left as u64, left as u64, left as u64, 0));
        assert_eq!((ready(connection, &queue.name), ready(connection, &parking)), (0, 0));
    }

    fn handler_failing_for_a_second_loses_no_message(connection: &Connection) {
        const MESSAGES: u32 = 100;
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let database_is_back = Instant::now() + Duration::from_secs(1);
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(4).spawn(move |number: u32, _message: &Message| {
            if Instant::now() < database_is_back {
                return Err("the database is away".to_string());
            }
            sender.send(number).map_err(|error| error.to_string())
        }).unwrap();
        publisher.send_all(0..MESSAGES).unwrap();
        let seen: BTreeSet<u32> = (0..MESSAGES).map(|_| handled.recv_timeout(SOON).unwrap()).collect();
        assert_eq!(seen.len(), MESSAGES as usize);
        let report = workers.stop(SOON).unwrap();
        assert!(report.failed > 0 && report.failed == report.retried && report.acknowledged == 100 && report.parked == 0, "{report:?}");
        assert_eq!((ready(connection, &queue.name), ready(connection, &parking)), (0, 0));
    }

    fn poison_message_is_parked_and_others_continue(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::fixed(SHORTEST).attempts(2)).build().unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |text: String, message: &Message| match &*text {
            "poison" => Err(format!("cannot digest this\u{1b}[31m, attempt {}", message.attempt())),
            _ => sender.send(text).map_err(|error| error.to_string()),
        }).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        publisher.message().message_id("the-poison").header("tenant", "acme").send("poison").unwrap();
        publisher.send_all(["one", "two"]).unwrap();
        assert_eq!([handled.recv_timeout(SOON).unwrap(), handled.recv_timeout(SOON).unwrap()], ["one", "two"]);
        let parked = next(&connection.consumer(Queue::existing(&*parking)).build().unwrap());
        assert_eq!(parked.decode::<String>().unwrap(), "poison");
        let text = |name: &str| parked.header(name).and_then(Value::as_str).map(str::to_string);
        assert_eq!(text("carrot-error"), Some("cannot digest this\\u{1b}[31m, attempt 2".into()));
        assert_eq!((text("carrot-queue"), text("tenant")), (Some(queue.name.clone()), Some("acme".into())));
        assert_eq!(parked.header("carrot-attempts").and_then(Value::as_i64), Some(2));
        assert!(matches!(parked.header("carrot-first-failure"), Some(Value::Timestamp(_))));
        assert_eq!((parked.id(), parked.exchange(), parked.routing_key()), (Some("the-poison"), "", &*queue.name));
        assert!(parked.deaths().is_empty(), "{:?}", parked.deaths());

        // A forwarded message has all its attempts again.
        parked.forward().unwrap();
        eventually("it is parked again", || ready(connection, &parking) == 1);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.retried, report.parked, report.acknowledged), (4, 2, 2, 2));
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn dead_letter_forwarded_is_handled_by_its_queue_again(connection: &Connection) {
        let dead = crate::support::queue();
        let queue = crate::support::queue().dead_letter_exchange("").dead_letter_routing_key(&*dead.name);
        let exchange = crate::support::exchange(carrot::ExchangeKind::Topic);
        let rejecting = connection.consumer(&queue).exchange(&exchange).routing_key("orders.#").build().unwrap();
        let dead_letters = connection.consumer(&dead).build().unwrap();
        let publisher = connection.publisher().exchange(&exchange).routing_key("orders.new").build().unwrap();
        publisher.message().message_id("17").header("tenant", "acme").send("an order").unwrap();
        // The message is rejected again after it was forwarded.
        for _ in 0..2 {
            next(&rejecting).reject().unwrap();
            let message = next(&dead_letters);
            assert_eq!((message.deaths()[0].queue.as_str(), message.id()), (&*queue.name, Some("17")));
            message.forward().unwrap();
        }
        let message = next(&rejecting);
        assert_eq!(message.decode::<String>().unwrap(), "an order");
        assert_eq!((message.attempt(), message.exchange(), message.routing_key()), (1, &*exchange.name, "orders.new"));
        assert_eq!(message.header("tenant").and_then(Value::as_str), Some("acme"));
        assert_eq!(message.deaths()[0].reason, "rejected");
        message.ack().unwrap();
        assert_eq!((ready(connection, &queue.name), ready(connection, &dead.name)), (0, 0));
    }

    fn copy_keeps_contents_and_reaches_no_other_queue(connection: &Connection) {
        let (queue, _) = with_parking();
        let other = crate::support::queue();
        connection.declare_queue(&other).unwrap();
        let exchange = crate::support::exchange(carrot::ExchangeKind::Topic);
        let mut consumer = connection.consumer(&queue).exchange(&exchange).routing_key("orders.#").retry(Retry::fixed(SHORTEST)).build().unwrap();
        let death = Value::Table(Headers::from([
            ("queue", Value::from(&*queue.name)),
            ("reason", Value::from("expired")),
            ("count", Value::from(1_i64)),
            ("exchange", Value::from("")),
            ("routing-keys", Value::Array(vec![(&*queue.name).into()])),
        ]));
        let headers = Headers::from([
            ("CC", Value::Array(vec![(&*other.name).into()])),
            ("x-death", Value::Array(vec![death])),
            ("kept", Value::Array(vec![Value::Void, Value::from(1.5), Value::Timestamp(7)])),
        ]);
        let properties = Properties::new()
            .with_content_type("application/json")
            .with_message_id("id")
            .with_correlation_id("correlation")
            .with_reply_to("answers")
            .with_kind("order.placed")
            .with_app_id("shop")
            .with_user_id("guest")
            .with_priority(4)
            .with_timestamp(9)
            .with_expiration("60000")
            .with_headers(headers);
        let publisher = connection.publisher().exchange(&exchange).properties(properties).build().unwrap();
        // Through the exchange, CC names a routing key and not a queue: no queue has the message.
        publisher.message().routing_key("orders.new").send(&7).unwrap();
        let (sender, seen) = mpsc::channel();
        consumer.register_callback(move |_number: u32, message: &Message| {
            let (exchange, key) = (message.exchange().to_string(), message.routing_key().to_string());
            sender.send((message.attempt(), exchange, key, message.properties().clone(), message.deaths())).unwrap();
            if message.attempt() < 3 { Err("again") } else { Ok(()) }
        });
        let report = consumer.handle_next(3).unwrap();
        assert_eq!((report.failed, report.retried, report.acknowledged), (2, 2, 1));
        let attempts: Vec<_> = (0..3).map(|_| seen.recv_timeout(SOON).unwrap()).collect();
        for (number, (attempt, from, key, properties, deaths)) in attempts.iter().enumerate() {
            assert_eq!(*attempt as usize, number + 1);
            assert_eq!((&**from, &**key), (&*exchange.name, "orders.new"));
            assert_eq!(deaths.len(), 1, "{deaths:?}");
            assert_eq!((&*deaths[0].queue, &*deaths[0].reason, deaths[0].count), (&*queue.name, "expired", 1));
            assert_eq!(properties.header("kept"), attempts[0].3.header("kept"));
            for get in [Properties::message_id, Properties::correlation_id, Properties::reply_to, Properties::kind, Properties::app_id, Properties::content_type] {
                assert_eq!(get(properties), get(&attempts[0].3));
            }
            assert_eq!((properties.priority(), properties.timestamp()), (Some(4), Some(9)));
        }
        let last = &attempts[2].3;
        assert_eq!((last.user_id(), last.expiration(), last.header("CC")), (None, None, None));
        assert_eq!(last.header("carrot-user-id").and_then(Value::as_str), Some("guest"));
        assert_eq!(last.header("carrot-expiration").and_then(Value::as_str), Some("60000"));
        assert_eq!(last.header("carrot-cc"), Some(&Value::Array(vec![(&*other.name).into()])));
        assert_eq!(ready(connection, &other.name), 0);
    }

    fn message_fail_without_handler_retries(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::fixed(4 * SHORTEST).attempts(2)).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("a job").unwrap();
        let first = consumer.fetch().unwrap().unwrap();
        assert_eq!(first.attempt(), 1);
        first.fail("not now").unwrap();
        assert!(consumer.fetch().unwrap().is_none());
        let second = next(&consumer);
        assert_eq!((second.attempt(), second.is_redelivered()), (2, false));
        second.fail(std::io::Error::other("not at all")).unwrap();
        let parked = next(&connection.consumer(Queue::existing(&*parking)).build().unwrap());
        assert_eq!(parked.header("carrot-error").and_then(Value::as_str), Some("not at all"));
        parked.ack().unwrap();
    }

    fn parking_accepts_existing_queue_with_any_arguments(connection: &Connection) {
        let (queue, _) = with_parking();
        let parking = crate::support::queue().message_ttl(Duration::from_secs(3600));
        connection.declare_queue(&parking).unwrap();
        let consumer = connection.consumer(&queue).retry(Retry::never()).park(&*parking.name).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: String, _message: &Message| Err::<(), _>("no")).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        eventually("it is parked", || ready(connection, &parking.name) == 1);
        assert_eq!(workers.stop(SOON).unwrap().parked, 1);
    }

    fn parking_queue_deleted_is_declared_again(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::never()).build().unwrap();
        let workers = consumer.workers(1).spawn(|_: String, _message: &Message| Err::<(), _>("no")).unwrap();
        connection.delete_queue(&parking, carrot::topology::DeleteIf::ALWAYS).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        eventually("it is parked", || matches!(connection.declare_queue(Queue::existing(&*parking)), Ok(found) if found.message_count == 1));
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.parked, report.paused), (1, 0));
    }

    fn fetch_declares_no_parking_queue(connection: &Connection) {
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).build().unwrap();
        assert!(consumer.fetch().unwrap().is_none());
        assert_eq!(consumer.messages().unwrap().timeout(Duration::ZERO).count(), 0);
        assert!(matches!(connection.declare_queue(Queue::existing(&*parking)), Err(Error::NotFound { .. })));
    }
}
