//! Makes a lost connection again in the background, so that publishers and consumers find it open
//! though nobody uses them meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Connector, Role};
use crate::deadline;
use crate::error::{Error, Result};
use crate::recovery::backoff::Backoff;
use crate::recovery::backoff::YOUNG;
use crate::recovery::effects::may_pass;

/// A connection whose timeout was never checked may have none.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
/// How long every other attempt to connect takes at most.
const SHORT_ATTEMPT: Duration = Duration::from_secs(2);
/// How long it may be until it is the turn of the thread. It waits again after that.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What has a channel of its own.
pub(crate) trait Reopen: Send + Sync {
    /// Opens the channel again if it is lost, before `deadline`. Returns whether it is still lost,
    /// and another attempt may do better.
    fn reopen(&self, deadline: Instant) -> bool;
}

/// The connection of one role.
#[derive(Debug)]
pub(crate) struct Reconnecting {
    role: Role,
    connector: Weak<dyn Connector>,
    pub(crate) backoff: Arc<Backoff>,
    connect_timeout: Duration,
    state: Mutex<ReconnectingState>,
}

#[derive(Default)]
struct ReconnectingState {
    channels: Vec<Weak<dyn Reopen>>,
    /// Whether there ever was a channel.
    used: bool,
    /// Whether a thread is at it.
    running: bool,
    /// Whether the thread has to look once more.
    again: bool,
    /// To connect, since the last success.
    attempts: u32,
}

impl ReconnectingState {
    fn next_attempt(&mut self) -> u32 {
        let attempt = self.attempts;
        self.attempts = attempt.wrapping_add(1);
        attempt
    }
}

impl std::fmt::Debug for ReconnectingState {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ReconnectingState")
            .field("channels", &self.channels.len())
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}

impl Reconnecting {
    pub(crate) fn new(
        role: Role,
        connector: &Arc<dyn Connector>,
        backoff: Arc<Backoff>,
        connect_timeout: Duration,
    ) -> Reconnecting {
        Reconnecting {
            role,
            connector: Arc::downgrade(connector),
            backoff,
            connect_timeout: connect_timeout.max(SHORTEST_TIMEOUT),
            state: Mutex::default(),
        }
    }

    pub(crate) fn add(&self, channel: &Arc<dyn Reopen>) {
        let mut state = self.lock();
        state.used = true;
        state.channels.retain(|channel| channel.strong_count() > 0);
        state.channels.push(Arc::downgrade(channel));
    }

    /// Whether something had a channel in this role.
    pub(crate) fn is_used(&self) -> bool {
        self.lock().used
    }

    /// The connection was lost.
    pub(crate) fn lost(self: &Arc<Reconnecting>, error: &Error) {
        self.backoff.note(error);
        if self.backoff.is_younger_than(YOUNG) && self.lock().channels.is_empty() {
            // With channels, they see to it that a connection which dies at once is not made again
            // at once.
            self.backoff.failed(error);
        }
        self.start();
    }

    /// Connects on a thread of its own, and opens the channels again. The thread ends once that is
    /// done, or nobody uses the connection.
    pub(crate) fn start(self: &Arc<Reconnecting>) {
        let mut state = self.lock();
        if state.running {
            state.again = true;
            return;
        }
        state.running = true;
        drop(state);
        let this = Arc::clone(self);
        if let Err(error) =
            thread::Builder::new().name("carrot-reconnect".into()).spawn(move || this.run())
        {
            log::warn!("no thread could be started to connect again in the background: {error}");
            self.lock().running = false;
        }
    }

    fn run(&self) {
        let running = ReconnectThread(self);
        self.backoff.set_in_background(true);
        loop {
            let again = match self.connect() {
                Ok(()) => self.reopen(),
                Err(Error::Closed { .. }) => {
                    self.lock().running = false;
                    break;
                }
                Err(error) if may_pass(&error) => {
                    log::debug!("the {} connection is not open yet: {error}", self.role);
                    true
                }
                Err(error) => {
                    log::warn!(
                        "the {} connection is not tried again in the background: {error}",
                        self.role
                    );
                    self.lock().running = false;
                    break;
                }
            };
            let mut state = self.lock();
            if !std::mem::take(&mut state.again) && !again {
                // Cleared under the lock, so that a later `start` starts another thread.
                state.running = false;
                break;
            }
        }
        drop(running);
    }

    fn connect(&self) -> Result<()> {
        // The first attempts are short: a broker that comes up again may have taken the first
        // packet and forgotten it.
        let attempt = self.lock().next_attempt();
        let timeout = if attempt.is_multiple_of(2) {
            SHORT_ATTEMPT.min(self.connect_timeout)
        } else {
            self.connect_timeout
        };
        let result = self.backoff.attempt(
            deadline::after(timeout) + LONGEST_WAIT,
            &|| false,
            |_| match self.connector.upgrade() {
                Some(connector) => connector.connect(self.role, timeout),
                None => Err(Error::closed("connection")),
            },
        );
        if result.is_ok() {
            self.lock().attempts = 0;
        }
        result
    }

    /// Returns whether another attempt is worth it.
    fn reopen(&self) -> bool {
        let channels = self.lock().channels.clone();
        let mut again = false;
        for channel in channels {
            if let Some(channel) = channel.upgrade() {
                again |= channel.reopen(deadline::after(self.connect_timeout));
            }
        }
        again
    }

    fn lock(&self) -> MutexGuard<'_, ReconnectingState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that connects. Also if it panics, another can be started.
struct ReconnectThread<'a>(&'a Reconnecting);

impl Drop for ReconnectThread<'_> {
    fn drop(&mut self) {
        self.0.backoff.set_in_background(false);
        if thread::panicking() {
            self.0.lock().running = false;
        }
    }
}
