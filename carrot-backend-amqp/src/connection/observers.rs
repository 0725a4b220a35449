//! Reports the events of connections to observers.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::sync::lock;
use carrot_core::backend::{Event, Role};
use log::warn;

pub(crate) type Observer = Arc<dyn Fn(&Event) + Send + Sync>;

/// The number of waiting events from which on an alarm replaces a waiting one.
const MAX_WAITING: usize = 1_000;

/// The observers of one connector.
///
/// A short-lived thread calls them, in order. An observer may block, or call the connector; it
/// delays only later events.
#[derive(Default)]
pub(crate) struct Observers {
    state: Mutex<ObserverState>,
}

#[derive(Default)]
struct ObserverState {
    observers: Arc<Vec<Observer>>,
    /// The events, each with the observers of its time.
    waiting: VecDeque<(Event, Arc<Vec<Observer>>)>,
    telling: bool,
}

impl Observers {
    pub(crate) fn observe(&self, observer: Observer) {
        Arc::make_mut(&mut lock(&self.state).observers).push(observer);
    }

    /// Queues an event. [`tell`](Observers::tell) reports it.
    ///
    /// While an observer blocks and very many events wait, only the latest alarm of each role is
    /// kept.
    pub(crate) fn push(&self, event: Event) {
        let mut state = lock(&self.state);
        if state.observers.is_empty() {
            return;
        }
        if state.waiting.len() >= MAX_WAITING
            && let Some(role) = role_of_alarm(&event)
            && let Some((last, _)) = state
                .waiting
                .iter_mut()
                .skip(MAX_WAITING / 2)
                .rfind(|(waiting, _)| role_of_alarm(waiting) == Some(role))
        {
            *last = event;
            return;
        }
        let observers = Arc::clone(&state.observers);
        state.waiting.push_back((event, observers));
    }

    /// Starts to report the queued events on another thread, in order.
    pub(crate) fn tell(self: &Arc<Observers>) {
        let mut state = lock(&self.state);
        if state.telling || state.waiting.is_empty() {
            return;
        }
        state.telling = true;
        drop(state);
        let teller = Arc::clone(self);
        if let Err(error) =
            thread::Builder::new().name("carrot-events".to_string()).spawn(move || teller.run())
        {
            warn!("no thread could be started to tell what happened to a connection: {error}");
            let mut state = lock(&self.state);
            state.telling = false;
            state.waiting.clear();
        }
    }

    fn run(&self) {
        while let Some((event, observers)) = self.next() {
            for observer in observers.iter() {
                if panic::catch_unwind(AssertUnwindSafe(|| observer(&event))).is_err() {
                    warn!("an observer of the connection panicked over {event:?}");
                }
            }
        }
    }

    fn next(&self) -> Option<(Event, Arc<Vec<Observer>>)> {
        let mut state = lock(&self.state);
        let next = state.waiting.pop_front();
        state.telling = next.is_some();
        next
    }
}

/// Returns the role of the connection whose alarm has begun or ended.
pub(crate) fn role_of_alarm(event: &Event) -> Option<Role> {
    match event {
        Event::Blocked { role, .. } | Event::Unblocked { role } => Some(*role),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crossbeam_channel::unbounded;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn events_are_told_in_order_to_those_who_observed_by_then() {
        let events = Arc::new(Observers::default());
        let (heard, told) = unbounded();
        let early = heard.clone();
        events.push(Event::Connected { role: Role::Publish });
        events.observe(Arc::new(move |event: &Event| {
            early.send(("early", format!("{event:?}"))).unwrap_or_default()
        }));
        events.push(Event::Blocked { role: Role::Publish, reason: "alarm".into() });
        events.observe(Arc::new(move |event: &Event| {
            heard.send(("late", format!("{event:?}"))).unwrap_or_default()
        }));
        events.push(Event::Unblocked { role: Role::Publish });
        events.tell();
        let told: Vec<_> = (0..3).filter_map(|_| told.recv_timeout(LONG).ok()).collect();
        let blocked = "Blocked { role: Publish, reason: \"alarm\" }";
        let unblocked = "Unblocked { role: Publish }";
        let expected = [("early", blocked), ("early", unblocked), ("late", unblocked)];
        assert_eq!(told, expected.map(|(who, what)| (who, what.to_string())));
    }

    #[test]
    fn a_panic_keeps_nobody_from_hearing() {
        let events = Arc::new(Observers::default());
        let (heard, told) = unbounded();
        events
            .observe(Arc::new(|_: &Event| panic!("an observer panics; this is part of the test")));
        events.observe(Arc::new(move |_: &Event| heard.send(()).unwrap_or_default()));
        for _ in 0..2 {
            events.push(Event::Connected { role: Role::Publish });
            events.tell();
            assert!(told.recv_timeout(LONG).is_ok());
        }
    }

    #[test]
    fn alarms_that_wait_for_an_observer_are_bounded() {
        let events = Observers::default();
        events.observe(Arc::new(|_: &Event| {}));
        let roles = [Role::Publish, Role::Consume];
        for number in 0..MAX_WAITING * 10 {
            let role = roles[number % 2];
            events.push(Event::Blocked { role, reason: number.to_string() });
            events.push(Event::Unblocked { role });
            events.push(Event::Blocked { role, reason: format!("last of {role:?}") });
        }
        events.push(Event::Connected { role: Role::Publish });
        let waiting = &lock(&events.state).waiting;
        assert_eq!(waiting.len(), MAX_WAITING + 1);
        for role in roles {
            let of_role = |event: &&Event| role_of_alarm(event) == Some(role);
            let last = waiting.iter().map(|(event, _)| event).rfind(of_role);
            assert!(
                matches!(last, Some(Event::Blocked { reason, .. }) if reason.starts_with("last")),
                "{last:?}"
            );
        }
    }
}
