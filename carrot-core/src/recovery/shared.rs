//! What the publishers and consumers of one connection share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use crate::backend::{Connector, Event, Role};
use crate::config::ConnectionOptions;
use crate::recovery::backoff::Backoff;
use crate::recovery::isolation::Isolation;
use crate::recovery::poison_search::PoisonSearch;
use crate::recovery::reconnecting::{Reconnecting, Reopen};

/// The way to one broker, with what bounds and orders its use.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionShared {
    pub(crate) connector: Arc<dyn Connector>,
    roles: Arc<Roles>,
    pub(crate) poison_search: Arc<PoisonSearch>,
    pub(crate) isolation: Arc<Isolation>,
    pub(crate) connect_timeout: Duration,
    pub(crate) call_timeout: Duration,
}

/// Each role has a connection of its own: what keeps one from being opened, such as an alarm, is
/// not to hold up the other.
#[derive(Debug)]
struct Roles {
    publishing: Arc<Reconnecting>,
    consuming: Arc<Reconnecting>,
}

impl Drop for Roles {
    /// Ends what goes on in the background once nobody uses the connection any more.
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
        connector.observe(Arc::new(move |event| {
            if let Event::Disconnected { role, error } = event {
                let reconnecting = match role {
                    Role::Publish => &publishing,
                    Role::Consume => &consuming,
                };
                reconnecting.lost(error);
            }
        }));
        ConnectionShared {
            connector,
            roles,
            poison_search: Arc::default(),
            isolation: Arc::default(),
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

    /// Has `what` opened again in the background whenever the connection of its role was lost and
    /// is back.
    pub(crate) fn reopen_after_loss(&self, role: Role, what: &Arc<dyn Reopen>) {
        self.role(role).add(what);
    }

    /// Connects in the background, and opens what waits for it.
    pub(crate) fn reconnect(&self, role: Role) {
        self.role(role).start();
    }

    /// Whether the connection that a message would be sent on is open: the one that publishes, or,
    /// while nothing publishes, the other.
    pub(crate) fn is_connected(&self) -> bool {
        let role = if self.roles.publishing.is_used() { Role::Publish } else { Role::Consume };
        self.connector.status(role).connected
    }

    /// Why the broker has blocked publishing, if it has.
    pub(crate) fn blocked(&self) -> Option<String> {
        let blocked = |role| self.connector.status(role).blocked;
        blocked(Role::Publish).or_else(|| blocked(Role::Consume))
    }

    /// Refuses all further attempts to open a channel.
    pub(crate) fn close(&self) {
        self.roles.publishing.backoff.close();
        self.roles.consuming.backoff.close();
        self.isolation.close();
    }

    /// Has everybody who waits for a connection ask again whether to give up.
    pub(crate) fn wake(&self) {
        self.roles.publishing.backoff.wake();
        self.roles.consuming.backoff.wake();
        self.poison_search.wake();
    }
}
