//! Errors of servers, and answers that are none.

use std::time::Duration;

use carrot::call::{CallerDefinition, RemoteError};
use carrot::{ConnectionOptions, Error};

use super::caller;
use crate::support::{SOON, eventually, queue, ready};

/// Fails as its number says.
fn fail(number: u32) -> Result<u32, RemoteError> {
    match number {
        0 => Ok(0),
        1 => Err(RemoteError::new("unknown-pair", "no rate\nof XXX")),
        2 => Ok("many".parse::<u32>()?),
        3 => panic!("three\u{1b}[31m"),
        _ => Err(RemoteError::new("long", "x".repeat(100_000))),
    }
}

#[track_caller]
fn assert_remote(error: Error, expected_kind: &str, expected_text: &str) {
    assert!(!error.is_retryable());
    let Error::Remote { kind, message } = error else { panic!("{error:?}") };
    assert_eq!(kind, expected_kind);
    assert!(message.contains(expected_text), "{message}");
    assert!(message.len() < 1020, "{} bytes", message.len());
}

on_both_backends! {
    fn errors_and_panics_of_a_handler_reach_the_caller(connection: &Connection) {
        let queue = queue();
        let server = connection.consumer(queue.clone()).build().unwrap().serve(1, fail).unwrap();
        let caller = caller(connection, &queue);
        let error = |number: u32| caller.call::<_, u32>(&number, SOON).unwrap_err();
        assert_remote(error(1), "unknown-pair", "no rate\\nof XXX");
        assert_remote(error(2), "handler", "invalid digit");
        assert_remote(error(3), "panic", "three\\u{1b}[31m");
        assert_remote(error(4), "long", "xxx... (cut)");
        assert_eq!(caller.call::<_, u32>(&0, SOON).unwrap(), 0);
        let report = server.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.failed, report.retried), (5, 4, 0));
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn request_that_cannot_be_decoded_is_answered_with_an_error(connection: &Connection) {
        let queue = queue();
        let server = connection.consumer(queue.clone()).build().unwrap().serve(1, fail).unwrap();
        let caller = caller(connection, &queue);
        assert_remote(caller.call::<_, u32>("text", SOON).unwrap_err(), "decode", "invalid type");
        let typed = caller.request().properties(|with| with.with_content_type("image/png"));
        assert_remote(typed.call_bytes("x", SOON).unwrap_err(), "decode", "image/png");
        let report = server.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.undecodable, report.failed), (2, 2, 0));
    }

    fn answer_that_cannot_be_decoded_is_an_error_of_decoding(connection: &Connection) {
        let queue = queue();
        let _server = connection.consumer(queue.clone()).build().unwrap().serve(1, fail).unwrap();
        let caller = caller(connection, &queue);
        let error = caller.call::<_, String>(&0, SOON).unwrap_err();
        assert!(matches!(error, Error::Decode { .. }), "{error:?}");
        assert_eq!(caller.call::<_, u32>(&0, SOON).unwrap(), 0);
    }

    fn answer_that_cannot_be_encoded_is_answered_with_an_error(connection: &Connection) {
        let queue = queue();
        let encode = |_: u32| Ok::<_, Error>(std::collections::HashMap::from([(vec![1], 1)]));
        let _server = connection.consumer(queue.clone()).build().unwrap().serve(1, encode).unwrap();
        let caller = caller(connection, &queue);
        let error = caller.call::<_, u32>(&0, SOON).unwrap_err();
        assert_remote(error, "encode", "could not encode the value as application/json");
    }

    fn call_that_is_invalid_sends_nothing(connection: &Connection) {
        let queue = queue();
        connection.declare_queue(queue.clone()).unwrap();
        let caller = caller(connection, &queue);
        let invalid = [
            caller.call::<_, u32>(&0, Duration::ZERO),
            caller.request().routing_key("x".repeat(256)).call(&0, SOON),
            caller.request().properties(|with| with.with_user_id("x".repeat(256))).call(&0, SOON),
            CallerDefinition::new("").open(connection).and_then(|caller| caller.call(&0, SOON)),
        ];
        for error in invalid.map(Result::unwrap_err) {
            assert!(matches!(error, Error::Invalid { .. }), "{error:?}");
        }
        let keyed = std::collections::HashMap::from([(vec![1], 1)]);
        let error = caller.call::<_, u32>(&keyed, SOON).unwrap_err();
        assert!(matches!(error, Error::Encode { .. }), "{error:?}");
        assert_eq!(ready(connection, &queue.name), 0);
    }

    #[differs_on_activemq(user_ids_are_not_checked)]
    fn request_that_the_broker_refuses_fails_alone(connection: &Connection) {
        let queue = queue();
        let _server = connection.consumer(queue.clone()).build().unwrap().serve(1, fail).unwrap();
        let caller = caller(connection, &queue);
        let foreign = caller.request().properties(|with| with.with_user_id("another"));
        let error = foreign.call::<_, u32>(&0, SOON).unwrap_err();
        assert!(matches!(error, Error::PreconditionFailed { .. }), "{error:?}");
        assert_eq!(caller.call::<_, u32>(&0, SOON).unwrap(), 0);
    }
}

#[test]
fn answer_that_is_too_large_is_answered_with_an_error() {
    let name = crate::support::unique("broker");
    let small = carrot::connect(ConnectionOptions::memory_named(&*name).max_message_size(2000));
    let connection = carrot::connect(ConnectionOptions::memory_named(&*name)).unwrap();
    let queue = queue();
    let repeat = |times: usize| Ok::<_, Error>("x".repeat(times));
    let server = small.unwrap().consumer(queue.clone()).build().unwrap().serve(1, repeat).unwrap();
    let caller = caller(&connection, &queue);
    let error = caller.call::<_, String>(&3000, SOON).unwrap_err();
    assert_remote(error, "encode", "max_message_size");
    assert_eq!(caller.call::<_, String>(&3, SOON).unwrap(), "xxx");
    eventually("the report", || server.report().acknowledged == 2);
}
