//! Servers that are no Carrot, or hostile.

use std::thread;

use carrot::call::Answer;
use carrot::message::{Properties, Value};
use carrot::{Connection, Error, Queue, Result};

use super::caller;
use crate::support::{SOON, next, queue};

/// The body of an answer, and the change of its properties.
type RawAnswer<'a> = (&'a str, fn(Properties) -> Properties);

/// Answers one call with several messages. Returns the result of the call.
fn answered_with(connection: &Connection, answers: &[RawAnswer<'_>]) -> Result<Answer> {
    let queue = queue();
    let consumer = connection.consumer(queue.clone()).build().unwrap();
    let caller = caller(connection, &queue);
    let call = thread::spawn(move || caller.call_message("question", SOON));
    let request = next(&consumer);
    let publisher = connection.publisher().not_mandatory().build().unwrap();
    for (body, change) in answers {
        let properties = request.properties();
        publisher
            .message()
            .routing_key(properties.reply_to().unwrap())
            .correlation_id(properties.correlation_id().unwrap())
            .properties(change)
            .send_bytes(*body)
            .unwrap();
    }
    request.ack().unwrap();
    call.join().unwrap()
}

fn same(properties: Properties) -> Properties {
    properties
}

on_both_backends! {
    fn first_answer_with_the_id_of_the_call_counts(connection: &Connection) {
        let reply = answered_with(
            connection,
            &[
                ("of another call", |with| with.with_correlation_id("unknown")),
                ("of no call", |_| Properties::new()),
                ("of a longer id", |with| {
                    let id = format!("{}x", with.correlation_id().unwrap());
                    with.with_correlation_id(id)
                }),
                ("\"first\"", same),
                ("\"second\"", same),
            ],
        );
        assert_eq!(reply.unwrap().decode::<String>().unwrap(), "first");
    }

    fn answer_without_content_type_has_the_codec_of_the_request(connection: &Connection) {
        let reply = answered_with(connection, &[("832040", same)]).unwrap();
        assert_eq!(reply.decode::<u64>().unwrap(), 832_040);
        assert_eq!((reply.text(), reply.headers()), (Some("832040"), None));
    }

    fn hostile_answer_is_an_error_of_a_known_form(connection: &Connection) {
        let error = answered_with(
            connection,
            &[("1", |with| {
                with.with_header("carrot-error-kind", vec![Value::from(1)])
                    .with_header("carrot-error", 7)
            })],
        );
        let error = error.unwrap_err();
        assert!(
            matches!(&error, Error::Remote { kind, message } if kind == "unknown" && message.is_empty()),
            "{error:?}"
        );

        let error = answered_with(
            connection,
            &[("1", |with| {
                with.with_header("carrot-error-kind", "k\n".repeat(1000))
                    .with_header("carrot-error", "\u{1b}".repeat(10_000))
            })],
        );
        let Err(Error::Remote { kind, message }) = error else { panic!("{error:?}") };
        assert!(kind.len() < 120 && kind.starts_with("k\\nk"), "{kind}");
        assert!(message.len() < 1020 && message.starts_with("\\u{1b}"), "{message}");

        let reply = answered_with(
            connection,
            &[("\"x\"", |with| with.with_header("compression", 3).with_content_encoding("gzip"))],
        );
        let error = reply.unwrap().decode::<String>().unwrap_err();
        assert!(matches!(error, Error::Inflate { .. }), "{error:?}");
    }

    fn server_echoes_any_correlation_id(connection: &Connection) {
        let (requests, answers) = (queue(), Queue::server_named());
        let _server = super::serve_increments(connection, &requests);
        let inbox = connection.consumer(answers).build().unwrap();
        let publisher = connection.publisher().routing_key(&*requests.name).build().unwrap();
        let foreign = carrot::message::ShortString::from_octets(b"caf\xe9");
        publisher
            .message()
            .reply_to(inbox.queue().unwrap())
            .correlation_id(&foreign)
            .send(&41)
            .unwrap();
        let answer = next(&inbox);
        assert_eq!(answer.properties().short_strings()[2], Some(&foreign));
        assert_eq!(answer.decode::<u64>().unwrap(), 42);
        answer.ack().unwrap();
    }
}
