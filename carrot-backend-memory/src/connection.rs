//! One open connection: its channels, its user, its exclusive queues.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use carrot_core::backend::{Content, DeleteIf, Event, Role};
use carrot_core::{Error, Result};

use crate::broker::Core;
use crate::channel::Channel;
use crate::fault_plan::Verdict;
use crate::observers::Observers;
use crate::publishing::{Answer, Publishing};
use crate::refusal;
use crate::sync::lock;
use crate::throttle::{Parked, Throttle};

/// A connection. It ends when it is failed, or when nothing uses it any more.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) core: Arc<Core>,
    pub(crate) id: u64,
    role: Role,
    pub(crate) user: Arc<str>,
    pub(crate) name: Arc<str>,
    /// Whether it ever declared an exclusive queue.
    owns: AtomicBool,
    /// The observers of its connector, as long as that lives.
    observers: Weak<Observers>,
    pub(crate) throttle: Throttle,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failure: Option<Error>,
    channels: Vec<Weak<Channel>>,
}

impl Connection {
    /// Opens one. Its observers are to be told once no lock is held.
    pub(crate) fn open(
        core: &Arc<Core>,
        role: Role,
        user: &Arc<str>,
        name: &Arc<str>,
        observers: &Arc<Observers>,
    ) -> Arc<Connection> {
        observers.note(Event::Connected { role });
        let connection = Arc::new(Connection {
            core: Arc::clone(core),
            id: core.next_id(),
            role,
            user: Arc::clone(user),
            name: Arc::clone(name),
            owns: AtomicBool::new(false),
            observers: Arc::downgrade(observers),
            throttle: Throttle::default(),
            state: Mutex::default(),
        });
        let alarm = lock(&core.alarm);
        let mut connections = lock(&core.connections);
        connections.retain(|other| other.strong_count() > 0);
        connections.push(Arc::downgrade(&connection));
        drop(connections);
        if let Some(reason) = &*alarm {
            connection.throttle.hold(reason);
        }
        drop(alarm);
        connection
    }

    pub(crate) fn is_open(&self) -> bool {
        lock(&self.state).failure.is_none()
    }

    pub(crate) fn open_channel(&self, confirms: bool) -> Result<Arc<Channel>> {
        let mut state = lock(&self.state);
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let channel = Arc::new(Channel::new(self.core.next_id(), confirms));
        if state.channels.len() == state.channels.capacity() {
            state.channels.retain(|channel| channel.strong_count() > 0);
        }
        state.channels.push(Arc::downgrade(&channel));
        Ok(channel)
    }

    /// Ends the connection: its channels first, then its exclusive queues; then tells its observers, unless this program closed it.
    /// Nothing if it had ended before. To be called with no lock held.
    pub(crate) fn fail(&self, error: Error) {
        self.fail_over(None, &error);
    }

    /// The same, over an operation of a channel, which alone is told that it was the cause.
    pub(crate) fn fail_over(&self, culprit: Option<&Arc<Channel>>, cause: &Error) {
        let error = refusal::of_others(cause);
        let mut state = lock(&self.state);
        if state.failure.is_some() {
            return;
        }
        state.failure = Some(error.clone());
        let channels = std::mem::take(&mut state.channels);
        let observers = self.observers.upgrade().filter(|_| !matches!(error, Error::Closed { .. }));
        // Under the lock: observers hear of the loss before they hear of the next connection.
        self.throttle.lose(observers.as_deref().map(|observers| {
            (observers, Event::Disconnected { role: self.role, error: error.clone() })
        }));
        drop(state);
        for channel in channels.iter().filter_map(Weak::upgrade) {
            let is_culprit = culprit.is_some_and(|culprit| Arc::ptr_eq(culprit, &channel));
            if let Some(remains) = channel.fail(if is_culprit { cause } else { &error }.clone()) {
                self.core.bury_channel(remains);
            }
        }
        self.delete_exclusive_queues();
        self.core.faults.wake();
        if let Some(observers) = observers {
            observers.tell();
        }
    }

    /// Publishes a message of a channel, which `publishing` belongs to, or leaves it unread while the broker is blocked.
    pub(crate) fn publish(
        &self,
        channel: &Arc<Channel>,
        publishing: MutexGuard<'_, Publishing>,
        content: &Arc<Content>,
        mandatory: bool,
        verdict: Verdict,
    ) {
        if !self.throttle.is_held() {
            return self.read(channel, publishing, content, mandatory, verdict);
        }
        let parked = Parked {
            channel: Arc::clone(channel),
            content: Arc::clone(content),
            mandatory,
            verdict,
        };
        let observers = self.observers.upgrade();
        match self.throttle.park(parked, observers.as_deref()) {
            Some(_) => self.read(channel, publishing, content, mandatory, verdict),
            None => drop(publishing),
        }
        if let Some(observers) = observers {
            observers.tell();
        }
    }

    /// Takes what was left unread, in its order; the observers are to be told once no lock is held. Only one thread at a time may do so.
    pub(crate) fn release(&self) {
        let observers = self.observers.upgrade();
        while let Some(Parked { channel, content, mandatory, verdict }) =
            self.throttle.release(observers.as_deref())
        {
            let refused = channel.check().is_err_and(|error| error.is_channel_error());
            if !refused {
                self.read(&channel, lock(&channel.publishing), &content, mandatory, verdict);
                channel.wake_publishers();
            }
        }
    }

    pub(crate) fn tell_observers(&self) {
        if let Some(observers) = self.observers.upgrade() {
            observers.tell();
        }
    }

    fn read(
        &self,
        channel: &Arc<Channel>,
        mut publishing: MutexGuard<'_, Publishing>,
        content: &Arc<Content>,
        mandatory: bool,
        verdict: Verdict,
    ) {
        let last = &mut publishing.last_routes;
        let answer = match verdict {
            Verdict::Nack => Ok(Answer::Refused),
            Verdict::LoseConfirm => self
                .core
                .publish(channel, last, &self.user, content, mandatory)
                .map(|_| Answer::Lost),
            Verdict::Proceed => self.core.publish(channel, last, &self.user, content, mandatory),
        };
        match answer {
            Ok(answer) => {
                if channel.confirms {
                    publishing.answer(answer);
                }
            }
            Err(error) => {
                drop(publishing);
                if let Some(remains) = channel.fail(error) {
                    self.core.bury_channel(remains);
                }
            }
        }
    }

    /// Notes that a queue is exclusive to it. If it ended meanwhile, the queue goes at once.
    pub(crate) fn adopt(&self) {
        self.owns.store(true, Ordering::SeqCst);
        if !self.is_open() {
            self.delete_exclusive_queues();
        }
    }

    fn delete_exclusive_queues(&self) {
        if !self.owns.load(Ordering::SeqCst) {
            return;
        }
        let owned: Vec<_> = self
            .core
            .topology
            .read()
            .queues
            .values()
            .filter(|queue| queue.owner == Some(self.id))
            .cloned()
            .collect();
        for queue in owned {
            if let Ok(Some(estate)) = queue.delete(DeleteIf::ALWAYS) {
                self.core.settle_estate(&queue, estate);
            }
            self.core.send_dead_letters();
        }
    }

    pub(crate) fn channels(&self) -> Vec<Arc<Channel>> {
        lock(&self.state).channels.iter().filter_map(Weak::upgrade).collect()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.fail(Error::closed("connection"));
    }
}
