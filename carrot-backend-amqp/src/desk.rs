//! Where a channel is when nobody uses it, and what waits for it when somebody does.

use std::fmt;
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use carrot_core::{Error, Result};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use crate::core::Core;
use crate::owner::{self, Job};

/// amiquip's channel can be used by one thread at a time. As long as nobody consumes, that is whoever needs it: it lies on the desk, and
/// for the length of a round trip somebody has it. A consumer of amiquip's borrows the channel, so the first one moves it to a thread of
/// its own for good.
pub(crate) struct Desk {
    place: Mutex<Place>,
    changed: Condvar,
    owner: OnceLock<Sender<Job>>,
}

enum Place {
    Here(amiquip::Channel),
    Lent,
    Owned,
    /// The receiver ends when it is closed.
    Gone(Receiver<()>),
}

/// Who is to do what needs the channel.
pub(crate) enum Turn<'a> {
    /// The caller, who gives it back with [`Desk::give_back`].
    Yours(amiquip::Channel),
    /// The channel's owner.
    Owners(&'a Sender<Job>),
    /// The channel is being closed, or was: then the receiver has ended.
    Nobodys(Receiver<()>),
}

impl Desk {
    pub(crate) fn new(channel: amiquip::Channel) -> Desk {
        Desk {
            place: Mutex::new(Place::Here(channel)),
            changed: Condvar::new(),
            owner: OnceLock::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Place> {
        self.place.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the channel.
    pub(crate) fn turn(
        &self,
        core: &Core,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Turn<'_>> {
        let mut place = self.lock();
        loop {
            match mem::replace(&mut *place, Place::Lent) {
                Place::Here(channel) => return Ok(Turn::Yours(channel)),
                Place::Gone(closed) => {
                    *place = Place::Gone(closed.clone());
                    return Ok(Turn::Nobodys(closed));
                }
                Place::Owned => {
                    *place = Place::Owned;
                    drop(place);
                    return self.owner.get().map(Turn::Owners).ok_or_else(|| core.gone());
                }
                Place::Lent => {}
            }
            let now = Instant::now();
            if now >= deadline {
                return Err(core.life().overdue(operation, core.call_timeout()));
            }
            place = self
                .changed
                .wait_timeout(place, deadline - now)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Puts the channel back.
    pub(crate) fn give_back(&self, core: &Arc<Core>, channel: amiquip::Channel) {
        let place = if core.has_failed() {
            Place::Gone(dispose(channel, core))
        } else {
            Place::Here(channel)
        };
        *self.lock() = place;
        self.changed.notify_all();
    }

    /// Sees to it that the verdicts in the ledger leave; `tell` if nobody has been told of them. If there is an owner, they may wait for
    /// others there, unless there are enough already.
    pub(crate) fn settle(&self, core: &Core, tell: bool) {
        match self.owner.get() {
            Some(_) if !tell => {}
            Some(owner) if !core.ledger.is_batch_full() => drop(owner.send(Job::Settle)),
            _ => core.flush(),
        }
    }

    /// The owner of the channel; makes one if there is none.
    pub(crate) fn owner(
        &self,
        core: &Arc<Core>,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<&Sender<Job>> {
        let channel = match self.turn(core, operation, deadline)? {
            Turn::Owners(owner) => return Ok(owner),
            Turn::Nobodys(_) => return Err(core.gone()),
            Turn::Yours(channel) => channel,
        };
        let (jobs, queue) = unbounded();
        let (hand_over, taken) = bounded::<amiquip::Channel>(1);
        let owners_core = Arc::clone(core);
        let spawned = thread::Builder::new().name("carrot-channel".to_string()).spawn(move || {
            if let Ok(channel) = taken.recv() {
                owner::own(channel, &owners_core, &queue);
            }
        });
        if let Err(error) = spawned {
            self.give_back(core, channel);
            return Err(Error::Backend {
                reason: "no thread could be started for a consumer".to_string(),
                source: Some(Arc::new(error)),
            });
        }
        let owner = self.owner.get_or_init(|| jobs);
        let _ = hand_over.send(channel);
        *self.lock() = Place::Owned;
        self.changed.notify_all();
        Ok(owner)
    }

    /// Says that nobody takes the deliveries of a consumer any more.
    pub(crate) fn release(&self, id: u64, automatic: bool) {
        if let Some(owner) = self.owner.get() {
            let _ = owner.send(Job::Release { id, automatic });
        }
    }

    /// Begins to close the channel, once nobody has it any more. The receiver ends when it is closed.
    pub(crate) fn close(&self, core: &Arc<Core>, deadline: Instant) -> Result<Receiver<()>> {
        match self.turn(core, "closing a channel", deadline)? {
            Turn::Yours(channel) => {
                let closed = dispose(channel, core);
                *self.lock() = Place::Gone(closed.clone());
                self.changed.notify_all();
                Ok(closed)
            }
            Turn::Nobodys(closed) => Ok(closed),
            Turn::Owners(owner) => {
                let (done, closed) = bounded(0);
                let _ = owner.send(Job::Close(done));
                Ok(closed)
            }
        }
    }

    /// Closes a failed channel in the background: now, or when whoever has it gives it back.
    pub(crate) fn abandon(&self, core: &Arc<Core>) {
        let _ = self.close(core, Instant::now());
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match *self.lock() {
            Place::Here(_) => "Here",
            Place::Lent => "Lent",
            Place::Owned => "Owned",
            Place::Gone(_) => "Gone",
        })
    }
}

/// Closes a channel on a thread of its own: it takes a round trip, and nobody is to wait for it.
fn dispose(channel: amiquip::Channel, core: &Arc<Core>) -> Receiver<()> {
    let (done, closed) = bounded(0);
    let (hand_over, taken) = bounded::<amiquip::Channel>(1);
    let closers_core = Arc::clone(core);
    let spawned = thread::Builder::new().name("carrot-close".to_string()).spawn(move || {
        let _done: Sender<()> = done;
        if let Ok(channel) = taken.recv() {
            closers_core.give_all_back();
            closers_core.life().close_channel(channel);
        }
    });
    if spawned.is_err() {
        core.life().kill.trip("no thread could be started to close a channel");
    }
    let _ = hand_over.send(channel);
    closed
}
