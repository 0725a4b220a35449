use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::{Backend, ChannelOptions, Connector, Declare, Delete, DeleteIf};
use carrot_core::{Binding, Exchange, Queue};

use super::waiting::DEADLINE;
use crate::harness::Harness;

/// The resources of a case: a connector, an open channel, and the names to delete at the end.
pub(crate) struct CaseFixture<'harness> {
    pub(crate) harness: &'harness dyn Harness,
    pub(crate) connector: Arc<dyn Connector>,
    /// A channel with confirms. Cases that make a channel fail open one of their own.
    pub(crate) channel: Arc<dyn Backend>,
    other_connectors: RefCell<Vec<Arc<dyn Connector>>>,
    queues: RefCell<Vec<String>>,
    exchanges: RefCell<Vec<String>>,
}

impl<'harness> CaseFixture<'harness> {
    #[track_caller]
    pub(crate) fn new(harness: &'harness dyn Harness) -> CaseFixture<'harness> {
        let connector = harness.connect();
        let channel = open(&*connector);
        CaseFixture {
            harness,
            connector,
            channel,
            other_connectors: RefCell::default(),
            queues: RefCell::default(),
            exchanges: RefCell::default(),
        }
    }

    /// Opens another channel of the same connector.
    #[track_caller]
    pub(crate) fn open(&self) -> Arc<dyn Backend> {
        open(&*self.connector)
    }

    /// Creates another connector, which is closed at the end.
    pub(crate) fn connect(&self) -> Arc<dyn Connector> {
        let connector = self.harness.connect();
        self.other_connectors.borrow_mut().push(connector.clone());
        connector
    }

    /// Opens a channel on another connection.
    #[track_caller]
    pub(crate) fn open_on_new_connection(&self) -> Arc<dyn Backend> {
        open(&*self.connect())
    }

    /// Returns a name that no queue has had. The queue of this name is deleted at the end.
    pub(crate) fn queue_name(&self) -> String {
        let name = unique("queue");
        self.queues.borrow_mut().push(name.clone());
        name
    }

    /// Returns a name that no exchange has had. The exchange of this name is deleted at the end.
    pub(crate) fn exchange_name(&self) -> String {
        let name = unique("exchange");
        self.exchanges.borrow_mut().push(name.clone());
        name
    }

    /// Declares a queue without arguments.
    #[track_caller]
    pub(crate) fn queue(&self) -> String {
        self.queue_with(|queue| queue)
    }

    #[track_caller]
    pub(crate) fn queue_with(&self, adjust: impl FnOnce(Queue) -> Queue) -> String {
        let queue = adjust(Queue::new(self.queue_name()));
        self.channel.declare(Declare::Queue(&queue), DEADLINE).expect("declare a queue");
        queue.name
    }

    #[track_caller]
    pub(crate) fn direct_exchange(&self) -> String {
        self.exchange_with(Exchange::direct)
    }

    #[track_caller]
    pub(crate) fn fanout_exchange(&self) -> String {
        self.exchange_with(Exchange::fanout)
    }

    #[track_caller]
    pub(crate) fn topic_exchange(&self) -> String {
        self.exchange_with(Exchange::topic)
    }

    #[track_caller]
    pub(crate) fn headers_exchange(&self) -> String {
        self.exchange_with(Exchange::headers)
    }

    #[track_caller]
    pub(crate) fn exchange_with(&self, make: impl FnOnce(String) -> Exchange) -> String {
        let exchange = make(self.exchange_name());
        self.channel.declare(Declare::Exchange(&exchange), DEADLINE).expect("declare an exchange");
        exchange.name
    }

    #[track_caller]
    pub(crate) fn bind(&self, exchange: &str, queue: &str, routing_key: &str) {
        self.bind_as(&Binding::queue(exchange, queue, routing_key));
    }

    #[track_caller]
    pub(crate) fn bind_as(&self, binding: &Binding) {
        self.channel.declare(Declare::Binding(binding), DEADLINE).expect("bind");
    }

    /// Declares a queue that is bound to an exchange.
    #[track_caller]
    pub(crate) fn bound_queue(&self, exchange: &str, routing_key: &str) -> String {
        let queue = self.queue();
        self.bind(exchange, &queue, routing_key);
        queue
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.harness.pass(duration);
    }

    /// Waits until `milliseconds` milliseconds have passed for the broker.
    pub(crate) fn pass_ms(&self, milliseconds: u64) {
        self.pass(Duration::from_millis(milliseconds));
    }

    fn delete(&self, entity: Delete<'_>) {
        // A refused deletion closes the channel, so the next deletion needs a new one. An entity
        // that cannot be deleted is exclusive, and is deleted with its connection.
        if self.channel.delete(entity, DEADLINE).is_err()
            && let Ok(channel) = self.harness.connect().open(&ChannelOptions::publish(), DEADLINE)
        {
            let _ = channel.delete(entity, DEADLINE);
        }
    }
}

impl Drop for CaseFixture<'_> {
    fn drop(&mut self) {
        for connector in self.other_connectors.take() {
            let _ = connector.close(DEADLINE);
        }
        for name in self.queues.take() {
            self.delete(Delete::Queue { name: &name, condition: DeleteIf::ALWAYS });
        }
        for name in self.exchanges.take() {
            self.delete(Delete::Exchange { name: &name, condition: DeleteIf::ALWAYS });
        }
        let _ = self.connector.close(DEADLINE);
    }
}

/// Returns a name that contains `kind` and that no other call in any process returns.
pub(crate) fn unique(kind: &str) -> String {
    // Each `RandomState` has random keys of its own.
    let random = || RandomState::new().build_hasher().finish();
    format!("carrot-conformance.{kind}.{:016x}{:016x}", random(), random())
}

#[track_caller]
pub(crate) fn open(connector: &dyn Connector) -> Arc<dyn Backend> {
    connector.open(&ChannelOptions::publish(), DEADLINE).expect("open a channel")
}
