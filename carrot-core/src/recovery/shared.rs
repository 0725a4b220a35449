//! The state that the publishers and consumers of one connection share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::backend::{Connector, Event, Role};
use crate::config::ConnectionOptions;
use crate::escaping::printable;
use crate::recovery::backoff::Backoff;
use crate::recovery::hooks::Hooks;
use crate::recovery::isolation::Isolation;
use crate::recovery::reconnecting::{ChannelOwner, Reconnecting};
use crate::statistics::health::{Health, RoleHealth};
use crate::statistics::roles::RoleEvents;
use crate::statistics::{ConnectingStatistics, ConnectionFigures, RoleStatistics, Statistics};

/// The maximum length of a reason in the health of a connection, in bytes.
const LONGEST_REASON: usize = 1000;

/// The connector of one broker, with the limits and the order of its use.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionShared {
    pub(crate) connector: Arc<dyn Connector>,
    roles: Arc<Roles>,
    pub(crate) hooks: Arc<Hooks>,
    pub(crate) isolation: Arc<Isolation>,
    pub(crate) figures: ConnectionFigures,
    events: Arc<RoleEvents>,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
}

/// Each role has its own connection. An obstacle in one role, such as an alarm, must not delay the
/// other.
#[derive(Debug)]
struct Roles {
    publishing: Arc<Reconnecting>,
    consuming: Arc<Reconnecting>,
}

impl Drop for Roles {
    /// Ends the background threads once the connection is unused.
    fn drop(&mut self) {
        self.publishing.backoff.close();
        self.consuming.backoff.close();
    }
}

impl ConnectionShared {
    pub(crate) fn new(
        connector: Arc<dyn Connector>,
        options: &ConnectionOptions,
    ) -> ConnectionShared {
        let reached = Arc::<AtomicBool>::default();
        let reconnecting = |role| {
            let backoff = Arc::new(Backoff::new(connector.endpoint(), &reached));
            Arc::new(Reconnecting::new(role, &connector, backoff, options.connect_timeout))
        };
        let roles = Arc::new(Roles {
            publishing: reconnecting(Role::Publish),
            consuming: reconnecting(Role::Consume),
        });
        let (publishing, consuming) = (Arc::clone(&roles.publishing), Arc::clone(&roles.consuming));
        let hooks = Arc::<Hooks>::default();
        let called = Arc::clone(&hooks);
        let events = Arc::<RoleEvents>::default();
        let noted = Arc::clone(&events);
        connector.observe(Arc::new(move |event| {
            noted.note(event);
            if let Event::Disconnected { role, error } = event {
                let reconnecting = match role {
                    Role::Publish => &publishing,
                    Role::Consume => &consuming,
                };
                reconnecting.lost(error);
            }
            called.call(event);
        }));
        ConnectionShared {
            connector,
            roles,
            hooks,
            isolation: Arc::default(),
            figures: ConnectionFigures::default(),
            events,
            connect_timeout: options.connect_timeout,
            call_timeout: options.call_timeout,
        }
    }

    fn role(&self, role: Role) -> &Arc<Reconnecting> {
        match role {
            Role::Publish => &self.roles.publishing,
            Role::Consume => &self.roles.consuming,
        }
    }

    pub(crate) fn backoff(&self, role: Role) -> &Backoff {
        &self.role(role).backoff
    }

    /// Reopens the channel of `owner` in the background after the connection of its role was lost
    /// and recovered.
    pub(crate) fn reopen_after_loss(&self, role: Role, owner: &Arc<dyn ChannelOwner>) {
        self.role(role).add(owner);
    }

    /// Connects in the background, and opens the channels that wait for the connection.
    pub(crate) fn reconnect(&self, role: Role) {
        self.role(role).start();
    }

    /// Returns whether the connection that a message would be sent on is open: that of publishers,
    /// or, while there is no publisher, that of consumers.
    pub(crate) fn is_connected(&self) -> bool {
        let role = if self.roles.publishing.is_used() { Role::Publish } else { Role::Consume };
        self.connector.status(role).connected
    }

    /// Returns the reason why the broker has blocked publishing, if it has.
    pub(crate) fn blocked(&self) -> Option<String> {
        let blocked = |role| self.connector.status(role).blocked;
        blocked(Role::Publish).or_else(|| blocked(Role::Consume))
    }

    pub(crate) fn statistics(&self) -> Statistics {
        self.roles.publishing.take_arrived_answers();
        let of = |role| {
            let counts = self.events.counts(role);
            let blocked = self.connector.status(role).blocked.is_some();
            RoleStatistics { losses: counts.losses, reconnects: counts.reconnects, blocked }
        };
        Statistics {
            publishing: self.figures.publishing.sum().statistics,
            consuming: self.figures.consuming.sum().statistics,
            connecting: ConnectingStatistics {
                publish: of(Role::Publish),
                consume: of(Role::Consume),
            },
        }
    }

    pub(crate) fn health(&self) -> Health {
        self.roles.publishing.take_arrived_answers();
        let publishing = self.figures.publishing.sum();
        let sent = publishing.last_confirmed;
        Health {
            publish: self.role_health(Role::Publish),
            consume: self.role_health(Role::Consume),
            closed: self.backoff(Role::Consume).is_closed(),
            last_confirm: sent.map(|sent| Instant::now().saturating_duration_since(sent)),
            in_flight: publishing.statistics.in_flight,
            workers: self.figures.consuming.sum().workers,
        }
    }

    fn role_health(&self, role: Role) -> RoleHealth {
        // Asked first: a connection that opens meanwhile is reported as lost, not as never needed.
        let status = self.connector.status(role);
        let outage = self.backoff(role).outage_now();
        RoleHealth {
            needed: self.role(role).is_used() || outage.was_needed,
            connected: status.connected,
            blocked: status.blocked.map(|reason| printable(LONGEST_REASON, reason)),
            disconnected_for: outage.since.filter(|_| !status.connected),
            last_error: outage.last_failure.map(|error| printable(LONGEST_REASON, error)),
        }
    }

    /// Refuses all further attempts to open a channel.
    pub(crate) fn close(&self) {
        self.roles.publishing.backoff.close();
        self.roles.consuming.backoff.close();
        self.isolation.close();
    }

    /// Wakes every thread that waits for a connection, to check again whether to give up.
    pub(crate) fn wake(&self) {
        self.roles.publishing.backoff.wake();
        self.roles.consuming.backoff.wake();
    }
}
