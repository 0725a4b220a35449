//! The losses and reconnects of the connection of one role.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::backend::{Event, Role};

/// The events of a connector's connections.
#[derive(Debug, Default)]
pub(crate) struct RoleEvents {
    publish: Mutex<EventCounts>,
    consume: Mutex<EventCounts>,
}

/// The events of the connection of one role.
#[derive(Debug, Clone, Default)]
pub(crate) struct EventCounts {
    pub(crate) losses: u64,
    pub(crate) reconnects: u64,
}

impl RoleEvents {
    pub(crate) fn note(&self, event: &Event) {
        match event {
            Event::Disconnected { role, .. } => self.lock(*role).losses += 1,
            Event::Connected { role } => {
                let mut counts = self.lock(*role);
                // The first connection is no reconnect.
                counts.reconnects += u64::from(counts.reconnects < counts.losses);
            }
            Event::Blocked { .. } | Event::Unblocked { .. } => {}
        }
    }

    pub(crate) fn counts(&self, role: Role) -> EventCounts {
        self.lock(role).clone()
    }

    fn lock(&self, role: Role) -> MutexGuard<'_, EventCounts> {
        let counts = match role {
            Role::Publish => &self.publish,
            Role::Consume => &self.consume,
        };
        counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
