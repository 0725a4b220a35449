//! The control interface: faults, the manual clock and inspection, for programs in any language.

mod access;
mod base64;
mod error;
mod fields;
mod listener;
mod operations;
mod request;
mod response;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;

use carrot_backend_memory::Broker;
use carrot_core::Result;

use crate::control::listener::ControlListener;
use crate::control::operations::DEFAULT_VHOST;
use crate::settings::ServerSettings;

/// The control interface of a [`Server`](crate::Server): faults, the manual clock and inspection,
/// for a test in another process or in another language.
///
/// [`ServerBuilder::control`](crate::ServerBuilder::control) asks for the interface, and
/// [`Server::control`](crate::Server::control) returns it. The interface ends with its server.
/// [`bind`](ControlInterface::bind) starts an interface without a server.
///
/// ```
/// use carrot::memory::{Broker, ManualClock};
/// use carrot::server::Server;
///
/// let broker = Broker::with_clock(&ManualClock::new());
/// let server = Server::builder(&broker).control("127.0.0.1:0").bind("127.0.0.1:0")?;
/// let control = server.control().expect("asked for");
/// // A program in any language receives both, for example in its environment.
/// assert!(control.url().starts_with("http://127.0.0.1:"));
/// assert_eq!(control.token().len(), 64);
/// # Ok::<(), carrot::Error>(())
/// ```
///
/// # Requests
///
/// An operation is a `POST` of HTTP/1.1 to `<url>/<operation>`, with a JSON object of its fields as
/// the body, and with the header `Authorization: Bearer <token>`:
///
/// ```text
/// curl -H "Authorization: Bearer $TOKEN" -d '{"seconds": 3600}' $URL/advance_clock
/// ```
///
/// The response has status 200 and a JSON object, or another status and
/// `{"error": "field \"seconds\": -1: has to be a number of seconds from 0 to 3155760000"}`. An
/// operation that fails has no effect. Unknown fields are refused.
///
/// Every operation except `vhosts` has the field `vhost`, the name of a virtual host. Defaults to
/// `/`.
///
/// # Operations
///
/// Fields with a question mark are optional. Times are in seconds, whole or fractional.
///
/// | operation | fields | effect |
/// |---|---|---|
/// | `clock` | | returns `manual`, and `elapsed_seconds` of a manual clock |
/// | `advance_clock` | `seconds` | [`ManualClock::advance`]; returns `elapsed_seconds` |
/// | `advance_clock_to_next` | | [`ManualClock::advance_to_next`]; returns `advanced_seconds`, which is null if nothing expires, and `elapsed_seconds` |
/// | `drop_connections` | `name?` | [`Faults::drop_connections`], or [`Faults::drop_connections_named`] |
/// | `drop_connections_at` | `operation`, `nth` | [`Faults::drop_connections_at`] |
/// | `close_connection_at` | `operation`, `nth`, `code`, `text?` | [`Faults::close_connection_at`] |
/// | `refuse_connects` | `count` | [`Faults::refuse_connects`] |
/// | `nack_publishes` | `count` | [`Faults::nack_publishes`] |
/// | `lose_confirms` | `count` | [`Faults::lose_confirms`] |
/// | `delay` | `operation`, `seconds`, `count?` | [`Faults::delay`] |
/// | `fail_next` | `operation`, `code`, `text?` | [`Faults::fail_next`] |
/// | `refuse_messages` | `code`, `text?`, `exchange?`, `routing_key?`, `body?` | [`Faults::refuse_messages`], for messages with all of these |
/// | `block_publishers` | `reason?` | [`Faults::block_publishers`] |
/// | `unblock_publishers` | | [`Faults::unblock_publishers`] |
/// | `clear_faults` | | [`Faults::clear`] |
/// | `faults` | | returns `outstanding` ([`Faults::outstanding`]) and `block_reason` |
/// | `vhosts` | | returns the names of the virtual hosts |
/// | `statistics` | | returns the release, and the numbers of connections, channels, exchanges, queues, messages and consumers |
/// | `connections` | | [`Broker::connections`]: names, users, channels |
/// | `queues` | | returns all queues: their declarations, and the numbers of [`QueueCounts`] |
/// | `queue` | `queue` | [`Broker::queue`]: the same of one queue, and its consumers |
/// | `messages` | `queue`, `state?`, `skip?`, `limit?` | returns the messages of a queue, which stay there; `state` is `ready`, `delayed` or `unacked` |
/// | `put` | `queue`, `exchange?`, `routing_key?`, `properties?`, `body?` or `body_base64?` | [`Broker::put`] |
/// | `exchanges` | | returns the declarations of all exchanges |
/// | `bindings` | `exchange?` | [`Broker::bindings`]; those of all exchanges without the field |
/// | `record` | `exchange` | [`Broker::record`]; returns the number of the `recording` |
/// | `recorded` | `recording`, `skip?`, `limit?` | returns the messages of a recording, oldest first |
/// | `stop_recording` | `recording` | ends a recording |
/// | `wait_until_idle` | `timeout_seconds?` | [`Broker::wait_until_idle`], for at most 60 seconds; fails with status 409. Defaults to 10 seconds |
///
/// The values of `operation` are those of [`Operation`](carrot_backend_memory::Operation), in lower
/// case: `connect`, `open`, `declare`, `delete`, `publish`, `get`, `consume`, `ack`, `reject`,
/// `update_secret` and `any`. `confirm` and `next` happen only in the program that hosts the
/// broker.
///
/// The codes 403 to 406 close the channel. The codes 320, 501 to 506, 530, 540 and 541 close the
/// connection. `close_connection_at` has only these. Defaults of `text` are those of AMQP, such as
/// `NOT_FOUND - injected fault`.
///
/// A message has `exchange`, `routing_key`, `properties`, `body_bytes` (its size), `body_base64`,
/// and `body`, which is null unless the body is UTF-8. Properties and arguments are those of
/// [`Properties`](carrot_core::Properties) in JSON. An unacknowledged message also has
/// `connection`, `channel` and `tag`. A body of more than 1 MiB has its first 1 MiB as
/// `body_base64`, and no `body`. `messages` and `recorded` return `total`, the number of all
/// messages, and those after the first `skip`: at most `limit`, 100 by default, and 16 MiB.
///
/// # Limits and trust
///
/// The interface listens on the loopback interface, and cannot be bound elsewhere. Each interface
/// has a random token of 256 bits, which no log line and no `Debug` output contains. A request
/// without the token is refused before its body is read. So is one whose header `Host` names
/// another host, so that no web page can reach the interface through a name of its own.
///
/// A head has at most 8 KiB, and a body at most 1 MiB, whose size `Content-Length` announces. A
/// request has to be complete within 10 seconds. At most 32 requests are served at a time, each on
/// a thread and a connection of its own. Further ones wait until another ends.
///
/// [`ManualClock::advance`]: carrot_backend_memory::ManualClock::advance
/// [`ManualClock::advance_to_next`]: carrot_backend_memory::ManualClock::advance_to_next
/// [`Faults::drop_connections`]: carrot_backend_memory::Faults::drop_connections
/// [`Faults::drop_connections_named`]: carrot_backend_memory::Faults::drop_connections_named
/// [`Faults::drop_connections_at`]: carrot_backend_memory::Faults::drop_connections_at
/// [`Faults::close_connection_at`]: carrot_backend_memory::Faults::close_connection_at
/// [`Faults::refuse_connects`]: carrot_backend_memory::Faults::refuse_connects
/// [`Faults::nack_publishes`]: carrot_backend_memory::Faults::nack_publishes
/// [`Faults::lose_confirms`]: carrot_backend_memory::Faults::lose_confirms
/// [`Faults::delay`]: carrot_backend_memory::Faults::delay
/// [`Faults::fail_next`]: carrot_backend_memory::Faults::fail_next
/// [`Faults::refuse_messages`]: carrot_backend_memory::Faults::refuse_messages
/// [`Faults::block_publishers`]: carrot_backend_memory::Faults::block_publishers
/// [`Faults::unblock_publishers`]: carrot_backend_memory::Faults::unblock_publishers
/// [`Faults::clear`]: carrot_backend_memory::Faults::clear
/// [`Faults::outstanding`]: carrot_backend_memory::Faults::outstanding
/// [`Broker::connections`]: carrot_backend_memory::Broker::connections
/// [`QueueCounts`]: carrot_backend_memory::QueueCounts
/// [`Broker::queue`]: carrot_backend_memory::Broker::queue
/// [`Broker::put`]: carrot_backend_memory::Broker::put
/// [`Broker::bindings`]: carrot_backend_memory::Broker::bindings
/// [`Broker::record`]: carrot_backend_memory::Broker::record
/// [`Broker::wait_until_idle`]: carrot_backend_memory::Broker::wait_until_idle
pub struct ControlInterface {
    listener: ControlListener,
}

