//! A table of exchanges whose last definition was deleted.

use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{Backend, ChannelOptions, Connector, Declare, Delete, DeleteIf};
use carrot_core::{Exchange, Queue};

use crate::process::{OwnBroker, SOON};

const QUEUES: u32 = 10;
/// Less than the time that all declarations take if each waits for another table.
const TOGETHER: Duration = Duration::from_millis(500).saturating_mul(QUEUES / 2);

fn declare_queues(channel: &dyn Backend, prefix: &str) {
    let started = Instant::now();
    for number in 0..QUEUES {
        let queue = Queue::new(format!("{prefix}.{number}"));
        channel.declare(Declare::Queue(&queue), SOON).unwrap();
    }
    assert!(started.elapsed() < TOGETHER, "{prefix}: {:?}", started.elapsed());
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn queues_are_declared_without_a_wait_for_other_tables() {
    let broker = OwnBroker::start(&[]);
    let connector = ActiveMqConnector::new(&broker.options()).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    channel.declare(Declare::Exchange(&Exchange::fanout("only")), SOON).unwrap();
    declare_queues(&*channel, "beside");
    let deletion = Delete::Exchange { name: "only", condition: DeleteIf::ALWAYS };
    channel.delete(deletion, SOON).unwrap();
    declare_queues(&*channel, "after");
}
