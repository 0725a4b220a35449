//! The connector: at most one connection for each role.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use carrot_core::backend::{Backend, Capabilities, ChannelOptions, Clock, Connector, Role, Status};
use carrot_core::{ConnectionOptions, Error, Result};

use super::channel::Channel;
use super::connection::{ConnectLane, Connection, Supervisor};
use crate::dial::{self, Attempt};
use crate::events::{Events, Observer};
use crate::time::deadline_after;
use crate::turns::Turns;

/// See [`AmqpConnector`](crate::AmqpConnector).
pub(crate) struct NextConnector {
    options: Arc<ConnectionOptions>,
    events: Arc<Events>,
    clock: Clock,
    supervisor: Arc<Supervisor>,
    publishing: Lane,
    consuming: Lane,
}

impl NextConnector {
    /// Takes options that were checked.
    pub(crate) fn new(options: &ConnectionOptions) -> NextConnector {
        NextConnector {
            options: Arc::new(options.clone()),
            events: Arc::default(),
            clock: Clock::real(),
            supervisor: Arc::default(),
            publishing: Lane::new(),
            consuming: Lane::new(),
        }
    }

    fn connection(
        &self,
        role: Role,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<(Arc<Connection>, bool)> {
        let lane = self.lane(role);
        let outlives = ConnectLane {
            role,
            events: Arc::downgrade(&self.events),
            turns: Arc::clone(&lane.turns),
            supervisor: Arc::clone(&self.supervisor),
        };
        lane.connection(&self.options, outlives, timeout, deadline)
    }

    fn lane(&self, role: Role) -> &Lane {
        if role == Role::Publish { &self.publishing } else { &self.consuming }
    }
}

impl Connector for NextConnector {
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let deadline = deadline_after(timeout);
        let lane = self.lane(options.role);
        let (connection, fresh) = self.connection(options.role, timeout, deadline)?;
        match Channel::open(&connection, options.confirms, timeout, deadline) {
            // The connection was lost, and no call had found out.
            Err(error) if !fresh && error.is_disconnected() && !connection.state().is_alive() => {
                let (connection, _) = self.connection(options.role, timeout, deadline)?;
                lane.keep(Channel::open(&connection, options.confirms, timeout, deadline)?)
            }
            result => lane.keep(result?),
        }
    }

    fn connect(&self, role: Role, timeout: Duration) -> Result<()> {
        self.connection(role, timeout, deadline_after(timeout)).map(drop)
    }

    fn endpoint(&self) -> String {
        dial::endpoints(&self.options)
    }

    fn close(&self, timeout: Duration) -> Result<()> {
        let deadline = deadline_after(timeout);
        let ends = [self.publishing.end(), self.consuming.end()];
        let alive: Vec<_> = ends
            .iter()
            .filter_map(|(connection, _)| connection.as_ref())
            .filter(|open| open.state().is_alive())
            .collect();
        let channels = || ends.iter().flat_map(|(_, channels)| channels);
        let closing: Vec<_> = channels()
            .filter(|channel| channel.begin_closing(Error::closed("connection")))
            .collect();
        for channel in closing {
            channel.wait_until_closed(deadline);
        }
        let results: Vec<_> =
            alive.into_iter().map(|connection| connection.close(timeout, deadline)).collect();
        results.into_iter().collect()
    }

    fn status(&self, role: Role) -> Status {
        self.lane(role).status()
    }

    fn capabilities(&self) -> Capabilities {
        self.consuming.capabilities().or_else(|| self.publishing.capabilities()).unwrap_or_default()
    }

    fn clock(&self) -> Clock {
        self.clock.clone()
    }

    fn observe(&self, observer: Observer) {
        self.events.observe(observer);
    }
}

impl fmt::Debug for NextConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpConnector")
            .field("options", &self.options.to_string())
            .finish_non_exhaustive()
    }
}

/// The maximum time for which a new connection waits until the loss of the last one was reported.
const REPORTED_WITHIN: Duration = Duration::from_secs(1);

/// At most one connection, and the channels on it.
struct Lane {
    state: Mutex<LaneState>,
    changed: Condvar,
    turns: Arc<Turns>,
}

