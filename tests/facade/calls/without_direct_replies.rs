//! Calls on a backend without direct replies.

use std::sync::Arc;
use std::time::Duration;

use carrot::Connection;
use carrot::backend::{Backend, Capabilities, ChannelOptions, Clock, Connector, Event, Status};
use carrot::config::Role;
use carrot::memory::Broker;

use super::{caller, serve_increments};
use crate::support::{SOON, eventually, queue};

/// A connector of the memory broker that knows no direct replies.
#[derive(Debug)]
struct NoDirectReplies(Arc<dyn Connector>);

impl Connector for NoDirectReplies {
    fn open(
        &self,
        options: &ChannelOptions,
        timeout: Duration,
    ) -> carrot::Result<Arc<dyn Backend>> {
        self.0.open(options, timeout)
    }
    fn connect(&self, role: Role, timeout: Duration) -> carrot::Result<()> {
        self.0.connect(role, timeout)
    }
    fn endpoint(&self) -> String {
        self.0.endpoint()
    }
    fn close(&self, timeout: Duration) -> carrot::Result<()> {
        self.0.close(timeout)
    }
    fn status(&self, role: Role) -> Status {
        self.0.status(role)
    }
    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.direct_reply_to = false;
        capabilities
    }
    fn clock(&self) -> Clock {
        self.0.clock()
    }
    fn observe(&self, observer: Arc<dyn Fn(&Event) + Send + Sync>) {
        self.0.observe(observer);
    }
}

#[test]
fn caller_without_direct_replies_has_an_exclusive_queue() {
    let broker = Broker::new();
    let connection = Connection::new(Arc::new(NoDirectReplies(broker.connector())));
    let queue = queue();
    let _server = serve_increments(&connection, &queue);
    let caller = caller(&connection, &queue);
    let queues = |broker: &Broker| -> Vec<String> {
        let mut names = broker.queues();
        names.retain(|name| *name != queue.name);
        names
    };
    let replies = queues(&broker);
    assert_eq!(replies.len(), 1, "{replies:?}");
    for number in 0..20 {
        assert_eq!(caller.call::<_, u64>(&number, SOON).unwrap(), number + 1);
    }
    // Without the queue, the caller declares another.
    connection.delete_queue(&replies[0], carrot::topology::DeleteIf::ALWAYS).unwrap_err();
    drop(caller);
    eventually("the deletion of the queue", || queues(&broker).is_empty());
}
