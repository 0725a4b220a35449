use std::cell::RefCell;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::*;

/// The start of every case: a connector with an open channel, and what has to be deleted in the end.
pub(crate) struct Stage<'harness> {
    pub(crate) harness: &'harness dyn Harness,
    pub(crate) connector: Arc<dyn Connector>,
    /// A channel with confirms. Cases that spoil a channel open one of their own.
    pub(crate) channel: Arc<dyn Backend>,
    others: RefCell<Vec<Arc<dyn Connector>>>,
    queues: RefCell<Vec<String>>,
    exchanges: RefCell<Vec<String>>,
}

impl<'harness> Stage<'harness> {
    #[track_caller]
    pub(crate) fn new(harness: &'harness dyn Harness) -> Stage<'harness> {
        let connector = harness.connect();
        let channel = open(&*connector);
        Stage {
            harness,
            connector,
            channel,
            others: RefCell::default(),
            queues: RefCell::default(),
            exchanges: RefCell::default(),
        }
    }

    /// One more channel on the same connection.
    #[track_caller]
    pub(crate) fn open(&self) -> Arc<dyn Backend> {
        open(&*self.connector)
    }

    /// A connector of its own; closed in the end.
    pub(crate) fn connect(&self) -> Arc<dyn Connector> {
        let connector = self.harness.connect();
        self.others.borrow_mut().push(connector.clone());
        connector
    }

    /// A channel on a connection of its own.
    #[track_caller]
    pub(crate) fn elsewhere(&self) -> Arc<dyn Backend> {
        open(&*self.connect())
    }

    /// A name that no queue has, nor ever had; deleted in the end if it has one then.
    pub(crate) fn queue_name(&self) -> String {
        let name = unique("queue");
        self.queues.borrow_mut().push(name.clone());
        name
    }

    /// As [`queue_name`](Stage::queue_name), for an exchange.
    pub(crate) fn exchange_name(&self) -> String {
        let name = unique("exchange");
        self.exchanges.borrow_mut().push(name.clone());
        name
    }

    /// A new, plain queue.
    #[track_caller]
    pub(crate) fn queue(&self) -> String {
        self.queue_with(|queue| queue)
    }

    #[track_caller]
    pub(crate) fn queue_with(&self, adjust: impl FnOnce(Queue) -> Queue) -> String {
        let queue = adjust(Queue::new(self.queue_name()));
        self.channel.declare(Declare::Queue(&queue)).expect("declare a queue");
        queue.name
    }

    #[track_caller]
    pub(crate) fn direct(&self) -> String {
        self.exchange_with(Exchange::direct)
    }

    #[track_caller]
    pub(crate) fn fanout(&self) -> String {
        self.exchange_with(Exchange::fanout)
    }

    #[track_caller]
    pub(crate) fn topic(&self) -> String {
        self.exchange_with(Exchange::topic)
    }

    #[track_caller]
    pub(crate) fn headers(&self) -> String {
        self.exchange_with(Exchange::headers)
    }

    #[track_caller]
    pub(crate) fn exchange_with(&self, make: impl FnOnce(String) -> Exchange) -> String {
        let exchange = make(self.exchange_name());
        self.channel.declare(Declare::Exchange(&exchange)).expect("declare an exchange");
        exchange.name
    }

    #[track_caller]
    pub(crate) fn bind(&self, exchange: &str, queue: &str, routing_key: &str) {
        self.bind_as(&Binding::queue(exchange, queue, routing_key));
    }

    #[track_caller]
    pub(crate) fn bind_as(&self, binding: &Binding) {
        self.channel.declare(Declare::Binding(binding)).expect("bind");
    }

    /// A new queue bound to an exchange.
    #[track_caller]
    pub(crate) fn bound(&self, exchange: &str, routing_key: &str) -> String {
        let queue = self.queue();
        self.bind(exchange, &queue, routing_key);
        queue
    }

    pub(crate) fn pass(&self, duration: Duration) {
        self.harness.pass(duration);
    }

    /// As `pass`, in milliseconds.
    pub(crate) fn pass_ms(&self, milliseconds: u64) {
        self.pass(Duration::from_millis(milliseconds));
    }

    fn delete(&self, entity: Delete<'_>) {
        // A refusal closes a channel, so each deletion may need a new one; what cannot be deleted dies with its connection.
        if self.channel.delete(entity).is_err()
            && let Ok(channel) = self.harness.connect().open(&ChannelOptions::publish(), DEADLINE)
        {
            let _ = channel.delete(entity);
        }
    }
}

impl Drop for Stage<'_> {
    fn drop(&mut self) {
        for connector in self.others.take() {
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

/// A name that nothing else has, on whatever broker, in whatever program.
pub(crate) fn unique(what: &str) -> String {
    // Each RandomState has keys of its own.
    let random = || RandomState::new().build_hasher().finish();
    format!("carrot-conformance.{what}.{:016x}{:016x}", random(), random())
}

#[track_caller]
pub(crate) fn open(connector: &dyn Connector) -> Arc<dyn Backend> {
    connector.open(&ChannelOptions::publish(), DEADLINE).expect("open a channel")
}
