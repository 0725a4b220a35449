//! Compressed bodies, from publishers to consumers.

use std::sync::mpsc;

use carrot::{
    Codec, Consumer, Error, Message, Publisher, Queue,
    codec::{Codecs, Compression},
    consume::Retry,
};

use crate::support::{SOON, eventually, next, passing, queue, ready, unique};

/// A body that is worth its compression.
fn long_text() -> String {
    "all work and no play makes a short body. ".repeat(500)
}

fn compressions() -> [Compression; 5] {
    [
        Compression::gzip(),
        Compression::zlib(),
        Compression::zstd(),
        Compression::bzip2(),
        Compression::brotli(),
    ]
}

fn header(message: &Message) -> Option<&str> {
    message.header("compression").and_then(|value| value.as_str())
}

/// A body of a few kilobytes that inflates to 4 MiB.
fn bomb() -> Vec<u8> {
    Codec::raw().compressed(Compression::gzip()).encode(&vec![0_u8; 4 << 20]).unwrap()
}

fn send_bomb(publisher: &Publisher) {
    let encoding = |properties: carrot::message::Properties| {
        properties.with_content_type("text/plain").with_content_encoding("gzip")
    };
    publisher.message().properties(encoding).send_bytes(bomb()).unwrap();
}

on_both_backends! {
    fn publisher_compresses_and_consumer_inflates(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        for compression in compressions() {
            let publisher =
                connection.publisher().queue(&queue).compress(compression).build().unwrap();
            publisher.send(&long_text()).unwrap();
            let message = next(&consumer);
            assert!(header(&message).is_some_and(|name| name.starts_with("application/")));
            assert_eq!(message.properties().content_encoding(), Some("utf-8"));
            assert!(message.body().len() < 1000, "{compression:?}");
            for _ in 0..2 {
                assert_eq!(message.decode::<String>().unwrap(), long_text());
            }
            let json = format!("{:?}", long_text());
            assert_eq!(&*message.inflated_body().unwrap(), json.as_bytes());
            message.ack().unwrap();

            publisher.send("short").unwrap();
            publisher.message().compress(None).send(&long_text()).unwrap();
            for _ in 0..2 {
                let message = next(&consumer);
                assert_eq!(header(&message), None);
                assert_eq!(&*message.inflated_body().unwrap(), message.body());
                message.ack().unwrap();
            }
        }
    }

    fn each_way_of_sending_compresses(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        let compression = Compression::gzip().at_least(0);
        let publisher = connection.publisher().queue(&queue).compress(compression).build().unwrap();
        let plain = connection.publisher().queue(&queue).build().unwrap();
        let text = long_text();
        publisher.send_all([&text]).unwrap();
        publisher.publish(&text).unwrap().wait().unwrap();
        publisher.try_publish(&text).unwrap().wait().unwrap();
        plain.message().compress(compression).send(&text).unwrap();
        for _ in 0..4 {
            let message = next(&consumer);
            assert_eq!(header(&message), Some("application/x-gzip"));
            assert_eq!(message.decode::<String>().unwrap(), text);
            message.ack().unwrap();
        }
        publisher.message().send_bytes(&text).unwrap();
        publisher.message().publish_bytes(text.as_bytes()).unwrap().wait().unwrap();
        for _ in 0..2 {
            let message = next(&consumer);
            assert_eq!(header(&message), Some("application/x-gzip"));
            assert_eq!(&*message.inflated_body().unwrap(), text.as_bytes());
            // What was compressed before is sent on unchanged.
            let properties = message.properties().clone();
            publisher.message().properties(|_| properties).send_bytes(message.body()).unwrap();
            let again = next(&consumer);
            assert_eq!(again.body(), message.body());
            assert_eq!(&*again.inflated_body().unwrap(), text.as_bytes());
            message.ack().unwrap();
            again.ack().unwrap();
        }
    }

    fn compressed_codec_names_its_compression_in_the_content_encoding(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).build().unwrap();
        for (compression, encoding) in
            compressions().into_iter().zip(["gzip", "deflate", "zstd", "bzip2", "br"])
        {
            for codec in [Codec::json(), Codec::text(), Codec::raw(), Codec::message_pack()] {
                let codec = codec.compressed(compression);
                let publisher = connection.publisher().queue(&queue).codec(&codec).build().unwrap();
                publisher.send(&long_text()).unwrap();
                publisher
                    .message()
                    .properties(|properties| properties.with_content_type(codec.content_type()))
                    .send(&long_text())
                    .unwrap();
                for _ in 0..2 {
                    let message = next(&consumer);
                    assert_eq!(header(&message), None);
                    assert_eq!(message.properties().content_encoding(), Some(encoding));
                    assert_eq!(message.properties().content_type(), Some(codec.content_type()));
                    assert_eq!(message.decode::<String>().unwrap(), long_text());
                    message.ack().unwrap();
                }
            }
        }
    }

    fn bomb_is_refused_and_parked_unchanged(connection: &Connection) {
        let (queue, parking) = (queue(), unique("parking"));
        let expiring = passing(&*parking);
        connection.declare_queue(expiring).unwrap();
        let consumer = connection
            .consumer(&queue)
            .max_inflated_bytes(1 << 20)
            .retry(Retry::never())
            .park(&*parking)
            .build()
            .unwrap();
        let (sender, handled) = mpsc::channel();
        let workers = consumer
            .workers(1)
            .spawn(move |text: String, _: &Message| sender.send(text).unwrap())
            .unwrap();
        let publisher = connection.publisher().queue(&queue).codec(Codec::text()).build().unwrap();
        send_bomb(&publisher);
        publisher.message().compress(Compression::zstd()).send(&long_text()).unwrap();
        assert_eq!(handled.recv_timeout(SOON).unwrap(), long_text());
        eventually("the bomb is parked", || ready(connection, &parking) == 1);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.undecodable, report.acknowledged), (1, 1), "{report:?}");

        let parked = next(&connection.consumer(Queue::existing(&*parking)).max_inflated_bytes(1000).build().unwrap());
        assert_eq!(parked.body(), bomb());
        assert_eq!(parked.properties().content_encoding(), Some("gzip"));
        let reason = parked.header("carrot-error").and_then(|value| value.as_str()).unwrap();
        assert!(reason.contains("inflates to more than 1048576 bytes"), "{reason}");
        let error = parked.decode::<String>().unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 1000, .. }), "{error}");
        assert!(matches!(parked.inflated_body(), Err(Error::TooLarge { .. })));
        parked.ack().unwrap();
    }

    fn retried_and_forwarded_message_stays_compressed(connection: &Connection) {
        let (queue, parking) = (queue(), unique("parking"));
        let expiring = passing(&*parking);
        connection.declare_queue(expiring).unwrap();
        let failing = || -> Consumer {
            connection.consumer(&queue).retry(Retry::never()).park(&*parking).build().unwrap()
        };
        let workers = failing()
            .workers(1)
            .spawn(|_: String, _: &Message| Err::<(), _>("always fails"))
            .unwrap();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.message().compress(Compression::brotli()).send(&long_text()).unwrap();
        eventually("the message is parked", || ready(connection, &parking) == 1);
        workers.stop(SOON).unwrap();
        next(&connection.consumer(Queue::existing(&*parking)).build().unwrap()).forward().unwrap();
        let message = next(&failing());
        assert_eq!(header(&message), Some("application/x-brotli"));
        assert!(message.body().len() < 1000);
        assert_eq!(message.decode::<String>().unwrap(), long_text());
        message.ack().unwrap();
    }

    fn call_inflates_requests_and_answers_within_the_limit(connection: &Connection) {
        let requests = queue();
        let codec = Codec::json().compressed(Compression::gzip());
        let server =
            connection.consumer(&requests).codecs(Codecs::only(&codec)).build().unwrap();
        let server = server
            .serve(1, |times: u32| Ok::<_, String>("x".repeat(times as usize)))
            .unwrap();
        let caller = connection
            .caller(&*requests.name)
            .codec(&codec)
            .max_inflated_bytes(100_000)
            .build()
            .unwrap();
        let answer = caller.call_message(&90_000, SOON).unwrap();
        assert_eq!(answer.properties().content_encoding(), Some("gzip"));
        assert!(answer.body().len() < 1000);
        assert_eq!(answer.decode::<String>().unwrap().len(), 90_000);
        assert_eq!(answer.inflated_body().unwrap().len(), 90_002);
        let error = caller.call::<_, String>(&100_000, SOON).unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 100_000, .. }), "{error}");

        let plain = connection.caller(&*requests.name).build().unwrap();
        assert_eq!(plain.call::<_, String>(&3, SOON).unwrap(), "xxx");
        server.stop(SOON).unwrap();
    }

    fn damaged_or_unknown_compression_fails_the_message(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).codecs(Codecs::only(Codec::raw())).build().unwrap();
        let publisher = connection.publisher().queue(&queue).codec(Codec::raw()).build().unwrap();
        for name in ["application/x-gzip", "application/x-lzma", "a compression of its own"] {
            publisher.message().header("compression", name).send(&[31_u8, 139, 8][..]).unwrap();
            let message = next(&consumer);
            let error = message.decode::<Vec<u8>>().unwrap_err();
            assert!(matches!(error, Error::Inflate { .. }), "{error}");
            assert_eq!(message.body(), [31, 139, 8]);
            message.ack().unwrap();
        }
    }
}
