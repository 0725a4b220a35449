//! Failures on command.

use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::Content;
use carrot_core::{Error, Result};

use crate::broker::Broker;
use crate::fault_plan::{Action, Refusal, Rule, State};
use crate::sync::lock;

/// What a fault strikes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`Connector::open`](carrot_core::backend::Connector::open) when it makes a new connection.
    Connect,
    /// [`Connector::open`](carrot_core::backend::Connector::open), also on a connection that there is.
    Open,
    /// [`Backend::declare`](carrot_core::backend::Backend::declare).
    Declare,
    /// [`Backend::delete`](carrot_core::backend::Backend::delete).
    Delete,
    /// [`Backend::publish`](carrot_core::backend::Backend::publish).
    Publish,
    /// [`Backend::confirm`](carrot_core::backend::Backend::confirm), before it looks for the answer.
    Confirm,
    /// [`Backend::get`](carrot_core::backend::Backend::get).
    Get,
    /// [`Backend::consume`](carrot_core::backend::Backend::consume).
    Consume,
    /// [`Subscription::next`](carrot_core::backend::Subscription::next), before it looks for a delivery.
    Next,
    /// [`Backend::ack`](carrot_core::backend::Backend::ack).
    Ack,
    /// [`Backend::reject`](carrot_core::backend::Backend::reject).
    Reject,
    /// Any of these on an open channel, except those that only wait, `Confirm` and `Next`, whose number depends on chance.
    Any,
}

impl Operation {
    pub(crate) fn covers(self, other: Operation) -> bool {
        match self {
            Operation::Any => !matches!(
                other,
                Operation::Connect | Operation::Open | Operation::Confirm | Operation::Next
            ),
            operation => operation == other,
        }
    }
}

/// Failures that a test orders from one [`Broker`]; made by [`Broker::faults`].
///
/// Orders are kept in the order in which they were given, for all connections of the broker together, and each strikes as often as was
/// said. Delays of one operation add up; of the others one strikes at a time. Nothing is left to chance, so a test that uses one thread
/// always sees the same. A broker with no order outstanding spends one load of a flag on each operation.
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
/// channel.declare(Declare::Queue(&Queue::new("first")))?;
/// let lost = channel.declare(Declare::Queue(&Queue::new("second")));
/// assert!(matches!(lost, Err(Error::Disconnected { .. })));
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Faults {
    broker: Broker,
}

impl Broker {
    /// Orders failures from it.
    pub fn faults(&self) -> Faults {
        Faults { broker: self.clone() }
    }
}

impl Faults {
    /// Cuts every connection, now. What was unsettled returns to its queues, exclusive queues go, and every call on their channels gives
    /// [`Error::Disconnected`]. New connections can be made at once.
    pub fn drop_connections(&self) -> &Faults {
        self.broker.core.drop_connections(|_| true);
        self
    }

    /// Cuts the connections of this name, now; see [`drop_connections`](Faults::drop_connections).
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no open connection of that name.
    pub fn drop_connections_named(&self, name: &str) -> Result<&Faults> {
        match self.broker.core.drop_connections(|connection| &*connection.name == name) {
            0 => Err(Error::NotFound { reason: format!("no open connection is named {name:?}") }),
            _ => Ok(self),
        }
    }

    /// Cuts every connection at the `nth` such operation from now, counted from 1, which does nothing and is the first to be told. With
    /// `nth` zero, nothing is ordered.
    pub fn drop_connections_at(&self, operation: Operation, nth: u32) -> &Faults {
        if let Some(skip) = nth.checked_sub(1) {
            self.order(operation, skip, 1, Action::DropConnections);
        }
        self
    }

