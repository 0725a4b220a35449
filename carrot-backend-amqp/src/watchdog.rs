//! Deadlines for calls that have none of their own.

use std::collections::BTreeMap;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};

/// Ends every call of a connection at once, by shutting its socket down: a blocked call has no other way out.
#[derive(Debug)]
pub(crate) struct KillSwitch {
    socket: TcpStream,
    reason: OnceLock<String>,
}

impl KillSwitch {
    pub(crate) fn new(socket: TcpStream) -> KillSwitch {
        KillSwitch { socket, reason: OnceLock::new() }
    }

    /// Cuts the connection; the first reason is kept.
    pub(crate) fn trip(&self, reason: impl Into<String>) {
        let _ = self.reason.set(reason.into());
        self.hang_up();
    }

    /// Ends the connection in the eyes of the broker, once the I/O thread has no more use for it. The I/O thread's end does not, since this
    /// holds the socket open.
    pub(crate) fn hang_up(&self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Why it was tripped, if it was.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.get().map(String::as_str)
    }
}

/// The deadlines of the calls under way on one connection. The connection's keeper sleeps until the first of them.
#[derive(Debug)]
pub(crate) struct Watchdog {
    state: Mutex<State>,
    wake: Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    calls: BTreeMap<(Instant, u64), Call>,
    next: u64,
    /// When the keeper wakes by itself; `None` for never.
    sleeping_until: Option<Instant>,
}

#[derive(Debug, Clone)]
struct Call {
    operation: &'static str,
    expired: Arc<AtomicBool>,
    /// Whether it may go on while the broker blocks the connection.
    patient: bool,
}

impl Watchdog {
    pub(crate) fn new() -> (Watchdog, Receiver<()>) {
        let (wake, woken) = bounded(1);
        (Watchdog { state: Mutex::default(), wake }, woken)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches over a call until the guard is dropped.
    pub(crate) fn guard(&self, operation: &'static str, deadline: Instant) -> Guard<'_> {
        self.watch(operation, deadline, false)
    }

    /// The same for a call that nobody waits for, and that may take as long as the broker blocks the connection.
    pub(crate) fn patient_guard(&self, operation: &'static str, deadline: Instant) -> Guard<'_> {
        self.watch(operation, deadline, true)
    }

    fn watch(&self, operation: &'static str, deadline: Instant, patient: bool) -> Guard<'_> {
        let expired = Arc::new(AtomicBool::new(false));
        let mut state = self.lock();
        state.next += 1;
        let key = (deadline, state.next);
        state.calls.insert(key, Call { operation, expired: Arc::clone(&expired), patient });
        let wake = state.sleeping_until.is_none_or(|until| deadline < until);
        if wake {
            state.sleeping_until = Some(deadline);
        }
        drop(state);
        if wake {
            let _ = self.wake.try_send(());
        }
        Guard { watchdog: self, key, expired }
    }

    /// Marks the calls whose deadline has passed, and gives the first of them, if any; then how long the keeper may sleep.
    ///
    /// While `blocked`, patient calls get `extension` instead.
    pub(crate) fn expire(
        &self,
        now: Instant,
        blocked: bool,
        extension: Instant,
    ) -> (Option<&'static str>, Option<Instant>) {
        let mut state = self.lock();
        let mut first = None;
        while let Some(entry) = state.calls.first_entry() {
            let &(deadline, id) = entry.key();
            if deadline > now {
                break;
            }
            let call = entry.remove();
            if call.patient && blocked {
                state.calls.insert((extension, id), call);
            } else {
                call.expired.store(true, Ordering::Release);
                first.get_or_insert(call.operation);
            }
        }
        state.sleeping_until = state.calls.first_key_value().map(|(&(deadline, _), _)| deadline);
        (first, state.sleeping_until)
    }
}

/// Says that a call is under way.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    watchdog: &'a Watchdog,
    key: (Instant, u64),
    expired: Arc<AtomicBool>,
}

impl Guard<'_> {
    /// Whether the deadline passed and the connection was cut for it.
    pub(crate) fn expired(&self) -> bool {
        self.expired.load(Ordering::Acquire)
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let calls = &mut self.watchdog.lock().calls;
        if calls.remove(&self.key).is_none() && !self.expired() {
            // Its deadline was extended, so it has another key, but still its number.
            calls.retain(|&(_, id), _| id != self.key.1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_a_first_or_earlier_deadline_wakes_the_keeper() {
        let (watchdog, woken) = Watchdog::new();
        let now = Instant::now();
        let later = watchdog.guard("later", now + Duration::from_secs(30));
        assert!(woken.try_recv().is_ok());
        let latest = watchdog.guard("latest", now + Duration::from_secs(40));
        assert!(woken.try_recv().is_err());
        let _sooner = watchdog.guard("sooner", now + Duration::from_secs(10));
        assert!(woken.try_recv().is_ok());
        drop((later, latest));
        assert_eq!(watchdog.expire(now, false, now), (None, Some(now + Duration::from_secs(10))));
    }

    #[test]
    fn what_expires_is_told_and_forgotten() {
        let (watchdog, _woken) = Watchdog::new();
        let now = Instant::now();
        let guard = watchdog.guard("declaring", now);
        assert_eq!(watchdog.expire(now, true, now), (Some("declaring"), None));
        assert!(guard.expired());
        drop(guard);
        assert_eq!(watchdog.expire(now, false, now), (None, None));
    }

    #[test]
    fn a_patient_call_outlives_an_alarm_but_not_a_dead_broker() {
        let (watchdog, _woken) = Watchdog::new();
        let now = Instant::now();
        let extension = now + Duration::from_secs(1);
        let guard = watchdog.patient_guard("closing", now);
        assert_eq!(watchdog.expire(now, true, extension), (None, Some(extension)));
        assert!(!guard.expired());
        drop(guard);
        assert_eq!(watchdog.expire(extension, true, extension), (None, None));
        let guard = watchdog.patient_guard("closing", now);
        assert_eq!(watchdog.expire(now, false, extension), (Some("closing"), None));
        assert!(guard.expired());
    }
}
