//! The state of a connection, for probes.

use std::time::Duration;

use serde::Serialize;

/// The state of one connection at one moment. Returned by
/// [`Connection::health`](crate::Connection::health).
///
/// [`is_ready`](Health::is_ready) is the summary for a readiness probe. A log line or a page for
/// operators can show the fields, which serialize to JSON. No text contains a password.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let connection = carrot::connect("memory://")?;
/// let health = connection.health();
/// assert!(health.is_ready());
/// assert!(health.consume.connected, "`connect` opens it");
/// assert!(!health.publish.needed, "there is no publisher yet");
/// println!("{}", serde_json::to_string(&health)?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The connection of the publishers.
    pub publish: RoleHealth,
    /// The connection of the consumers and declarations.
    pub consume: RoleHealth,
    /// Whether this program closed the connection.
    pub closed: bool,
    /// The time since the program sent the message that was confirmed last; `None` before the first
    /// confirm.
    ///
    /// The confirm itself is younger, at most by the send timeout. A confirm counts once a call of
    /// the program has received it, as in
    /// [`PublishingStatistics`](crate::PublishingStatistics). An idle publisher receives no
    /// confirms, so a large value alone is no fault.
    pub last_confirm: Option<Duration>,
    /// The number of messages without a known outcome, over all publishers.
    pub in_flight: u64,
    /// The threads of workers.
    pub workers: WorkerHealth,
}

impl Health {
    /// Returns whether the connection can do the work that the program uses it for, for a readiness
    /// probe.
    ///
    /// That is the case if all of these hold:
    ///
    /// * the program did not close the connection;
    /// * each [needed](RoleHealth::needed) role is connected, and the broker does not block it;
    /// * no worker ended with an error, among the [`Workers`](crate::Workers) that the program
    ///   still has.
    ///
    /// A role that was never needed does not count: a program without a publisher is ready without
    /// a connection for publishing. Paused messages and paused consumers do not count either. A
    /// program that also wants to check those reads [`Statistics`](crate::Statistics).
    ///
    /// Not suited for a liveness probe: a restart of the program cures no broker that is down.
    pub fn is_ready(&self) -> bool {
        !self.closed
            && self.publish.is_usable()
            && self.consume.is_usable()
            && self.workers.failed == 0
    }
}

/// The connection of one role. Part of [`Health`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct RoleHealth {
    /// Whether the connection was ever needed: by a publisher or consumer, also a dropped one, or
    /// by a call that connects.
    pub needed: bool,
    /// Whether the connection is open.
    pub connected: bool,
    /// The broker's reason for blocking publishing on the connection, escaped and cut to 1,000
    /// bytes; `None` if publishing is not blocked.
    pub blocked: Option<String>,
    /// The time since the loss of the connection, or since the first failed attempt to connect;
    /// `None` if the connection is open, or if nothing has failed.
    pub disconnected_for: Option<Duration>,
    /// The reason of the last loss or failed attempt to connect, escaped and cut to 1,000 bytes.
    /// Stays after the connection is open again.
    pub last_error: Option<String>,
}

impl RoleHealth {
    fn is_usable(&self) -> bool {
        !self.needed || (self.connected && self.blocked.is_none())
    }
}

/// The threads of the [`Workers`](crate::Workers) that the program still has. Part of [`Health`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct WorkerHealth {
    /// The number of threads that run.
    pub running: u64,
    /// The number of threads that ended with an error, for example because their queue was deleted.
    pub failed: u64,
    /// The error of one of these threads, escaped and cut to 1,000 bytes.
    pub last_error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_ready_only_while_each_needed_role_is_usable() {
        let open = RoleHealth { needed: true, connected: true, ..RoleHealth::default() };
        let lost = RoleHealth { needed: true, ..RoleHealth::default() };
        let blocked = RoleHealth { blocked: Some("memory".into()), ..open.clone() };
        let unused = RoleHealth::default();
        for (publish, consume, ready) in [
            (&unused, &unused, true),
            (&unused, &open, true),
            (&open, &unused, true),
            (&open, &lost, false),
            (&lost, &open, false),
            (&blocked, &open, false),
        ] {
            let (publish, consume) = (publish.clone(), consume.clone());
            let health = Health { publish, consume, ..Health::default() };
            assert_eq!(health.is_ready(), ready, "{health:?}");
        }
    }

    #[test]
    fn health_closed_or_with_a_failed_worker_is_not_ready() {
        assert!(!Health { closed: true, ..Health::default() }.is_ready());
        let workers = WorkerHealth { running: 1, failed: 1, last_error: None };
        assert!(!Health { workers, ..Health::default() }.is_ready());
    }
}
