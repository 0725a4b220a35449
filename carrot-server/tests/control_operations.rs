//! Every operation of the control interface, with a client of AMQP beside it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]
#![allow(dead_code, reason = "each file of tests uses a part of the support")]

mod support;

use carrot_amqp_wire::{ConfirmSelect, ExchangeDeclare, Method, QueueBind};
use carrot_backend_memory::{Broker, ManualClock};
use carrot_core::{Connection, Queue};
use carrot_server::{ControlInterface, Server};
use serde_json::{Value, json};

use crate::support::control::{ControlClient, serve};
use crate::support::{RawClient, SOON};

/// A server with a manual clock, its control client, and a client of AMQP with queue `q`.
struct Bench {
    clock: ManualClock,
    broker: Broker,
    server: Server,
    control: ControlClient,
    client: RawClient,
}

fn bench() -> Bench {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let (server, control) = serve(&broker);
    let mut client = RawClient::open(server.address());
    assert_eq!(client.declare("q"), "queue.declare-ok q 0");
    Bench { clock, broker, server, control, client }
}

impl Bench {
    /// Publishes to queue `q`, and waits until the broker has read the message.
    fn publish(&mut self, body: &str) {
        self.client.publish("q", body.as_bytes());
        assert!(self.client.declare_passively("q").starts_with("queue.declare-ok q"));
    }

    fn confirm(&mut self) {
        self.client.method(1, ConfirmSelect { no_wait: false });
        assert_eq!(self.client.next(), "confirm.select-ok");
    }
}

fn none() -> Value {
    json!({})
}

#[test]
fn advanced_clock_expires_messages() {
    let mut bench = bench();
    let slow = Queue::new("slow").message_ttl(std::time::Duration::from_millis(1_500));
    Connection::new(bench.broker.connector()).declare_queue(slow).unwrap();
    bench.client.publish("slow", b"late");
    assert_eq!(bench.client.declare_passively("slow"), "queue.declare-ok slow 1");
    let clock = json!({ "manual": true, "elapsed_seconds": 0.0 });
    assert_eq!(bench.control.call("clock", &none()), clock);
    let advanced = bench.control.call("advance_clock", &json!({ "seconds": 1 }));
    assert_eq!(advanced, json!({ "elapsed_seconds": 1.0 }));
    assert_eq!(bench.client.declare_passively("slow"), "queue.declare-ok slow 1");
    let next = bench.control.call("advance_clock_to_next", &none());
    assert_eq!(next, json!({ "advanced_seconds": 0.5, "elapsed_seconds": 1.5 }));
    assert_eq!(bench.client.declare_passively("slow"), "queue.declare-ok slow 0");
    let next = bench.control.call("advance_clock_to_next", &none());
    assert_eq!(next, json!({ "advanced_seconds": null, "elapsed_seconds": 1.5 }));
    assert_eq!(bench.clock.elapsed().as_millis(), 1_500);
    let (status, error) = bench.control.refused("advance_clock", &json!({ "seconds": -1 }));
    assert!(status == 400 && error.starts_with("field \"seconds\": -1: has to be"), "{error}");
    let (_, error) = bench.control.refused("advance_clock", &none());
    assert_eq!(error, "field \"seconds\" is missing");
}

#[test]
fn real_clock_is_not_advanced() {
    let (_server, control) = serve(&Broker::new());
    let clock = json!({ "manual": false, "elapsed_seconds": null });
    assert_eq!(control.call("clock", &none()), clock);
    for (operation, fields) in
        [("advance_clock", json!({ "seconds": 1 })), ("advance_clock_to_next", none())]
    {
        let (status, error) = control.refused(operation, &fields);
        assert!(status == 409 && error.contains("\"/\" has the real clock"), "{error}");
    }
}

#[test]
fn dropped_connections_end() {
    let mut bench = bench();
    let (status, error) = bench.control.refused("drop_connections", &json!({ "name": "x" }));
    assert!(status == 404 && error.contains("no open connection is named \"x\""), "{error}");
    // The client sent no name.
    assert_eq!(bench.control.call("drop_connections", &json!({ "name": "" })), none());
    assert_eq!(bench.client.next(), "end");
    let mut client = RawClient::open(bench.server.address());
    assert_eq!(bench.control.call("drop_connections", &none()), none());
    assert_eq!(client.next(), "end");
}

