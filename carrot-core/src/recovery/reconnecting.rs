//! Reconnects in the background after a loss, also while no call uses the connection.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Connector, Role};
use crate::deadline;
use crate::error::{Error, Result};
use crate::recovery::backoff::Backoff;
use crate::recovery::backoff::YOUNG;
use crate::recovery::effects::may_pass;

/// The minimum connect timeout. An unchecked timeout may be zero.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(1);
/// The maximum duration of every other attempt to connect.
const SHORT_ATTEMPT: Duration = Duration::from_secs(2);
/// The maximum wait for the thread's turn. The thread waits again after that.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// The owner of a channel.
pub(crate) trait ChannelOwner: Send + Sync {
    /// Reopens a lost channel before `deadline`. Returns whether the channel is still lost, and
    /// another attempt may succeed.
    fn reopen(&self, deadline: Instant) -> bool;

    /// Records the outcome of the messages whose answers are here. Does not block.
    fn take_arrived_answers(&self) {}
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
    channels: Vec<Weak<dyn ChannelOwner>>,
    /// Whether there ever was a channel.
    used: bool,
    /// Whether a thread is reconnecting.
    running: bool,
    /// Whether the thread has to check the channels again.
    again: bool,
    /// The attempts to connect after the last success.
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

    pub(crate) fn add(&self, channel: &Arc<dyn ChannelOwner>) {
        let mut state = self.lock();
        state.used = true;
        state.channels.retain(|channel| channel.strong_count() > 0);
        state.channels.push(Arc::downgrade(channel));
    }

    /// Records the outcome of the messages whose answers are here. Does not block.
    pub(crate) fn take_arrived_answers(&self) {
        let owners = self.lock().channels.clone();
        owners.iter().filter_map(Weak::upgrade).for_each(|owner| owner.take_arrived_answers());
    }

    /// Returns whether there ever was a channel in this role.
    pub(crate) fn is_used(&self) -> bool {
        self.lock().used
    }

    /// Records the loss of the connection.
    pub(crate) fn lost(self: &Arc<Reconnecting>, error: &Error) {
        self.backoff.note(error);
        if self.backoff.is_younger_than(YOUNG) && self.lock().channels.is_empty() {
            // Otherwise the channels ensure that a connection which is lost at once is not reopened
            // at once.
            self.backoff.failed(error);
        }
        self.start();
    }

    /// Connects on a thread of its own, and reopens the channels. The thread ends once that is
    /// done, or once the connection is unused.
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
            log::warn!(
                "reconnecting in the background failed, no thread could be started: {error}"
            );
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
                    log::debug!("reconnecting failed, trying again: {error} role={}", self.role);
                    true
                }
                Err(error) => {
                    log::warn!("reconnecting in the background ended: {error} role={}", self.role);
                    self.lock().running = false;
                    break;
                }
            };
            let mut state = self.lock();
            if !std::mem::take(&mut state.again) && !again {
                // Cleared under the lock, because a later `start` must start another thread.
                state.running = false;
                break;
            }
        }
        drop(running);
    }

    fn connect(&self) -> Result<()> {
        // The first attempts are short, because a broker that is starting may have lost the first
        // packet.
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

    /// Reopens the channels. Returns whether another attempt may succeed.
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

/// The thread that reconnects. After a panic, another can be started.
struct ReconnectThread<'a>(&'a Reconnecting);

impl Drop for ReconnectThread<'_> {
    fn drop(&mut self) {
        self.0.backoff.set_in_background(false);
        if thread::panicking() {
            self.0.lock().running = false;
        }
    }
}