impl ControlInterface {
    /// Starts an interface of a broker without a server. The broker is its virtual host `/`, also
    /// if a ZeroMQ host serves the same broker. Dropping the interface ends it.
    ///
    /// `address` is a host and a port of the loopback interface. Port 0 stands for a free port,
    /// which [`address`](ControlInterface::address) returns.
    ///
    /// # Errors
    /// - [`Error::Config`]: the address is not of the loopback interface.
    /// - [`Error::Backend`]: the address cannot be used, for example because its port is in use.
    ///
    /// ```
    /// use carrot::memory::Broker;
    /// use carrot::server::ControlInterface;
    ///
    /// let control = ControlInterface::bind("127.0.0.1:0", &Broker::new())?;
    /// assert!(control.address().ip().is_loopback());
    /// # Ok::<(), carrot::Error>(())
    /// ```
    ///
    /// [`Error::Config`]: carrot_core::Error::Config
    /// [`Error::Backend`]: carrot_core::Error::Backend
    pub fn bind(address: &str, broker: &Broker) -> Result<ControlInterface> {
        let vhosts = BTreeMap::from([(DEFAULT_VHOST.to_string(), broker.clone())]);
        Ok(ControlInterface { listener: ControlListener::start(address, vhosts)? })
    }

    /// Starts the interface at an address, which is a host and a port.
    pub(crate) fn start(address: &str, settings: &ServerSettings) -> Result<ControlInterface> {
        Ok(ControlInterface { listener: ControlListener::start(address, settings.vhosts.clone())? })
    }

    /// Returns the address of the interface.
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// Returns the URL of the interface, to which the name of an operation is appended after a
    /// slash. Contains no token.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address())
    }

    /// Returns the token, which every request has to contain.
    ///
    /// A program that has the token controls the broker.
    pub fn token(&self) -> &str {
        self.listener.token()
    }
}

/// Displays no token.
impl fmt::Debug for ControlInterface {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ControlInterface")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
