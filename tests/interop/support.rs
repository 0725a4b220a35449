use std::time::Duration;

use carrot::{Connection, Consumer, Message};

/// Long enough for a program to start and to answer.
pub(crate) const SOON: Duration = Duration::from_secs(30);

/// The URL of the broker.
pub(crate) fn url() -> String {
    std::env::var("CARROT_TEST_AMQP_URL")
        .expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one")
}

pub(crate) fn connect() -> Connection {
    carrot::connect(url()).unwrap()
}

/// A name that no other test and no other run uses.
pub(crate) fn unique(name: &str) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("carrot-interop-{name}-{}-{}", std::process::id(), now.as_nanos())
}

/// Returns the next messages of a consumer, unsettled.
#[track_caller]
pub(crate) fn receive(consumer: &Consumer, messages: usize) -> Vec<Message> {
    let received: Vec<Message> =
        consumer.messages().unwrap().timeout(SOON).take(messages).map(Result::unwrap).collect();
    assert_eq!(received.len(), messages, "messages within {SOON:?}");
    received
}
