//! Carrot's backend for Apache ActiveMQ Classic, over OpenWire.
//!
//! ```no_run
//! let connection = carrot::connect("activemq://shop:s3cret@mq.example")?;
//! let consumer = connection.consumer("jobs").build()?;
//! connection.publisher().routing_key("jobs").build()?.send("hello")?;
//! let message = consumer.fetch()?.expect("a message");
//! message.ack()?;
//! # Ok::<(), carrot::Error>(())
//! ```
//!
//! The broker has to be ActiveMQ 5.14 or later, which speaks version 12 of OpenWire. Its advisories
//! have to be on, which is the default. They name the queues that exist. Connecting to a broker
//! without them fails. The user needs the permission to read the topics `ActiveMQ.Advisory.Queue`
//! and `ActiveMQ.Advisory.TempQueue`.
//!
//! # What works
//!
//! Exchanges of all standard types, bindings, and durable queues: declaring, deleting, purging,
//! publishing with confirms and returns, fetching, consuming with a prefetch, acknowledging,
//! requeueing and discarding. Parking queues are plain queues.
//!
//! * A message is persistent unless its delivery mode is transient. A confirm is the receipt of the
//!   broker, which a persistent message has after the write to the journal.
//! * The name of a queue keeps letters, digits, `.`, `-` and `_`. Each other octet is written as
//!   `%` and two digits, because ActiveMQ reads lists, wildcards and options from names. A queue of
//!   another client whose name has such a character cannot be named.
//! * Properties that JMS has are written as such: the correlation id, the type, the expiration, the
//!   timestamp, the reply queue, and headers that are numbers, booleans or texts. The property
//!   `carrot` holds all properties exactly. The priority is only there: messages of every priority
//!   keep their order. Text and octets of other clients are read. Other bodies of JMS, and
//!   compressed ones, are unreadable.
//! * A message that expires goes where the policy of the broker says, by default to the queue
//!   `ActiveMQ.DLQ`.
//!
//! # Exchanges
//!
//! ActiveMQ has no exchanges. Each publisher finds the queues of a message by itself, in a table of
//! all exchanges and bindings, and then sends the message once, to a destination of all of them.
//! Several queues have the message in one transaction: the broker accepts it for all of them or for
//! none.
//!
//! * The table is one durable message in the queue `carrot.routing`. A change replaces the message
//!   in a transaction, which also publishes the new table to the topic `carrot.routing.changes`. A
//!   declaration, a binding or a deletion returns after the receipt of the broker. Two clients that
//!   change the table at once wait for each other.
//! * Each connection subscribes to the topic before its first message, and then reads the table.
//!   A message that finds no queue is routed again after a round trip, by then with all earlier
//!   changes. A dead letter is not routed again. A message that finds some queues may miss one that
//!   another client has just bound.
//! * Each change sends the whole table to each connection. A table of some thousand definitions is
//!   practical. One that would exceed the `maxFrameSize` of the broker is refused.
//! * A table of a later version of this crate is refused, with both versions in the error.
//! * Transient exchanges and their bindings are kept like durable ones.
//!
//! The user needs the permission to read and write the queue and the topic, and to create them.
//! A user without it has the default exchange and queues without arguments only. **A user who may
//! write the queue or the topic can redirect the messages of all clients.** Give the permission to
//! trusted users only. Clients without Carrot see queues only, and do not route.
//!
//! If the queue `carrot.routing` is deleted or purged, all exchanges and bindings are lost.
//!
//! # Arguments of queues
//!
//! The table also has these arguments. They hold for messages and consumers of Carrot only:
//!
//! * `x-dead-letter-exchange` and `x-dead-letter-routing-key`: a discarded message enters the
//!   routed queues with the header `x-death`, and leaves its queue after the receipt of the broker.
//!   The keys of the header `BCC` are not routed again, as they would be on RabbitMQ: the message
//!   does not have them, because clients of JMS could read them. A message that expires goes where
//!   the policy of the broker says, and not to this exchange. The argument is refused together with
//!   `x-message-ttl` or a length limit.
//! * `x-message-ttl`: the sender shortens the expiration of the message. The broker may count an
//!   expired message as ready until it looks for such, every 30 s by default. A time of 0 drops
//!   most messages, also if a consumer waits.
//! * `x-single-active-consumer`: consumers have a prefetch of 1, and are exclusive ones of the
//!   broker. A requeue passes the turn to the next consumer.
//!
//! # Delays
//!
//! The scheduler of the broker (`schedulerSupport="true"`) holds delayed messages, and copies of
//! failed messages for their pauses. A confirm is the receipt of the broker, which has written the
//! message to the journal of the scheduler. A delay is rounded up to milliseconds, has at most ten
//! years, and ends up to half a second late. An expiration begins when the delay ends.
//!
//! * The message is routed when it is published, and sent to each of its queues alone. One that no
//!   queue takes is returned. If a queue is deleted meanwhile, the broker creates it again, and no
//!   client learns of that before one declares the queue.
//! * A broker without the scheduler would deliver a delayed message at once. Each connection
//!   therefore asks for the scheduler before it is open: it sends a message whose delay is no
//!   number, for a temporary topic that does not exist. Only the scheduler reads the delay. No
//!   broker keeps the message, and the question costs no round trip of its own.
//! * Without the scheduler, or without the permission to write to temporary topics, a delay is
//!   refused, and failed messages pause in the process.
//! * A broker with `sendFailIfNoSpace` or `sendFailIfNoSpaceAfterTimeout` loses messages whose
//!   delay ends while it is full.
//!
//! # Replies
//!
//! A queue that is exclusive and has no name is a temporary queue of the broker, which is deleted
//! with its connection. Its name begins with `temp-queue://`. Such a name is a routing key of the
//! default exchange, and so the address for replies: a caller uses it, and clients of JMS may be on
//! either side. Only its connection consumes from the queue.
//!
//! # What differs from RabbitMQ
//!
//! * The broker returns a message only when it removes its consumer. A subscription therefore has
//!   one consumer at the broker, a *slot*, for each message of its prefetch, and 256 at most. The
//!   number of consumers of a queue counts slots.
//! * A requeued message returns to the head of its queue, also past messages that were before it.
//! * The numbers of ready messages and consumers come from the statistics plug-in of the broker
//!   (`<statisticsBrokerPlugin/>`). Without it, both are 0, a deletion counts no messages, and one
//!   on the condition that the queue is empty is refused.
//! * Consumers of the same priority other than 0 take turns by prefetch and not by message.
//! * A queue with consumers of other programs cannot be deleted, on any condition. Its messages
//!   stay.
//! * A deletion on the condition that the queue is empty first counts the messages. One that
//!   arrives between the count and the deletion is deleted with the queue.
//! * A purge receives and acknowledges messages, before all consumers of the queue. One that does
//!   not finish in time fails with [`Timeout`](carrot_core::Error::Timeout), which names the number
//!   of removed messages. The channel stays open, and a further purge continues.
//! * A message that is fetched beside a single active consumer, or beside an exclusive consumer of
//!   JMS, excludes that consumer until the message is settled.
//! * A queue that another program deletes at the same moment may be created again by a message.
//! * After a lost connection, all messages that consumers had or would have received next are
//!   marked as redelivered.
//!
//! # Dead letters
//!
//! A dead letter leaves on a third connection, which the first letter opens. Settlements do not
//! wait, and acknowledgements, which make room, do not follow a letter that the broker holds back.
//! The channel holds the message until the receipt of the letter, and acknowledges it then. Dead
//! letters are therefore sent at least once. The message returns to its queue a second later if the
//! letter is refused or too large, or if its connection is lost. A letter that is too large because
//! of its headers about deaths has fewer of them. A dead letter goes by the known table, and is
//! dropped if that leads to no queue.
//!
//! Closing a channel waits for the receipts of its letters. A channel that is dropped waits in the
//! background, for 10 seconds at most.
//!
//! # Not supported
//!
//! Each of these is refused with an error that names the argument:
//!
//! * named exclusive, auto-delete and transient queues;
//! * length limits and expiry of queues, priorities, quorum queues and streams;
//! * exclusive consumers, because the broker refuses no second consumer of a queue;
//! * priorities of consumers below -64, above 127, and beside a single active consumer.
//!
//! # Limits
//!
//! A command of the broker may have 1 MiB more than
//! [`max_message_size`](carrot_core::ConnectionOptions::max_message_size); a longer one ends the
//! connection. Memory is taken for octets that have arrived, never for announced sizes. The
//! properties of a message have at most 1 MiB: more are unreadable, and refused before they are
//! sent. A message that is larger than the `maxFrameSize` of the broker is refused before it is
//! sent. A broker that sends more messages than the prefetch, or more than 64 MiB of names of
//! queues, is left. More than 1000 messages in the queue `carrot.routing`, or several of more than
//! 64 MiB in total, are an error of the call that needs the table.
//!
//! # Threads
//!
//! A connector has two threads for each of its connections, one for each role in use and one for
//! dead letters once there are any. One thread runs while an observer is called, one while dead
//! letters are sent, and one for each dropped channel whose dead letters are not answered.
//!
//! # Log levels
//!
//! * `debug`: connections that are lost or refused, messages that the broker refuses, and dead
//!   letters whose exchange does not exist, with the reason.
//! * `warn`: errors of the broker that belong to no call, messages without a confirm that the
//!   broker refuses, and dead letters whose message returns to its queue, once a minute for each
//!   queue.
//!
//! No log line contains a password or a body.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]
#![warn(clippy::indexing_slicing, clippy::panic, clippy::expect_used, clippy::unreachable)]

mod channel;
mod connection;
mod content;
mod exchanges;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod wall_clock;
mod wire;

pub use channel::connector::ActiveMqConnector;
