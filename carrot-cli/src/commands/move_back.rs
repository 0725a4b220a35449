//! `carrot move --back`: messages go to the queues that their headers name.

use std::collections::{HashMap, HashSet};

use carrot::{Connection, Error, Message, Queue};

use crate::commands::held_messages::HeldMessages;
use crate::commands::move_result::MoveResult;
use crate::exit::Result;

/// Returns the queue that the headers name: that of a parked message, or of the latest death.
pub(super) fn origin(message: &Message) -> Option<String> {
    let queue = match message.header("carrot-queue") {
        Some(parked) => parked.as_str().map(str::to_string),
        None => message.deaths().first().map(|death| death.queue.clone()),
    };
    queue.filter(|queue| (1..=255).contains(&queue.len()))
}

/// The result for one message.
#[derive(PartialEq, Eq)]
pub(super) enum Taken {
    /// The message was moved, or is held.
    Done,
    /// The message was requeued, and is held when it is taken again.
    ComesAgain,
}

/// Moves messages to the queues that their headers name.
pub(super) struct GoingBack<'a> {
    connection: &'a Connection,
    /// The queues that are known to exist.
    present: HashSet<String>,
    /// Queues that take no message, with the reason.
    failing: HashMap<String, String>,
}

impl<'a> GoingBack<'a> {
    pub(super) fn new(connection: &'a Connection) -> GoingBack<'a> {
        GoingBack { connection, present: HashSet::new(), failing: HashMap::new() }
    }

    /// Moves a message, or holds it if its queue takes none.
    pub(super) fn take(
        &mut self,
        message: Message,
        held: &mut HeldMessages,
        moved: &MoveResult,
    ) -> Result<Taken> {
        let Some(queue) = origin(&message) else {
            moved.hold(message, held);
            return Ok(Taken::Done);
        };
        if message.unreadable().is_some() {
            moved.stay_unread(message, queue, held);
            return Ok(Taken::Done);
        }
        self.look_for(&queue)?;
        if let Some(reason) = self.failing.get(&queue).cloned() {
            moved.stay(message, queue, reason, held);
            return Ok(Taken::Done);
        }
        match message.forward() {
            Ok(()) => moved.count(queue),
            Err(error) if is_of_message(&error) => {
                let reason = format!("queue {queue:?}: {error}");
                self.failing.insert(queue, reason);
                return Ok(Taken::ComesAgain);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(Taken::Done)
    }

    /// Notes whether the queue exists, at the first message for it.
    fn look_for(&mut self, queue: &str) -> Result<()> {
        if self.present.contains(queue) || self.failing.contains_key(queue) {
            return Ok(());
        }
        match self.connection.declare_queue(Queue::existing(queue)) {
            Err(Error::NotFound { .. }) => {
                self.failing.insert(queue.into(), format!("no queue {queue:?}"));
            }
            Err(error) if error.is_disconnected() => return Err(error.into()),
            // A queue that cannot be looked at, such as an exclusive one, may take messages.
            _ => drop(self.present.insert(queue.into())),
        }
        Ok(())
    }
}

/// Whether other messages can be moved after this error.
fn is_of_message(error: &Error) -> bool {
    matches!(
        error,
        Error::Unroutable { .. }
            | Error::Refused
            | Error::NotFound { .. }
            | Error::Unavailable { .. }
            | Error::Invalid { .. }
            | Error::Backend { .. }
    )
}
