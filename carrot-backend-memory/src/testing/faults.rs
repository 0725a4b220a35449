//! Injects faults.

use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::Content;
use carrot_core::{Error, Result};

use crate::broker::Broker;
use crate::broker::fault_plan::{
    FaultAction, FaultPlanState, FaultRule, MessageRefusal, Operation, UnreadableMessages,
};
use crate::sync::lock;

/// Injects faults into a [`Broker`]. [`Broker::faults`] creates it.
///
/// The plan holds for all connections of the broker. Each planned fault occurs a fixed number of
/// times. Delays of one operation add up; of other faults, the one planned first occurs. Nothing is
/// random, so a test with one thread always has the same result. Without a planned fault, an
/// operation costs one load of a flag more.
///
/// ```
/// use std::time::Duration;
/// use carrot::memory::{Broker, Operation};
/// use carrot::Error;
/// use carrot::backend::{ChannelOptions, Connector, Declare};
/// use carrot::Queue;
///
/// let broker = Broker::new();
/// let connector = broker.connector();
/// broker.faults().refuse_connects(1).drop_connections_at(Operation::Declare, 2);
///
/// let refused = connector.open(&ChannelOptions::publish(), Duration::from_secs(1));
/// assert!(matches!(refused, Err(Error::Connect { .. })));
///
/// let channel = connector.open(&ChannelOptions::publish(), Duration::from_secs(1))?;
/// channel.declare(Declare::Queue(&Queue::new("first")), Duration::from_secs(1))?;
/// let lost = channel.declare(Declare::Queue(&Queue::new("second")), Duration::from_secs(1));
/// assert!(matches!(lost, Err(Error::Disconnected { .. })));
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Faults {
    broker: Broker,
}

impl Broker {
    /// Returns a handle that injects faults into the broker.
    pub fn faults(&self) -> Faults {
        Faults { broker: self.clone() }
    }
}

impl Faults {
    /// Drops every connection at once.
    ///
    /// Unsettled messages return to their queues, exclusive queues are deleted, and every call on
    /// the channels fails with [`Error::Disconnected`]. New connections succeed.
    pub fn drop_connections(&self) -> &Faults {
        self.broker.shared.drop_connections(|_| true);
        self
    }

    /// Drops the connections of this name, as [`drop_connections`](Faults::drop_connections).
    ///
    /// # Errors
    /// [`Error::NotFound`]: no open connection has that name.
    pub fn drop_connections_named(&self, name: &str) -> Result<&Faults> {
        match self.broker.shared.drop_connections(|connection| connection.name() == name) {
            0 => Err(Error::NotFound { reason: format!("no open connection is named {name:?}") }),
            _ => Ok(self),
        }
    }

    /// Drops every connection at the `nth` such operation from now, counted from 1.
    ///
    /// The operation has no effect, and fails first. Zero plans nothing.
    pub fn drop_connections_at(&self, operation: Operation, nth: u32) -> &Faults {
        if let Some(skip) = nth.checked_sub(1) {
            self.plan(operation, skip, 1, FaultAction::DropConnections);
        }
        self
    }

