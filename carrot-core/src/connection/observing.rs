//! The state of a connection, its figures, and the hooks for its events.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::backend::{Event, Role};
use crate::connection::Connection;
use crate::error::Error;
use crate::statistics::Statistics;
use crate::statistics::health::Health;

impl Connection {
    /// Returns whether a message would be sent on an open connection now. Suits a readiness probe
    /// and a circuit breaker.
    ///
    /// Checks the connection for publishers. Before the first publisher is built, checks the
    /// connection for consumers and declarations. Carrot reopens a lost connection in the
    /// background, within two seconds of the broker's return, even if no call uses the connection.
    ///
    /// Does not block.
    ///
    /// ```
    /// # use carrot::{Connection, Publisher};
    /// # fn example(connection: &Connection, publisher: &Publisher) -> Result<(), u16> {
    /// if !connection.is_connected() {
    ///     return Err(503);
    /// }
    /// publisher.try_publish("an order").map_err(|_| 503_u16)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn is_connected(&self) -> bool {
        self.handle.shared.is_connected()
    }

    /// Returns whether the connection of `role` is open. Does not block.
    pub fn is_connected_to(&self, role: Role) -> bool {
        self.handle.shared.connector.status(role).connected
    }

    /// Returns whether the broker has blocked publishing because memory or disk space is short.
    ///
    /// RabbitMQ reports the block to a connection only after that connection has published. Does
    /// not block.
    pub fn is_blocked(&self) -> bool {
        self.handle.shared.blocked().is_some()
    }

    /// Returns the numbers of messages, losses and pauses since the connection was created. They
    /// cover all of its publishers and consumers, the dropped ones included.
    ///
    /// Clones of a connection share the numbers. Nothing has to be switched on. A call reads the
    /// counters of each publisher, each consumer and each run that exists, so suits a few calls a
    /// second, not one for each message.
    ///
    /// Takes the confirms that have arrived, also those that no call waits for. The layers of the
    /// publishers see these outcomes on this thread. Sends nothing to the broker, and does not
    /// block, unless a layer does.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) {
    /// let before = connection.statistics();
    /// std::thread::sleep(std::time::Duration::from_secs(10));
    /// let now = connection.statistics();
    /// let confirmed = now.publishing.confirmed - before.publishing.confirmed;
    /// println!("{} confirmed messages a second", confirmed / 10);
    /// if now.consuming.paused > before.consuming.paused {
    ///     eprintln!("failed messages can be neither copied nor parked");
    /// }
    /// # }
    /// ```
    pub fn statistics(&self) -> Statistics {
        self.handle.shared.statistics()
    }

    /// Returns the state of the connections to the broker, of the messages in flight and of the
    /// workers. [`Health::is_ready`] is the summary for a readiness probe.
    ///
    /// Takes the confirms that have arrived, as [`statistics`](Connection::statistics) does. Sends
    /// nothing to the broker, and does not block, unless a layer does. A broken network is seen
    /// once the operating system or a missing heartbeat reports the loss.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) -> (u16, String) {
    /// let health = connection.health();
    /// let code = if health.is_ready() { 200 } else { 503 };
    /// (code, format!("{health:?}"))
    /// # }
    /// ```
    pub fn health(&self) -> Health {
        self.handle.shared.health()
    }

    /// Calls `hook` with the role and the reason each time a connection is lost. A connection that
    /// this program closes does not call `hook`.
    ///
    /// Publishers share one connection to the broker; consumers and declarations share another. An
    /// outage calls the hook once for each open connection.
    /// [`on_reconnect`](Connection::on_reconnect) is then called once for each recovered
    /// connection.
    ///
    /// Hooks run one after another, on a thread of their own, with no lock held. A hook may use
    /// the connection, for example to declare and to send. A hook that waits delays later hooks,
    /// not the reconnecting. While a hook does not return, the last 1,000 events are kept for it. A
    /// panic in a hook is logged at error level. Several hooks can be set, and none can be removed.
    /// A hook that holds a `Connection`, a publisher or a consumer keeps the connection open.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) {
    /// connection.on_disconnect(|role, error| eprintln!("{role} connection: {error}"));
    /// connection.on_reconnect(|role| eprintln!("{role} connection: recovered"));
    /// connection.on_blocked(|role, reason| eprintln!("{role} connection: blocked: {reason}"));
    /// connection.on_unblocked(|role| eprintln!("{role} connection: unblocked"));
    /// # }
    /// ```
    pub fn on_disconnect(&self, hook: impl Fn(Role, &Error) + Send + Sync + 'static) {
        self.handle.shared.hooks.add(Arc::new(move |event| {
            if let Event::Disconnected { role, error } = event {
                hook(*role, error);
            }
        }));
    }

    /// Calls `hook` with the role each time a lost connection is recovered. See
    /// [`on_disconnect`](Connection::on_disconnect).
    pub fn on_reconnect(&self, hook: impl Fn(Role) + Send + Sync + 'static) {
        let lost = [AtomicBool::new(false), AtomicBool::new(false)];
        let flag = move |role: Role, now_lost: bool| {
            let [publishing, consuming] = &lost;
            let flag = if role == Role::Publish { publishing } else { consuming };
            flag.swap(now_lost, Ordering::AcqRel)
        };
        self.handle.shared.hooks.add(Arc::new(move |event| match event {
            Event::Disconnected { role, .. } => drop(flag(*role, true)),
            Event::Connected { role } if flag(*role, false) => hook(*role),
            _ => {}
        }));
    }

    /// Calls `hook` with the role and the broker's reason each time the broker blocks publishing on
    /// a connection. See [`on_disconnect`](Connection::on_disconnect).
    ///
    /// A consumer publishes, too, when it copies a failed message to another queue.
    pub fn on_blocked(&self, hook: impl Fn(Role, &str) + Send + Sync + 'static) {
        self.handle.shared.hooks.add(Arc::new(move |event| {
            if let Event::Blocked { role, reason } = event {
                hook(*role, reason);
            }
        }));
    }

    /// Calls `hook` with the role each time the broker unblocks publishing on a connection. See
    /// [`on_disconnect`](Connection::on_disconnect).
    pub fn on_unblocked(&self, hook: impl Fn(Role) + Send + Sync + 'static) {
        self.handle.shared.hooks.add(Arc::new(move |event| {
            if let Event::Unblocked { role } = event {
                hook(*role);
            }
        }));
    }
}
