//! The producer and the consumer of kombu.

use std::time::Duration;

use carrot::codec::{Codecs, Compression};
use carrot::message::{DeliveryMode, Headers, Value};
use carrot::topology::DeleteIf;
use carrot::{Codec, Connection, Exchange, Queue};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{Broker, SOON, receive, unique};

on_both_brokers! {
    kombu_publishes_to_an_exchange_of_carrot,
    carrot_publishes_to_an_exchange_and_a_queue_of_kombu,
    message_pack_is_read_by_kombu_and_returned,
    compressed_bodies_are_read_by_kombu_and_returned,
}

/// The exchanges of a test: their routing keys, and the keys that bind a queue.
fn exchanges() -> [(Exchange, &'static str, &'static str); 3] {
    [
        (Exchange::direct(unique("kombu-direct")), "placed", "placed"),
        (Exchange::topic(unique("kombu-topic")), "order.eu.placed", "order.*.placed"),
        (Exchange::fanout(unique("kombu-fanout")), "any", ""),
    ]
}

fn delete(connection: &Connection, exchange: &Exchange) {
    connection.delete_exchange(&exchange.name, DeleteIf::ALWAYS).unwrap();
    connection.delete_queue(&exchange.name, DeleteIf::ALWAYS).unwrap();
}

fn kombu_publishes_to_an_exchange_of_carrot(broker: &Broker) {
    let connection = broker.connect();
    for (exchange, key, binding_key) in exchanges() {
        let consumer = connection
            .consumer(&*exchange.name)
            .exchange(exchange.clone())
            .routing_key(binding_key)
            .build()
            .unwrap();
        let _producer =
            broker.python("kombu_producer", &[&exchange.name, exchange.kind.as_str(), key]);

        let messages = receive(&consumer, 4);
        for message in &messages {
            assert_eq!((message.exchange(), message.routing_key()), (&*exchange.name, key));
        }
        let [json, text, bytes, full] = &messages[..] else { unreachable!() };

        let expected = json!({"name": "Zoë", "price": 1.5, "tags": [1, null, true]});
        assert_eq!(json.decode::<serde_json::Value>().unwrap(), expected);
        let properties = json.properties();
        assert_eq!(properties.content_type(), Some("application/json"));
        assert_eq!(properties.content_encoding(), Some("utf-8"));
        assert_eq!(properties.delivery_mode(), Some(DeliveryMode::Persistent));
        assert_eq!(properties.headers(), Some(&Headers::new()));

        assert_eq!(text.decode::<String>().unwrap(), "Grüße");
        assert_eq!(text.properties().content_type(), Some("text/plain"));

        assert_eq!(bytes.decode::<Vec<u8>>().unwrap(), b"\x00\xff\xfe");
        assert_eq!(bytes.properties().content_type(), Some("application/data"));
        assert_eq!(bytes.properties().content_encoding(), Some("binary"));

        assert_eq!(full.decode::<Vec<u8>>().unwrap(), [1, 2]);
        let headers = Headers::from([("tenant", Value::from("acme")), ("attempt", 2.into())]);
        assert_eq!(full.headers(), Some(&headers));
        let properties = full.properties();
        assert_eq!(properties.priority(), Some(5));
        assert_eq!(properties.expiration(), Some("90500"));
        assert_eq!(properties.correlation_id(), Some("request-7"));
        assert_eq!(full.id(), Some("message-7"));
        assert_eq!(properties.timestamp(), Some(1_700_000_000));
        assert_eq!(full.kind(), Some("order.placed"));
        assert_eq!(properties.reply_to(), Some("answers"));
        assert_eq!(properties.app_id(), Some("shop"));
        assert_eq!(properties.delivery_mode(), Some(DeliveryMode::Transient));

        messages.into_iter().for_each(|message| message.ack().unwrap());
        drop(consumer);
        delete(&connection, &exchange);
    }
}