struct LaneState {
    place: Place,
    /// Whether a connection was opened before.
    opened: bool,
    /// The features of the broker, from the last connection.
    capabilities: Option<Capabilities>,
    channels: Vec<Weak<Channel>>,
}

enum Place {
    Empty,
    Opening(Arc<Attempt>),
    Open(Arc<Connection>),
    Closed,
}

impl Lane {
    fn new() -> Lane {
        let state = LaneState {
            place: Place::Empty,
            opened: false,
            capabilities: None,
            channels: Vec::new(),
        };
        Lane { state: Mutex::new(state), changed: Condvar::new(), turns: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Status {
        match &self.lock().place {
            Place::Open(connection) => {
                Status::new(connection.state().is_alive(), connection.state().blocked())
            }
            Place::Empty | Place::Opening(_) | Place::Closed => Status::default(),
        }
    }

    /// Returns the open connection, or a new one; and whether it is new. One thread opens it, and
    /// the others wait.
    fn connection(
        &self,
        options: &Arc<ConnectionOptions>,
        outlives: ConnectLane,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<(Arc<Connection>, bool)> {
        let mut state = self.lock();
        loop {
            match &state.place {
                Place::Open(connection) if connection.state().is_alive() => {
                    return Ok((Arc::clone(connection), false));
                }
                Place::Closed => return Err(Error::closed("connection")),
                Place::Empty | Place::Open(_) => break,
                Place::Opening(_) => {}
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(Error::timeout("opening a connection", timeout));
            }
            state = self
                .changed
                .wait_timeout(state, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        let attempt = Arc::new(Attempt::new(state.opened));
        let dead = std::mem::replace(&mut state.place, Place::Opening(Arc::clone(&attempt)));
        state.channels.clear();
        drop(state);
        let dead = match dead {
            Place::Open(connection) => Some(Arc::clone(connection.state())),
            Place::Empty | Place::Opening(_) | Place::Closed => None,
        };

        let timeout = timeout.min(options.connect_timeout);
        let deadline_of_dial = deadline.min(deadline_after(timeout));
        let opened = Connection::open(options, outlives, &attempt, timeout, deadline_of_dial);

        let mut state = self.lock();
        let result = match (&state.place, opened) {
            (Place::Closed, opened) => {
                drop(state);
                drop(opened);
                return Err(Error::closed("connection"));
            }
            (_, Ok(connection)) => {
                state.place = Place::Open(Arc::clone(&connection));
                state.opened = true;
                state.capabilities = connection.state().capabilities.get().copied();
                Ok((connection, true))
            }
            (_, Err(error)) => {
                state.place = Place::Empty;
                Err(error)
            }
        };
        drop(state);
        self.changed.notify_all();
        if let Ok((connection, _)) = &result {
            // Observers hear of the loss before they hear of the next connection.
            if let Some(lost) = dead {
                lost.wait_until_lost(deadline.min(Instant::now() + REPORTED_WITHIN));
            }
            connection.state().announce();
        }
        result
    }

    fn capabilities(&self) -> Option<Capabilities> {
        self.lock().capabilities
    }

    fn keep(&self, channel: Arc<Channel>) -> Result<Arc<dyn Backend>> {
        let mut state = self.lock();
        if matches!(state.place, Place::Closed) {
            return Err(Error::closed("connection"));
        }
        state.channels.retain(|channel| channel.strong_count() > 0);
        state.channels.push(Arc::downgrade(&channel));
        Ok(channel)
    }

    /// Closes the lane, and returns its connection and channels.
    fn end(&self) -> (Option<Arc<Connection>>, Vec<Arc<Channel>>) {
        let mut state = self.lock();
        let place = std::mem::replace(&mut state.place, Place::Closed);
        let channels = std::mem::take(&mut state.channels);
        drop(state);
        self.changed.notify_all();
        let connection = match place {
            Place::Open(connection) => Some(connection),
            Place::Opening(attempt) => {
                attempt.abandon();
                None
            }
            Place::Empty | Place::Closed => None,
        };
        (connection, channels.iter().filter_map(Weak::upgrade).collect())
    }
}
