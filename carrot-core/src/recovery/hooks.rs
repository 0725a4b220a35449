//! Calls the hooks of a connection.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::backend::Event;
use crate::panic_guard::guard;

/// The maximum number of events that wait for a hook to return. Further events drop the oldest.
const MOST_WAITING: usize = 1000;

type Hook = Arc<dyn Fn(&Event) + Send + Sync>;

/// The hooks of one connection, and the events that they have not received yet.
///
/// A thread of its own calls the hooks, and ends once no event waits. A hook may therefore use the
/// connection, and delays only later events.
#[derive(Default)]
pub(crate) struct Hooks {
    state: Mutex<HooksState>,
}

#[derive(Default)]
struct HooksState {
    hooks: Arc<[Hook]>,
    /// Each event with the hooks that were set when it happened.
    waiting: VecDeque<(Event, Arc<[Hook]>)>,
    /// Whether a thread calls the hooks.
    running: bool,
}

impl Hooks {
    pub(crate) fn add(&self, hook: Hook) {
        let mut state = self.lock();
        state.hooks = state.hooks.iter().cloned().chain([hook]).collect();
    }

    /// Calls the hooks with `event`, after the hooks of earlier events have returned. Never blocks.
    pub(crate) fn call(self: &Arc<Hooks>, event: &Event) {
        let mut state = self.lock();
        if state.hooks.is_empty() {
            return;
        }
        let hooks = Arc::clone(&state.hooks);
        let dropped =
            if state.waiting.len() < MOST_WAITING { None } else { state.waiting.pop_front() };
        state.waiting.push_back((event.clone(), hooks));
        let starts = !std::mem::replace(&mut state.running, true);
        drop(state);
        if let Some((event, _)) = dropped {
            log::warn!("a hook does not return, an event is dropped: {event:?}");
        }
        if starts {
            self.start();
        }
    }

    fn start(self: &Arc<Hooks>) {
        let this = Arc::clone(self);
        let started = thread::Builder::new().name("carrot-hooks".into()).spawn(move || this.run());
        if let Err(error) = started {
            log::warn!("calling hooks failed, no thread could be started: {error}");
            let mut state = self.lock();
            state.running = false;
            let dropped = std::mem::take(&mut state.waiting);
            drop(state);
            drop(dropped);
        }
    }

    fn run(&self) {
        while let Some((event, hooks)) = self.next() {
            for hook in hooks.iter() {
                if let Err(panic) = guard(|| hook(&event)) {
                    log::error!("hook of a connection failed: {panic}");
                }
            }
        }
    }

    fn next(&self) -> Option<(Event, Arc<[Hook]>)> {
        let mut state = self.lock();
        let next = state.waiting.pop_front();
        state.running = next.is_some();
        next
    }

    fn lock(&self) -> MutexGuard<'_, HooksState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        formatter
            .debug_struct("Hooks")
            .field("count", &state.hooks.len())
            .field("waiting", &state.waiting.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::time::Duration;

    use crossbeam_channel::{Receiver, unbounded};

    use super::*;
    use crate::backend::Role;

    const SOON: Duration = Duration::from_secs(10);

    fn blocked(reason: &str) -> Event {
        Event::Blocked { role: Role::Publish, reason: reason.into() }
    }

    /// Adds a hook that sends the reason of each block.
    fn received(hooks: &Hooks) -> Receiver<String> {
        let (sender, receiver) = unbounded();
        hooks.add(Arc::new(move |event| match event {
            Event::Blocked { reason, .. } => sender.send(reason.clone()).unwrap(),
            other => panic!("unexpected {other:?}"),
        }));
        receiver
    }

    #[test]
    fn a_hook_receives_the_events_after_it_was_set_in_order() {
        let hooks = Arc::new(Hooks::default());
        let early = received(&hooks);
        hooks.call(&blocked("1"));
        assert_eq!(early.recv_timeout(SOON).unwrap(), "1");
        let late = received(&hooks);
        for reason in 2..100 {
            hooks.call(&blocked(&reason.to_string()));
        }
        for reason in 2..100 {
            assert_eq!(early.recv_timeout(SOON).unwrap(), reason.to_string());
            assert_eq!(late.recv_timeout(SOON).unwrap(), reason.to_string());
        }
        assert!(early.is_empty() && late.is_empty());
    }

    #[test]
    fn a_panic_in_a_hook_ends_neither_later_hooks_nor_later_events() {
        let hooks = Arc::new(Hooks::default());
        hooks.add(Arc::new(|_| panic!("a hook panics; this is part of the test")));
        let received = received(&hooks);
        for reason in ["1", "2"] {
            hooks.call(&blocked(reason));
            assert_eq!(received.recv_timeout(SOON).unwrap(), reason);
        }
    }

    #[test]
    fn a_hook_that_does_not_return_holds_a_limited_number_of_events() {
        let hooks = Arc::new(Hooks::default());
        let (release, released) = unbounded::<()>();
        let (entered, entering) = unbounded();
        hooks.add(Arc::new(move |_| {
            entered.send(()).unwrap();
            let _ = released.recv();
        }));
        let received = received(&hooks);
        hooks.call(&blocked("first"));
        entering.recv_timeout(SOON).unwrap();
        for reason in 0..MOST_WAITING + 10 {
            hooks.call(&blocked(&reason.to_string()));
        }
        assert_eq!(hooks.lock().waiting.len(), MOST_WAITING);
        drop(release);
        assert_eq!(received.recv_timeout(SOON).unwrap(), "first");
        for reason in 10..MOST_WAITING + 10 {
            assert_eq!(received.recv_timeout(SOON).unwrap(), reason.to_string());
        }
    }
}
