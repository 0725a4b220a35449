//! The state that a connection, its reader and its channels share.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, Weak};
use std::time::{Duration, Instant};

use carrot_core::Error;
use carrot_core::backend::{BufferPool, Event, Role};
use log::{info, warn};

use super::capabilities::BrokerFeatures;
use super::channels::ChannelTable;
use super::control::Control;
use super::handshake::Tuned;
use super::in_flight::CallsInFlight;
use super::leadership::Leadership;
use super::observers::{Observers, role_of_alarm};
use super::read_limit::ReadLimit;
use super::role_context::RoleContext;
use super::secret_updates::SecretUpdates;
use super::supervisor::Supervisor;
use super::writer::SocketWriter;
use crate::sync::{lock, wait_while};

/// The maximum time between the end of a connection and the time at which its cause is known.
pub(crate) const EXPLAINED_WITHIN: Duration = Duration::from_secs(1);

/// The parts of a connection that exist before the handshake.
pub(crate) struct ConnectionState {
    pub(crate) role: Role,
    pub(crate) name: String,
    pub(crate) endpoint: String,
    pub(crate) call_timeout: Duration,
    pub(crate) writer: Arc<SocketWriter>,
    pub(crate) control: Control,
    pub(crate) leadership: Leadership,
    pub(crate) channels: ChannelTable,
    pub(crate) calls: CallsInFlight,
    pub(crate) supervisor: Arc<Supervisor>,
    pub(crate) buffers: Arc<BufferPool>,
    pub(crate) tuned: OnceLock<Tuned>,
    pub(crate) features: OnceLock<BrokerFeatures>,
    pub(crate) secret_updates: SecretUpdates,
    pub(crate) read_limit: ReadLimit,
    /// Dropped with the connector.
    events: Weak<Observers>,
    /// Whether `lifecycle` holds the reason why the connection has ended.
    is_lost: AtomicBool,
    lifecycle: Mutex<Lifecycle>,
    changed: Condvar,
}

/// Whether the connection is open, and the reason if it is not.
#[derive(Debug, Default)]
struct Lifecycle {
    /// Whether the handshake was completed.
    is_open: bool,
    /// Whether this side closes the connection.
    is_closing: bool,
    /// The reason why this side has cut the connection.
    cut: Option<String>,
    lost: Option<Error>,
    blocked: Option<String>,
    /// Whether the first event was reported.
    is_announced: bool,
    /// The events that happened before.
    early: Vec<Event>,
}

