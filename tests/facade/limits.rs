use std::collections::BTreeMap;

use carrot::topology::DeleteIf;
use carrot::{
    Binding, Codec, ConnectionOptions, Error, Exchange, Queue,
    codec::Codecs,
    message::{Headers, Value},
    publish::MessageBuilder,
};

use crate::support::{next, queue, ready};

/// The most nested levels of tables and arrays.
const DEPTH: usize = 32;

#[track_caller]
fn assert_invalid<T: std::fmt::Debug>(
    result: carrot::Result<T>,
    field: &str,
    value: &str,
    limit: &str,
) {
    match result {
        Err(Error::Invalid { field: named, value: shown, limit: told }) => {
            assert_eq!(named, field);
            assert!(shown.contains(value) && told.contains(limit), "{field}: {shown}: {told}");
        }
        other => panic!("{field}: {other:?}"),
    }
}

fn tables(levels: usize) -> Headers {
    (1..levels).fold(Headers::from([("leaf", 1)]), |inner, _| Headers::from([("inner", inner)]))
}

fn arrays(levels: usize) -> Headers {
    Headers::from([("outer", (1..levels).fold(Value::Void, |inner, _| Value::Array(vec![inner])))])
}

on_both_backends! {
    fn non_finite_numbers_are_refused_with_their_path(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        for (number, shown) in [(f64::NAN, "NaN"), (f64::INFINITY, "inf"), (f64::NEG_INFINITY, "-inf")] {
            let refused = |result: carrot::Result<()>, field: &str| assert_invalid(result, field, shown, "finite");
            for value in [Value::F64(number), Value::F32(number as f32)] {
                let nested = Headers::from([("ratio", value.clone())]);
                let list = vec![Value::Void, Value::from(nested.clone())];
                refused(publisher.message().header("ratio", value.clone()).send("x"), "headers.ratio");
                refused(publisher.message().headers(nested.clone()).send("x"), "headers.ratio");
                refused(publisher.message().header("outer", nested).send_bytes("x"), "headers.outer.ratio");
                refused(publisher.message().header("list", list).publish("x").map(drop), "headers.list[1].ratio");
                let set = |properties: carrot::message::Properties| properties.with_header("ratio", value.clone());
                refused(publisher.message().properties(set).publish_bytes("x").map(drop), "headers.ratio");
                let template = connection.publisher().routing_key(&*queue.name).header("ratio", value.clone()).build();
                refused(template.and_then(|publisher| publisher.send("x")), "headers.ratio");
                let template = connection.publisher().without_confirms().header("ratio", value.clone()).build();
                refused(template.and_then(|publisher| publisher.send("x")), "headers.ratio");
                let exchange = Exchange::direct("e").argument("ratio", value.clone());
                refused(connection.declare_exchange(exchange), "exchange arguments.ratio");
                let argued = queue.clone().argument("ratio", value.clone());
                refused(connection.declare_queue(argued).map(drop), "queue arguments.ratio");
                let binding = Binding::queue("amq.direct", &*queue.name, "key").argument("ratio", value.clone());
                refused(connection.bind(&binding), "binding arguments.ratio");
                refused(connection.unbind(&binding), "binding arguments.ratio");
                let consumer = connection.consumer(&queue).argument("ratio", value).build();
                refused(consumer.and_then(|consumer| consumer.messages().map(drop)), "consumer arguments.ratio");
            }
        }
        publisher.send("x").unwrap();
        assert_eq!(ready(connection, &queue.name), 1);
    }

    fn every_string_over_its_limit_is_refused_by_name(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let long = "x".repeat(256);
        let refused = |result: carrot::Result<()>, field: &str| assert_invalid(result, field, "256", "255");

        let text = &*long;
        type Set = for<'a> fn(MessageBuilder<'a>, &str) -> MessageBuilder<'a>;
        let properties: [(&str, Set); 10] = [
            ("content-type", |message, text| message.properties(|properties| properties.with_content_type(text))),
            ("content-encoding", |message, text| message.properties(|properties| properties.with_content_encoding(text))),
            ("correlation-id", |message, text| message.properties(|properties| properties.with_correlation_id(text))),
            ("reply-to", |message, text| message.properties(|properties| properties.with_reply_to(text))),
            ("expiration", |message, text| message.properties(|properties| properties.with_expiration(text))),
            ("message-id", |message, text| message.properties(|properties| properties.with_message_id(text))),
            ("type", |message, text| message.properties(|properties| properties.with_kind(text))),
            ("user-id", |message, text| message.properties(|properties| properties.with_user_id(text))),
            ("app-id", |message, text| message.properties(|properties| properties.with_app_id(text))),
            ("cluster-id", |message, text| message.properties(|properties| properties.with_cluster_id(text))),
        ];
        for (name, set) in properties {
            refused(set(publisher.message(), text).send("x"), name);
        }
        refused(publisher.message().routing_key(text).send("x"), "routing key");
        refused(publisher.message().header(text, 1).send("x"), "headers");
        refused(publisher.message().header("h", Headers::from([(text, 1)])).send("x"), "headers.h");
        refused(publisher.message().header("h", vec![Value::Table(Headers::from([(text, 1)]))]).send("x"), "headers.h[0]");

        refused(connection.declare_exchange(Exchange::direct(text)), "exchange");
        refused(connection.declare_exchange(Exchange::direct("e").argument(text, 1)), "exchange arguments");
        refused(connection.declare_queue(text).map(drop), "queue");
        refused(connection.declare_queue(Queue::new("q").argument(text, 1)).map(drop), "queue arguments");
        refused(connection.bind(&Binding::queue(text, &*queue.name, "")), "exchange");
        refused(connection.bind(&Binding::queue("amq.direct", text, "")), "queue");
        refused(connection.bind(&Binding::queue("amq.direct", &*queue.name, text)), "routing key");
        refused(connection.bind(&Binding::queue("amq.direct", &*queue.name, "").argument(text, 1)), "binding arguments");
        refused(connection.unbind(&Binding::queue("amq.direct", &*queue.name, text)), "routing key");
        refused(connection.delete_exchange(text, DeleteIf::ALWAYS), "exchange");
        refused(connection.delete_queue(text, DeleteIf::ALWAYS).map(drop), "queue");
        refused(connection.purge_queue(text).map(drop), "queue");

        publisher.send("still there").unwrap();
        assert_eq!(ready(connection, &queue.name), 1);
    }

    #[differs_on_activemq(headers_have_no_limit_of_a_frame)]
    fn oversized_tables_are_refused_without_harm(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        for nested in [tables, arrays] {
            for levels in [DEPTH + 1, 2 * DEPTH, 500] {
                assert_invalid(publisher.message().headers(nested(levels)).send("x"), "headers", "nested", "32");
                let declared = connection.declare_queue(Queue::new("q").argument("deep", nested(levels)));
                assert_invalid(declared, "queue arguments", "nested", "32");
            }
            publisher.message().headers(nested(DEPTH)).send("x").unwrap();
            let message = next(&consumer);
            assert_eq!(message.properties().headers(), Some(&nested(DEPTH)));
            message.ack().unwrap();
        }
        let large = "x".repeat(131_072);
        assert_invalid(publisher.message().header("large", &*large).send("x"), "headers", "bytes when encoded", "131064");
        assert_invalid(connection.declare_queue(Queue::new("q").argument("large", &*large)), "queue arguments", "bytes", "131064");
        publisher.send("still there").unwrap();
        assert_eq!(next(&consumer).decode::<String>().unwrap(), "still there");
    }

    fn hostile_bodies_are_refused_without_harm(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).codecs(Codecs::default().with(Codec::bincode())).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        for opening in ["[", "{\"a\":"] {
            let message = publisher.message().properties(|properties| properties.with_content_type("application/json"));
            message.send_bytes(opening.repeat(1_000_000)).unwrap();
            let message = next(&consumer);
            assert!(matches!(message.decode::<serde_json::Value>(), Err(Error::Decode { .. })));
            message.ack().unwrap();
        }
        for length in [u64::MAX, u64::MAX / 8, 1 << 40, 16 << 20] {
            let message = publisher.message().properties(|properties| properties.with_content_type("application/x-bincode"));
            message.send_bytes(length.to_le_bytes()).unwrap();
            let message = next(&consumer);
            assert!(matches!(message.decode::<Vec<[u64; 32]>>(), Err(Error::Decode { .. })));
            assert!(matches!(message.decode::<BTreeMap<String, Vec<u8>>>(), Err(Error::Decode { .. })));
            message.ack().unwrap();
        }
        publisher.send("still there").unwrap();
        assert_eq!(next(&consumer).decode::<String>().unwrap(), "still there");
    }
}

fn assert_bodies_over_maximum_are_refused(options: ConnectionOptions) {
    const MOST: usize = 10_000;
    let connection = carrot::connect(options.max_message_size(MOST as u64)).unwrap();
    let queue = queue();
    connection.declare_queue(&queue).unwrap();
    for publisher in [connection.publisher(), connection.publisher().without_confirms()] {
        let publisher = publisher.routing_key(&*queue.name).max_bytes_in_flight(1).build().unwrap();
        let sent = publisher.message().send_bytes(vec![0; MOST + 1]);
        assert_invalid(sent, "body", "10001", "10000");
        assert_invalid(publisher.publish(&"x".repeat(MOST)), "body", "10002", "max_message_size");
        publisher.message().send_bytes(vec![0; MOST]).unwrap();
        publisher.close().unwrap();
    }
    crate::support::eventually("both are there", || ready(&connection, &queue.name) == 2);
}

#[test]
fn body_over_maximum_is_refused_on_memory_broker() {
    assert_bodies_over_maximum_are_refused(ConnectionOptions::memory());
}

on_remote_brokers! {
    fn body_over_maximum_is_refused_before_it_is_sent(broker: &RemoteBroker) {
        assert_bodies_over_maximum_are_refused(broker.options());
    }
}
