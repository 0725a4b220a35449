//! The channel on which copies of failed messages are sent.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{Backend, ChannelOptions, Content, Declare, Outcome, Publication};
use crate::error::{Error, Result};
use crate::model::Queue;
use crate::recovery::channel::RecoveringChannel;
use crate::recovery::effects::ends_channel;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::hard_closes::HardCloses;
use crate::recovery::shared::ConnectionShared;

/// How long a copy waits for the broker before it looks whether there is an alarm.
const SLICE: Duration = Duration::from_millis(200);

/// How long a copy waits for its confirm at most: a quorum queue has found another leader by then.
const LONGEST_ANSWER: Duration = Duration::from_secs(5);
/// How often a queue is declared again that is being deleted.
const DECLARATIONS: u32 = 5;
/// How long no copy is sent to a queue that gave no answer.
const LEFT_ALONE: Duration = Duration::from_secs(15);

/// What is known of a queue.
#[derive(Debug, Default)]
struct Known {
    /// When it was declared here, if it was.
    declared_at: Option<Instant>,
    silent_until: Option<Instant>,
}

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
    MadeHere,
    /// The program may not declare it. Somebody else may have done so: a copy that is mandatory
    /// finds out.
    Refused(Error),
}

/// Sends copies to queues that it declares when they are needed for the first time.
pub(super) struct CopyChannel {
    /// For declarations, which can end a channel.
    connection: Arc<ConnectionHandle>,
    channel: RecoveringChannel<()>,
    /// The queues that were there when they were needed last, by name.
    queues: Mutex<HashMap<String, Known>>,
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

    pub(super) fn connection(&self) -> &ConnectionShared {
        self.channel.connection()
    }

    /// Sends `copy` to `target`, mandatory and confirmed. Returns once the broker has accepted it,
    /// and will have it also if it is killed.
    ///
    /// Blocks for a round trip, five seconds or the call timeout at most; and for a second more if
    /// the queue was declared just before.
    ///
    /// # Errors
    /// Whatever kept the broker from accepting it.
    pub(super) fn send(
        &self,
        copy: &Arc<Content>,
        target: Target<'_>,
        given_up: &dyn Fn() -> bool,
    ) -> Result<()> {
        // Under an alarm it would wait for its whole deadline.
        if let Some(reason) = self.connection().blocked() {
            return Err(Error::Blocked { reason });
        }
        let name = &*target.queue().name;
        let limit = self.connection().call_timeout.min(LONGEST_ANSWER);
        if self
            .queues()
            .get(name)
            .is_some_and(|known| known.silent_until.is_some_and(|until| Instant::now() < until))
        {
            return Err(Error::timeout(
                format!("an answer of queue {name:?}, which gave none before,"),
                limit,
            ));
        }
        let mut presence = self.ensure(target)?;
        let deadline = Instant::now() + limit;
        let mut losses = HardCloses::default();
        loop {
            let channel = self.channel.recover_unless(deadline, given_up, &mut losses)?.channel;
            match publish(&*channel, copy, deadline) {
                Ok(Outcome::Accepted) => {
                    self.wait_until_settled(name);
                    return Ok(());
                }
                Ok(Outcome::Refused) => return Err(Error::Refused),
                Ok(Outcome::Returned { code, text }) => {
                    self.queues().remove(name);
                    presence = match presence {
                        // Somebody has deleted the queue.
                        Presence::Assumed => self.ensure(target)?,
                        Presence::MadeHere => {
                            return Err(Error::Backend {
                                reason: format!("the copy was returned: {code} {text}"),
                                source: None,
                            });
                        }
                        Presence::Refused(error) => return Err(error),
                    };
                }
                Err(error @ Error::Timeout { .. }) => {
                    // A quorum queue without a leader answers nothing, and holds up all others on
                    // its channel.
                    self.queues().entry(name.to_string()).or_default().silent_until =
                        Some(Instant::now() + LEFT_ALONE);
                    self.channel.replace_channel(
                        &channel,
                        "a queue for copies of failed messages does not answer",
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

    /// Makes sure that the queue exists, unless this was done before.
    ///
    /// # Errors
    /// What the declaration gives, but for a missing permission.
    pub(super) fn ensure(&self, target: Target<'_>) -> Result<Presence> {
        let queue = target.queue();
        if self.queues().contains_key(&queue.name) {
            return Ok(Presence::Assumed);
        }
        let found = match target {
            Target::Existing(_) => return Ok(Presence::MadeHere),
            Target::Waiting(_) => false,
            Target::Parking(_) => {
                match self.connection.declare(Declare::Queue(&Queue::existing(&queue.name))) {
                    Ok(_) => true,
                    // RabbitMQ 4.3 asks for a permission here, too.
                    Err(Error::NotFound { .. } | Error::AccessRefused { .. }) => false,
                    Err(error) => return Err(error),
                }
            }
        };
        let declared = if found { Ok(()) } else { self.declare(queue) };
        let presence = match declared {
            Ok(()) => Presence::MadeHere,
            Err(error @ Error::AccessRefused { .. }) => Presence::Refused(error),
            Err(error) => return Err(error),
        };
        let declared_at = (!found).then(Instant::now);
        self.queues().insert(queue.name.clone(), Known { declared_at, silent_until: None });
        Ok(presence)
    }

    /// Declares a queue. RabbitMQ may say that there is none while a quorum queue of the name is
    /// still being deleted.
    fn declare(&self, queue: &Queue) -> Result<()> {
        for _ in 0..DECLARATIONS {
            match self.connection.declare(Declare::Queue(queue)) {
                Err(Error::NotFound { .. }) => thread::sleep(SLICE),
                declared => return declared.map(drop),
            }
        }
        self.connection.declare(Declare::Queue(queue)).map(drop)
    }

    /// Waits until the broker will not forget a queue any more that was declared just before, with
    /// the copy in it.
    fn wait_until_settled(&self, name: &str) {
        let declared_at = self.queues().get(name).and_then(|known| known.declared_at);
        let settle_in = self.connection().connector.capabilities().declarations_settle_in;
        if let Some(left) =
            declared_at.and_then(|declared_at| settle_in.checked_sub(declared_at.elapsed()))
        {
            thread::sleep(left);
        }
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
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
