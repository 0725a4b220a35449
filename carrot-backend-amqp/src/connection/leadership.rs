//! Chooses the thread that reads the socket: leader and followers.
//!
//! At most one thread has the reader. A thread that is about to wait for the broker takes the
//! reader if no thread has it: that thread leads, and reads for all until its own answer has
//! arrived. It follows if another thread has the reader. The stand-by reads while no thread leads.
//!
//! No wake-up is lost, because of two rules:
//!
//! - The reader is idle only while no thread waits without an answer. A leader that leaves others
//!   waiting calls the stand-by. The stand-by leaves the reader only after the one thread that
//!   waited was answered, and only if no wait has begun since.
//! - A leader checks for its answer after it has taken the reader, and before every poll. A thread
//!   that answers it without reading first records the answer, and then interrupts the leader. One
//!   of the two sees the other.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::{Ready, Registration, SetReadiness};

use super::read_end::{HandshakeEnd, ReadEnd};
use crate::sync::lock;

/// The time for which the stand-by leaves an idle reader to the next leader. No thread waits then.
const PAUSE: Duration = Duration::from_millis(1);
/// The maximum factor by which the pause grows while threads lead.
const PAUSE_GROWTH: u32 = 8;
/// The number of times in a row that the stand-by answers the only thread that waits, before that
/// thread leads. Threads that wait in turn would otherwise pass the reader back and forth.
const LONE_ANSWERS: u32 = 16;

/// Reads, and passes on what it has read.
pub(crate) trait Reading: Send {
    /// Blocks until there is something to read, `deadline` passes, or the reader is interrupted.
    fn wait(&mut self, deadline: Option<Instant>) -> Result<(), ReadEnd>;

    /// Reads once, without blocking.
    fn read(&mut self) -> Result<(), ReadEnd>;

    /// Ends the connection for all its users.
    fn finish(self: Box<Self>, end: ReadEnd) -> HandshakeEnd;
}

/// The reader of a connection, and the threads that wait for what it reads.
pub(crate) struct Leadership {
    state: Mutex<LeadershipState>,
    /// Wakes the stand-by.
    changed: Condvar,
    /// Ends the poll of a leader.
    interrupt: SetReadiness,
    interrupts: Registration,
    /// Whether the stand-by has read what a thread waits for.
    has_answered: AtomicBool,
    pause: Duration,
}

#[derive(Default)]
struct LeadershipState {
    /// `None` while a thread has it.
    reader: Option<Box<dyn Reading>>,
    end: Option<ReadEnd>,
    is_led: bool,
    /// The number of leads that were begun.
    leads: u64,
    /// The number of threads that wait.
    waiting: usize,
    /// The number of those that may not lead.
    bound_to_follow: usize,
    /// The number of waits that were begun.
    waits: u64,
    /// The number of times that the stand-by has answered the only thread that waited, since two
    /// have waited.
    lone_answers: u32,
    /// Whether the stand-by has to read at once.
    is_called: bool,
    /// Whether the stand-by waits for the end of the lead.
    is_asleep: bool,
}

/// Whether a thread that waits may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MayLead {
    Yes,
    No,
}

impl Leadership {
    pub(crate) fn new() -> Leadership {
        Leadership::with_pause(PAUSE)
    }

    fn with_pause(pause: Duration) -> Leadership {
        let (interrupts, interrupt) = Registration::new2();
        let state = LeadershipState { is_called: true, ..LeadershipState::default() };
        Leadership {
            state: Mutex::new(state),
            changed: Condvar::new(),
            interrupt,
            interrupts,
            has_answered: AtomicBool::new(false),
            pause,
        }
    }

    /// Returns the registration by which a poll is interrupted.
    pub(crate) fn interrupts(&self) -> &Registration {
        &self.interrupts
    }

