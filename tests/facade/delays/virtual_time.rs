//! Delays by a clock that the test advances: a delay of twelve days takes no real time.

use std::collections::HashSet;
use std::time::Duration;

use carrot::memory::Operation;
use carrot::message::{Headers, Properties, Value};
use carrot::topology::DeleteIf;
use carrot::{Binding, Consumer, Error, Exchange, Message, Settlement, config::RabbitMqRelease};

use crate::failures::manual_clock::{Setup, setup, setup_imitating};
use crate::support::{SOON, eventually};

const MILLISECOND: Duration = Duration::from_millis(1);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// The headers that the broker has not added on the way through waiting queues.
fn sent_headers(message: &Message) -> Vec<(String, Value)> {
    let headers = message.properties().headers().cloned().unwrap_or_default();
    let sent = headers.iter().filter(|(name, _)| {
        !(*name == "x-death"
            || name.starts_with("x-first-death")
            || name.starts_with("x-last-death"))
    });
    sent.map(|(name, value)| (name.to_string(), value.clone())).collect()
}

/// Takes all ready messages. A dropped message would return to its queue.
fn taken<T: serde::de::DeserializeOwned>(consumer: &Consumer) -> Vec<T> {
    let decoded = consumer.fetch_all().map(|message| {
        let message = message.unwrap();
        let decoded = message.decode().unwrap();
        message.ack().unwrap();
        decoded
    });
    decoded.collect()
}

/// Advances the clock to just before the end of a delay, and then to its end.
#[track_caller]
fn expect_after(setup: &Setup, consumer: &Consumer, delay: Duration) -> Message {
    setup.clock.advance(delay - MILLISECOND);
    assert!(consumer.fetch().unwrap().is_none(), "it arrived before {delay:?}");
    setup.clock.advance(MILLISECOND);
    consumer.fetch().unwrap().expect("the message after its delay")
}

#[test]
fn delayed_message_to_queue_arrives_after_exactly_its_delay() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    for delay in [1, 2, 3, 90, 86_400, 1_000_000, 8_388_608] {
        let message = publisher.message().header("tenant", "acme").message_id("id").priority(3);
        message.delay(seconds(delay)).send(&delay).unwrap();
        let message = expect_after(&setup, &consumer, seconds(delay));
        assert_eq!(message.decode::<u64>().unwrap(), delay);
        assert_eq!((message.exchange(), message.routing_key()), ("", "orders"));
        assert_eq!((message.id(), message.properties().priority()), (Some("id"), Some(3)));
        assert_eq!(sent_headers(&message), [("tenant".into(), "acme".into())]);
        assert_eq!((message.attempt(), message.is_redelivered()), (1, false));
        assert_eq!(message.deaths(), []);
        message.ack().unwrap();
    }
}

#[test]
fn delayed_message_to_exchange_is_routed_by_its_own_key_and_headers() {
    let in_region = |binding: Binding| binding.argument("region", "eu").argument("x-match", "all");
    for (exchange, binding) in [
        (Exchange::direct("direct"), Binding::queue("direct", "orders", "order.new")),
        (Exchange::topic("topic"), Binding::queue("topic", "orders", "order.*")),
        (Exchange::fanout("fanout"), Binding::queue("fanout", "orders", "")),
        (Exchange::headers("headers"), in_region(Binding::queue("headers", "orders", ""))),
        (Exchange::existing("amq.topic"), Binding::queue("amq.topic", "orders", "#.new")),
    ] {
        let setup = setup();
        let name = exchange.name.clone();
        let publisher = setup.connection.publisher().exchange(exchange).build().unwrap();
        let consumer = setup.connection.consumer("orders").build().unwrap();
        setup.connection.declare_queue("orders").unwrap();
        setup.connection.bind(&binding).unwrap();
        for delay in [1, 90, 86_400] {
            for (key, region) in [("order.new", "eu"), ("other", "us")] {
                let message = publisher.message().routing_key(key).header("region", region);
                message.delay(seconds(delay)).send(&delay).unwrap();
            }
            let message = expect_after(&setup, &consumer, seconds(delay));
            assert_eq!((message.exchange(), message.routing_key()), (&*name, "order.new"));
            assert_eq!(sent_headers(&message), [("region".into(), "eu".into())]);
            assert_eq!((message.attempt(), message.deaths().len()), (1, 0));
            message.ack().unwrap();
            let others = taken::<u64>(&consumer).len();
            assert_eq!(others, usize::from(name == "fanout"), "{name}");
        }
    }
}

