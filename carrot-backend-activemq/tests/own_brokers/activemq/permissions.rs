//! Users who may use the queue with the table of exchanges and not its topic, or the reverse.

use std::sync::Arc;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{Backend, ChannelOptions, Connector, Declare, Delete, DeleteIf};
use carrot_core::{ConnectionOptions, Error, Exchange, Queue, Result};

use crate::process::{OwnBroker, SOON};

const TABLE: &str = "carrot.routing";
const CHANGES: &str = "carrot.routing.changes";

fn open(options: &ConnectionOptions) -> Arc<dyn Backend> {
    let connector = ActiveMqConnector::new(options).unwrap();
    connector.open(&ChannelOptions::publish(), SOON).unwrap()
}

fn declare(channel: &dyn Backend, exchange: &str) -> Result<()> {
    channel.declare(Declare::Exchange(&Exchange::fanout(exchange)), SOON).map(drop)
}

/// Checks a user with all permissions but to write to `forbidden`.
fn check(forbidden: &str) {
    let broker = OwnBroker::start(&[]);
    let entry = |kind: &str, name: &str| {
        let write = if name == forbidden { "users" } else { "users,limited" };
        format!(
            "<authorizationEntry {kind}=\"{name}\" read=\"users,limited\" write=\"{write}\" \
             admin=\"users,limited\"/>"
        )
    };
    let end = "</authorizationEntries>";
    let entries = [entry("queue", TABLE), entry("topic", CHANGES)].concat();
    broker.configure(end, &format!("{entries}{end}"));
    declare(&*open(&broker.options()), "present").unwrap();
    let limited = open(&broker.limited_options());
    // The user may read.
    let passive = Exchange::existing("present");
    limited.declare(Declare::Exchange(&passive), SOON).unwrap();
    let error = declare(&*limited, "refused").unwrap_err();
    println!("without {forbidden}: {error}");
    assert!(matches!(error, Error::AccessRefused { .. }), "{error:?}");
    assert!(error.to_string().contains("write to: "), "{error}");
    assert!(error.to_string().contains(forbidden), "{error}");
    // The table is as it was, and others change it.
    let other = open(&broker.options());
    other.declare(Declare::Exchange(&passive), SOON).unwrap();
    declare(&*other, "later").unwrap();
    let missing = other.declare(Declare::Exchange(&Exchange::existing("refused")), SOON);
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
    // Queues without settings need no table.
    let limited = open(&broker.limited_options());
    limited.declare(Declare::Queue(&Queue::new("limited.plain")), SOON).unwrap();
    let deletion = Delete::Queue { name: "limited.plain", condition: DeleteIf::ALWAYS };
    limited.delete(deletion, SOON).unwrap();
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn missing_permission_to_write_the_topic_is_named() {
    check(CHANGES);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn missing_permission_to_write_the_queue_is_named() {
    check(TABLE);
}