    /// Closes the connection over the `nth` such operation from now, counted from 1, as RabbitMQ does with a hard error of AMQP. The
    /// operation does nothing and fails with [`Error::HardError`]; the other channels of its connection fail with
    /// [`Error::Disconnected`]. Whatever waits next tells the error of a publication. With `nth` zero, nothing is ordered.
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
    /// let refused = channel.declare(Declare::Queue(&Queue::new("first")));
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
            self.order(
                operation,
                skip,
                1,
                Action::Fail(Error::HardError { code, reason: text.into() }),
            );
        }
        self
    }

    /// Refuses every message that `which` picks, until [`clear`](Faults::clear). It reaches no queue, and `error` closes what such an
    /// error closes: the channel, or with [`Error::HardError`] the connection. Whatever waits next tells the error.
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
    /// let receipts: Vec<_> = ["good", "poison", "fine"].map(|body| publisher.message().publish_bytes(body)).into_iter().collect();
    /// let fates: Vec<_> = receipts.into_iter().map(|receipt| receipt?.wait()).collect();
    /// assert!(matches!(fates[..], [Ok(()), Err(Error::HardError { code: 541, .. }), Ok(())]));
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn refuse_messages(
        &self,
        error: Error,
        which: impl Fn(&Content) -> bool + Send + Sync + 'static,
    ) -> &Faults {
        let plan = &self.broker.core.faults;
        let mut state = lock(&plan.state);
        state.refusals.push(Refusal { error, which: Arc::new(which) });
        plan.arm(&state);
        drop(state);
        self
    }

    /// Lets the next `count` new connections fail with [`Error::Connect`].
    pub fn refuse_connects(&self, count: u32) -> &Faults {
        let endpoint = self.broker.core.endpoint();
        let refused =
            Error::connect(endpoint, "connection refused, as ordered", Duration::ZERO, None);
        self.order(Operation::Connect, 0, count, Action::Fail(refused))
    }

    /// Refuses the next `count` publications (a nack): they reach no queue.
    pub fn nack_publishes(&self, count: u32) -> &Faults {
        self.order(Operation::Publish, 0, count, Action::Nack)
    }

    /// Takes the next `count` publications as always, and never confirms them.
    pub fn lose_confirms(&self, count: u32) -> &Faults {
        self.order(Operation::Publish, 0, count, Action::LoseConfirm)
    }

    /// Lets the next such operation fail with this error, and do nothing else.
    ///
    /// An error that closes a channel or a connection closes it. Where the broker's refusal is told by a later call (`publish`, `ack`,
    /// `reject`), so it is here.
    pub fn fail_next(&self, operation: Operation, error: Error) -> &Faults {
        self.order(operation, 0, 1, Action::Fail(error))
    }

    /// Makes the next `count` such operations take so much longer, by the clock of the broker. One that would take longer than the call
    /// deadline, in real time, gives [`Error::Timeout`] and closes its channel; but for what has a timeout of its own, which is held up
    /// until then, and harmed by nothing.
    pub fn delay(&self, operation: Operation, by: Duration, count: u32) -> &Faults {
        self.order(operation, 0, count, Action::Delay(by))
    }

    /// Stops reading what is published, as RabbitMQ does under a memory or disk alarm, until
    /// [`unblock_publishers`](Faults::unblock_publishers) or [`clear`](Faults::clear).
    ///
    /// Each connection learns of it by its next publication: it tells its observers
    /// [`Event::Blocked`](carrot_core::backend::Event::Blocked). That publication and those after it wait unread: `publish` gives a tag,
    /// and `confirm` gives [`Error::Blocked`] at its timeout; with 512 KiB of bodies waiting so does `publish`. A connection that is cut
    /// or dropped meanwhile loses them, and closing it or the channel waits for them. As on RabbitMQ, the publication by
    /// which a connection learns of it is still taken if its body is empty.
    ///
    /// Everything else goes on. On RabbitMQ, nothing at all is read from a connection that was blocked: there, keep publishing and
    /// consuming on different connections, as carrot's AMQP driver does.
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
    /// let tag = channel.publish(&Publication { content: &content, mandatory: false }, Duration::from_secs(1))?;
    /// assert!(matches!(channel.confirm(tag, Duration::ZERO), Err(Error::Blocked { .. })));
    ///
    /// broker.faults().unblock_publishers();
    /// assert_eq!(channel.confirm(tag, Duration::from_secs(1))?, Outcome::Accepted);
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn block_publishers(&self, reason: &str) -> &Faults {
        let core = &self.broker.core;
        let mut alarm = lock(&core.alarm);
        let reason: Arc<str> = reason.into();
        for connection in core.connections() {
            connection.throttle.hold(&reason);
        }
        *alarm = Some(reason);
        self
    }

    /// Reads again what is published: first, before it returns, what was published meanwhile, in the order of each connection.
    pub fn unblock_publishers(&self) -> &Faults {
        let core = &self.broker.core;
        let mut alarm = lock(&core.alarm);
        if alarm.take().is_none() {
            return self;
        }
        let connections = core.connections();
        connections.iter().for_each(|connection| connection.release());
        drop(alarm);
        connections.iter().for_each(|connection| connection.tell_observers());
        self
    }

    /// Takes back all that was ordered and has not happened; publishers are unblocked, and delays end.
    pub fn clear(&self) -> &Faults {
        let plan = &self.broker.core.faults;
        let mut state = lock(&plan.state);
        *state = State { cleared: state.cleared + 1, ..State::default() };
        plan.arm(&state);
        drop(state);
        plan.wake();
        self.unblock_publishers()
    }

    /// How many orders have not been carried out in full; a test can make sure that what it ordered did happen.
    pub fn outstanding(&self) -> usize {
        lock(&self.broker.core.faults.state).rules.len()
    }

    fn order(&self, operation: Operation, skip: u32, times: u32, action: Action) -> &Faults {
        if times > 0 {
            let plan = &self.broker.core.faults;
            let mut state = lock(&plan.state);
            state.rules.push(Rule { operation, skip, times, action });
            plan.arm(&state);
        }
        self
    }
}
