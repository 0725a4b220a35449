//! Reports the events of connections to observers.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::backend::Event;

type EventObserver = Arc<dyn Fn(&Event) + Send + Sync>;

/// The observers of one connector, for drivers.
///
/// A short-lived thread calls them, in order. An observer may block, or call the connector; it
/// delays only later events. The panic of an observer is logged.
///
/// ```
/// use std::sync::{Arc, mpsc};
///
/// use carrot::backend::{Event, EventObservers, Role};
///
/// let observers = Arc::new(EventObservers::default());
/// let (sender, seen) = mpsc::channel();
/// observers.add(Arc::new(move |event: &Event| {
///     let _ = sender.send(format!("{event:?}"));
/// }));
/// observers.report(Event::Connected { role: Role::Publish });
/// assert!(seen.recv().is_ok_and(|event| event.contains("Connected")));
/// ```
#[derive(Default)]
pub struct EventObservers {
    state: Mutex<EventObserverState>,
}

#[derive(Default)]
struct EventObserverState {
    observers: Arc<[EventObserver]>,
    /// The events, each with the observers of its time.
    waiting: VecDeque<(Event, Arc<[EventObserver]>)>,
    is_reporting: bool,
}

impl EventObservers {
    /// Adds an observer, which learns of later events.
    pub fn add(&self, observer: EventObserver) {
        let mut state = self.lock();
        state.observers = state.observers.iter().cloned().chain([observer]).collect();
    }

    /// Reports an event on another thread, after the earlier ones. Does not block.
    pub fn report(self: &Arc<EventObservers>, event: Event) {
        let mut state = self.lock();
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
            let mut state = self.lock();
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

    fn lock(&self) -> MutexGuard<'_, EventObserverState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<(Event, Arc<[EventObserver]>)> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.is_reporting = next.is_some();
        next
    }
}

impl fmt::Debug for EventObservers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EventObservers")
    }
}
