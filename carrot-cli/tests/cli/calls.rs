//! `carrot rpc`.

use carrot::call::RemoteError;

use crate::support::{TestBroker, on_each_broker};

on_each_broker! {
    call_prints_the_answer
    call_without_an_answer_ends_in_time
}

fn call_prints_the_answer(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let connection = carrot::connect(broker.url.as_str()).unwrap();
    let consumer = connection.consumer(carrot::Queue::existing(&queue)).build().unwrap();
    let servers = consumer
        .serve(1, |text: String| match text.as_str() {
            "bad" => Err(RemoteError::new("unknown-word", "no such word")),
            word => Ok(word.to_uppercase()),
        })
        .unwrap();
    let printed = broker.ok(&["rpc", &queue, "\"word\"", "--content-type", "application/json"]);
    assert_eq!(printed, "\"WORD\"\n");
    let arguments = ["rpc", &queue, "\"word\"", "--content-type", "application/json", "--json"];
    let record: serde_json::Value = serde_json::from_str(&broker.ok(&arguments)).unwrap();
    assert_eq!(record["body"], "\"WORD\"");
    let ran = broker.run(&["rpc", &queue, "\"bad\"", "--content-type", "application/json"], "");
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.errors.contains("unknown-word"), "{ran:?}");
    servers.stop(crate::support::LONG).unwrap();
}

fn call_without_an_answer_ends_in_time(broker: &TestBroker) {
    let queue = broker.queue(&[]);
    let ran = broker.run(&["rpc", &queue, "hello", "--wait", "0.3"], "");
    assert_eq!(ran.code, 7, "{ran:?}");
    let ran = broker.run(&["rpc", &broker.name(), "hello"], "");
    assert_eq!(ran.code, 6, "{ran:?}");
}
