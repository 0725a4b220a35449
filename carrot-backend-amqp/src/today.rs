//! The connector of the driver that has amiquip keep the channels.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use carrot_core::backend::{Backend, Capabilities, ChannelOptions, Clock, Connector, Role, Status};
use carrot_core::{ConnectionOptions, Error, Result};

use crate::channel::Channel;
use crate::connection::Connection;
use crate::core::Core;
use crate::dial::{self, Attempt};
use crate::events::{Events, Observer};
use crate::time::deadline_after;
use crate::turns::Turns;

/// See [`AmqpConnector`](crate::AmqpConnector).
pub(crate) struct TodaysConnector {
    options: Arc<ConnectionOptions>,
    events: Arc<Events>,
    clock: Clock,
    publishing: Lane,
    consuming: Lane,
}

impl TodaysConnector {
    /// Takes options that were checked.
    pub(crate) fn new(options: &ConnectionOptions) -> TodaysConnector {
        TodaysConnector {
            options: Arc::new(options.clone()),
            events: Arc::default(),
            clock: Clock::real(),
            publishing: Lane::new(Role::Publish),
            consuming: Lane::new(Role::Consume),
        }
    }

    fn connection(
        &self,
        role: Role,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<(Arc<Connection>, bool)> {
        self.lane(role).connection(&self.options, &self.events, timeout, deadline)
    }

    fn lane(&self, role: Role) -> &Lane {
        if role == Role::Publish { &self.publishing } else { &self.consuming }
    }
}

impl Connector for TodaysConnector {
    /// As the contract says. The whole is bounded by `timeout`, and making a connection by
    /// [`connect_timeout`](ConnectionOptions::connect_timeout) as well.
    fn open(&self, options: &ChannelOptions, timeout: Duration) -> Result<Arc<dyn Backend>> {
        let deadline = deadline_after(timeout);
        let lane = self.lane(options.role);
        let (connection, fresh) = self.connection(options.role, timeout, deadline)?;
        match open_channel(&connection, options, timeout, deadline) {
            // It had died, and nobody had noticed.
            Err(error) if !fresh && error.is_disconnected() && !connection.life().is_alive() => {
                let (connection, _) = self.connection(options.role, timeout, deadline)?;
                lane.keep(open_channel(&connection, options, timeout, deadline)?)
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
            .filter(|open| open.life().is_alive())
            .collect();
        let mut closing = Vec::new();
        for channel in ends.iter().flat_map(|(_, channels)| channels) {
            closing.extend(
                channel.begin_closing(Error::closed("connection"), deadline).ok().flatten(),
            );
        }
        for closed in closing {
            let _ = closed.recv_deadline(deadline);
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

    /// As the contract says, on a thread of its own, for as long as the observers take.
    fn observe(&self, observer: Observer) {
        self.events.observe(observer);
    }
}

impl fmt::Debug for TodaysConnector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AmqpConnector")
            .field("options", &self.options.to_string())
            .finish_non_exhaustive()
    }
}

fn open_channel(
    connection: &Arc<Connection>,
    options: &ChannelOptions,
    timeout: Duration,
    deadline: Instant,
) -> Result<Arc<Channel>> {
    let open = connection.open_channel(options.confirms, timeout, deadline)?;
    Ok(Channel::new(
        Core::new(Arc::clone(connection), open.opening, open.inbox, options.confirms),
        open.channel,
    ))
}

/// At most one connection, and the channels on it.
struct Lane {
    role: Role,
    state: Mutex<LaneState>,
    changed: Condvar,
    turns: Arc<Turns>,
}

struct LaneState {
    place: Place,
    /// Whether there has been a connection.
    opened: bool,
    /// Of the last connection.
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
    fn new(role: Role) -> Lane {
        let state = LaneState {
            place: Place::Empty,
            opened: false,
            capabilities: None,
            channels: Vec::new(),
        };
        Lane { role, state: Mutex::new(state), changed: Condvar::new(), turns: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, LaneState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn status(&self) -> Status {
        match &self.lock().place {
            Place::Open(connection) => {
                Status::new(connection.life().is_alive(), connection.life().blocked())
            }
            Place::Empty | Place::Opening(_) | Place::Closed => Status::default(),
        }
    }

    /// The live connection, or a new one; and whether it is new. One thread makes it, the others wait for it.
    fn connection(
        &self,
        options: &Arc<ConnectionOptions>,
        events: &Arc<Events>,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<(Arc<Connection>, bool)> {
        let mut state = self.lock();
        loop {
            match &state.place {
                Place::Open(connection) if connection.life().is_alive() => {
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
            Place::Open(connection) => Some(Arc::clone(connection.life())),
            Place::Empty | Place::Opening(_) | Place::Closed => None,
        };

        let timeout = timeout.min(options.connect_timeout);
        let opened = Connection::open(
            options,
            self.role,
            &attempt,
            events,
            &self.turns,
            timeout,
            deadline.min(deadline_after(timeout)),
        );

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
                state.capabilities = Some(connection.life().capabilities);
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
            dead.iter().for_each(|life| life.wait_until_told(deadline));
            connection.life().announce();
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

    /// Ends it for good; gives what was there.
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
