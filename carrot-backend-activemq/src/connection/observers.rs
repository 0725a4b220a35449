//! Reports the events of connections to observers.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread;

use carrot_core::backend::Event;
use carrot_listener::lock;

type BrokerEventObserver = Arc<dyn Fn(&Event) + Send + Sync>;

/// The observers of one connector.
///
/// A short-lived thread calls them, in order. An observer may block, or call the connector; it
/// delays only later events.
#[derive(Default)]
pub(crate) struct BrokerObservers {
    state: Mutex<BrokerObserverState>,
}

#[derive(Default)]
struct BrokerObserverState {
    observers: Arc<[BrokerEventObserver]>,
    /// The events, each with the observers of its time.
    waiting: VecDeque<(Event, Arc<[BrokerEventObserver]>)>,
    is_reporting: bool,
}

impl BrokerObservers {
    pub(crate) fn add(&self, observer: BrokerEventObserver) {
        let mut state = lock(&self.state);
        state.observers = state.observers.iter().cloned().chain([observer]).collect();
    }

    /// Reports an event on another thread, after the earlier ones.
    pub(crate) fn report(self: &Arc<BrokerObservers>, event: Event) {
        let mut state = lock(&self.state);
        if state.observers.is_empty() {
            return;
        }
        let observers = Arc::clone(&state.observers);
        state.waiting.push_back((event, observers));
        if std::mem::replace(&mut state.is_reporting, true) {
            return;
        }
        drop(state);
        let reporting = Arc::clone(self);
        let started =
            thread::Builder::new().name("carrot-events".into()).spawn(move || reporting.run());
        if let Err(error) = started {
            log::warn!("an event of a connection is lost, because no thread starts: {error}");
            let mut state = lock(&self.state);
            state.is_reporting = false;
            state.waiting.clear();
        }
    }

    fn run(&self) {
        while let Some((event, observers)) = self.next() {
            for observer in observers.iter() {
                if panic::catch_unwind(AssertUnwindSafe(|| observer(&event))).is_err() {
                    log::warn!("an observer of a connection panicked");
                }
            }
        }
    }

    fn next(&self) -> Option<(Event, Arc<[BrokerEventObserver]>)> {
        let mut state = lock(&self.state);
        let next = state.waiting.pop_front();
        state.is_reporting = next.is_some();
        next
    }
}

impl fmt::Debug for BrokerObservers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("BrokerObservers")
    }
}
