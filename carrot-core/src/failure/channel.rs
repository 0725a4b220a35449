//! The channel on which copies of failed messages are sent.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Content, Outcome, Publication};
use crate::hard_losses::HardLosses;
use crate::session::{Line, Session, ends_channel};
use crate::{Connection, Error, Queue, Result};

/// How long a copy waits for the broker before it looks whether there is an alarm.
const SLICE: Duration = Duration::from_millis(200);

/// Where a copy goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// A waiting queue, which has to have exactly these arguments.
    Waiting(&'a Queue),
    /// A parking queue. If one of the name exists, it serves whatever its arguments are.
    Parking(&'a Queue),
    /// A queue of the program's own, which is not declared.
    Existing(&'a Queue),
}

impl<'a> Target<'a> {
    pub(super) fn queue(self) -> &'a Queue {
        let (Target::Waiting(queue) | Target::Parking(queue) | Target::Existing(queue)) = self;
        queue
    }
}

/// What is known of a queue before a copy is sent to it.
#[derive(Debug)]
pub(super) enum Presence {
    /// It was there when it was used before.
    Assumed,
    Declared,
    /// The program may not declare it. Somebody else may have done so: a copy that is mandatory finds out.
    Refused(Error),
}

/// Sends copies to queues that it declares when they are needed for the first time.
pub(super) struct CopyChannel {
    /// For declarations, which can end a channel.
    connection: Connection,
    session: Session<()>,
    declared: Mutex<HashSet<String>>,
}

impl CopyChannel {
    pub(super) fn new(connection: &Connection) -> CopyChannel {
        let session = connection.session(ChannelOptions::publish(), "consumer's copies", |_, _| Ok(()));
        CopyChannel { connection: connection.clone(), session, declared: Mutex::default() }
    }

    pub(super) fn line(&self) -> &Line {
        self.session.line()
    }

    /// Sends `copy` to `target`, mandatory and confirmed. Returns once the broker has accepted it.
    ///
    /// Blocks for a round trip, the call timeout at most.
    ///
    /// # Errors
    /// Whatever kept the broker from accepting it.
    pub(super) fn send(&self, copy: &Arc<Content>, target: Target<'_>, given_up: &dyn Fn() -> bool) -> Result<()> {
        // Under an alarm it would wait for its whole deadline.
        if let Some(reason) = self.line().connector.status().blocked {
            return Err(Error::Blocked { reason });
        }
        let deadline = Instant::now() + self.line().call_timeout;
        let mut presence = self.ensure(target)?;
        let mut losses = HardLosses::default();
        loop {
            let channel = self.session.recover_unless(deadline, given_up, &mut losses)?.channel;
            match publish(&*channel, copy, deadline) {
                Ok(Outcome::Accepted) => return Ok(()),
                Ok(Outcome::Refused) => return Err(Error::Refused),
                Ok(Outcome::Returned { code, text }) => {
                    self.declared().remove(&target.queue().name);
                    presence = match presence {
                        // Somebody has deleted the queue.
                        Presence::Assumed => self.ensure(target)?,
                        Presence::Declared => {
                            return Err(Error::Backend { reason: format!("the copy was returned: {code} {text}"), source: None });
                        }
                        Presence::Refused(error) => return Err(error),
                    };
                }
                Err(error) => {
                    if ends_channel(&error) {
                        self.session.failed(&channel, &error);
                    }
                    if let Some(refused) = losses.note(&error) {
                        return Err(refused);
                    }
                    if !error.is_disconnected() || Instant::now() >= deadline {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Makes sure that the queue exists, unless this was done before.
    ///
    /// # Errors
    /// What the declaration gives, but for a missing permission.
    pub(super) fn ensure(&self, target: Target<'_>) -> Result<Presence> {
        let queue = target.queue();
        if self.declared().contains(&queue.name) {
            return Ok(Presence::Assumed);
        }
        let found = match target {
            Target::Existing(_) => return Ok(Presence::Declared),
            Target::Waiting(_) => false,
            Target::Parking(_) => match self.connection.declare_queue(Queue::existing(&queue.name)) {
                Ok(_) => true,
                // RabbitMQ 4.3 asks for a permission here, too.
                Err(Error::NotFound { .. } | Error::AccessRefused { .. }) => false,
                Err(error) => return Err(error),
            },
        };
        let declared = if found { Ok(()) } else { self.connection.declare_queue(queue).map(drop) };
        let presence = match declared {
            Ok(()) => Presence::Declared,
            Err(error @ Error::AccessRefused { .. }) => Presence::Refused(error),
            Err(error) => return Err(error),
        };
        self.declared().insert(queue.name.clone());
        Ok(presence)
    }

    fn declared(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes, and waits for the answer; but not for the end of an alarm.
fn publish(channel: &dyn Backend, copy: &Arc<Content>, deadline: Instant) -> Result<Outcome> {
    let publication = Publication { content: copy, mandatory: true };
    let tag = in_slices(deadline, |timeout| channel.publish(&publication, timeout))?;
    in_slices(deadline, |timeout| channel.confirm(tag, timeout))
}

/// Makes a call that can be made again after a timeout, until it tells something else.
fn in_slices<T>(deadline: Instant, call: impl Fn(Duration) -> Result<T>) -> Result<T> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call(left.min(SLICE)) {
            Err(Error::Timeout { .. }) if left > SLICE => {}
            result => return result,
        }
    }
}
