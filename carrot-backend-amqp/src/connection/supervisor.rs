//! Does later what must not wait for a call: delayed acknowledgements, answers of the reader, and
//! deadlines that no thread waits for.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::sync::lock;
use log::warn;

/// The time after which the thread ends if there is nothing to do.
const IDLE: Duration = Duration::from_secs(10);

type Task = Box<dyn FnOnce() + Send>;

/// A task that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TaskId((Instant, u64));

/// A thread for tasks that are due at a time. A connector has one, which starts with the first
/// task.
#[derive(Default)]
pub(crate) struct Supervisor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<SupervisorState>,
    changed: Condvar,
}

#[derive(Default)]
struct SupervisorState {
    tasks: BTreeMap<(Instant, u64), Task>,
    last: u64,
    is_running: bool,
    /// Whether the thread ends as soon as no task is left.
    is_ending: bool,
    /// The time at which the thread wakes by itself.
    wakes_at: Option<Instant>,
}

impl Supervisor {
    /// Runs a task at `due`. The task must not block.
    pub(crate) fn at(&self, due: Instant, task: impl FnOnce() + Send + 'static) -> TaskId {
        let mut state = lock(&self.0.state);
        state.last += 1;
        let key = (due, state.last);
        state.tasks.insert(key, Box::new(task));
        if state.is_running {
            let is_earlier = state.wakes_at.is_some_and(|wakes_at| due < wakes_at);
            drop(state);
            if is_earlier {
                self.0.changed.notify_one();
            }
            return TaskId(key);
        }
        state.is_running = true;
        drop(state);
        let shared = Arc::clone(&self.0);
        let spawned =
            thread::Builder::new().name("carrot-supervisor".into()).spawn(move || shared.run());
        if let Err(error) = spawned {
            warn!("starting the supervisor thread failed, and its tasks run early: {error}");
            let mut state = lock(&self.0.state);
            state.is_running = false;
            let tasks = std::mem::take(&mut state.tasks);
            drop(state);
            tasks.into_values().for_each(|task| task());
        }
        TaskId(key)
    }

    /// Removes a task that has not run yet.
    pub(crate) fn cancel(&self, task: TaskId) {
        let mut state = lock(&self.0.state);
        let removed = state.tasks.remove(&task.0);
        drop(state);
        drop(removed);
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = lock(&self.state);
        loop {
            let now = Instant::now();
            let next = state.tasks.first_key_value().map(|((due, _), _)| *due);
            match next {
                Some(due) if due <= now => {
                    let task = state.tasks.pop_first();
                    state.wakes_at = None;
                    drop(state);
                    if let Some((_, task)) = task {
                        task();
                    }
                    state = lock(&self.state);
                }
                None if state.is_ending => break,
                next => {
                    let wakes_at = next.unwrap_or(now + IDLE);
                    state.wakes_at = Some(wakes_at);
                    let waited = self.changed.wait_timeout(state, wakes_at - now);
                    let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    state = woken;
                    if timeout.timed_out() && state.tasks.is_empty() {
                        break;
                    }
                }
            }
        }
        state.is_running = false;
        state.wakes_at = None;
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        lock(&self.0.state).is_ending = true;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn tasks_run_when_they_are_due_and_not_in_the_order_of_asking() {
        let supervisor = Supervisor::default();
        let (done, ran) = channel();
        let now = Instant::now();
        for (number, after) in [(3, 60), (1, 20), (2, 40)] {
            let done = done.clone();
            supervisor.at(now + Duration::from_millis(after), move || {
                let _ = done.send((number, Instant::now()));
            });
        }
        for expected in 1..=3 {
            let (number, at) = ran.recv_timeout(LONG).unwrap_or((0, now));
            assert_eq!(number, expected);
            assert!(at >= now + Duration::from_millis(20 * expected));
        }
    }

    #[test]
    fn tasks_run_after_the_supervisor_was_dropped() {
        let supervisor = Supervisor::default();
        let (done, ran) = channel();
        supervisor.at(Instant::now() + Duration::from_millis(20), move || {
            let _ = done.send(());
        });
        drop(supervisor);
        assert!(ran.recv_timeout(LONG).is_ok());
    }
}