#[test]
fn connections_are_dropped_and_closed_at_an_operation() {
    let mut bench = bench();
    let at = json!({ "operation": "publish", "nth": 2 });
    bench.control.call("drop_connections_at", &at);
    bench.publish("one");
    assert_eq!(bench.control.call("faults", &none())["outstanding"], 1);
    bench.client.publish("q", b"two");
    assert_eq!(bench.client.next(), "end");
    assert_eq!(bench.control.call("faults", &none())["outstanding"], 0);

    let close = json!({ "operation": "declare", "nth": 1, "code": 541, "text": "OUCH" });
    bench.control.call("close_connection_at", &close);
    let mut client = RawClient::open(bench.server.address());
    let closed = client.declare("q");
    assert!(closed.starts_with("connection.close 541 OUCH"), "{closed}");
    let wrong = json!({ "operation": "declare", "nth": 1, "code": 404 });
    let (status, error) = bench.control.refused("close_connection_at", &wrong);
    assert!(status == 400 && error.contains("field \"code\": 404: has to be one of 320, 501"));
    let wrong = json!({ "operation": "Declare", "nth": 1 });
    let (_, error) = bench.control.refused("drop_connections_at", &wrong);
    assert!(error.contains("field \"operation\": \"Declare\": has to be one of connect, open"));
    let wrong = json!({ "operation": "declare", "nth": 0 });
    let (_, error) = bench.control.refused("drop_connections_at", &wrong);
    assert!(error.contains("field \"nth\": 0: has to be a whole number from 1 to"), "{error}");
}

#[test]
fn connects_are_refused_as_often_as_planned() {
    let bench = bench();
    bench.control.call("refuse_connects", &json!({ "count": 1 }));
    let mut refused = RawClient::connect(bench.server.address());
    assert_eq!(refused.next(), "end");
    RawClient::open(bench.server.address()).close();
}

#[test]
fn publishes_are_nacked_and_confirms_lost_as_often_as_planned() {
    let mut bench = bench();
    bench.confirm();
    bench.control.call("nack_publishes", &json!({ "count": 2 }));
    for expected in ["basic.nack", "basic.nack", "basic.ack 3 false"] {
        bench.client.publish("q", b"x");
        assert_eq!(bench.client.next(), expected);
    }
    assert_eq!(bench.control.call("queue", &json!({ "queue": "q" }))["ready"], 1);
    bench.control.call("lose_confirms", &json!({ "count": 1 }));
    bench.client.publish("q", b"lost");
    bench.client.publish("q", b"confirmed");
    assert_eq!(bench.client.next(), "basic.ack 5 false");
    assert_eq!(bench.control.call("queue", &json!({ "queue": "q" }))["ready"], 3);
    for operation in ["nack_publishes", "lose_confirms", "refuse_connects"] {
        let (status, error) = bench.control.refused(operation, &json!({ "count": 0 }));
        assert!(status == 400 && error.contains("field \"count\": 0: has to be"), "{error}");
    }
}

#[test]
fn delayed_operation_waits_for_the_clock() {
    let mut bench = bench();
    let delay = json!({ "operation": "declare", "seconds": 5, "count": 1 });
    bench.control.call("delay", &delay);
    let declare = carrot_amqp_wire::QueueDeclare { queue: "q".into(), ..Default::default() };
    bench.client.method(1, declare);
    // The rule is used up once the delay has begun.
    bench.control.wait_for("faults", &none(), "/outstanding", &json!(0));
    bench.control.call("advance_clock", &json!({ "seconds": 5 }));
    assert_eq!(bench.client.next(), "queue.declare-ok q 0");
}

#[test]
fn next_operation_fails_with_the_code() {
    let mut bench = bench();
    let fail = json!({ "operation": "declare", "code": 404 });
    bench.control.call("fail_next", &fail);
    let failed = bench.client.declare("q");
    assert!(failed.starts_with("channel.close 404 NOT_FOUND - injected fault"), "{failed}");
    let fail = json!({ "operation": "open", "code": 540, "text": "no" });
    bench.control.call("fail_next", &fail);
    let mut client = RawClient::connect(bench.server.address());
    client.log_in("guest", "guest");
    client.next();
    client.tune(9, 131_072, 0);
    client.open_vhost("/");
    client.method(1, carrot_amqp_wire::ChannelOpen::default());
    assert!(client.next().starts_with("connection.close 540 no"));
    let wrong = json!({ "operation": "open", "code": 200 });
    let (_, error) = bench.control.refused("fail_next", &wrong);
    assert!(error.contains("field \"code\": 200: has to be one of 403, 404"), "{error}");
}