fn carrot_publishes_to_an_exchange_and_a_queue_of_kombu(broker: &Broker) {
    let connection = broker.connect();
    for (exchange, key, binding_key) in exchanges() {
        let name = &*exchange.name;
        let kombu =
            broker.python("kombu_consumer", &[name, exchange.kind.as_str(), binding_key, name]);
        kombu.expect("ready");
        let next = || serde_json::from_str::<serde_json::Value>(&kombu.line()).unwrap();

        // Carrot declares both again, which RabbitMQ refuses if a type or an argument differs.
        let queue = Queue::new(name)
            .expires(Duration::from_secs(600))
            .message_ttl(Duration::from_secs(60))
            .max_length(1000)
            .max_priority(9);
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().exchange(exchange.clone()).routing_key(key);

        let json = publisher.clone().build().unwrap();
        let value = json!({"name": "Zoë", "price": 1.5, "tags": [1, null, true]});
        json.message().message_id("message-1").mandatory().send(&value).unwrap();
        assert_eq!(
            next(),
            json!({
                "payload": value,
                "properties": {
                    "content_type": "application/json",
                    "content_encoding": "utf-8",
                    "delivery_mode": 2,
                    "message_id": "message-1",
                },
                "routing": [name, key],
            })
        );

        let text = publisher.clone().codec(Codec::text()).build().unwrap();
        text.send("Grüße").unwrap();
        let received = next();
        assert_eq!(received["payload"], "Grüße");
        assert_eq!(received["properties"]["content_type"], "text/plain");

        let raw = publisher.clone().codec(Codec::raw()).build().unwrap();
        for content_type in ["application/octet-stream", "application/data"] {
            raw.message()
                .properties(|properties| properties.with_content_type(content_type))
                .properties(|properties| properties.with_content_encoding("binary"))
                .send(b"\x00\xff\xfe")
                .unwrap();
            let received = next();
            assert_eq!(received["payload"], json!({"octets": "00fffe"}));
            assert_eq!(received["properties"]["content_type"], content_type);
        }

        json.message()
            .headers([("tenant", Value::from("acme")), ("attempt", 2.into())])
            .priority(5)
            .expiration(Duration::from_millis(90_500))
            .correlation_id("request-7")
            .message_id("message-7")
            .timestamp(1_700_000_000)
            .kind("order.placed")
            .reply_to("answers")
            .properties(|properties| properties.with_app_id("shop"))
            .transient()
            .send(&[1, 2])
            .unwrap();
        assert_eq!(
            next(),
            json!({
                "payload": [1, 2],
                "properties": {
                    "content_type": "application/json",
                    "content_encoding": "utf-8",
                    "application_headers": {"tenant": "acme", "attempt": 2},
                    "priority": 5,
                    "expiration": "90500",
                    "correlation_id": "request-7",
                    "message_id": "message-7",
                    "timestamp": 1_700_000_000,
                    "type": "order.placed",
                    "reply_to": "answers",
                    "app_id": "shop",
                    "delivery_mode": 1,
                },
                "routing": [name, key],
            })
        );
        drop(kombu);
        delete(&connection, &exchange);
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Order {
    name: String,
    price: f64,
    amounts: Vec<i64>,
    paid: Option<bool>,
}

fn order() -> Order {
    let amounts = vec![0, -1, 127, 128, -33, 70_000, i64::MIN, i64::MAX];
    Order { name: "Zoë".into(), price: -0.1, amounts, paid: None }
}

fn message_pack_is_read_by_kombu_and_returned(broker: &Broker) {
    let queue = unique("kombu-message-pack");
    let kombu = broker.python("kombu_echo", &[&queue]);
    kombu.expect("ready");
    let connection = broker.connect();
    let answers = connection
        .consumer(Queue::server_named().exclusive())
        .codecs(Codecs::only(Codec::message_pack()))
        .build()
        .unwrap();
    let publisher =
        connection.publisher().routing_key(&*queue).codec(Codec::message_pack()).build().unwrap();
    publisher.message().reply_to(answers.queue().unwrap()).send(&order()).unwrap();

    let printed: serde_json::Value = serde_json::from_str(&kombu.line()).unwrap();
    assert_eq!(printed, json!(order()));
    let answer = receive(&answers, 1).remove(0);
    assert_eq!(answer.properties().content_type(), Some("application/x-msgpack"));
    assert_eq!(answer.properties().content_encoding(), Some("binary"));
    assert_eq!(answer.decode::<Order>().unwrap(), order());
}

fn compressed_bodies_are_read_by_kombu_and_returned(broker: &Broker) {
    let queue = unique("kombu-compression");
    let kombu = broker.python("kombu_echo", &[&queue]);
    kombu.expect("ready");
    let connection = broker.connect();
    let answers = connection
        .consumer(Queue::server_named().exclusive())
        .codecs(Codecs::default().with(Codec::message_pack()))
        .build()
        .unwrap();
    let reply_to = answers.queue().unwrap();
    let mut received = answers.messages().unwrap().timeout(SOON);
    let order = Order { amounts: vec![i64::MAX; 1000], ..order() };
    for codec in [Codec::json(), Codec::message_pack()] {
        let publisher =
            connection.publisher().routing_key(&*queue).codec(codec.clone()).build().unwrap();
        let size = codec.encode(&order).unwrap().len();
        for (compression, name, start) in [
            (Compression::gzip(), "application/x-gzip", &b"\x78"[..]),
            (Compression::zlib(), "application/x-gzip", b"\x78"),
            (Compression::zstd(), "application/zstd", b"\x28\xb5\x2f\xfd"),
            (Compression::bzip2(), "application/x-bz2", b"BZh"),
            (Compression::brotli(), "application/x-brotli", b""),
        ] {
            let message = publisher.message().compress(compression);
            message.reply_to(&*reply_to).send(&order).unwrap();
            let printed: serde_json::Value = serde_json::from_str(&kombu.line()).unwrap();
            assert_eq!(printed, json!(order));

            let answer = received.next().unwrap().unwrap();
            assert_eq!(answer.header("compression"), Some(&Value::from(name)));
            assert_eq!(answer.properties().content_type(), Some(codec.content_type()));
            assert!(answer.body().starts_with(start), "{name}: {:02x?}", &answer.body()[..4]);
            assert!(answer.body().len() < size, "{name}: {} of {size}", answer.body().len());
            assert_eq!(answer.decode::<Order>().unwrap(), order);
            answer.ack().unwrap();
        }
    }
}
