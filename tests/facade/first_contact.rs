//! The first programs of a newcomer: names and values of common types, a publisher before its
//! consumer, another client's message.

use std::time::Duration;

use carrot::{Error, Message, Queue, message::Value};

use crate::support::{SOON, next, queue, ready, unique};

on_both_backends! {
    fn names_numbers_and_times_convert_from_common_types(connection: &Connection) {
        let (name, now) = (unique("queue"), std::time::SystemTime::now());
        let seconds = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let consumer = connection.consumer(&name).build().unwrap();
        let publisher = connection.publisher().exchange(String::new()).routing_key(&name).build().unwrap();
        let message = publisher.message().header(&name, &name).header("u64", u64::MAX).header("usize", 7_usize).header("time", now);
        message.timestamp(now).correlation_id(&name).send(&name).unwrap();
        let message = next(&consumer);
        assert_eq!(message.decode::<String>().unwrap(), name);
        assert_eq!(message.header(&name), Some(&Value::from(&name)));
        assert_eq!(message.header("u64").and_then(Value::as_str), Some("18446744073709551615"));
        assert_eq!(message.header("usize").and_then(Value::as_i64), Some(7));
        assert_eq!(message.header("time"), Some(&Value::Timestamp(seconds)));
        assert_eq!(message.properties().timestamp(), Some(seconds));
        let shown = format!("{message:?}");
        assert!(shown.contains(&format!("body: \"\\\"{name}\\\"\"")), "{shown}");
        message.ack().unwrap();
        connection.delete_queue(&name, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }

    fn publisher_queue_declares_the_queue(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.send("waits for a consumer").unwrap();
        assert_eq!(ready(connection, &queue.name), 1);
        assert!(matches!(connection.publisher().queue("").build(), Err(Error::Invalid { .. })));
        for builder in [
            connection.publisher().queue("q").exchange("e"),
            connection.publisher().exchange("e").queue("q"),
            connection.publisher().queue("q").routing_key("k"),
            connection.publisher().queue(Queue::new("q").exclusive()),
            connection.publisher().queue("q".repeat(256)),
        ] {
            assert!(matches!(builder.build(), Err(Error::Invalid { .. })));
        }
    }

    fn default_exchange_returns_unroutable_message(connection: &Connection) {
        let nobody = connection.publisher().routing_key(unique("nobody")).build().unwrap();
        let error = nobody.send("x").unwrap_err();
        assert!(matches!(error, Error::Unroutable { .. }), "{error}");
        nobody.message().not_mandatory().send("x").unwrap();
        connection.publisher().routing_key(unique("nobody")).not_mandatory().build().unwrap().send("x").unwrap();
        let error = nobody.send_all(["a", "b"]).unwrap_err();
        assert!(error.to_string().contains("2 of 2") && error.to_string().contains("NO_ROUTE"), "{error}");
        assert!(std::error::Error::source(&error).is_some_and(|source| source.to_string().contains("NO_ROUTE")));
    }

    fn any_duration_is_accepted(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).send_timeout(Duration::MAX).build().unwrap();
        publisher.send("x").unwrap();
        publisher.message().timeout(Duration::MAX).send("x").unwrap();
        publisher.try_publish("x").unwrap().wait_timeout(Duration::MAX).unwrap();
        connection.open_within(Duration::MAX).unwrap();
        let consumer = connection.consumer(&queue).give_up_after(Duration::MAX).build().unwrap();
        assert!(consumer.messages().unwrap().timeout(Duration::MAX).take(1).all(|message| message.unwrap().ack().is_ok()));
        let stop = consumer.stop_handle();
        let workers = consumer.workers(1).spawn(move |_: String, _message: &Message| stop.stop()).unwrap();
        workers.join_timeout(Duration::MAX).unwrap().unwrap();
        let workers = connection.consumer(&queue).build().unwrap().workers(1).spawn(|_: String, _message: &Message| ()).unwrap();
        workers.stop(Duration::MAX).unwrap();
    }

    #[without_activemq("auto_delete")]
    fn auto_delete_queue_is_declared_again_for_each_run(connection: &Connection) {
        let queue = Queue::new(unique("queue")).auto_delete();
        let consumer = connection.consumer(&queue).build().unwrap();
        let publisher = connection.publisher().routing_key(&queue.name).build().unwrap();
        for _ in 0..4 {
            // The queue was deleted with the last run, and one call fails over that.
            let started = consumer.messages().or_else(|error| {
                assert!(matches!(error, Error::NotFound { .. }), "{error}");
                consumer.messages()
            });
            let mut messages = started.unwrap().timeout(SOON);
            publisher.send("x").unwrap();
            messages.next().unwrap().unwrap().ack().unwrap();
        }
    }
}
