//! A broker that is killed while messages wait.

use std::time::{Duration, Instant};

use carrot::Queue;
use carrot_faults::BrokerNode;

use crate::support::next;

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn confirmed_delayed_messages_survive_a_kill_of_the_broker() {
    let node = BrokerNode::start().unwrap();
    let connection = carrot::connect(node.options()).unwrap();
    let publisher = connection.publisher().queue(Queue::new("orders").quorum()).build().unwrap();
    let started = Instant::now();
    for seconds in [5, 40] {
        publisher.message().delay(Duration::from_secs(seconds)).send(&seconds).unwrap();
    }
    node.kill().unwrap();
    node.restart().unwrap();
    let consumer = connection.consumer(Queue::existing("orders")).build().unwrap();
    for seconds in [5, 40] {
        let mut messages = consumer.messages().unwrap().timeout(Duration::from_secs(120));
        let message = messages.next().expect("the delayed message").unwrap();
        assert_eq!(message.decode::<u64>().unwrap(), seconds);
        assert!(started.elapsed() >= Duration::from_secs(seconds));
        message.ack().unwrap();
    }
    // The connection and its waiting queues are usable.
    publisher.message().delay(Duration::from_secs(1)).send(&1).unwrap();
    assert_eq!(next(&consumer).decode::<u64>().unwrap(), 1);
}
