//! Losses of the connection that delivers messages.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use carrot::Connection;
use carrot::config::Role;

/// When the connection for consumers was lost.
pub(crate) struct Losses {
    connection: Connection,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Losses {
    /// Notices each loss from now on. Reports losses and returns of the broker if `reports`.
    pub(crate) fn watch(connection: &Connection, reports: bool) -> Losses {
        let last = Arc::new(Mutex::new(None));
        let noticed = Arc::clone(&last);
        connection.on_disconnect(move |role, error| {
            if role == Role::Consume {
                *noticed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
                if reports {
                    note!("carrot: the connection was lost, reconnecting: {error}");
                }
            }
        });
        if reports {
            connection.on_reconnect(|role| {
                if role == Role::Consume {
                    note!("carrot: connected again");
                }
            });
        }
        Losses { connection: connection.clone(), last }
    }

    /// Returns whether the connection is lost, or was lost after `start`.
    pub(crate) fn any_since(&self, start: Instant) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        !self.connection.is_connected_to(Role::Consume) || last.is_some_and(|last| last >= start)
    }
}
