use carrot::{Codec, Error, ExchangeKind, codec::Codecs};

use crate::support::{eventually, exchange, next, queue, ready};

on_both_backends! {
    fn message_acknowledged_leaves_the_queue(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        consumer.fetch().unwrap().unwrap().ack().unwrap();
        consumer.close().unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn message_dropped_is_redelivered(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        drop(consumer.fetch().unwrap().unwrap());
        let again = next(&consumer);
        assert!(again.is_redelivered());
        again.ack().unwrap();
    }

    #[differs_on_activemq(requeued_messages_return_to_the_head)]
    fn message_requeued_keeps_its_place(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..3).unwrap();
        let first = consumer.fetch().unwrap().unwrap();
        let second = consumer.fetch().unwrap().unwrap();
        second.requeue().unwrap();
        first.requeue().unwrap();
        let order: Vec<u32> = consumer.fetch_all().take(3).map(|message| {
            let message = message.unwrap();
            let number = message.decode().unwrap();
            message.ack().unwrap();
            number
        }).collect();
        assert_eq!(order, [0, 1, 2]);
    }

    fn message_rejected_goes_to_dead_letter_exchange(connection: &Connection) {
        let dead = exchange(ExchangeKind::Fanout);
        let queue = queue().dead_letter_exchange(&*dead.name);
        let graveyard = connection.consumer(crate::support::queue()).exchange(&dead).build().unwrap();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();

        consumer.fetch().unwrap().unwrap().reject().unwrap();

        let message = next(&graveyard);
        assert_eq!(message.decode::<String>().unwrap(), "x");
        let deaths = message.header("x-death").and_then(carrot::message::Value::as_array).unwrap();
        assert_eq!(deaths[0].as_table().unwrap().get("reason").and_then(carrot::message::Value::as_str), Some("rejected"));
        message.ack().unwrap();
    }

    fn message_of_closed_consumer_is_stale_and_redelivered(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        let message = consumer.fetch().unwrap().unwrap();
        consumer.close().unwrap();
        let error = message.ack().unwrap_err();
        assert!(matches!(error, Error::Stale { .. }), "{error}");
        let again = connection.consumer(&queue).build().unwrap();
        assert!(next(&again).is_redelivered());
    }

    fn message_outlives_dropped_consumer(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("x").unwrap();
        let message = consumer.fetch().unwrap().unwrap();
        drop(consumer);
        message.ack().unwrap();
        assert!(connection.consumer(&queue).build().unwrap().fetch().unwrap().is_none());
    }

    fn message_is_settled_from_any_thread(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..10).unwrap();
        let messages: Vec<_> = consumer.messages().unwrap().take(10).map(Result::unwrap).collect();
        let threads: Vec<_> = messages.into_iter().rev().map(|message| std::thread::spawn(move || message.ack())).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        consumer.close().unwrap();
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn undecodable_message_can_still_be_settled(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).codecs(Codecs::default().with(Codec::bincode())).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        publisher.message().send_bytes("{not json").unwrap();
        publisher.message().properties(|properties| properties.with_content_type("application/x-bincode"))
            .send_bytes(vec![255, 255, 255, 255, 255, 255, 255, 127, b'x']).unwrap();
        publisher.message().properties(|properties| properties.with_content_type("image/png")).send_bytes("x").unwrap();

        let json = consumer.fetch().unwrap().unwrap();
        assert!(matches!(json.decode::<String>(), Err(Error::Decode { .. })));
        json.ack().unwrap();
        let bincode = consumer.fetch().unwrap().unwrap();
        assert!(matches!(bincode.decode::<Vec<u8>>(), Err(Error::Decode { .. })));
        assert!(matches!(bincode.decode::<String>(), Err(Error::Decode { .. })));
        bincode.ack().unwrap();
        let unknown = consumer.fetch().unwrap().unwrap();
        let error = unknown.decode::<String>().unwrap_err();
        assert!(matches!(&error, Error::ContentType { content_type, .. } if content_type == "image/png"), "{error}");
        unknown.ack().unwrap();
        eventually("the queue is empty", || consumer.fetch().unwrap().is_none());
    }

    fn content_type_selects_the_decoder(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).codecs(Codecs::default().with(Codec::bincode())).build().unwrap();
        for codec in [Codec::json(), Codec::text(), Codec::bincode()] {
            connection.publisher().routing_key(&*queue.name).codec(codec).build().unwrap().send("the same").unwrap();
        }
        connection.publisher().routing_key(&*queue.name).codec(Codec::raw()).build().unwrap().send(&b"bytes"[..]).unwrap();
        for _ in 0..3 {
            let message = consumer.fetch().unwrap().unwrap();
            assert_eq!(message.decode::<String>().unwrap(), "the same");
            message.ack().unwrap();
        }
        let raw = consumer.fetch().unwrap().unwrap();
        assert_eq!((raw.decode::<Vec<u8>>().unwrap(), raw.text()), (b"bytes".to_vec(), Some("bytes")));
        raw.ack().unwrap();
    }

    fn bincode_is_decoded_only_when_accepted(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        connection.publisher().routing_key(&*queue.name).codec(Codec::bincode()).build().unwrap().send("x").unwrap();
        let message = consumer.fetch().unwrap().unwrap();
        assert!(matches!(message.decode::<String>(), Err(Error::ContentType { .. })));
        message.ack().unwrap();
    }

    fn consumer_codecs_restrict_content_types(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).codecs(Codecs::only(Codec::json())).build().unwrap();
        connection.publisher().routing_key(&*queue.name).codec(Codec::text()).build().unwrap().send("x").unwrap();
        let message = consumer.fetch().unwrap().unwrap();
        assert!(matches!(message.decode::<String>(), Err(Error::ContentType { .. })));
        message.ack().unwrap();
    }
}
