//! The channel on which copies of failed messages are sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Content, Declare, Outcome, Publication};
use crate::deadline;
use crate::error::{Error, Result};
use crate::model::Queue;
use crate::recovery::channel::RecoveringChannel;
use crate::recovery::effects::ends_channel;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::hard_closes::HardCloses;
use crate::recovery::shared::ConnectionShared;
use crate::waiting_queues::declaring::declare;

/// The time that a copy waits for the broker before it checks for an alarm.
const ALARM_CHECK_INTERVAL: Duration = Duration::from_millis(200);

/// The maximum wait of a copy for its confirm. A quorum queue elects another leader within this
/// time.
const MAX_CONFIRM_WAIT: Duration = Duration::from_secs(5);
/// The time for which no copy is sent to a queue that did not answer.
const SILENT_QUEUE_PAUSE: Duration = Duration::from_secs(15);

/// The state of a queue, as known here.
#[derive(Debug, Default)]
struct TargetQueue {
    /// The time of its declaration here, if any.
    declared_at: Option<Instant>,
    silent_until: Option<Instant>,
}

/// The destination of a copy.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// A waiting queue, which must have exactly these arguments.
    Waiting(&'a Queue),
    /// A parking queue. An existing queue of the name serves with any arguments.
    Parking(&'a Queue),
    /// A queue of the program, which is not declared.
    Existing(&'a Queue),
    /// The queue of the message, which the broker delays the copy for. It is not declared.
    Delayed(&'a Queue, Duration),
}

impl<'a> Target<'a> {
    pub(super) fn queue(self) -> &'a Queue {
        let (Target::Waiting(queue)
        | Target::Parking(queue)
        | Target::Existing(queue)
        | Target::Delayed(queue, _)) = self;
        queue
    }

    /// Returns how a copy is published: so that the broker returns it if no queue takes it, which a
    /// broker cannot do with a delayed one.
    fn publication(self, copy: &Arc<Content>) -> Publication<'_> {
        let publication = Publication::new(copy);
        match self {
            Target::Delayed(_, delay) => publication.with_delay(delay),
            _ => publication.with_mandatory(true),
        }
    }
}

/// The knowledge about a queue before a copy is sent to it.
#[derive(Debug)]
pub(super) enum Presence {
    /// The queue existed when it was used before.
    Assumed,
    Declared,
    /// The program may not declare the queue. Another client may have declared it; a mandatory copy
    /// finds out.
    Refused(Error),
}

/// Sends copies to queues, and declares each queue at its first use.
pub(super) struct CopyChannel {
    /// Used for declarations, which can close a channel.
    connection: Arc<ConnectionHandle>,
    channel: RecoveringChannel<()>,
    /// The queues that existed at their last use, by name.
    queues: Mutex<HashMap<String, TargetQueue>>,
}

impl CopyChannel {
    pub(super) fn new(connection: &Arc<ConnectionHandle>) -> CopyChannel {
        let channel = connection.recovering_channel(
            ChannelOptions::publish(),
            "consumer's copies",
            |_, _, _| Ok(()),
        );
        CopyChannel { connection: Arc::clone(connection), channel, queues: Mutex::default() }
    }

    pub(super) fn handle(&self) -> &Arc<ConnectionHandle> {
        &self.connection
    }

    pub(super) fn connection(&self) -> &ConnectionShared {
        self.channel.connection()
    }

    /// Sends `copy` to `target`, mandatory unless delayed, and confirmed. Returns once the broker
    /// has accepted the copy in a way that survives a kill of the broker.
    ///
    /// Blocks for a round trip, at most for 5 s or the call timeout. Blocks for 1 s more if the
    /// queue was declared just before.
    ///
    /// # Errors
    /// The reason why the broker did not accept the copy.
    pub(super) fn send(
        &self,
        copy: &Arc<Content>,
        target: Target<'_>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<()> {
        // An alarm would delay the copy until its deadline.
        if let Some(reason) = self.connection().blocked() {
            return Err(Error::Blocked { reason });
        }
        let name = &*target.queue().name;
        let limit = self.connection().call_timeout.min(MAX_CONFIRM_WAIT);
        if self
            .queues()
            .get(name)
            .is_some_and(|known| known.silent_until.is_some_and(|until| Instant::now() < until))
        {
            return Err(Error::timeout(
                format!("an answer of queue {name:?}, which did not answer before,"),
                limit,
            ));
        }
        let mut presence = self.ensure(target)?;
        let deadline = Instant::now() + limit;
        let mut losses = HardCloses::default();
        loop {
            let channel = self.channel.recover_unless(deadline, given_up, &mut losses)?.channel;
            match publish(&*channel, &target.publication(copy), deadline) {
                Ok(Outcome::Accepted) => {
                    self.wait_until_settled(name);
                    return Ok(());
                }
                Ok(Outcome::Refused) => return Err(Error::Refused),
                Ok(Outcome::Returned { code, text }) => {
                    self.queues().remove(name);
                    presence = match presence {
                        // Another client has deleted the queue.
                        Presence::Assumed => self.ensure(target)?,
                        Presence::Declared => {
                            return Err(Error::Backend {
                                reason: format!("the copy was returned: {code} {text}"),
                                source: None,
                            });
                        }
                        Presence::Refused(error) => return Err(error),
                    };
                }
                Err(error @ Error::Timeout { .. }) => {
                    // A quorum queue without a leader does not answer, and delays all others on its
                    // channel.
                    self.queues().entry(name.to_string()).or_default().silent_until =
                        Some(Instant::now() + SILENT_QUEUE_PAUSE);
                    self.channel.replace_channel(
                        &channel,
                        "a queue for copies of failed messages did not answer",
                    );
                    return Err(error);
                }
                Err(error) => {
                    let was_retired =
                        matches!(error, Error::Closed { .. }) && !self.channel.is_closed();
                    if ends_channel(&error) {
                        self.channel.failed(&channel, &error);
                    }
                    if let Some(refused) = losses.note(&error) {
                        return Err(refused);
                    }
                    if !(error.is_disconnected() || was_retired)
                        || Instant::now() >= deadline
                        || given_up()
                    {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Ensures that the queue exists, unless this was done before.
    ///
    /// # Errors
    /// The errors of the declaration, except a missing permission.
    pub(super) fn ensure(&self, target: Target<'_>) -> Result<Presence> {
        let queue = target.queue();
        if self.queues().contains_key(&queue.name) {
            return Ok(Presence::Assumed);
        }
        let found = match target {
            Target::Existing(_) | Target::Delayed(..) => return Ok(Presence::Declared),
            Target::Waiting(_) => false,
            Target::Parking(_) => {
                match self.connection.declare(Declare::Queue(&Queue::existing(&queue.name))) {
                    Ok(_) => true,
                    // RabbitMQ 4.3 requires a permission here, too.
                    Err(Error::NotFound { .. } | Error::AccessRefused { .. }) => false,
                    Err(error) => return Err(error),
                }
            }
        };
        let declared = if found {
            Ok(())
        } else {
            let deadline = || deadline::after(self.connection.call_timeout());
            declare(&self.connection.administration, Declare::Queue(queue), deadline)
        };
        let presence = match declared {
            Ok(()) => Presence::Declared,
            Err(error @ Error::AccessRefused { .. }) => Presence::Refused(error),
            Err(error) => return Err(error),
        };
        let declared_at = (!found).then(Instant::now);
        self.queues().insert(queue.name.clone(), TargetQueue { declared_at, silent_until: None });
        Ok(presence)
    }

    /// Waits until a broker that restarts would keep a queue that was declared just before, with
    /// the copy in it.
    fn wait_until_settled(&self, name: &str) {
        let declared_at = self.queues().get(name).and_then(|known| known.declared_at);
        let settle_in = self.connection().connector.capabilities().queue_durable_after;
        if let Some(left) =
            declared_at.and_then(|declared_at| settle_in.checked_sub(declared_at.elapsed()))
        {
            thread::sleep(left);
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, TargetQueue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Publishes, and waits for the confirm, but not for the end of an alarm.
fn publish(channel: &dyn Backend, copy: &Publication<'_>, deadline: Instant) -> Result<Outcome> {
    let tag = in_slices(deadline, |timeout| channel.publish(copy, timeout))?;
    in_slices(deadline, |timeout| channel.confirm(tag, timeout))
}

/// Repeats a call that may be repeated after a timeout, until another result.
fn in_slices<T>(deadline: Instant, call: impl Fn(Duration) -> Result<T>) -> Result<T> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match call(left.min(ALARM_CHECK_INTERVAL)) {
            Err(Error::Timeout { .. }) if left > ALARM_CHECK_INTERVAL => {}
            result => return result,
        }
    }
}
