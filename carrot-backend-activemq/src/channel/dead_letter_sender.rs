//! Sends dead letters without a wait of the threads that discard messages.
//!
//! A letter leaves on a connection of its own, and the broker sends a receipt. The channel holds
//! the message until then. A broker without room stops reading the connection of the letters only:
//! acknowledgements, which make room, still pass. A queue without room that holds back publishers
//! does not hold back the letters, or a program that publishes to its own queue would wait for
//! itself.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::backend::{Printable, Role};
use carrot_core::{ConnectionOptions, Error, Result};
use carrot_link::CallDeadline;
use carrot_listener::{lock, wait_until};

use crate::channel::dead_letter::{DiscardedMessage, WaitingLetter};
use crate::channel::letter_ports::{LetterAnswers, LetterOutlet};
use crate::channel::letter_session::{LetterSession, UnsendableLetter, shown};
use crate::channel::letter_warnings::LetterWarnings;
use crate::channel::link_opening::open_link;

/// The time after which a message returns to its queue if its letter was refused. A message that
/// cannot be dead-lettered would otherwise occupy its consumer without a pause.
const RETURN_PAUSE: Duration = Duration::from_secs(1);
/// The time after which a thread without work ends.
const IDLE: Duration = Duration::from_secs(1);
/// The longest name of a queue in the log, in bytes.
const SHOWN: usize = 255;

/// The dead letters of the channels of one connector.
#[derive(Debug)]
pub(crate) struct DeadLetterSender {
    options: ConnectionOptions,
    this: Weak<DeadLetterSender>,
    state: Mutex<SenderState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SenderState {
    waiting: VecDeque<WaitingLetter>,
    /// The messages that return to their queues, with the times.
    returning: VecDeque<(Instant, DiscardedMessage)>,
    /// The number of letters whose messages are not settled.
    unsettled: usize,
    /// The number of the last letter.
    last: u64,
    is_running: bool,
    is_closed: bool,
    session: Option<Arc<LetterSession>>,
    warnings: LetterWarnings,
}

/// The next work of the thread.
enum SenderTask {
    Send(u64, WaitingLetter),
    Return(DiscardedMessage),
}

impl DeadLetterSender {
    pub(crate) fn new(options: &ConnectionOptions) -> Arc<DeadLetterSender> {
        Arc::new_cyclic(|this| DeadLetterSender {
            options: options.clone(),
            this: Weak::clone(this),
            state: Mutex::default(),
            changed: Condvar::new(),
        })
    }

    /// Wakes the thread, or starts one. Returns `false` if the system has no thread.
    fn keep_running(&self, state: &mut MutexGuard<'_, SenderState>) -> bool {
        if state.is_running {
            self.changed.notify_all();
            return true;
        }
        let Some(this) = self.this.upgrade() else { return false };
        let started = thread::Builder::new()
            .name("activemq-dead-letters".into())
            .spawn(move || this.run())
            .inspect_err(|error| log::warn!("no thread for dead letters: {error}"));
        state.is_running = started.is_ok();
        state.is_running
    }

    fn run(&self) {
        while let Some(task) = self.next_task() {
            match task {
                SenderTask::Send(number, letter) => self.pass_on(number, letter),
                SenderTask::Return(message) => {
                    message.give_back();
                    self.note_settled();
                }
            }
        }
    }

    /// Waits for work. Returns `None` if there was none for a time.
    fn next_task(&self) -> Option<SenderTask> {
        let idle_at = Instant::now() + IDLE;
        let mut state = lock(&self.state);
        let mut passed = false;
        loop {
            let now = Instant::now();
            let next_at = state.returning.front().map(|(at, _)| *at);
            if next_at.is_some_and(|at| at <= now)
                && let Some((_, message)) = state.returning.pop_front()
            {
                return Some(SenderTask::Return(message));
            }
            if let Some(letter) = state.waiting.pop_front() {
                state.last += 1;
                return Some(SenderTask::Send(state.last, letter));
            }
            if passed && next_at.is_none() {
                state.is_running = false;
                return None;
            }
            (state, passed) = wait_until(&self.changed, state, next_at.unwrap_or(idle_at));
        }
    }

    /// Sends a letter, unless its channel has lost the message.
    fn pass_on(&self, number: u64, letter: WaitingLetter) {
        if !letter.original.is_held() {
            return self.note_settled();
        }
        match self.session() {
            Ok(session) => {
                if let Some(UnsendableLetter { original, reason }) = session.send(number, letter) {
                    self.refuse(original, &reason);
                }
            }
            Err(error) => {
                // The others would wait for the same failure.
                let others = std::mem::take(&mut lock(&self.state).waiting);
                for letter in std::iter::once(letter).chain(others) {
                    self.refuse(letter.original, &error);
                }
            }
        }
    }

    /// Returns the open session, or opens one.
    fn session(&self) -> Result<Arc<LetterSession>> {
        let known = lock(&self.state).session.clone();
        if let Some(session) = known.filter(|session| session.is_open()) {
            return Ok(session);
        }
        let deadline = CallDeadline::after(self.options.connect_timeout);
        let (observers, purpose) = (Arc::default(), "dead-letters");
        let link = open_link(&self.options, Role::Publish, purpose, &observers, deadline)?;
        let session = LetterSession::open(link, self.answers(), deadline)?;
        let lost = {
            let mut state = lock(&self.state);
            if state.is_closed {
                drop(state);
                let closed = Error::closed("connection");
                session.fail(&closed);
                return Err(closed);
            }
            state.session.replace(Arc::clone(&session))
        };
        drop(lost);
        Ok(session)
    }

    fn answers(&self) -> Weak<dyn LetterAnswers> {
        Weak::clone(&self.this) as Weak<dyn LetterAnswers>
    }

    fn note_settled(&self) {
        let mut state = lock(&self.state);
        state.unsettled = state.unsettled.saturating_sub(1);
        drop(state);
        self.changed.notify_all();
    }
}

impl LetterOutlet for DeadLetterSender {
    fn send(&self, letter: WaitingLetter) -> bool {
        let mut state = lock(&self.state);
        if state.is_closed || !self.keep_running(&mut state) {
            return false;
        }
        state.unsettled += 1;
        state.waiting.push_back(letter);
        true
    }

    fn close(&self, deadline: CallDeadline) -> Result<()> {
        let mut state = lock(&self.state);
        let mut passed = false;
        while state.unsettled > 0 && !passed {
            (state, passed) = wait_until(&self.changed, state, deadline.at());
        }
        state.is_closed = true;
        let session = state.session.take();
        drop(state);
        let closed = session.map_or(Ok(()), |session| session.close(deadline.left()));
        if passed { Err(deadline.late("close")) } else { closed }
    }
}

impl LetterAnswers for DeadLetterSender {
    fn sent(&self, original: &DiscardedMessage) {
        original.consume();
        self.note_settled();
    }

    fn refuse(&self, original: DiscardedMessage, reason: &Error) {
        let now = Instant::now();
        let queue = Printable::new(SHOWN, &original.queue).to_string();
        let reason = shown(reason);
        let mut state = lock(&self.state);
        let level = match state.warnings.is_due(&original.queue, now) {
            true => log::Level::Warn,
            false => log::Level::Debug,
        };
        state.returning.push_back((now + RETURN_PAUSE, original));
        let is_running = self.keep_running(&mut state);
        let returned = if is_running { None } else { state.returning.pop_back() };
        drop(state);
        log::log!(
            level,
            "dead-lettering failed: queue={queue:?} {reason}, the message returns to its queue"
        );
        if let Some((_, original)) = returned {
            original.give_back();
            self.note_settled();
        }
    }
}