#[test]
fn different_delays_arrive_in_the_order_of_their_ends() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    // A fixed sequence of distinct delays, in no order.
    let delays: Vec<u64> = (1..=300_u64).map(|number| (number * 7_919) % 100_003 + 1).collect();
    assert_eq!(delays.iter().collect::<HashSet<_>>().len(), delays.len());
    for delay in &delays {
        publisher.message().delay(seconds(*delay)).send(delay).unwrap();
    }
    let mut sorted = delays.clone();
    sorted.sort_unstable();
    setup.clock.advance(seconds(sorted[99]));
    assert_eq!(taken::<u64>(&consumer), sorted[..100]);
    setup.clock.advance(seconds(200_000));
    assert_eq!(taken::<u64>(&consumer), sorted[100..]);
}

#[test]
fn delay_of_zero_is_sent_at_once_and_a_fraction_is_rounded_up() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    publisher.message().delay(Duration::ZERO).send("at once").unwrap();
    assert!(setup.broker.queue("orders.delay.v1.last.kept").is_none());
    consumer.fetch().unwrap().expect("a message without a delay").ack().unwrap();
    for (delay, whole) in [(MILLISECOND, 1), (Duration::from_millis(1001), 2)] {
        publisher.message().delay(delay).send("later").unwrap();
        expect_after(&setup, &consumer, seconds(whole)).ack().unwrap();
    }
}

#[test]
fn every_way_to_send_keeps_the_delay() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let unconfirmed = setup.connection.publisher().queue("orders").without_confirms();
    let unconfirmed = unconfirmed.build().unwrap();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let delayed = || publisher.message().delay(seconds(90));
    assert!(matches!(delayed().try_publish("x"), Err(Error::Timeout { .. })));
    publisher.declare_delays(seconds(90)).unwrap();
    delayed().try_publish("1").unwrap().wait().unwrap();
    delayed().publish("2").unwrap().wait().unwrap();
    delayed().send_bytes("\"3\"").unwrap();
    delayed().transient().send("4").unwrap();
    unconfirmed.message().delay(seconds(90)).send("5").unwrap();
    unconfirmed.message().delay(seconds(90)).try_publish("6").unwrap().wait().unwrap();
    setup.clock.advance(seconds(90) - MILLISECOND);
    assert_eq!(setup.ready("orders"), 0);
    setup.clock.advance(MILLISECOND);
    let mut arrived = taken::<String>(&consumer);
    arrived.sort();
    assert_eq!(arrived, ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn copies_by_cc_and_bcc_are_delayed_too() {
    let setup = setup();
    let publisher =
        setup.connection.publisher().exchange(Exchange::direct("shop")).build().unwrap();
    for name in ["to", "cc", "bcc"] {
        setup.connection.declare_queue(name).unwrap();
        setup.connection.bind(&Binding::queue("shop", name, name)).unwrap();
    }
    let list = |name: &str| Value::Array(vec![name.into()]);
    let headers = Headers::from([("CC", list("cc")), ("BCC", list("bcc"))]);
    let message = publisher.message().routing_key("to").headers(headers);
    message.delay(seconds(90)).send("x").unwrap();
    setup.clock.advance(seconds(90));
    assert_eq!(["to", "cc", "bcc"].map(|queue| setup.ready(queue)), [1, 1, 1]);
}

#[test]
fn failed_delayed_message_is_retried_and_its_delay_is_no_death() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let (sender, seen) = std::sync::mpsc::channel();
    let workers = setup.connection.consumer("orders").build().unwrap().workers(1).spawn(
        move |_: String, message: &Message| {
            sender.send((message.attempt(), message.deaths().len())).unwrap();
            if message.attempt() == 1 { Err("no luck") } else { Ok(Settlement::Ack) }
        },
    );
    let workers = workers.unwrap();
    publisher.message().delay(seconds(6)).send("x").unwrap();
    setup.clock.advance(seconds(6));
    assert_eq!(seen.recv_timeout(SOON), Ok((1, 0)));
    setup.expect_pause(1, "orders.retry.v1.1s");
    assert_eq!(seen.recv_timeout(SOON), Ok((2, 0)));
    workers.stop(SOON).unwrap();
}

#[test]
fn received_message_can_be_sent_again_with_a_delay() {
    for release in [RabbitMqRelease::V3_10, RabbitMqRelease::V4_3] {
        let setup = setup_imitating(release);
        let publisher = setup.connection.publisher().queue("orders").build().unwrap();
        let consumer = setup.connection.consumer("orders").build().unwrap();
        publisher.message().delay(seconds(6)).send("x").unwrap();
        for _ in 0..3 {
            let message = expect_after(&setup, &consumer, seconds(6));
            let headers = message.properties().headers().cloned().unwrap();
            publisher.message().headers(headers).delay(seconds(6)).send("x").unwrap();
            message.ack().unwrap();
        }
        expect_after(&setup, &consumer, seconds(6)).ack().unwrap();
    }
}

