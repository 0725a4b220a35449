//! The contract between the portable half of Carrot and the backends that connect to a broker.
//!
//! A *backend* is a library that implements the three traits. The trait [`Backend`] is one channel,
//! not the whole backend.
//!
//! Three traits, from the outside in:
//!
//! 1. A [`Connector`] connects to one broker. A [`Connection`](crate::Connection) holds one, and
//!    all its publishers and consumers share it.
//! 2. [`Connector::open`] opens a [`Backend`]: one channel, the unit of acknowledgement and of
//!    failure.
//! 3. [`Backend::consume`] starts a [`Subscription`]: the deliveries of one queue to one consumer.
//!
//! # Duties of a backend
//!
//! A backend executes each operation once, and classifies its error. A backend never retries,
//! reconnects or redeclares. A backend never starts a thread for the user's work, and never reads a
//! body. Codecs, retries, worker threads and the deadlines of composite calls live in
//! `carrot-core`, once for all backends.
//!
//! # Order of calls
//!
//! 1. `open`.
//! 2. `declare`, `delete`, `get`, `publish`, `consume` in any order and from any thread.
//! 3. For each `publish` on a channel with confirms, `confirm` until it is answered.
//! 4. For each delivery taken with [`Acknowledgement::Manual`], one `ack` or `reject`, on the
//!    channel that delivered it, from any thread.
//! 5. `close`, or drop.
//!
//! # Deadlines
//!
//! Every method that waits for the broker takes a timeout, and fails with [`Error::Timeout`] when
//! it passes. No call waits longer than its timeout by more than a scheduling delay. Dropping a
//! connector, a channel or a subscription never waits for the broker. Core passes timeouts of at
//! most 365 days.
//!
//! After a timeout of `declare`, `delete`, `get`, `consume` or `cancel`, the effect at the broker
//! is unknown, and the backend may close the channel. A `publish` that times out because the socket
//! buffer is full has sent nothing, and leaves the channel usable.
//!
//! # Validation
//!
//! Each method first calls the `validate` method of its argument, if there is one, and returns its
//! [`Error::Invalid`]. Nothing is then sent, and the channel stays usable. A backend may add limits
//! of its own in the same way.
//!
//! A backend that does not support an entity, an option or an argument also returns
//! [`Error::Invalid`]. An argument that RabbitMQ does not know has no effect.
//! [`Error::PreconditionFailed`] is the refusal of a broker, and closes the channel.
//!
//! # Turns
//!
//! Deliveries do not wait for [`Subscription::next`]. A ready message moves at once to a consumer
//! with room. The message then no longer counts as ready, and counts towards the prefetch of the
//! consumer.
//!
//! - The consumers of a queue receive in turn, one message each, in the order in which they
//!   subscribed.
//! - A consumer without room is skipped when its turn comes. Once it has room again, its turn is
//!   after those of all others.
//!
//! # Order after a requeue
//!
//! A requeued message returns to its old position, or as near as possible, before later messages.
//! One rejection may requeue several messages, and consumers may wait for them:
//!
//! - The messages of `get` are requeued one by one, in the order of their tags. A waiting consumer
//!   receives each of them at once.
//! - The messages of consumers are requeued next, as a group. Delivery then begins at the head of
//!   the queue.
//!
//! Closing or losing a channel requeues all its messages in their old order.
//!
//! # Failure of a channel
//!
//! A refused operation (AMQP 403, 404, 405, 406) closes the channel. The broker requeues its
//! unacknowledged deliveries, and its consumers end. The refused call fails with the typed error
//! ([`Error::is_channel_error`]). The backend chooses the variant by the reply code. If one code
//! stands for several conditions, the backend also reads the broker's text; core never does.
//!
//! `publish`, `ack` and `reject` do not wait for the broker. The next call that waits reports their
//! refusal. From then on:
//!
//! - `declare`, `delete`, `publish`, `confirm`, `get`, `consume`, `next`, `cancel` and `check` fail
//!   with that first error again. `confirm` still returns an answer that arrived earlier.
//! - `ack` and `reject` fail with [`Error::Stale`], with the first error as its source.
//! - `close` returns `Ok`.
//!
//! The failure wakes every thread that waits in a call on the channel. The requeued messages move
//! to other consumers with room at once.
//!
//! After the loss of the whole connection, the same holds with [`Error::Disconnected`] as the first
//! error. After `close`, the first error is [`Error::Closed`]. [`Error::Backend`] is an error that
//! no other variant describes, and ends its channel.
//!
//! # Hard errors
//!
//! A broker closes the whole connection over certain operations (AMQP hard errors: 501 to 506, 530,
//! 540, 541). The broker may name the method that it refused. The backend compares that method with
//! the operations in flight on the connection. An operation is a call, or a message without an
//! answer of the broker.
//!
//! - If exactly one operation in flight can be the cause, the first error of its channel is
//!   [`Error::HardError`]. For a message, the cause is the oldest message on the channel without an
//!   answer.
//! - If several operations can be the cause, the first error of their channels is
//!   [`Error::Disconnected`] with a [`HardClose`] as its source. Core repeats the calls, and sends
//!   the messages again one at a time. The backend then allows one such call at a time for a while,
//!   so the next loss has only one suspect.
//! - If the broker names no method, every operation in flight can be the cause, and the backend is
//!   never certain.
//! - The first error of every other channel is a plain [`Error::Disconnected`].
//!
//! AMQP's 320 (the operator closed the connection) is a plain loss for every channel.

mod body;
mod buffer_pool;
mod candidate_addresses;
mod channel;
mod channel_options;
mod clock;
mod connect_failures;
mod connector;
mod content;
mod delivery;
mod entities;
mod event_observers;
mod lookup;
mod subscription;

pub mod frame_limits;
pub mod validate;

pub use body::{Body, IntoBody};
pub use buffer_pool::BufferPool;
pub(crate) use candidate_addresses::address_text;
pub use candidate_addresses::{CandidateAddress, CandidateAddresses};
pub use channel::Backend;
pub use channel_options::{ChannelOptions, Role};
pub use clock::Clock;
pub use connect_failures::ConnectFailures;
pub use connector::{Capabilities, Connector, Event, Status, refuse_secret_update};
pub use content::{Content, Outcome, Publication, PublishTag};
pub use delivery::{Acknowledgement, ConsumeOptions, Delivery, DeliveryTag, Extent, Rejection};
pub use entities::{Declare, Delete, Deleted};
pub use event_observers::EventObservers;
pub use lookup::look_up;
pub use subscription::{ArrivedDeliveries, Subscription};

pub use crate::error::HardClose;
pub use crate::escaping::{Printable, printable};
pub use crate::model::{DeleteIf, QueueInfo, ShortString};

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;