#[test]
fn selected_messages_are_refused_until_the_faults_are_cleared() {
    let mut bench = bench();
    let which = json!({ "code": 406, "exchange": "", "routing_key": "q", "body": "bad" });
    bench.control.call("refuse_messages", &which);
    bench.publish("good");
    bench.client.publish("q", b"bad");
    let refused = bench.client.next();
    assert!(refused.starts_with("channel.close 406 PRECONDITION_FAILED - injected"), "{refused}");
    bench.control.call("clear_faults", &none());
    let mut client = RawClient::open(bench.server.address());
    client.publish("q", b"bad");
    assert_eq!(client.declare_passively("q"), "queue.declare-ok q 2");
}

#[test]
fn blocked_publishers_are_notified_and_unblocked() {
    let mut bench = bench();
    bench.confirm();
    let reason = |control: &ControlClient| control.call("faults", &none())["block_reason"].clone();
    for (fields, expected) in [(json!({ "reason": "disk" }), "disk"), (none(), "low on memory")] {
        bench.control.call("block_publishers", &fields);
        assert_eq!(reason(&bench.control), expected);
        bench.client.publish("q", b"x");
        assert_eq!(bench.client.next(), format!("connection.blocked {expected}"));
        bench.control.call("unblock_publishers", &none());
        assert_eq!(reason(&bench.control), Value::Null);
        let mut frames = [bench.client.next(), bench.client.next()];
        frames.sort();
        assert!(frames[0].starts_with("basic.ack") && frames[1] == "connection.unblocked");
    }
    bench.control.call("block_publishers", &none());
    bench.control.call("nack_publishes", &json!({ "count": 3 }));
    bench.control.call("clear_faults", &none());
    let cleared = json!({ "outstanding": 0, "block_reason": null });
    assert_eq!(bench.control.call("faults", &none()), cleared);
}

#[test]
fn connections_queues_and_consumers_are_listed() {
    let mut bench = bench();
    bench.publish("one");
    bench.publish("two");
    bench.publish("three");
    bench.client.method(1, carrot_amqp_wire::BasicQos { prefetch_count: 2, ..Default::default() });
    assert_eq!(bench.client.next(), "basic.qos-ok");
    bench.client.consume("q", false);
    assert_eq!(bench.client.next(), "basic.consume-ok");
    assert_eq!(bench.client.next(), "basic.deliver 1");

    let listed = bench.control.call("connections", &none());
    assert_eq!(listed["connections"].as_array().unwrap().len(), 1);
    let connection = &listed["connections"][0];
    assert_eq!((&connection["name"], &connection["user"]), (&json!(""), &json!("guest")));
    assert_eq!(connection["channels"][0]["unacked"], 2);

    let queue = bench.control.call("queue", &json!({ "queue": "q" }));
    let listed = bench.control.call("queues", &none());
    let of_list = listed["queues"].as_array().unwrap();
    assert_eq!(of_list.len(), 1);
    for queue in [&queue, &of_list[0]] {
        assert_eq!(queue["name"], "q");
        assert_eq!((&queue["ready"], &queue["unacked"]), (&json!(1), &json!(2)));
        assert_eq!((&queue["delayed"], &queue["consumers"]), (&json!(0), &json!(1)));
        assert_eq!((&queue["published"], &queue["delivered"]), (&json!(3), &json!(2)));
        assert_eq!(queue["durable"], false);
    }
    let consumer = &queue["consumer_details"][0];
    assert_eq!(consumer["channel"], connection["channels"][0]["channel"]);
    assert_eq!((&consumer["room"], &consumer["manual"]), (&json!(0), &json!(true)));

    let statistics = bench.control.call("statistics", &none());
    for (field, expected) in
        [("connections", 1), ("channels", 1), ("queues", 1), ("ready", 1), ("unacked", 2)]
    {
        assert_eq!(statistics[field], expected, "{field}: {statistics}");
    }
    assert_eq!((&statistics["consumers"], &statistics["release"]), (&json!(1), &json!("4.3")));

    let unacked = json!({ "queue": "q", "state": "unacked" });
    let unacked = bench.control.call("messages", &unacked);
    assert_eq!(unacked["total"], 2);
    let first = &unacked["messages"][0];
    assert_eq!((&first["tag"], &first["body"]), (&json!(1), &json!("one")));
    assert_eq!(first["channel"], consumer["channel"]);
    let (status, error) = bench.control.refused("queue", &json!({ "queue": "none" }));
    assert_eq!((status, &*error), (404, "no queue \"none\""));
}