    /// Begins a wait that lasts until the result is dropped. Leads until `is_answered` returns
    /// true, `deadline` passes or another thread waits, if the caller may lead and the reader is
    /// idle.
    ///
    /// The caller then waits for its answer in its own way.
    pub(crate) fn wait(
        &self,
        deadline: Instant,
        may_lead: MayLead,
        mut is_answered: impl FnMut() -> bool,
    ) -> Waiting<'_> {
        let mut waiting = Waiting { leadership: self, may_lead, lead: None };
        let mut state = lock(&self.state);
        state.waits += 1;
        state.waiting += 1;
        if state.waiting > 1 {
            state.lone_answers = 0;
        }
        if may_lead == MayLead::No {
            state.bound_to_follow += 1;
            self.call(&mut state);
        } else if !state.is_called
            && let Some(reader) = state.reader.take()
        {
            state.is_led = true;
            state.leads += 1;
            waiting.lead = Some(Lead { reader, end: None, is_reading: false });
        }
        drop(state);
        waiting.lead(deadline, &mut is_answered);
        waiting
    }

    /// Wakes the stand-by, which reads if the reader is idle. Precedes a wait that does not begin
    /// with [`wait`](Leadership::wait).
    pub(crate) fn call_stand_by(&self) {
        self.call(&mut lock(&self.state));
    }

    fn call(&self, state: &mut LeadershipState) {
        if state.reader.is_some() && !state.is_called {
            state.is_called = true;
            self.changed.notify_all();
        }
    }

    /// Notes that what was read is the answer that a thread waits for.
    pub(crate) fn answered(&self) {
        self.has_answered.store(true, Ordering::Relaxed);
    }

    /// Interrupts a leader, which then checks for its answer. Follows each answer that no thread
    /// has read.
    pub(crate) fn interrupt(&self) {
        if lock(&self.state).is_led {
            let _ = self.interrupt.set_readiness(Ready::readable());
        }
    }

    /// Clears an interruption. The caller has ended its poll, and checks for its answer later.
    pub(crate) fn interrupted(&self) {
        let _ = self.interrupt.set_readiness(Ready::empty());
    }

    /// Reads while no thread leads, until the connection ends.
    pub(crate) fn stand_by(&self, reader: Box<dyn Reading>) -> HandshakeEnd {
        lock(&self.state).reader = Some(reader);
        loop {
            let (mut reader, end) = self.take_over();
            let ended = match end {
                Some(end) => Err(end),
                None => self.read_for_all(&mut *reader),
            };
            match ended {
                Ok(mut state) => state.reader = Some(reader),
                Err(end) => return reader.finish(end),
            }
        }
    }

    /// Waits until no thread leads, or until the stand-by is called.
    fn take_over(&self) -> (Box<dyn Reading>, Option<ReadEnd>) {
        let mut pause = self.pause;
        let mut state = lock(&self.state);
        loop {
            let leads = state.leads;
            let is_undisturbed = |state: &mut LeadershipState| !state.is_called;
            let paused = self.changed.wait_timeout_while(state, pause, is_undisturbed);
            state = paused.unwrap_or_else(PoisonError::into_inner).0;
            let is_same = state.leads == leads;
            if !is_same {
                pause = (pause * 2).min(self.pause * PAUSE_GROWTH);
            }
            if (is_same || state.is_called)
                && let Some(reader) = state.reader.take()
            {
                state.is_called = false;
                return (reader, state.end.take());
            }
            if is_same && state.is_led {
                state.is_asleep = true;
                let is_asleep = |state: &mut LeadershipState| state.is_asleep;
                let slept = self.changed.wait_while(state, is_asleep);
                state = slept.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Reads until the reader can be left to the thread that waited.
    fn read_for_all(
        &self,
        reader: &mut dyn Reading,
    ) -> Result<MutexGuard<'_, LeadershipState>, ReadEnd> {
        loop {
            reader.wait(None)?;
            let state = lock(&self.state);
            let lone = (state.waiting == 1 && state.bound_to_follow == 0).then_some(state.waits);
            drop(state);
            self.has_answered.store(false, Ordering::Relaxed);
            reader.read()?;
            if lone.is_some() && self.has_answered.load(Ordering::Relaxed) {
                let mut state = lock(&self.state);
                state.lone_answers = state.lone_answers.saturating_add(1);
                if lone == Some(state.waits) && state.lone_answers >= LONE_ANSWERS {
                    return Ok(state);
                }
            }
        }
    }
}

/// A wait for what the reader brings. Dropping it ends the wait.
#[must_use = "the wait ends when it is dropped"]
pub(crate) struct Waiting<'a> {
    leadership: &'a Leadership,
    may_lead: MayLead,
    lead: Option<Lead>,
}

struct Lead {
    reader: Box<dyn Reading>,
    end: Option<ReadEnd>,
    /// Stays true if reading panics.
    is_reading: bool,
}

impl Waiting<'_> {
    fn lead(&mut self, deadline: Instant, is_answered: &mut dyn FnMut() -> bool) {
        let Some(lead) = &mut self.lead else { return };
        while lead.end.is_none() && !is_answered() && Instant::now() < deadline {
            lead.is_reading = true;
            let read = lead.reader.wait(Some(deadline)).and_then(|()| lead.reader.read());
            lead.is_reading = false;
            lead.end = read.err();
            if lock(&self.leadership.state).waiting > 1 {
                break;
            }
        }
        self.lay_down();
    }

    /// Lays the reader down, and calls the stand-by if others wait.
    fn lay_down(&mut self) {
        let Some(Lead { reader, end, is_reading }) = self.lead.take() else { return };
        let panicked = || ReadEnd::Io(io::Error::other("a thread panicked over what it has read"));
        let end = end.or_else(|| is_reading.then(panicked));
        let mut state = lock(&self.leadership.state);
        state.is_called |= end.is_some() || state.waiting > 1;
        let is_wanted = state.is_called | std::mem::take(&mut state.is_asleep);
        state.reader = Some(reader);
        state.end = end;
        state.is_led = false;
        drop(state);
        if is_wanted {
            self.leadership.changed.notify_all();
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.lay_down();
        let mut state = lock(&self.leadership.state);
        state.waiting -= 1;
        if self.may_lead == MayLead::No {
            state.bound_to_follow -= 1;
        }
    }
}

#[cfg(test)]
#[path = "leadership_tests.rs"]
mod tests;
