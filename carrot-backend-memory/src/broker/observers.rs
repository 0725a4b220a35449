//! The observers of a connector's connections.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use carrot_core::backend::Event;

use crate::sync::lock;

type EventObserver = Arc<dyn Fn(&Event) + Send + Sync>;

/// The observers of one connector, and the events that they have not received yet.
///
/// A thread that causes an event adds it under its own locks, which keeps the order of events. It
/// notifies the observers after releasing the locks.
#[derive(Default)]
pub(crate) struct ConnectorObservers {
    state: Mutex<ObserversState>,
}

#[derive(Default)]
struct ObserversState {
    observers: Arc<[EventObserver]>,
    pending: VecDeque<(Event, Arc<[EventObserver]>)>,
    is_notifying: bool,
}

impl ConnectorObservers {
    pub(crate) fn add(&self, observer: EventObserver) {
        let mut state = lock(&self.state);
        state.observers = state.observers.iter().cloned().chain([observer]).collect();
    }

    /// Adds an event for [`notify`](ConnectorObservers::notify), which the caller calls with no
    /// lock held.
    pub(crate) fn add_event(&self, event: Event) {
        let mut state = lock(&self.state);
        if !state.observers.is_empty() {
            let observers = Arc::clone(&state.observers);
            state.pending.push_back((event, observers));
        }
    }

    /// Passes the added events to the observers, unless another thread or an outer call on this
    /// thread is doing so: that one passes these events, too.
    pub(crate) fn notify(&self) {
        let mut state = lock(&self.state);
        if state.is_notifying || state.pending.is_empty() {
            return;
        }
        state.is_notifying = true;
        let turn = NotifyTurn(self);
        while let Some((event, observers)) = state.pending.pop_front() {
            drop(state);
            observers.iter().for_each(|observer| observer(&event));
            state = lock(&self.state);
        }
        state.is_notifying = false;
        drop(state);
        std::mem::forget(turn);
    }
}

/// Ends a notification that an observer's panic interrupted.
struct NotifyTurn<'a>(&'a ConnectorObservers);

impl Drop for NotifyTurn<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).is_notifying = false;
    }
}

impl fmt::Debug for ConnectorObservers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ConnectorObservers")
            .field("count", &lock(&self.state).observers.len())
            .finish_non_exhaustive()
    }
}