#[test]
fn messages_are_put_and_looked_at_without_an_effect() {
    let bench = bench();
    let properties = json!({ "content_type": "text/plain", "headers": { "n": 7 } });
    let text = json!({ "queue": "q", "body": "größe", "properties": properties });
    bench.control.call("put", &text);
    let octets =
        json!({ "queue": "q", "exchange": "e", "routing_key": "r", "body_base64": "/wA=" });
    bench.control.call("put", &octets);
    bench.control.call("put", &json!({ "queue": "q" }));
    for _ in 0..2 {
        let peeked = bench.control.call("messages", &json!({ "queue": "q" }));
        let expected = json!({ "total": 3, "messages": [
            { "exchange": "", "routing_key": "q", "properties": properties, "body": "größe",
              "body_base64": "Z3LDtsOfZQ==", "body_bytes": 7 },
            { "exchange": "e", "routing_key": "r", "properties": {}, "body": null,
              "body_base64": "/wA=", "body_bytes": 2 },
            { "exchange": "", "routing_key": "q", "properties": {}, "body": "",
              "body_base64": "", "body_bytes": 0 },
        ]});
        assert_eq!(peeked, expected);
    }
    let one = bench.control.call("messages", &json!({ "queue": "q", "skip": 1, "limit": 1 }));
    assert_eq!(one["total"], 3);
    assert_eq!(one["messages"].as_array().unwrap().len(), 1);
    assert_eq!(one["messages"][0]["exchange"], "e");
    let delayed = bench.control.call("messages", &json!({ "queue": "q", "state": "delayed" }));
    assert_eq!(delayed, json!({ "total": 0, "messages": [] }));
}

#[test]
fn wrong_messages_are_not_put() {
    let bench = bench();
    for (fields, status, text) in [
        (json!({ "queue": "none" }), 404, "no queue 'none'"),
        (json!({ "queue": "q", "body": 1 }), 400, "field \"body\": 1: has to be a string"),
        (json!({ "queue": "q", "body_base64": "%" }), 400, "has to be base64"),
        (json!({ "queue": "q", "body": "", "body_base64": "" }), 400, "only one of them"),
        (json!({ "queue": "q", "properties": { "x": 1 } }), 400, "\"properties\": unknown field"),
        (json!({ "queue": "q", "properties": [] }), 400, "field \"properties\": "),
        (json!({ "queue": "q", "properties": { "expiration": "x" } }), 400, "expiration"),
        (json!({ "queue": "q".repeat(256) }), 400, "at most 255 bytes"),
        (json!({ "queue": "q", "unknown": 1 }), 400, "unknown field \"unknown\""),
    ] {
        let (found, error) = bench.control.refused("put", &fields);
        assert!(found == status && error.contains(text), "{fields}: {found} {error}");
    }
    assert_eq!(bench.control.call("queue", &json!({ "queue": "q" }))["ready"], 0);
}

#[test]
fn exchanges_and_bindings_are_listed() {
    let mut bench = bench();
    let declare =
        ExchangeDeclare { exchange: "prices".into(), kind: "topic".into(), ..Default::default() };
    bench.client.method(1, declare);
    assert_eq!(bench.client.next(), "exchange.declare-ok");
    let bind = QueueBind {
        queue: "q".into(),
        exchange: "prices".into(),
        routing_key: "usd.#".into(),
        ..Default::default()
    };
    bench.client.method(1, bind);
    assert_eq!(bench.client.next(), "queue.bind-ok");
    let listed = bench.control.call("exchanges", &none());
    let is_prices = |exchange: &&Value| exchange["name"] == "prices";
    let prices = listed["exchanges"].as_array().unwrap().iter().find(is_prices).unwrap();
    assert_eq!((&prices["type"], &prices["durable"]), (&json!("topic"), &json!(false)));
    let bindings = bench.control.call("bindings", &json!({ "exchange": "prices" }));
    let binding = &bindings["bindings"][0];
    assert_eq!(binding["destination"], json!({ "queue": "q" }));
    assert_eq!(binding["routing_key"], "usd.#");
    let all = bench.control.call("bindings", &none());
    assert_eq!(all["bindings"], bindings["bindings"]);
    let (status, error) = bench.control.refused("bindings", &json!({ "exchange": "none" }));
    assert_eq!((status, &*error), (404, "no exchange \"none\""));
}

