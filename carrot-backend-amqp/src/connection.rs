//! One live connection: its channels' common fate.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use amiquip::ConnectionBlockedNotification;
use carrot_core::backend::{Capabilities, Event, Role};
use carrot_core::{ConnectionOptions, Error, Result};
use crossbeam_channel::{Receiver, RecvTimeoutError, SendError, at, bounded, never, select};
use log::{debug, info, warn};

use crate::calls::OPEN_CHANNEL;
use crate::capabilities;
use crate::dial::{self, Attempt};
use crate::error::{self, Fault};
use crate::events::Events;
use crate::inboxes::Inbox;
use crate::lending::{Absent, Lending};
use crate::outlet::Opening;
use crate::stream::Wire;
use crate::time::deadline_after;
use crate::turns::Turns;
use crate::watchdog::{KillSwitch, Watchdog};

/// How long the end of a connection may take to be explained, once it is known to have ended.
const EXPLANATION: Duration = Duration::from_secs(1);

/// One connection to the broker. It ends when it is closed, lost, or when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct Connection {
    life: Arc<Life>,
}

/// A channel that was opened.
pub(crate) struct Open {
    pub(crate) channel: amiquip::Channel,
    pub(crate) opening: Opening,
    pub(crate) inbox: Arc<Inbox>,
}

/// What the connection, its keeper and its channels know in common.
#[derive(Debug)]
pub(crate) struct Life {
    role: Role,
    name: String,
    endpoint: String,
    amqp: Lending<amiquip::Connection>,
    pub(crate) kill: KillSwitch,
    pub(crate) watchdog: Watchdog,
    pub(crate) wire: Arc<Wire>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) call_timeout: Duration,
    pub(crate) capabilities: Capabilities,
    /// Gone with the connector.
    events: Weak<Events>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Whether it has ended, for whatever reason.
    ended: bool,
    /// Whether this side is closing it.
    closing: bool,
    death: Option<Error>,
    blocked: Option<String>,
    telling: Telling,
}

#[derive(Debug)]
enum Telling {
    /// Nothing, since nobody can use the connection yet; this is what has happened meanwhile.
    Later(Vec<Event>),
    Now,
}

impl Default for Telling {
    fn default() -> Telling {
        Telling::Later(Vec::new())
    }
}

