//! Brokers that refuse a transaction.

use std::io::Write;
use std::sync::{Arc, mpsc};

use carrot_core::backend::{ChannelOptions, Connector, Content, Outcome, Publication};
use carrot_core::{Properties, Value};

use crate::scripted::{CONSUMER_INFO, advisory};
use crate::support::{FakeBroker, SOON, TRANSACTION_INFO, exception};

const COMMIT: u8 = 2;
const ROLLBACK: u8 = 4;

/// Publishes a message to two queues, and the broker refuses the commit. Returns the outcome with
/// confirms, after the client has rolled back.
fn publish(confirms: bool) -> Option<Outcome> {
    let (rolled_back, rollbacks) = mpsc::channel();
    let broker = FakeBroker::answering(move |socket, client| {
        match client.kind {
            CONSUMER_INFO if client.consumer().0 == -1 => {
                let _ = socket.write_all(&[advisory("one"), advisory("other")].concat());
            }
            TRANSACTION_INFO if client.last() == COMMIT => {
                let class = "javax.transaction.xa.XAException";
                let _ = socket.write_all(&exception(client.id, class, "rollback only"));
                return client.needs_answer;
            }
            TRANSACTION_INFO if client.last() == ROLLBACK => rolled_back.send(()).unwrap(),
            _ => {}
        }
        true
    });
    let connector = carrot_backend_activemq::ActiveMqConnector::new(&broker.options()).unwrap();
    let mut options = ChannelOptions::publish();
    options.confirms = confirms;
    let channel = connector.open(&options, SOON).unwrap();
    let copies = Value::from(vec![Value::from("other")]);
    let properties = Properties::new().with_header("CC", copies);
    let content = Arc::new(Content::new("", "one", "x").with_properties(properties));
    let tag = channel.publish(&Publication::new(&content), SOON).unwrap();
    let outcome = confirms.then(|| channel.confirm(tag, SOON).unwrap());
    rollbacks.recv_timeout(SOON).unwrap();
    outcome
}

#[test]
fn refused_commit_is_rolled_back() {
    assert_eq!(publish(true), Some(Outcome::Refused));
    assert_eq!(publish(false), None);
}
