//! Makes a lost connection again in the background, so that publishers and consumers find it open though nobody uses them meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Connector, Role};
use crate::redial::Redial;
use crate::{Error, Result};

/// What has a channel of its own.
pub(crate) trait Reopen: Send + Sync {
    /// Opens the channel again if it is lost, before `deadline`.
    fn reopen(&self, deadline: Instant);
}

/// The connection of one role.
#[derive(Debug)]
pub(crate) struct Reconnecting {
    role: Role,
    connector: Weak<dyn Connector>,
    pub(crate) redial: Arc<Redial>,
    connect_timeout: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    channels: Vec<Weak<dyn Reopen>>,
    /// Whether there ever was a channel.
    used: bool,
    /// Whether a thread is at it.
    running: bool,
    /// Whether the thread has to look once more.
    again: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("State").field("channels", &self.channels.len()).field("running", &self.running).finish_non_exhaustive()
    }
}

impl Reconnecting {
    pub(crate) fn new(role: Role, connector: &Arc<dyn Connector>, redial: Arc<Redial>, connect_timeout: Duration) -> Reconnecting {
        Reconnecting { role, connector: Arc::downgrade(connector), redial, connect_timeout, state: Mutex::default() }
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
        self.redial.note(error);
        self.start();
    }

    /// Connects on a thread of its own, and opens the channels again. The thread ends once that is done, or nobody uses the connection.
    pub(crate) fn start(self: &Arc<Reconnecting>) {
        let mut state = self.lock();
        if state.running {
            state.again = true;
            return;
        }
        state.running = true;
        drop(state);
        let this = Arc::clone(self);
        if let Err(error) = thread::Builder::new().name("carrot-reconnect".into()).spawn(move || this.run()) {
            log::warn!("no thread could be started to connect again in the background: {error}");
            self.lock().running = false;
        }
    }

    fn run(&self) {
        loop {
            match self.connect() {
                Ok(()) => self.reopen(),
                Err(Error::Closed { .. }) => return,
                Err(error) => {
                    log::debug!("the {} connection is not open yet: {error}", self.role);
                    continue;
                }
            }
            let mut state = self.lock();
            if !std::mem::take(&mut state.again) {
                state.running = false;
                return;
            }
        }
    }

    fn connect(&self) -> Result<()> {
        let deadline = Instant::now() + self.connect_timeout;
        self.redial.attempt(deadline, &|| false, |timeout| match self.connector.upgrade() {
            Some(connector) => connector.connect(self.role, timeout),
            None => Err(Error::closed("connection")),
        })
    }

    fn reopen(&self) {
        let channels: Vec<_> = self.lock().channels.iter().filter_map(Weak::upgrade).collect();
        for channel in channels {
            channel.reopen(Instant::now() + self.connect_timeout);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