#[test]
fn unconfirmed_delayed_message_is_sent_again_after_a_loss() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    publisher.declare_delays(seconds(90)).unwrap();
    setup.broker.faults().lose_confirms(1);
    let confirmation = publisher.message().delay(seconds(90)).publish("x").unwrap();
    setup.broker.faults().drop_connections();
    confirmation.wait().unwrap();
    publisher.message().delay(seconds(90)).send("y").unwrap();
    publisher.message().delay(seconds(90)).try_publish("z").unwrap().wait().unwrap();
    setup.clock.advance(seconds(90) - MILLISECOND);
    assert_eq!(setup.ready("orders"), 0);
    setup.clock.advance(MILLISECOND);
    // One was sent twice.
    assert_eq!(setup.ready("orders"), 4);
}

#[test]
fn deleted_waiting_queue_fails_one_message_and_is_declared_again() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let send = || publisher.message().delay(seconds(3)).send("x");
    send().unwrap();
    setup.clock.advance(seconds(3));
    setup.connection.delete_queue("orders.delay.v1.2s", DeleteIf::ALWAYS).unwrap();
    assert!(matches!(send(), Err(Error::Unroutable { .. })));
    send().unwrap();
    setup.clock.advance(seconds(3));
    assert_eq!(setup.ready("orders"), 2);
}

#[test]
fn replaced_broker_gets_the_waiting_queues_after_the_loss() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    let send = || publisher.message().delay(seconds(3)).send("x");
    send().unwrap();
    setup.clock.advance(seconds(3));
    for end in ["1s", "2s", "last"] {
        let name = format!("orders.delay.v1.{end}");
        setup.connection.delete_exchange(&name, DeleteIf::ALWAYS).unwrap();
        let name = if end == "last" { "orders.delay.v1.last.kept" } else { &name };
        setup.connection.delete_queue(name, DeleteIf::ALWAYS).unwrap();
    }
    setup.broker.faults().drop_connections();
    send().unwrap();
    setup.clock.advance(seconds(3));
    assert_eq!(setup.ready("orders"), 2);
}

#[test]
fn unroutable_message_waits_in_the_queue_that_keeps_it_or_drops_it() {
    let setup = setup();
    let publisher = setup.connection.publisher().exchange(Exchange::direct("shop"));
    let publisher = publisher.build().unwrap();
    publisher.message().mandatory().delay(seconds(1)).send("kept").unwrap();
    publisher.message().not_mandatory().delay(seconds(1)).send("dropped").unwrap();
    for end in ["kept", "dropped"] {
        let queue = setup.broker.queue(&format!("shop.exchange-delay.v1.last.{end}")).unwrap();
        assert_eq!(queue.ready.len(), 1, "{end}");
        // The memory broker ignores the strategy, and RabbitMQ keeps the message by it.
        let strategy = queue.definition.arguments.get("x-dead-letter-strategy");
        assert_eq!(strategy.is_some(), end == "kept");
    }
}

#[test]
fn waiting_queues_are_declared_once() {
    let setup = setup();
    let publisher = setup.connection.publisher().queue("orders").build().unwrap();
    publisher.declare_delays(seconds(90)).unwrap();
    let refused = Error::AccessRefused { reason: "no permission".into() };
    setup.broker.faults().fail_next(Operation::Declare, refused.clone());
    for delay in [90, 1, 64, 90] {
        publisher.message().delay(seconds(delay)).send("x").unwrap();
    }
    // The fault is still there for the next declaration.
    assert!(publisher.message().delay(seconds(10_000)).send("x").is_err());
    eventually("the fault is used up", || setup.connection.declare_queue("other").is_ok());
}

#[test]
fn properties_of_the_publisher_reach_the_receiver() {
    let setup = setup();
    let properties = Properties::new().with_kind("reminder").with_header("origin", "importer");
    let publisher = setup.connection.publisher().queue("orders").properties(properties);
    publisher.build().unwrap().message().delay(seconds(90)).send("x").unwrap();
    let consumer = setup.connection.consumer("orders").build().unwrap();
    let message = expect_after(&setup, &consumer, seconds(90));
    assert_eq!(message.properties().kind(), Some("reminder"));
    assert_eq!(sent_headers(&message), [("origin".into(), "importer".into())]);
    assert_eq!(message.properties().content_type(), Some("application/json"));
}
