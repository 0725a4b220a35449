//! Who wants to know what happens to a connector's connections.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex};

use carrot_core::backend::Event;

use crate::sync::lock;

type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// The observers of one connector, and the events that they have not been told yet.
///
/// Whoever causes an event notes it under its own locks, so that events keep their order, and tells it once it has let go of them.
#[derive(Default)]
pub(crate) struct Observers {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    observers: Arc<[Observer]>,
    untold: VecDeque<(Event, Arc<[Observer]>)>,
    telling: bool,
}

impl Observers {
    pub(crate) fn add(&self, observer: Observer) {
        let mut state = lock(&self.state);
        state.observers = state.observers.iter().cloned().chain([observer]).collect();
    }

    /// Keeps an event for [`tell`](Observers::tell), which is to follow with no lock held.
    pub(crate) fn note(&self, event: Event) {
        let mut state = lock(&self.state);
        if !state.observers.is_empty() {
            let observers = Arc::clone(&state.observers);
            state.untold.push_back((event, observers));
        }
    }

    /// Tells what was noted, unless another thread, or an observer further up on this one, is at it: then that one goes on with it.
    pub(crate) fn tell(&self) {
        let mut state = lock(&self.state);
        if state.telling || state.untold.is_empty() {
            return;
        }
        state.telling = true;
        let turn = Turn(self);
        while let Some((event, observers)) = state.untold.pop_front() {
            drop(state);
            observers.iter().for_each(|observer| observer(&event));
            state = lock(&self.state);
        }
        state.telling = false;
        drop(state);
        std::mem::forget(turn);
    }
}

/// Ends a turn of telling that an observer's panic cut short.
struct Turn<'a>(&'a Observers);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).telling = false;
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Observers")
            .field("count", &lock(&self.state).observers.len())
            .finish_non_exhaustive()
    }
}