impl ConnectionState {
    /// Creates the state of a connection whose handshake has not begun.
    pub(crate) fn new(
        context: &RoleContext,
        name: String,
        endpoint: String,
        call_timeout: Duration,
        writer: Arc<SocketWriter>,
        control: Control,
    ) -> ConnectionState {
        ConnectionState {
            role: context.role,
            name,
            endpoint,
            call_timeout,
            writer,
            control,
            leadership: Leadership::new(),
            channels: ChannelTable::default(),
            calls: CallsInFlight::new(&context.isolation),
            supervisor: Arc::clone(&context.supervisor),
            buffers: Arc::new(BufferPool::new()),
            tuned: OnceLock::new(),
            features: OnceLock::new(),
            secret_updates: SecretUpdates::default(),
            read_limit: ReadLimit::new(context.max_waiting_bytes),
            events: Weak::clone(&context.observers),
            is_lost: AtomicBool::new(false),
            lifecycle: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// Notes that the handshake is complete.
    pub(crate) fn opened(&self) {
        lock(&self.lifecycle).is_open = true;
    }

    pub(crate) fn frame_max(&self) -> u32 {
        self.tuned.get().map_or(super::handshake::UNTUNED_FRAME_MAX, |tuned| tuned.frame_max)
    }

    /// Returns the features of the broker, as it announced them in the handshake.
    pub(crate) fn features(&self) -> BrokerFeatures {
        self.features.get().copied().unwrap_or_default()
    }

    pub(crate) fn channel_max(&self) -> u16 {
        self.tuned.get().map_or(1, |tuned| tuned.channel_max)
    }

    pub(crate) fn is_alive(&self) -> bool {
        let lifecycle = lock(&self.lifecycle);
        lifecycle.lost.is_none() && !lifecycle.is_closing && lifecycle.cut.is_none()
    }

    /// Returns the reason for which the broker has blocked publishing, if it has.
    pub(crate) fn blocked(&self) -> Option<String> {
        let lifecycle = lock(&self.lifecycle);
        if lifecycle.lost.is_none() { lifecycle.blocked.clone() } else { None }
    }

    /// Returns the reason why the connection has ended, if it has.
    pub(crate) fn failure(&self) -> Option<Error> {
        if self.is_lost.load(Ordering::Acquire) { lock(&self.lifecycle).lost.clone() } else { None }
    }

    /// Returns the reason why the connection has ended. The caller knows that the connection has
    /// ended, or is about to.
    pub(crate) fn death(&self) -> Error {
        self.wait_until_lost(Instant::now() + EXPLAINED_WITHIN * 3);
        self.failure().unwrap_or_else(|| Error::disconnected("the connection has ended"))
    }

    /// Waits until the connection has ended. Returns false if `deadline` passes first.
    pub(crate) fn wait_until_lost(&self, deadline: Instant) -> bool {
        self.leadership.call_stand_by();
        let is_open = |lifecycle: &Lifecycle| lifecycle.lost.is_none();
        wait_while(&self.changed, lock(&self.lifecycle), deadline, is_open).is_some()
    }

    /// Returns the error of a call whose deadline has passed.
    pub(crate) fn overdue(&self, operation: &'static str, after: Duration) -> Error {
        match lock(&self.lifecycle).blocked.clone() {
            Some(reason) => Error::Blocked { reason },
            None => Error::timeout(operation, after),
        }
    }

    /// Cuts the connection. The first reason is kept.
    pub(crate) fn cut(&self, reason: impl Into<String>) {
        let mut lifecycle = lock(&self.lifecycle);
        if lifecycle.lost.is_none() && lifecycle.cut.is_none() {
            lifecycle.cut = Some(reason.into());
        }
        drop(lifecycle);
        self.read_limit.lift();
        self.writer.shut_down();
    }

    pub(crate) fn was_cut(&self) -> bool {
        lock(&self.lifecycle).cut.is_some()
    }

    /// Notes that this side closes the connection. Returns false if the connection closes already.
    pub(crate) fn begin_closing(&self) -> bool {
        let mut lifecycle = lock(&self.lifecycle);
        let is_first = !lifecycle.is_closing && lifecycle.lost.is_none();
        lifecycle.is_closing |= is_first;
        drop(lifecycle);
        self.read_limit.lift();
        is_first
    }

    /// Ends all channels with the reason why the connection has ended, unless that was done.
    pub(crate) fn lose(&self, error: Error) {
        let mut lifecycle = lock(&self.lifecycle);
        if lifecycle.lost.is_some() {
            return;
        }
        let error = match &lifecycle.cut {
            _ if lifecycle.is_closing => Error::closed("connection"),
            Some(reason) => Error::disconnected(reason.clone()),
            None => error,
        };
        let error = match error {
            Error::Disconnected { reason, source } => {
                Error::Disconnected { reason: format!("{}: {reason}", self.endpoint), source }
            }
            other => other,
        };
        lifecycle.lost = Some(error.clone());
        self.is_lost.store(true, Ordering::Release);
        let was_open = lifecycle.is_open;
        let is_loss = !matches!(error, Error::Closed { .. });
        let lost = error.clone();
        if is_loss {
            self.report(lifecycle, Event::Disconnected { role: self.role, error });
        } else {
            drop(lifecycle);
        }
        self.changed.notify_all();
        self.writer.send_buffer.close();
        self.secret_updates.end();
        self.read_limit.lift();
        for channel in self.channels.end() {
            channel.end(self.calls.first_error(channel.id(), lost.clone()));
        }
        // Last, because a logger may be slow, or call the connector.
        match &lost {
            _ if !was_open => {}
            Error::Closed { .. } => {
                info!("{} closed its connection to {}", self.name, self.endpoint)
            }
            lost => warn!("{}: {lost}", self.name),
        }
    }

    /// Notes that the broker has blocked publishing.
    pub(crate) fn block(&self, reason: String) {
        warn!("{}: {} has blocked publishing: {reason}", self.name, self.endpoint);
        let mut lifecycle = lock(&self.lifecycle);
        lifecycle.blocked = Some(reason.clone());
        self.report(lifecycle, Event::Blocked { role: self.role, reason });
    }

    pub(crate) fn unblock(&self) {
        info!("{}: {} has unblocked publishing", self.name, self.endpoint);
        let mut lifecycle = lock(&self.lifecycle);
        lifecycle.blocked = None;
        self.report(lifecycle, Event::Unblocked { role: self.role });
    }

    /// Sends frames of the reader soon, on another thread.
    pub(crate) fn hand_over(&self, frames: Vec<u8>) {
        self.writer.hand_over(frames);
        self.flush_soon();
    }

    /// Writes pending frames soon, on another thread.
    pub(crate) fn flush_soon(&self) {
        if self.writer.begin_flush() {
            let writer = Arc::clone(&self.writer);
            self.supervisor.at(Instant::now(), move || writer.flush());
        }
    }

    /// Reports that the connection is open, and all later events.
    pub(crate) fn announce(&self) {
        let mut lifecycle = lock(&self.lifecycle);
        lifecycle.is_announced = true;
        let early = mem::take(&mut lifecycle.early);
        if let Some(events) = self.events.upgrade() {
            events.push(Event::Connected { role: self.role });
            early.into_iter().for_each(|event| events.push(event));
            drop(lifecycle);
            events.tell();
        }
    }

    /// Queues an event under the lock of the state, which keeps the events in order.
    fn report(&self, mut lifecycle: MutexGuard<'_, Lifecycle>, event: Event) {
        if !lifecycle.is_announced {
            // Of several alarms, the latest holds.
            if role_of_alarm(&event).is_some() {
                lifecycle.early.retain(|earlier| role_of_alarm(earlier).is_none());
            }
            lifecycle.early.push(event);
        } else if let Some(events) = self.events.upgrade() {
            events.push(event);
            drop(lifecycle);
            events.tell();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc::{Sender, channel};
    use std::thread;

    use carrot_core::ConnectionOptions;

    use super::*;
    use crate::connection::unread;

    /// A logger that asks for the connection that it hears of.
    struct Asking(Arc<ConnectionState>, Mutex<Sender<bool>>);

    impl log::Log for Asking {
        fn enabled(&self, _: &log::Metadata<'_>) -> bool {
            true
        }

        fn log(&self, record: &log::Record<'_>) {
            if record.args().to_string().contains("lost in a test of logging") {
                let _ = lock(&self.1).send(self.0.is_alive());
            }
        }

        fn flush(&self) {}
    }

    #[test]
    fn logger_may_ask_for_the_connection_that_was_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let context = RoleContext {
            role: Role::Consume,
            observers: Weak::new(),
            isolation: Arc::default(),
            supervisor: Arc::default(),
            max_waiting_bytes: None,
        };
        let (state, _demux, _pipe) = unread(&context, &ConnectionOptions::new(), socket).unwrap();
        state.opened();
        let (tell, told) = channel();
        let logger = Asking(Arc::clone(&state), Mutex::new(tell));
        log::set_logger(Box::leak(Box::new(logger))).unwrap();
        log::set_max_level(log::LevelFilter::Warn);
        thread::spawn(move || state.lose(Error::disconnected("lost in a test of logging")));
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(false));
    }
}