    /// Closes the connection at the `nth` such operation from now, counted from 1, as RabbitMQ does
    /// with a hard error of AMQP.
    ///
    /// The operation has no effect and fails with [`Error::HardError`]. The other channels of the
    /// connection fail with [`Error::Disconnected`]. For a publication, the next waiting call
    /// reports the error. Zero plans nothing.
    ///
    /// ```
    /// use std::time::Duration;
    /// use carrot::memory::{Broker, Operation};
    /// use carrot::backend::{ChannelOptions, Connector, Declare};
    /// use carrot::{Error, Queue};
    ///
    /// let broker = Broker::new();
    /// let channel = broker.connector().open(&ChannelOptions::consume(), Duration::from_secs(1))?;
    /// broker.faults().close_connection_at(Operation::Declare, 1, 540, "NOT_IMPLEMENTED");
    /// let refused = channel.declare(Declare::Queue(&Queue::new("first")), Duration::from_secs(1));
    /// assert!(matches!(refused, Err(Error::HardError { code: 540, .. })));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn close_connection_at(
        &self,
        operation: Operation,
        nth: u32,
        code: u16,
        text: &str,
    ) -> &Faults {
        if let Some(skip) = nth.checked_sub(1) {
            self.plan(
                operation,
                skip,
                1,
                FaultAction::Fail(Error::HardError { code, reason: text.into() }),
            );
        }
        self
    }

    /// Refuses every message that `which` selects, until [`clear`](Faults::clear).
    ///
    /// The message reaches no queue. The error closes the channel, or for [`Error::HardError`] the
    /// connection. The next waiting call reports the error.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::{Connection, Error};
    ///
    /// let broker = Broker::new();
    /// let unreadable = Error::HardError { code: 541, reason: "INTERNAL_ERROR".into() };
    /// broker.faults().refuse_messages(unreadable, |content| content.body == b"poison");
    ///
    /// let connection = Connection::new(broker.connector());
    /// let publisher = connection.publisher().exchange("feed").build()?;
    /// let publish = |body| publisher.message().publish_bytes(body);
    /// let receipts: Vec<_> = ["good", "poison", "fine"].into_iter().map(publish).collect();
    /// let fates: Vec<_> = receipts.into_iter().map(|receipt| receipt?.wait()).collect();
    /// assert!(matches!(fates[..], [Ok(()), Err(Error::HardError { code: 541, .. }), Ok(())]));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn refuse_messages(
        &self,
        error: Error,
        which: impl Fn(&Content) -> bool + Send + Sync + 'static,
    ) -> &Faults {
        let faults = &self.broker.shared.faults;
        let mut state = lock(&faults.state);
        state.refusals.push(MessageRefusal { error, which: Arc::new(which) });
        faults.arm(&state);
        drop(state);
        self
    }

    /// Delivers every message that `which` selects as one that could not be read, until
    /// [`clear`](Faults::clear).
    ///
    /// The delivery has no properties, and `reason` as its
    /// [`unreadable`](carrot_core::backend::Delivery::unreadable). The message itself is unchanged:
    /// a dead-letter exchange receives all of it.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::Connection;
    ///
    /// let broker = Broker::new();
    /// broker.faults().make_unreadable("nested too deep", |content| content.body == b"bad");
    ///
    /// let connection = Connection::new(broker.connector());
    /// let consumer = connection.consumer("jobs").build()?;
    /// let publisher = connection.publisher().routing_key("jobs").build()?;
    /// publisher.message().send_bytes("bad")?;
    /// let message = consumer.fetch()?.ok_or("no message")?;
    /// assert_eq!(message.unreadable(), Some("nested too deep"));
    /// assert!(message.decode::<String>().is_err());
    /// message.reject()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn make_unreadable(
        &self,
        reason: &str,
        which: impl Fn(&Content) -> bool + Send + Sync + 'static,
    ) -> &Faults {
        let faults = &self.broker.shared.faults;
        let mut state = lock(&faults.state);
        state.unreadable.push(UnreadableMessages { reason: reason.into(), which: Arc::new(which) });
        faults.arm(&state);
        drop(state);
        self
    }

    /// Fails the next `count` new connections with [`Error::Connect`].
    pub fn refuse_connects(&self, count: u32) -> &Faults {
        let endpoint = self.broker.shared.endpoint();
        let refused = Error::connect(
            endpoint,
            "connection refused by an injected fault",
            Duration::ZERO,
            None,
        );
        self.plan(Operation::Connect, 0, count, FaultAction::Fail(refused))
    }

    /// Nacks the next `count` publications, which reach no queue.
    pub fn nack_publishes(&self, count: u32) -> &Faults {
        self.plan(Operation::Publish, 0, count, FaultAction::Nack)
    }

    /// Accepts the next `count` publications, and never confirms them.
    pub fn lose_confirms(&self, count: u32) -> &Faults {
        self.plan(Operation::Publish, 0, count, FaultAction::LoseConfirm)
    }

    /// Fails the next such operation with this error, without any other effect.
    ///
    /// An error that closes a channel or a connection closes it. Errors of `publish`, `ack` and
    /// `reject` are reported by a later call, as on RabbitMQ.
    pub fn fail_next(&self, operation: Operation, error: Error) -> &Faults {
        self.plan(operation, 0, 1, FaultAction::Fail(error))
    }

    /// Delays the next `count` such operations, by the broker's clock.
    ///
    /// An operation whose delay exceeds the call deadline, in real time, fails with
    /// [`Error::Timeout`] and closes its channel. An operation with a timeout of its own is delayed
    /// until that timeout at most, and closes nothing.
    pub fn delay(&self, operation: Operation, by: Duration, count: u32) -> &Faults {
        self.plan(operation, 0, count, FaultAction::Delay(by))
    }

    /// Stops reading publications, as RabbitMQ does under a memory or disk alarm.
    ///
    /// Lasts until [`unblock_publishers`](Faults::unblock_publishers) or [`clear`](Faults::clear).
    ///
    /// The next publication of each connection notifies the connection's observers with
    /// [`Event::Blocked`](carrot_core::backend::Event::Blocked). The broker reads neither that
    /// publication nor later ones: `publish` returns a tag, and `confirm` fails with
    /// [`Error::Blocked`] at its timeout. Once 512 KiB of bodies are held back, `publish` also
    /// fails so. A connection that is lost or dropped meanwhile loses them; closing the connection
    /// or the channel waits for them. As on RabbitMQ, the notifying publication is still accepted
    /// if its body is empty.
    ///
    /// Everything else continues. RabbitMQ reads nothing at all from a blocked connection. So
    /// publish and consume on different connections there, as carrot's AMQP driver does.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use std::time::Duration;
    /// use carrot::memory::Broker;
    /// use carrot::backend::{ChannelOptions, Connector, Content, Outcome, Publication};
    /// use carrot::Error;
    ///
    /// let broker = Broker::new();
    /// let channel = broker.connector().open(&ChannelOptions::publish(), Duration::from_secs(1))?;
    /// broker.faults().block_publishers("low on memory");
    ///
    /// let content = Arc::new(Content::new("amq.fanout", "", "news"));
    /// let publication = Publication::new(&content);
    /// let tag = channel.publish(&publication, Duration::from_secs(1))?;
    /// assert!(matches!(channel.confirm(tag, Duration::ZERO), Err(Error::Blocked { .. })));
    ///
    /// broker.faults().unblock_publishers();
    /// assert_eq!(channel.confirm(tag, Duration::from_secs(1))?, Outcome::Accepted);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn block_publishers(&self, reason: &str) -> &Faults {
        let reason = reason.into();
        drop(self.broker.shared.change_alarms(|alarms| alarms.injected = Some(reason)));
        self
    }

    /// Reads publications again, unless a limit on memory blocks them. On return, those held back
    /// are published, in the order of each connection.
    pub fn unblock_publishers(&self) -> &Faults {
        let unblocked = self.broker.shared.change_alarms(|alarms| alarms.injected = None);
        unblocked.iter().for_each(|connection| connection.notify_observers());
        self
    }

    /// Returns why publishers are blocked; `None` if they are not.
    ///
    /// ```
    /// use carrot::memory::Broker;
    ///
    /// let broker = Broker::new();
    /// broker.faults().block_publishers("low on memory");
    /// assert_eq!(broker.faults().block_reason().as_deref(), Some("low on memory"));
    /// ```
    pub fn block_reason(&self) -> Option<String> {
        lock(&self.broker.shared.alarms).reason().as_deref().map(str::to_string)
    }

    /// Removes all planned faults, unblocks publishers, and ends delays.
    pub fn clear(&self) -> &Faults {
        let faults = &self.broker.shared.faults;
        let mut state = lock(&faults.state);
        *state = FaultPlanState { cleared: state.cleared + 1, ..FaultPlanState::default() };
        faults.arm(&state);
        drop(state);
        faults.wake();
        self.unblock_publishers()
    }

    /// Returns the number of planned faults that have not occurred as often as planned.
    ///
    /// A test uses the number to check that its faults did occur.
    pub fn outstanding(&self) -> usize {
        lock(&self.broker.shared.faults.state).rules.len()
    }

    fn plan(&self, operation: Operation, skip: u32, times: u32, action: FaultAction) -> &Faults {
        if times > 0 {
            let faults = &self.broker.shared.faults;
            let mut state = lock(&faults.state);
            state.rules.push(FaultRule { operation, skip, times, action });
            faults.arm(&state);
        }
        self
    }
}