impl Connection {
    /// Connects, and starts the keeper.
    pub(crate) fn open(
        options: &Arc<ConnectionOptions>,
        role: Role,
        attempt: &Arc<Attempt>,
        events: &Arc<Events>,
        turns: &Arc<Turns>,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Arc<Connection>> {
        let name = format!("{} ({role})", options.name);
        let mut dialed = dial::dial(options, name.clone(), attempt, timeout, deadline)?;
        let (watchdog, woken) = Watchdog::new();
        let notifications = dialed.amqp.listen_for_connection_blocked();
        dialed.wire.calls.take_turns(turns);
        let life = Arc::new(Life {
            role,
            name,
            endpoint: dialed.endpoint,
            capabilities: capabilities::read(dialed.amqp.server_properties()),
            amqp: Lending::new(dialed.amqp),
            kill: dialed.kill,
            watchdog,
            wire: dialed.wire,
            turns: Arc::clone(turns),
            call_timeout: options.call_timeout,
            events: Arc::downgrade(events),
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let connection = Arc::new(Connection { life: Arc::clone(&life) });
        let notifications = notifications.map_err(|error| error::death(Err(error)))?;
        info!("{} connected to {}", life.name, life.endpoint);
        thread::Builder::new()
            .name("carrot-keeper".to_string())
            .spawn(move || life.keep(&notifications, &woken))
            .map_err(|error| Error::Backend {
                reason: "no thread could be started".to_string(),
                source: Some(Arc::new(error)),
            })?;
        Ok(connection)
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        &self.life
    }

    /// Opens a channel, and prepares it for confirms.
    ///
    /// The round trips are made on a thread of their own: an alarm must not cost the connection because somebody opened a channel
    /// meanwhile and could not wait.
    pub(crate) fn open_channel(
        &self,
        confirming: bool,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Open> {
        const OPERATION: &str = OPEN_CHANNEL.operation;
        let turn = self.life.turns.enter(OPEN_CHANNEL, deadline);
        let _turn = turn.ok_or_else(|| self.life.overdue(OPERATION, timeout))?;
        let (done, opened) = bounded(1);
        let opener = Arc::clone(&self.life);
        let spawned = thread::Builder::new().name("carrot-open".to_string()).spawn(move || {
            let channel = opener.open_channel(OPERATION, confirming, timeout, deadline);
            if let Err(SendError(Ok(unwanted))) = done.send(channel) {
                opener.close_channel(unwanted.channel);
            }
        });
        spawned.map_err(no_thread)?;
        match opened.recv_deadline(deadline) {
            Ok(result) => result,
            Err(RecvTimeoutError::Timeout) => Err(self.life.overdue(OPERATION, timeout)),
            Err(RecvTimeoutError::Disconnected) => Err(self.life.death()),
        }
    }

    /// Ends the connection: tells the broker, and cuts it at the deadline. If it was cut meanwhile, that is a timeout too.
    pub(crate) fn close(&self, timeout: Duration, deadline: Instant) -> Result<()> {
        const OPERATION: &str = "closing the connection";
        let life = &self.life;
        if life.begin_closing() {
            let closer = Arc::clone(life);
            let spawned = thread::Builder::new()
                .name("carrot-close".to_string())
                .spawn(move || closer.say_goodbye(deadline));
            if spawned.is_err() || !life.wait_for_death(deadline) {
                life.kill.trip(format!("{OPERATION} did not finish in time"));
                life.wait_for_death(Instant::now() + EXPLANATION);
                life.end();
            }
        }
        if life.kill.reason().is_some() { Err(Error::timeout(OPERATION, timeout)) } else { Ok(()) }
    }
}

fn no_thread(error: std::io::Error) -> Error {
    Error::Backend {
        reason: "no thread could be started".to_string(),
        source: Some(Arc::new(error)),
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let life = Arc::clone(&self.life);
        if !life.begin_closing() {
            return;
        }
        let deadline = deadline_after(life.call_timeout);
        if thread::Builder::new()
            .name("carrot-close".to_string())
            .spawn(move || life.say_goodbye(deadline))
            .is_err()
        {
            self.life.kill.trip("no thread could be started to close it");
        }
    }
}

impl Life {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(crate) fn is_alive(&self) -> bool {
        let state = self.lock();
        !state.ended && !state.closing
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.lock().ended
    }

    /// Why the broker has blocked publishing, if it has.
    pub(crate) fn blocked(&self) -> Option<String> {
        let state = self.lock();
        if state.ended { None } else { state.blocked.clone() }
    }

    /// Tells that it is connected, and from now on whatever happens to it.
    pub(crate) fn announce(&self) {
        let mut state = self.lock();
        if let Telling::Later(early) = std::mem::replace(&mut state.telling, Telling::Now)
            && let Some(events) = self.events.upgrade()
        {
            events.push(Event::Connected { role: self.role });
            early.into_iter().for_each(|event| events.push(event));
            drop(state);
            events.tell();
        }
    }

    fn tell(&self, mut state: MutexGuard<'_, State>, event: Event) {
        match &mut state.telling {
            Telling::Later(early) => early.push(event),
            Telling::Now => {
                if let Some(events) = self.events.upgrade() {
                    events.push(event);
                    drop(state);
                    events.tell();
                }
            }
        }
    }

    /// Why it ended, if it has.
    pub(crate) fn failure(&self) -> Option<Error> {
        if self.lock().ended { Some(self.death()) } else { None }
    }

    /// Why it ended, if that is known.
    pub(crate) fn known_death(&self) -> Option<Error> {
        self.lock().death.clone()
    }

    /// Waits until observers were told why it ended: a second at most, and not beyond `deadline`.
    pub(crate) fn wait_until_told(&self, deadline: Instant) {
        self.wait_for_death(deadline.min(Instant::now() + EXPLANATION));
    }

    /// Why it ended; waits a moment for the explanation. To be called when it is known to have ended.
    pub(crate) fn death(&self) -> Error {
        self.wait_for_death(Instant::now() + EXPLANATION * 3);
        let death = self.lock().death.clone();
        death.unwrap_or_else(|| Error::disconnected("the driver's I/O thread has ended"))
    }

    fn wait_for_death(&self, deadline: Instant) -> bool {
        let mut state = self.lock();
        while state.death.is_none() {
            let now = Instant::now();
            if now >= deadline {
                return false;
            }
            state = self
                .changed
                .wait_timeout(state, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// The error of a call whose deadline has passed.
    pub(crate) fn overdue(&self, operation: &'static str, after: Duration) -> Error {
        match self.lock().blocked.clone() {
            Some(reason) => Error::Blocked { reason },
            None => Error::timeout(operation, after),
        }
    }

    /// Says why it ended, if that is not known yet.
    pub(crate) fn explain(&self, error: Error) {
        let mut state = self.lock();
        state.ended = true;
        if state.death.is_none() {
            let error = match self.kill.reason() {
                _ if state.closing => Error::closed("connection"),
                Some(reason) => Error::disconnected(reason),
                None => error,
            };
            let error = match error {
                Error::Disconnected { reason, source } => {
                    Error::Disconnected { reason: format!("{}: {reason}", self.endpoint), source }
                }
                other => other,
            };
            match &error {
                Error::Closed { .. } => {
                    info!("{} closed its connection to {}", self.name, self.endpoint)
                }
                lost => warn!("{}: {lost}", self.name),
            }
            state.death = Some(error.clone());
            match error {
                Error::Closed { .. } => drop(state),
                error => self.tell(state, Event::Disconnected { role: self.role, error }),
            }
        } else {
            drop(state);
        }
        self.changed.notify_all();
        self.wire.outlet.flow.close();
    }

    fn open_channel(
        &self,
        operation: &'static str,
        confirming: bool,
        timeout: Duration,
        deadline: Instant,
    ) -> Result<Open> {
        let mut amqp = match self.amqp.take(deadline) {
            Ok(amqp) => amqp,
            Err(Absent::Late) => return Err(self.overdue(operation, timeout)),
            Err(Absent::Gone) => return Err(self.death()),
        };
        let guard = self.watchdog.patient_guard(operation, deadline);
        let party = self.wire.calls.party();
        let in_flight = self.wire.calls.enter(party, OPEN_CHANNEL);
        let opened = amqp.open_channel(None);
        self.amqp.put_back(amqp);
        let result = opened.and_then(|channel| {
            let inbox = Arc::new(Inbox::new(party, confirming, channel.listen_for_returns()?));
            self.wire.inboxes.add(channel.channel_id(), &inbox);
            if confirming {
                channel.enable_publisher_confirms()?;
            }
            Ok((channel, inbox))
        });
        drop(in_flight);
        drop(guard);
        let (channel, inbox) = result.map_err(|error| match error::fault(error) {
            Fault::Channel(error) | Fault::Call(error) => error,
            Fault::Connection(error) => {
                self.explain(error);
                self.wire.calls.first_error(party, self.death())
            }
            Fault::Unexplained => self.wire.calls.first_error(party, self.death()),
        })?;
        let opening = self.wire.outlet.opening(channel.channel_id());
        let opening =
            opening.ok_or_else(|| Error::disconnected("the channel ended as it was opened"))?;
        Ok(Open { channel, opening, inbox })
    }

    /// Closes a channel, however long it takes: the watchdog bounds it, but for an alarm.
    pub(crate) fn close_channel(&self, channel: amiquip::Channel) {
        let guard =
            self.watchdog.patient_guard("closing a channel", deadline_after(self.call_timeout));
        let result = channel.close();
        drop(guard);
        if let Err(error) = result {
            debug!("{}: closing a channel: {error}", self.name);
        }
    }

    fn end(&self) {
        self.lock().ended = true;
        self.wire.outlet.flow.close();
    }

    fn begin_closing(&self) -> bool {
        let mut state = self.lock();
        let first = !state.closing && !state.ended;
        state.closing |= first;
        first
    }

    /// Closes amiquip's connection, which gives the reason of its end if it has ended already.
    fn say_goodbye(&self, deadline: Instant) {
        if let Ok(amqp) = self.amqp.take_for_good(deadline) {
            let guard = self.watchdog.guard("closing the connection", deadline);
            let result = amqp.close();
            drop(guard);
            self.kill.hang_up();
            self.explain(error::death(result));
        }
    }

    /// The keeper's work: deadlines, alarms, and the end.
    fn keep(
        self: &Arc<Life>,
        notifications: &Receiver<ConnectionBlockedNotification>,
        woken: &Receiver<()>,
    ) {
        loop {
            let now = Instant::now();
            let blocked = self.lock().blocked.is_some();
            let (expired, next) =
                self.watchdog.expire(now, blocked, deadline_after(self.call_timeout));
            if let Some(operation) = expired {
                warn!(
                    "{} cuts its connection to {}: {operation} did not finish in time",
                    self.name, self.endpoint
                );
                self.kill.trip(format!("it was cut, since {operation} did not finish in time"));
            }
            let alarm = next.map_or_else(never, at);
            select! {
                recv(notifications) -> notification => match notification {
                    Ok(notification) => self.note(notification),
                    Err(_) => break,
                },
                recv(woken) -> _ => {},
                recv(alarm) -> _ => {},
            }
        }
        self.end();
        self.find_cause();
    }

    fn note(&self, notification: ConnectionBlockedNotification) {
        match notification {
            ConnectionBlockedNotification::Blocked(reason) => {
                let reason = error::words(&reason);
                warn!("{}: {} has blocked publishing: {reason}", self.name, self.endpoint);
                let mut state = self.lock();
                state.blocked = Some(reason.clone());
                self.tell(state, Event::Blocked { role: self.role, reason });
            }
            ConnectionBlockedNotification::Unblocked => {
                info!("{}: {} has unblocked publishing", self.name, self.endpoint);
                let mut state = self.lock();
                state.blocked = None;
                self.tell(state, Event::Unblocked { role: self.role });
            }
        }
    }

    /// Asks amiquip's connection how it ended. It has, or is about to once its last words are written; if it waits for that, it is cut.
    fn find_cause(self: &Arc<Life>) {
        let unexplained = || Error::disconnected("the driver's I/O thread has ended");
        let amqp = match self.amqp.take_for_good(Instant::now() + EXPLANATION) {
            Ok(amqp) => amqp,
            Err(Absent::Late) => {
                self.kill.hang_up();
                return self.explain(unexplained());
            }
            Err(Absent::Gone) => return,
        };
        let (done, result) = bounded(1);
        let spawned = thread::Builder::new().name("carrot-close".to_string()).spawn(move || {
            let _ = done.send(amqp.close());
        });
        if spawned.is_err() {
            self.kill.hang_up();
            return self.explain(unexplained());
        }
        let result = result.recv_timeout(EXPLANATION / 2).or_else(|_| {
            self.kill.trip("its end could not be told to the broker");
            result.recv_timeout(EXPLANATION / 2)
        });
        self.kill.hang_up();
        debug!("{}: the I/O thread of {} ended: {result:?}", self.name, self.endpoint);
        self.explain(
            result.map_or_else(
                |_| Error::disconnected("the driver's I/O thread hangs"),
                error::death,
            ),
        );
    }
}
