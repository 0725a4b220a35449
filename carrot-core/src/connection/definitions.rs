//! The last step of each definition: `on`, `open` and `build`.

use crate::call::caller::Caller;
use crate::call::definition::CallerDefinition;
use crate::connection::Connection;
use crate::consumer::Consumer;
use crate::consumer::definition::ConsumerDefinition;
#[allow(unused_imports, reason = "the links of the documentation name it")]
use crate::error::Error;
use crate::error::Result;
use crate::publisher::Publisher;
use crate::publisher::definition::PublisherDefinition;

impl PublisherDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> PublisherDefinition<Connection> {
        PublisherDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a publisher on `connection`, as [`build`](PublisherDefinition::build) does.
    ///
    /// # Errors
    /// As [`build`](PublisherDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Publisher> {
        connection.open_publisher(self.settings.clone())
    }
}

impl PublisherDefinition<Connection> {
    /// Opens the publisher: opens a channel, and declares the exchange and the queue of
    /// [`queue`](Self::queue). A publisher of a lazy connection is opened in the background, and its
    /// first call reports these errors.
    ///
    /// Blocks for two to four round trips, and for connecting if the connection is not open. The
    /// connect timeout and the call timeout limit the wait.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a setting is out of its limits.
    /// - [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    ///   [`Error::Disconnected`]: connecting failed.
    /// - [`Error::PreconditionFailed`]: the exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing exchange or queue was expected, and there is none.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::AccessRefused`]: the name of the exchange or of the queue is reserved.
    /// - [`Error::HardError`]: the broker does not know the exchange type.
    /// - [`Error::Closed`]: the connection was closed.
    pub fn build(self) -> Result<Publisher> {
        self.connection.open_publisher(self.settings)
    }
}

impl ConsumerDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> ConsumerDefinition<Connection> {
        ConsumerDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a consumer on `connection`, as [`build`](ConsumerDefinition::build) does.
    ///
    /// # Errors
    /// As [`build`](ConsumerDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Consumer> {
        connection.open_consumer(self.settings.clone())
    }
}

impl ConsumerDefinition<Connection> {
    /// Opens the consumer: opens a channel, and declares the exchanges, the queue and the bindings.
    /// No message is delivered yet. A consumer of a lazy connection is opened in the background,
    /// and its first call reports these errors.
    ///
    /// Blocks for a round trip per declaration, and for connecting if the connection is not open.
    /// The connect timeout and the call timeout limit the wait.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a setting is out of its limits.
    /// - [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    ///   [`Error::Disconnected`]: connecting failed.
    /// - [`Error::PreconditionFailed`]: the queue or an exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing queue or exchange was expected, and there is none.
    /// - [`Error::ResourceLocked`]: the queue is exclusive to another connection.
    /// - [`Error::AccessRefused`]: the name of an exchange or of the queue is reserved.
    /// - [`Error::HardError`]: the broker does not know the type of an exchange.
    /// - [`Error::Closed`]: the connection was closed.
    pub fn build(self) -> Result<Consumer> {
        self.connection.open_consumer(self.settings)
    }
}

impl CallerDefinition {
    /// Binds the definition to a connection, for further settings.
    pub fn on(&self, connection: &Connection) -> CallerDefinition<Connection> {
        CallerDefinition { connection: connection.clone(), settings: self.settings.clone() }
    }

    /// Opens a caller on `connection`, as [`build`](CallerDefinition::build) does.
    ///
    /// # Errors
    /// As [`build`](CallerDefinition::build).
    pub fn open(&self, connection: &Connection) -> Result<Caller> {
        connection.open_caller(self.settings.clone())
    }
}

impl CallerDefinition<Connection> {
    /// Opens the caller: opens a channel, declares the exchange, and subscribes to the answers. A
    /// caller of a lazy connection is opened by its first call, which reports these errors.
    ///
    /// Blocks for two to four round trips, and for connecting if the connection is not open. The
    /// connect timeout and the call timeout limit the wait.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: a setting is out of its limits.
    /// - [`Error::Connect`], [`Error::Authentication`], [`Error::Timeout`],
    ///   [`Error::Disconnected`]: connecting failed.
    /// - [`Error::PreconditionFailed`]: the exchange exists with other properties.
    /// - [`Error::NotFound`]: an existing exchange was expected, and there is none.
    /// - [`Error::AccessRefused`]: the name of the exchange is reserved.
    /// - [`Error::HardError`]: the broker does not know the exchange type.
    /// - [`Error::Closed`]: the connection was closed.
    pub fn build(self) -> Result<Caller> {
        self.connection.open_caller(self.settings)
    }
}
