use std::collections::HashMap;
use std::time::Duration;

use carrot::{
    Error, Exchange, ExchangeKind, Queue,
    message::{DeliveryMode, Headers, Properties, Value},
    publish::PublisherDefinition,
    topology::Overflow,
};

use crate::support::{SOON, exchange, next, queue, ready, unique};

on_both_backends! {
    fn sent_value_arrives_as_json(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();

        publisher.send(&HashMap::from([("import_feed", "http://cnn.com/rss")])).unwrap();

        let message = consumer.fetch().unwrap().unwrap();
        assert_eq!(message.body(), br#"{"import_feed":"http://cnn.com/rss"}"#);
        assert_eq!(message.properties().content_type(), Some("application/json"));
        assert_eq!(message.properties().content_encoding(), Some("utf-8"));
        assert_eq!(message.properties().delivery_mode(), Some(DeliveryMode::Persistent));
        assert_eq!(message.properties().message_id().map(str::len), Some(22));
        assert_eq!((message.exchange(), message.routing_key()), ("", &*queue.name));
        assert!(!message.is_redelivered());
        message.ack().unwrap();
    }

    fn message_without_an_id_arrives_without_one(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name);
        let publisher = publisher.properties(Properties::new().with_message_id("default"));
        let publisher = publisher.mandatory().build().unwrap();
        let confirmation = publisher.message().without_message_id().publish_bytes("none").unwrap();
        assert_eq!(confirmation.message_id(), None);
        confirmation.wait().unwrap();
        publisher.message().without_message_id().message_id("later").send_bytes("later").unwrap();
        publisher.message().send_bytes("default").unwrap();
        for (body, id) in [("none", None), ("later", Some("later")), ("default", Some("default"))] {
            let message = consumer.fetch().unwrap().unwrap();
            assert_eq!((message.body(), message.id()), (body.as_bytes(), id));
            message.ack().unwrap();
        }
        let lost = publisher.message().without_message_id().routing_key(unique("missing"));
        match lost.send_bytes("lost") {
            Err(Error::Unroutable { returned }) => assert_eq!(returned.message_id, None),
            other => panic!("{other:?}"),
        }
    }

    fn every_property_and_header_survives(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let table = Headers::from([("inner", Value::Array(vec![Value::I32(-1), Value::Void, Value::from("x")]))]);
        let headers: Headers = [
            ("void", Value::Void),
            ("bool", Value::Bool(true)),
            ("i8", Value::I8(-8)),
            ("i16", Value::I16(-16)),
            ("i32", Value::I32(-32)),
            ("i64", Value::I64(i64::MIN)),
            ("f32", Value::F32(1.5)),
            ("f64", Value::F64(-2.25)),
            ("decimal", Value::Decimal { scale: 2, value: 314 }),
            ("string", Value::from("grüße")),
            ("bytes", Value::Bytes(vec![0, 255, 7])),
            ("timestamp", Value::Timestamp(1_700_000_000)),
            ("table", Value::Table(table)),
        ]
        .into_iter()
        .collect();
        let properties = Properties::new()
            .with_content_type("text/plain")
            .with_content_encoding("utf-8")
            .with_headers(headers)
            .with_delivery_mode(DeliveryMode::Transient)
            .with_priority(3)
            .with_correlation_id("correlation")
            .with_reply_to("reply")
            .with_expiration("60000")
            .with_message_id("message")
            .with_timestamp(1_700_000_001)
            .with_kind("kind")
            .with_app_id("app")
            .with_cluster_id("cluster");

        publisher.message().properties(|_| properties.clone()).send_bytes("body").unwrap();

        let message = consumer.fetch().unwrap().unwrap();
        assert_eq!(message.properties(), &properties);
        message.ack().unwrap();
    }

    fn message_settings_override_publisher(connection: &Connection) {
        let (one, other) = (queue(), queue());
        let consumer = connection.consumer(&other).build().unwrap();
        connection.declare_queue(&one).unwrap();
        let publisher = connection.publisher().routing_key(&*one.name).header("common", 1).transient().build().unwrap();

        publisher
            .message()
            .routing_key(&*other.name)
            .header("own", "x")
            .priority(7)
            .expiration(Duration::from_millis(90_000))
            .correlation_id("c")
            .reply_to("r")
            .message_id("m")
            .timestamp(5)
            .persistent()
            .send("value")
            .unwrap();

        let message = next(&consumer);
        let properties = message.properties();
        assert_eq!(message.header("common").and_then(Value::as_i64), Some(1));
        assert_eq!(message.header("own").and_then(Value::as_str), Some("x"));
        assert_eq!(properties.expiration(), Some("90000"));
        assert_eq!((properties.priority(), properties.timestamp()), (Some(7), Some(5)));
        assert_eq!((properties.correlation_id(), properties.reply_to(), properties.message_id()), (Some("c"), Some("r"), Some("m")));
        assert_eq!(properties.delivery_mode(), Some(DeliveryMode::Persistent));
        message.ack().unwrap();
        assert_eq!(ready(connection, &one.name), 0);
    }

    fn mandatory_message_without_route_is_returned(connection: &Connection) {
        let exchange = exchange(ExchangeKind::Direct);
        let publisher = connection.publisher().exchange(&exchange).routing_key("nowhere").mandatory().build().unwrap();

        let error = publisher.message().message_id("id").send("lost?").unwrap_err();
        let Error::Unroutable { returned } = error else { panic!("{error}") };

        assert_eq!((returned.code, &*returned.exchange, &*returned.routing_key), (312, &*exchange.name, "nowhere"));
        assert_eq!((returned.message_id.as_deref(), &*returned.body), (Some("id"), &b"\"lost?\""[..]));
        connection.delete_exchange(&exchange.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    fn mandatory_messages_receive_their_own_results(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().mandatory().build().unwrap();

        let receipts: Vec<_> = (0..200)
            .map(|number| publisher.message().routing_key(if number % 3 == 0 { "nowhere" } else { &*queue.name }).publish(&number).unwrap())
            .collect();

        for (number, receipt) in receipts.into_iter().enumerate() {
            match receipt.wait() {
                Ok(()) => assert_ne!(number % 3, 0),
                Err(Error::Unroutable { returned }) => assert_eq!(String::from_utf8(returned.body), Ok((number / 3 * 3).to_string())),
                Err(error) => panic!("{error}"),
            }
        }
    }

    fn unroutable_message_without_mandatory_is_no_error(connection: &Connection) {
        let publisher = connection.publisher().exchange(Exchange::fanout(unique("exchange"))).build().unwrap();
        publisher.send("nobody listens").unwrap();
        connection.delete_exchange(publisher.exchange(), carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    fn missing_exchange_is_not_found_and_connection_survives(connection: &Connection) {
        let (exchange, queue) = (Exchange::fanout(unique("exchange")), queue());
        let publisher = connection.publisher().exchange(&exchange).build().unwrap();
        let other = connection.publisher().queue(&queue).build().unwrap();
        connection.delete_exchange(&exchange.name, carrot::topology::DeleteIf::ALWAYS).unwrap();

        let error = publisher.send("x").unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");

        other.send("x").unwrap();
        // The deletion was intended: the exchange is not declared again without its bindings.
        for _ in 0..2 {
            let error = publisher.send("x").unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{error}");
        }
        connection.declare_exchange(&exchange).unwrap();
        publisher.send("somebody declared it again").unwrap();
        connection.delete_exchange(&exchange.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    fn existing_exchange_missing_is_not_found(connection: &Connection) {
        let error = connection.publisher().exchange(Exchange::existing(unique("exchange"))).build().unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
    }

    fn different_declaration_is_refused(connection: &Connection) {
        let exchange = Exchange::fanout(unique("exchange"));
        connection.declare_exchange(&exchange).unwrap();
        let error = connection.publisher().exchange(Exchange::direct(&*exchange.name)).build().unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error}");
        connection.delete_exchange(&exchange.name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    fn send_all_keeps_order(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).prefetch(500).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).max_in_flight(100).build().unwrap();

        publisher.send_all(0..3000).unwrap();

        let messages = consumer.messages().unwrap().timeout(SOON);
        for (number, message) in messages.take(3000).enumerate() {
            let message = message.unwrap();
            assert_eq!(message.decode::<usize>().unwrap(), number);
            message.ack().unwrap();
        }
    }

    fn send_all_reports_failed_messages(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).codec(carrot::Codec::text()).build().unwrap();
        let values = [serde_json::json!("zero"), serde_json::json!(1), serde_json::json!("two")];

        let error = publisher.send_all(&values).unwrap_err();

        let Error::Batch { confirmed, failures, .. } = error else { panic!("{error}") };
        assert_eq!(confirmed, 2);
        assert!(matches!(&failures[..], [(1, Error::Encode { .. })]), "{failures:?}");
        assert_eq!(ready(connection, &queue.name), 2);
    }

    #[without_activemq("x-max-length")]
    fn full_queue_with_reject_publish_refuses_message(connection: &Connection) {
        let queue = queue().max_length(1).overflow(Overflow::RejectPublish);
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        publisher.send("fits").unwrap();
        let error = publisher.send("does not").unwrap_err();
        assert!(matches!(error, Error::Refused), "{error}");
    }

    fn confirmations_resolve_in_any_order(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let mut receipts: Vec<_> = (0..50).map(|number| publisher.publish(&number).unwrap()).collect();
        receipts.reverse();
        for receipt in receipts {
            receipt.wait_timeout(SOON).unwrap();
            assert!(receipt.is_resolved());
            receipt.wait().unwrap();
        }
        assert_eq!(ready(connection, &queue.name), 50);
    }

    fn full_window_frees_room_by_confirms(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).max_in_flight(1).build().unwrap();
        let receipts: Vec<_> = (0..20).map(|number| publisher.publish(&number).unwrap()).collect();
        assert!(receipts[..19].iter().all(carrot::publish::Confirmation::is_resolved));

        let narrow = connection.publisher().routing_key(&*queue.name).max_bytes_in_flight(1000).build().unwrap();
        let receipts: Vec<_> = (0..4).map(|_| narrow.message().publish_bytes(vec![0; 600]).unwrap()).collect();
        assert!(receipts[..3].iter().all(carrot::publish::Confirmation::is_resolved));
        narrow.message().send_bytes(vec![0; 5000]).unwrap();
        assert_eq!(ready(connection, &queue.name), 25);
    }

    fn flush_reports_failure_of_dropped_confirmation(connection: &Connection) {
        let publisher = connection.publisher().mandatory().routing_key(unique("nowhere")).build().unwrap();
        drop(publisher.publish("x").unwrap());
        let error = publisher.flush().unwrap_err();
        let Error::Batch { failures, .. } = error else { panic!("{error}") };
        assert!(matches!(&failures[..], [(0, Error::Unroutable { .. })]), "{failures:?}");
        publisher.flush().unwrap();
    }

    fn publisher_closed_has_sent_all_and_refuses_more(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let clone = publisher.clone();
        for number in 0..100 {
            drop(publisher.publish(&number).unwrap());
        }
        publisher.close().unwrap();
        assert_eq!(ready(connection, &queue.name), 100);
        assert!(matches!(clone.send("x"), Err(Error::Closed { .. })));
        clone.close().unwrap();
    }

    fn drop_of_last_handle_waits_for_confirms(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        for number in 0..100 {
            drop(publisher.publish(&number).unwrap());
        }
        drop(publisher);
        assert_eq!(ready(connection, &queue.name), 100);
    }

    fn strings_over_their_limits_are_refused_without_harm(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let long = "x".repeat(256);

        let invalid = |result: carrot::Result<()>, field: &str| match result {
            Err(Error::Invalid { field: named, limit, .. }) => {
                assert_eq!(named, field);
                assert!(limit.contains("255"), "{limit}");
            }
            other => panic!("{other:?}"),
        };
        invalid(publisher.message().routing_key(&*long).send("x"), "routing key");
        invalid(publisher.message().correlation_id(&*long).send("x"), "correlation-id");
        invalid(publisher.message().header(&*long, 1).send("x"), "headers");
        invalid(connection.publisher().exchange(&*long).build().map(drop), "exchange");
        invalid(connection.publisher().routing_key(&*long).build().map(drop), "routing key");

        publisher.message().routing_key("x".repeat(255)).not_mandatory().send("the longest that fits").unwrap();
        publisher.send("still there").unwrap();
        assert_eq!(ready(connection, &queue.name), 1);
    }

    fn empty_and_large_bodies_survive(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        let large: Vec<u8> = (0..16 << 20).map(|index: u32| (index % 251) as u8).collect();

        publisher.message().send_bytes(Vec::new()).unwrap();
        publisher.message().send_bytes(large.clone()).unwrap();

        let empty = next(&consumer);
        assert_eq!((empty.body(), empty.properties().content_type()), (&[][..], None));
        empty.ack().unwrap();
        let message = next(&consumer);
        assert!(message.body() == large);
        message.ack().unwrap();
    }

    fn publisher_without_confirms_sends(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).without_confirms().build().unwrap();
        publisher.send_all(0..100).unwrap();
        publisher.close().unwrap();
        let mut messages = consumer.messages().unwrap().timeout(SOON);
        for number in 0..100 {
            let message = messages.next().unwrap().unwrap();
            assert_eq!(message.decode::<u32>().unwrap(), number);
            message.ack().unwrap();
        }
    }

    fn definition_opens_on_any_connection(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(&queue).unwrap();
        let definition = PublisherDefinition::new().routing_key(&*queue.name).header("from", "definition");
        definition.open(connection).unwrap().send(&1).unwrap();
        definition.on(connection).header("and", "more").build().unwrap().send(&2).unwrap();
        assert_eq!(ready(connection, &queue.name), 2);
    }

    fn publisher_with_invalid_settings_is_refused(connection: &Connection) {
        for builder in [
            connection.publisher().send_timeout(Duration::ZERO),
            connection.publisher().max_in_flight(0),
            connection.publisher().max_bytes_in_flight(0),
        ] {
            let error = builder.build().unwrap_err();
            assert!(matches!(error, Error::Invalid { .. }), "{error}");
        }
    }

    fn exchanges_of_every_kind_route(connection: &Connection) {
        for (kind, key, other) in [(ExchangeKind::Direct, "a.b", "a"), (ExchangeKind::Topic, "*.b", "b.a")] {
            let exchange = exchange(kind);
            let consumer = connection.consumer(Queue::server_named()).exchange(&exchange).routing_key(key).build().unwrap();
            let publisher = connection.publisher().exchange(&exchange).build().unwrap();
            publisher.message().routing_key("a.b").send("yes").unwrap();
            publisher.message().routing_key(other).send("no").unwrap();
            assert_eq!(next(&consumer).decode::<String>().unwrap(), "yes");
        }
        let unknown = Exchange::new(unique("exchange"), ExchangeKind::Custom("x-no-such-type".into()));
        let error = connection.publisher().exchange(unknown).build().unwrap_err();
        assert!(matches!(error, Error::HardError { code: 503, .. } | Error::PreconditionFailed { .. }), "{error}");
    }
}