#[test]
fn publications_to_an_exchange_are_recorded_until_the_recording_stops() {
    let mut bench = bench();
    let started = bench.control.call("record", &json!({ "exchange": "" }));
    bench.publish("one");
    bench.publish("two");
    let recorded = bench.control.call("recorded", &started);
    assert_eq!((&recorded["total"], &recorded["messages"][1]["body"]), (&json!(2), &json!("two")));
    let last = json!({ "recording": started["recording"], "skip": 1 });
    assert_eq!(bench.control.call("recorded", &last)["messages"][0]["body"], "two");
    bench.control.call("stop_recording", &started);
    for operation in ["recorded", "stop_recording"] {
        let (status, error) = bench.control.refused(operation, &started);
        assert!(status == 404 && error.starts_with("no recording"), "{error}");
    }
    for _ in 0..64 {
        bench.control.call("record", &json!({ "exchange": "e" }));
    }
    let (status, error) = bench.control.refused("record", &json!({ "exchange": "e" }));
    assert_eq!((status, &*error), (409, "there are 64 recordings, which is the limit"));
}

#[test]
fn wait_until_idle_returns_once_the_messages_are_acknowledged() {
    let mut bench = bench();
    assert_eq!(bench.control.call("wait_until_idle", &none()), none());
    bench.publish("x");
    let short = json!({ "timeout_seconds": 0.05 });
    let (status, error) = bench.control.refused("wait_until_idle", &short);
    assert!(status == 409 && error.contains("queue \"q\" with 1 ready"), "{status} {error}");
    let (_, error) = bench.control.refused("wait_until_idle", &json!({ "timeout_seconds": 61 }));
    assert!(error.contains("from 0 to 60"), "{error}");
    let control = bench.control.clone();
    let long = json!({ "timeout_seconds": 60 });
    let waiting = std::thread::spawn(move || control.call("wait_until_idle", &long));
    bench.client.consume("q", false);
    assert_eq!(bench.client.next(), "basic.consume-ok");
    assert_eq!(bench.client.next(), "basic.deliver 1");
    bench.client.method(1, carrot_amqp_wire::BasicAck { delivery_tag: 1, multiple: false });
    assert_eq!(waiting.join().unwrap(), none());
}

#[test]
fn interface_without_a_server_controls_its_broker() {
    let broker = Broker::new();
    let interface = ControlInterface::bind("127.0.0.1:0", &broker).unwrap();
    let control = ControlClient::of(&interface);
    Connection::new(broker.connector()).declare_queue("q").unwrap();
    assert_eq!(control.call("vhosts", &none()), json!({ "vhosts": ["/"] }));
    assert_eq!(control.call("queues", &none())["queues"][0]["name"], "q");
    let refused = ControlInterface::bind("0.0.0.0:0", &broker).unwrap_err();
    assert!(refused.to_string().contains("loopback"), "{refused}");
    let address = interface.address();
    let in_use = ControlInterface::bind(&address.to_string(), &broker).unwrap_err();
    assert!(in_use.to_string().contains("control interface"), "{in_use}");
    drop(interface);
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn virtual_hosts_are_controlled_one_by_one() {
    let (blue, green) = (Broker::new(), Broker::new());
    let server = Server::builder(&blue)
        .vhost("green", &green)
        .control("127.0.0.1:0")
        .bind("127.0.0.1:0")
        .unwrap();
    let control = ControlClient::of(server.control().unwrap());
    assert_eq!(control.call("vhosts", &none()), json!({ "vhosts": ["/", "green"] }));
    control.call("nack_publishes", &json!({ "vhost": "green", "count": 1 }));
    assert_eq!((blue.faults().outstanding(), green.faults().outstanding()), (0, 1));
    let (status, error) = control.refused("faults", &json!({ "vhost": "red\n" }));
    assert_eq!((status, &*error), (404, "no virtual host \"red\\n\""));
    server.stop(SOON).unwrap();
}

#[test]
fn refused_operation_has_no_effect() {
    let mut bench = bench();
    bench.publish("x");
    for (operation, fields) in [
        ("drop_connections", json!({ "nmae": "x" })),
        ("nack_publishes", json!({ "count": 1, "queue": "q" })),
        ("advance_clock", json!({ "seconds": 1, "x": 1 })),
        ("block_publishers", json!({ "why": "x" })),
        ("refuse_messages", json!({ "code": 404, "headers": {} })),
    ] {
        let (status, error) = bench.control.refused(operation, &fields);
        assert!(status == 400 && error.contains("unknown field"), "{operation}: {error}");
    }
    let untouched = json!({ "outstanding": 0, "block_reason": null });
    assert_eq!(bench.control.call("faults", &none()), untouched);
    assert!(bench.clock.elapsed().is_zero());
    bench.publish("y");
    assert!(matches!(bench.client.declare_passively("q").as_str(), "queue.declare-ok q 2"));
    let close = carrot_amqp_wire::ChannelClose { reply_code: 200, ..Default::default() };
    bench.client.method(1, Method::from(close));
    assert_eq!(bench.client.next(), "channel.close-ok");
}
