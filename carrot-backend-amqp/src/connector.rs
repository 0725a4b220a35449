//! The connector: one connection for each role.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use carrot_core::backend::{
    Backend, Capabilities, ChannelOptions, Clock, Connector, Role, Status, refuse_secret_update,
};
use carrot_core::{ConnectionOptions, Credentials, Error, Result, Scheme};

use crate::channel::{Channel, OpenChannel};
use crate::connection::{
    AmqpConnection, CallIsolation, Observer, Observers, RoleContext, Supervisor,
};
use crate::dedicated_connections::DedicatedConnections;
use crate::role_connection::RoleConnection;
use crate::time::deadline_after;

/// Connects to RabbitMQ, or to another broker that speaks AMQP 0-9-1.
///
/// It holds at most two connections, one for channels that publish and one for channels that
/// consume, because a broker under an alarm stops reading from connections that publish. The first
/// [`open`](Connector::open) or [`connect`](Connector::connect) that needs a connection opens it.
/// The next one after a loss opens it again.
///
/// Dropping it never blocks. A connection closes when neither the connector nor a channel on it is
/// left.
pub struct AmqpConnector {
    options: Arc<ConnectionOptions>,
    observers: Arc<Observers>,
    clock: Clock,
    supervisor: Arc<Supervisor>,
    publishing: RoleConnection,
    consuming: RoleConnection,
    dedicated: DedicatedConnections,
}

impl AmqpConnector {
    /// Creates a connector. Checks the options, and opens no connection.
    ///
    /// # Errors
    /// - [`Error::Config`]: [`ConnectionOptions::validate`] fails, or the scheme is neither `amqp`
    ///   nor `amqps`, or it is `amqps` without the feature `tls`.
    pub fn new(options: &ConnectionOptions) -> Result<AmqpConnector> {
        options.validate()?;
        match options.scheme {
            Scheme::Amqp => {}
            Scheme::Amqps if cfg!(feature = "tls") => {}
            Scheme::Amqps => {
                return Err(Error::config(
                    "scheme",
                    "amqps needs the feature `tls` of carrot-backend-amqp",
                ));
            }
            scheme => {
                return Err(Error::config(
                    "scheme",
                    format!("{scheme} is not reached through AMQP; amqp and amqps are"),
                ));
            }
        }
        match options.credentials {
            Credentials::Plain { .. } | Credentials::External | Credentials::Provider(_) => {}
            _ => return Err(Error::config("credentials", "not supported by AMQP")),
        }
        Ok(AmqpConnector {
            options: Arc::new(options.clone()),
            observers: Arc::default(),
            clock: Clock::real(),
            supervisor: Arc::default(),
            publishing: RoleConnection::default(),
            consuming: RoleConnection::default(),
            dedicated: DedicatedConnections::default(),
        })
    }

    fn connection(
        &self,
        role: Role,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<(Arc<AmqpConnection>, bool)> {
        let held = self.role(role);
        let outlives = self.context(role, &held.isolation);
        held.connection(&self.options, outlives, timeout, deadline)
    }

    fn context(&self, role: Role, isolation: &Arc<CallIsolation>) -> RoleContext {
        RoleContext {
            role,
            observers: Arc::downgrade(&self.observers),
            isolation: Arc::clone(isolation),
            supervisor: Arc::clone(&self.supervisor),
            max_waiting_bytes: None,
        }
    }

    /// Opens a channel on a connection of its own, whose reader stops at a number of bytes.
    fn open_dedicated(
        &self,
        options: &ChannelOptions,
        max_waiting_bytes: u64,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<dyn Backend>> {
        let mut context = self.context(options.role, &self.dedicated.isolation);
        context.max_waiting_bytes = Some(max_waiting_bytes);
        let open =
            self.dedicated.open(&self.options, context, options.confirms, timeout, deadline)?;
        Ok(Arc::new(Channel::new(open)))
    }

    fn role(&self, role: Role) -> &RoleConnection {
        if role == Role::Publish { &self.publishing } else { &self.consuming }
    }
}

impl Connector for AmqpConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let deadline = deadline_after(timeout);
        if let Some(bytes) = options.max_waiting_bytes {
            return self.open_dedicated(options, bytes, timeout, deadline);
        }
        let held = self.role(options.role);
        let (connection, fresh) = self.connection(options.role, timeout, deadline)?;
        match OpenChannel::open(&connection, options.confirms, timeout, deadline) {
            // The connection was lost, and no call had found out.
            Err(error) if !fresh && error.is_disconnected() && !connection.state().is_alive() => {
                let (connection, _) = self.connection(options.role, timeout, deadline)?;
                held.keep(OpenChannel::open(&connection, options.confirms, timeout, deadline)?)
            }
            result => held.keep(result?),
        }
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.connection(role, timeout, deadline_after(timeout)).map(drop)
    }

    fn update_secret(&self, secret: &str, reason: &str, timeout: Duration) -> Result<()> {
        let deadline = deadline_after(timeout);
        let begin = |connection: Result<Arc<AmqpConnection>>| -> Result<_> {
            let connection = connection?;
            if !connection.state().features().capabilities.secret_updates {
                refuse_secret_update()?;
            }
            let number = connection.begin_secret_update(secret, reason)?;
            Ok((connection, number))
        };
        // Sent on all connections before the first answer is waited for.
        let roles = [&self.publishing, &self.consuming];
        let open = roles.into_iter().filter_map(|role| role.live().transpose());
        let open = open.chain(self.dedicated.live().into_iter().map(Ok));
        let begun: Vec<_> = open.map(begin).collect();
        let finish = |begun: Result<(Arc<AmqpConnection>, u64)>| {
            let (connection, number) = begun?;
            connection.finish_secret_update(number, timeout, deadline)
        };
        let results: Vec<_> = begun.into_iter().map(finish).collect();
        results.into_iter().collect()
    }

    fn endpoint(&self) -> String {
        self.options.endpoint()
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = deadline_after(timeout);
        let mut ends = vec![self.publishing.end(), self.consuming.end()];
        ends.extend(self.dedicated.end());
        let alive: Vec<_> = ends
            .iter()
            .filter_map(|(connection, _)| connection.as_ref())
            .filter(|open| open.state().is_alive())
            .collect();
        let channels = || ends.iter().flat_map(|(_, channels)| channels);
        let closing: Vec<_> = channels()
            .filter(|channel| channel.begin_closing(Error::closed("connection")))
            .collect();
        for channel in closing {
            channel.wait_until_closed(deadline);
        }
        let results: Vec<_> =
            alive.into_iter().map(|connection| connection.close(timeout, deadline)).collect();
        results.into_iter().collect()
    }

    fn status(&self, role: Role) -> Status {
        self.role(role).status()
    }

    fn capabilities(&self) -> Capabilities {
        self.consuming.capabilities().or_else(|| self.publishing.capabilities()).unwrap_or_default()
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    fn observe(&self, observer: Observer) {
        self.observers.observe(observer);
    }
}

impl fmt::Debug for AmqpConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpConnector")
            .field("options", &self.options.to_string())
            .finish_non_exhaustive()
    }
}
