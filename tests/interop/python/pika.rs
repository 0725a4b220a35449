//! The client and the server of pika's tutorial about remote procedure calls.

use std::thread;

use carrot::Queue;
use carrot::call::RemoteError;

use crate::support::{Broker, SOON, unique};

on_both_brokers! {
    carrot_calls_the_server_of_pika,
    client_of_pika_calls_carrot,
}

fn fibonacci(number: u64) -> Result<u64, RemoteError> {
    if number > 90 {
        return Err(RemoteError::new("too-large", format!("{number} > 90")));
    }
    Ok((0..number).fold((0, 1), |(one, next), _| (next, one + next)).0)
}

fn carrot_calls_the_server_of_pika(broker: &Broker) {
    let queue = unique("pika-server");
    let server = broker.python("pika_rpc_server", &[&queue]);
    assert_eq!(server.line(), "ready");

    let connection = broker.connect();
    let caller = connection.caller(&*queue).build().unwrap();
    assert_eq!(caller.call::<u64, u64>(&30, SOON).unwrap(), 832_040);
    let reply = caller.call_bytes("7", SOON).unwrap();
    assert_eq!((reply.text(), reply.properties().content_type()), (Some("13"), None));

    thread::scope(|scope| {
        for start in 0..4 {
            let caller = &caller;
            scope.spawn(move || {
                for number in start..start + 10 {
                    let answer: u64 = caller.call(&number, SOON).unwrap();
                    assert_eq!(answer, fibonacci(number).unwrap());
                }
            });
        }
    });
}

fn client_of_pika_calls_carrot(broker: &Broker) {
    let connection = broker.connect();
    for reply_to in ["exclusive", "direct"] {
        let queue = Queue::new(unique("pika-client")).auto_delete();
        let consumer = connection.consumer(&queue).prefetch(1).build().unwrap();
        let server = consumer.serve(1, fibonacci).unwrap();

        let client =
            broker.python("pika_rpc_client", &[&queue.name, reply_to, "30", "7", "x", "91"]);
        assert_eq!(client.line(), "832040");
        assert_eq!(client.line(), "13");
        let undecodable = client.line();
        assert!(undecodable.starts_with("error decode: "), "{undecodable}");
        assert_eq!(client.line(), "error too-large: 91 > 90");

        let report = server.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.undecodable, report.failed), (4, 1, 1));
    }
}
