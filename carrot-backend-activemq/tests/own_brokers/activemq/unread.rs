//! Clients that stop reading, beside others.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Outcome,
    Publication,
};
use carrot_core::{Binding, ConnectionOptions, Exchange, Queue};
use carrot_faults::{Direction, Forwarding, Proxy};

use crate::process::{OwnBroker, SOON};

const QUEUE: &str = "unread";
/// More octets than the sockets between the broker and a client hold.
const MESSAGES: usize = 400;
const BODY: usize = 100_000;
/// Shorter than the time after which the broker removes a client that does not read.
const CALL_TIMEOUT: Duration = Duration::from_secs(15);

fn open(options: &ConnectionOptions) -> Arc<dyn Backend> {
    let connector = ActiveMqConnector::new(options).unwrap();
    connector.open(&ChannelOptions::publish(), CALL_TIMEOUT).unwrap()
}

fn publish(channel: &dyn Backend, count: usize) {
    let content = Arc::new(Content::new("", QUEUE, vec![0; BODY]));
    let tags: Vec<_> = (0..count)
        .map(|_| channel.publish(&Publication::new(&content), CALL_TIMEOUT).unwrap())
        .collect();
    for tag in tags {
        assert_eq!(channel.confirm(tag, SOON).unwrap(), Outcome::Accepted);
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn client_that_does_not_read_delays_no_other_client() {
    let broker = OwnBroker::start(&[]);
    // No keep-alive finds the client in the time of this test.
    let options = broker.options().heartbeat(SOON * 10);
    let (proxy, stalled) = Proxy::in_front_of(&options).unwrap();
    let others = open(&options);
    others.declare(Declare::Queue(&Queue::new(QUEUE)), CALL_TIMEOUT).unwrap();
    others.declare(Declare::Exchange(&Exchange::fanout("news")), CALL_TIMEOUT).unwrap();
    let stalled = open(&stalled);
    // Its notices of queues and of the table pass the same socket.
    stalled.declare(Declare::Exchange(&Exchange::fanout("more")), CALL_TIMEOUT).unwrap();
    let options_of_all = ConsumeOptions::with_prefetch(250);
    let _subscription = stalled.consume(QUEUE, &options_of_all, CALL_TIMEOUT).unwrap();
    proxy.set_forwarding(Direction::ToClient, Forwarding::Stall);
    publish(&*others, MESSAGES);
    let started = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| open(&options).check().unwrap());
        scope.spawn(|| {
            others.declare(Declare::Queue(&Queue::new("new")), CALL_TIMEOUT).unwrap();
            let binding = Binding::queue("news", "new", "");
            others.declare(Declare::Binding(&binding), CALL_TIMEOUT).unwrap();
            let fetched = others.get(QUEUE, Acknowledgement::Automatic, CALL_TIMEOUT).unwrap();
            assert!(fetched.is_some());
        });
    });
    assert!(started.elapsed() < CALL_TIMEOUT, "{:?}", started.elapsed());
}
