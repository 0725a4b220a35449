//! The broker for servers of a protocol: sessions of peers, with everything that AMQP 0-9-1 has.
//!
//! [`Broker::connector`] is for programs in this process, and offers what carrot's contract has. A
//! [`Session`] is for a server that translates the frames of a peer. Beyond the contract, a
//! session has transactions, a prefetch for a channel, returns without confirms, tags that the peer
//! chooses, and one order of deliveries for all consumers of a channel.
//!
//! The broker pushes. The server passes a [`ChannelOutput`] for each channel, and receives
//! deliveries, confirms and returns as [`ChannelEvent`]s. No thread waits in the broker, except for
//! an injected delay.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use carrot::backend::{Content, Declare};
//! use carrot::memory::Broker;
//! use carrot::memory::session::{ChannelEvent, ChannelOutput, ConsumeSettings, SessionSettings};
//! use carrot::Queue;
//!
//! #[derive(Debug, Default)]
//! struct Events(Mutex<Vec<ChannelEvent>>);
//!
//! impl ChannelOutput for Events {
//!     fn has_room(&self) -> bool {
//!         true
//!     }
//!
//!     fn send(&self, event: ChannelEvent) {
//!         self.0.lock().expect("not poisoned").push(event);
//!     }
//! }
//!
//! let broker = Broker::new();
//! let session = broker.open_session(&SessionSettings::new("guest"), |_| ());
//! let events = Arc::new(Events::default());
//! let channel = session.open_channel(events.clone())?;
//! channel.declare(Declare::Queue(&Queue::new("jobs")))?;
//! channel.consume("jobs", "worker-1", ConsumeSettings::default())?;
//! channel.publish(Content::new("", "jobs", "hello"), false)?;
//! let events = events.0.lock().expect("not poisoned");
//! assert!(matches!(events[0], ChannelEvent::Consuming { .. }));
//! assert!(matches!(events[1], ChannelEvent::Delivered { .. }));
//! # Ok::<(), carrot::Error>(())
//! ```

pub(crate) mod channel;
pub(crate) mod mode;
pub(crate) mod refusal;
pub(crate) mod settings;
pub(crate) mod settling;
pub(crate) mod transaction;

use std::fmt;
use std::sync::Arc;

use carrot_core::backend::{Event, Role};
use carrot_core::{Error, Result};

use crate::broker::connection::BrokerConnection;
use crate::broker::fault_plan::Operation;
pub use crate::broker::memory_limit::MemoryLimit;
use crate::broker::observers::ConnectorObservers;
use crate::broker::{Broker, OpenConnection};
pub use crate::channel::output::{ChannelEvent, ChannelOutput};
#[doc(hidden)]
pub use crate::queue::memory::size_of_properties;
pub use crate::session::channel::SessionChannel;
pub use crate::session::refusal::Refusal;
use crate::session::settings::LONGEST_DELAY;
pub use crate::session::settings::{ConsumeSettings, SessionSettings};

/// One connection of a peer: its user, its channels, its exclusive queues.
///
/// [`Broker::open_session`] opens a session. Dropping the session closes it.
pub struct Session {
    connection: Arc<BrokerConnection>,
    /// Keeps the observer, to which the connection has a weak reference.
    observers: Arc<ConnectorObservers>,
}

impl Broker {
    /// Opens a session.
    ///
    /// `observer` receives [`Event::Blocked`] and [`Event::Unblocked`], and
    /// [`Event::Disconnected`] if a test cuts the connection. Its calls never overlap. The broker
    /// calls it on the thread that caused the event, without locks.
    pub fn open_session(
        &self,
        settings: &SessionSettings,
        observer: impl Fn(&Event) + Send + Sync + 'static,
    ) -> Session {
        let observers = Arc::new(ConnectorObservers::default());
        observers.add(Arc::new(observer));
        let connection = BrokerConnection::open(
            &self.shared,
            Role::Publish,
            &settings.user,
            &settings.name,
            &observers,
        );
        observers.notify();
        Session { connection, observers }
    }

    /// Carries out the faults that a test has planned for the next connection.
    ///
    /// A server calls this when a peer connects. Blocks for an injected delay, at most for 30
    /// seconds.
    ///
    /// # Errors
    /// The injected error: the server closes the socket.
    pub fn admit_connection(&self) -> Result<()> {
        self.shared.inject_faults(Operation::Connect, None, LONGEST_DELAY).map(drop)
    }

    /// Returns the largest body of a message, in bytes, that the imitated release accepts.
    pub fn max_body_bytes(&self) -> usize {
        self.shared.rules().largest_body
    }
}

impl Session {
    /// Opens a channel, whose events go to `output`.
    ///
    /// # Errors
    /// - [`Error::Closed`], [`Error::Disconnected`]: the session has ended.
    /// - An injected error.
    pub fn open_channel(&self, output: Arc<dyn ChannelOutput>) -> Result<SessionChannel> {
        self.connection.shared.inject_faults(Operation::Open, None, LONGEST_DELAY)?;
        SessionChannel::open(&self.connection, output)
    }

    /// Serves the consumers of all channels that lacked room, and have room again.
    pub fn resume(&self) {
        for channel in self.connection.channels() {
            for queue in channel.queues_to_resume() {
                queue.resume();
            }
        }
        self.connection.shared.send_dead_letters();
    }

    /// Returns whether the session is open. A test can cut it.
    pub fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Notes that the peer publishes a message, whose body may not have arrived. Returns whether
    /// the broker blocks publishers.
    ///
    /// The broker has reported [`Event::Blocked`] then. As RabbitMQ does, a server calls this after
    /// the header of a message with a body, and reads no more before [`wait_until_read`] returns.
    ///
    /// [`wait_until_read`]: Session::wait_until_read
    pub fn note_publication(&self) -> bool {
        self.connection.note_publication()
    }

    /// Returns whether the broker has reported [`Event::Blocked`], and not yet
    /// [`Event::Unblocked`].
    pub fn is_blocked(&self) -> bool {
        self.connection.gate.is_blocked() && self.connection.gate.reason().is_some()
    }

    /// Waits until the broker reads the publications of the session.
    ///
    /// After the peer has published while the broker blocks publishers, a server must read no more
    /// from the peer. Blocks until the broker unblocks publishers, or the session ends.
    pub fn wait_until_read(&self) {
        if self.connection.gate.is_blocked() {
            self.connection.gate.wait_until_unblocked();
        }
    }

    /// Replaces the secret of the peer. Accepts every secret, because the broker has none.
    ///
    /// # Errors
    /// An injected error.
    pub fn update_secret(&self) -> Result<()> {
        self.connection.shared.inject_faults(Operation::UpdateSecret, None, LONGEST_DELAY).map(drop)
    }

    /// Closes the session. The messages of its channels return to their queues, and its exclusive
    /// queues are deleted. A second call does nothing.
    pub fn close(&self) {
        for channel in self.connection.channels() {
            if let Some(closed) = channel.fail(Error::disconnected("the session was closed")) {
                self.connection.shared.release_channel(closed);
            }
        }
        self.connection.fail(Error::closed("connection"));
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("name", &self.connection.name())
            .field("observers", &self.observers)
            .finish_non_exhaustive()
    }
}
