//! Exchanges, queues and bindings of the broker.

use crate::backend::{Declare, Delete, DeleteIf, QueueInfo};
use crate::connection::Connection;
#[allow(unused_imports, reason = "the links of the documentation name it")]
use crate::error::Error;
use crate::error::Result;
use crate::model::{Binding, Exchange, Queue};
use crate::topology::{Topology, TopologyCheck};

impl Connection {
    /// Declares an exchange. Only checks that the exchange exists if `exchange` is
    /// [`Exchange::existing`].
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing exchange was expected, and there is none.
    /// - [`Error::AccessRefused`]: the name is reserved.
    /// - [`Error::HardError`], or [`Error::PreconditionFailed`] with RabbitMQ 4.0 and later: the
    ///   broker does not know the exchange type.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn declare_exchange(&self, exchange: impl Into<Exchange>) -> Result<()> {
        self.handle.declare(Declare::Exchange(&exchange.into())).map(drop)
    }

    /// Declares a queue, and returns its name and its numbers of messages and consumers. Only
    /// checks that the queue exists if `queue` is [`Queue::existing`].
    ///
    /// Blocks as [`declare_exchange`](Connection::declare_exchange) does.
    ///
    /// # Errors
    /// - As [`declare_exchange`](Connection::declare_exchange).
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    pub fn declare_queue(&self, queue: impl Into<Queue>) -> Result<QueueInfo> {
        let queue = queue.into();
        queue.validate_delayed_length()?;
        self.handle.declare(Declare::Queue(&queue))
    }

    /// Binds a queue or an exchange to an exchange. Binding twice is no error.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: the source or the destination does not exist.
    /// - [`Error::AccessRefused`]: the source is the default exchange.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn bind(&self, binding: &Binding) -> Result<()> {
        self.handle.declare(Declare::Binding(binding)).map(drop)
    }

    /// Removes the binding with the same source, destination, routing key and arguments. Removing a
    /// binding that does not exist is no error.
    ///
    /// Blocks as [`bind`](Connection::bind) does.
    ///
    /// # Errors
    /// As [`bind`](Connection::bind).
    pub fn unbind(&self, binding: &Binding) -> Result<()> {
        self.handle.delete(Delete::Binding(binding)).map(drop)
    }

    /// Declares the exchanges, then the queues, then the bindings of a topology.
    ///
    /// What exists with the same properties stays unchanged. Everything that needs no broker is
    /// checked before anything is declared. The declarations before a refusal stay.
    ///
    /// Blocks for one round trip for each entity, each at most for the call timeout, and for
    /// connecting if the connection is not open.
    ///
    /// ```
    /// use carrot::topology::Topology;
    ///
    /// let connection = carrot::connect("memory://")?;
    /// let topology: Topology =
    ///     serde_json::from_str(r#"{"queues": [{"name": "jobs"}, {"name": "reports"}]}"#)?;
    /// connection.declare_all(&topology)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::Declaration`]: an entity is invalid, or the broker refused it. Names the entity
    ///   and carries the error of [`declare_exchange`](Connection::declare_exchange),
    ///   [`declare_queue`](Connection::declare_queue) or [`bind`](Connection::bind).
    pub fn declare_all(&self, topology: &Topology) -> Result<()> {
        topology.declare(&self.handle)
    }

    /// Compares a topology with the broker, and lists every entity that differs. Changes nothing.
    ///
    /// An entity that exists is declared again with the properties of the topology, which the
    /// broker accepts only if they are equal. RabbitMQ names the first argument that differs. It
    /// creates the entity if another client deletes it in between. The comparison restarts the time
    /// after which an unused queue expires. AMQP cannot compare bindings;
    /// [`TopologyCheck::unchecked`] lists them.
    ///
    /// Blocks for two round trips for each entity, each at most for the call timeout, and for
    /// connecting if the connection is not open. Each difference costs a channel.
    ///
    /// ```
    /// use carrot::Queue;
    /// use carrot::topology::{DifferenceKind, Topology};
    ///
    /// let connection = carrot::connect("memory://")?;
    /// connection.declare_queue(Queue::new("jobs"))?;
    /// let topology = Topology::new().queue(Queue::new("jobs").max_length(10)).queue("reports");
    ///
    /// let check = connection.check(&topology)?;
    /// assert_eq!(check.differences[0].kind, DifferenceKind::Different);
    /// assert_eq!(check.differences[1].kind, DifferenceKind::Missing);
    /// println!("{check}");
    /// # Ok::<(), carrot::Error>(())
    /// ```
    ///
    /// # Errors
    /// - [`Error::Declaration`]: an entity is invalid.
    /// - [`Error::Timeout`], [`Error::Disconnected`], [`Error::Closed`]: the broker did not answer.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    ///
    /// [`TopologyCheck::unchecked`]: crate::TopologyCheck::unchecked
    pub fn check(&self, topology: &Topology) -> Result<TopologyCheck> {
        topology.check(&self.handle)
    }

    /// Deletes an exchange. Deleting an exchange that does not exist is no error.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the exchange is in use, and `condition` forbids that.
    /// - [`Error::AccessRefused`]: the name is reserved.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn delete_exchange(&self, name: &str, condition: DeleteIf) -> Result<()> {
        self.handle.delete(Delete::Exchange { name, condition }).map(drop)
    }

    /// Deletes a queue, and returns the number of ready messages deleted with it. Deleting a queue
    /// that does not exist is no error.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the queue is in use or not empty, and `condition` forbids
    ///   that.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::HardError`]: a quorum queue was given a condition, which RabbitMQ does not
    ///   support.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn delete_queue(&self, name: &str, condition: DeleteIf) -> Result<u32> {
        self.handle.delete(Delete::Queue { name, condition })
    }

    /// Deletes the ready messages of a queue, and returns their number. Unacknowledged messages
    /// stay.
    ///
    /// Blocks for one round trip, at most for the call timeout, and for connecting if the
    /// connection is not open.
    ///
    /// # Errors
    /// - [`Error::NotFound`]: the queue does not exist.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::Invalid`]: a name or an argument is out of its limits.
    /// - [`Error::Closed`]: the connection was closed.
    /// - The errors of [`open`](Connection::open), if the connection has to be opened.
    pub fn purge_queue(&self, queue: &str) -> Result<u32> {
        self.handle.delete(Delete::Messages { queue })
    }
}
