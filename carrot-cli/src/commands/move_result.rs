//! The numbers of messages that `carrot move` has moved and holds.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use carrot::Message;
use serde_json::{Value, json};

use crate::commands::held_messages::HeldMessages;
use crate::exit::{CommandFailure, Result};
use crate::printing::{counted, print_entries, print_json, print_line};

/// The most reasons that are printed one by one.
const REPORTED: usize = 20;

/// The result of a move, which the thread that moves increases.
#[derive(Clone, Default)]
pub(super) struct MoveResult {
    numbers: Arc<Mutex<MoveNumbers>>,
}

/// The numbers of a move.
#[derive(Clone, Default)]
pub(super) struct MoveNumbers {
    /// Messages that were moved, or would be.
    by_queue: BTreeMap<String, u64>,
    /// Messages that stay because of a failure, by the queue and the reason.
    stays: BTreeMap<(String, String), u64>,
    /// Messages that were in the queue at the beginning.
    ready: u64,
    looked_at: u64,
    /// Messages to requeue at the end.
    held: u64,
    requeued: u64,
    /// Whether the held messages took as much memory as they may, before all were looked at.
    is_full: bool,
}

impl MoveResult {
    fn lock(&self) -> MutexGuard<'_, MoveNumbers> {
        self.numbers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes how many messages are in the queue.
    pub(super) fn begin(&self, ready: u64) {
        self.lock().ready = ready;
    }

    /// Counts a message that was looked at.
    pub(super) fn look(&self) {
        self.lock().looked_at += 1;
    }

    /// Counts a message that was moved to the queue, or would be.
    pub(super) fn count(&self, queue: String) {
        *self.lock().by_queue.entry(queue).or_default() += 1;
    }

    /// Returns how many messages were moved, or would be.
    pub(super) fn moved(&self) -> u64 {
        self.lock().moved()
    }

    /// Returns a number that each message increases.
    pub(super) fn progress(&self) -> u64 {
        let numbers = self.lock();
        numbers.looked_at + numbers.requeued
    }

    /// Holds a message until the end.
    pub(super) fn hold(&self, message: Message, held: &mut HeldMessages) {
        held.hold(message);
        self.lock().held += 1;
    }

    /// Holds a message that its queue does not take.
    pub(super) fn stay(
        &self,
        message: Message,
        queue: String,
        reason: String,
        held: &mut HeldMessages,
    ) {
        // A name and a reason for each message, at worst.
        held.count_bytes(queue.len() + reason.len());
        self.hold(message, held);
        *self.lock().stays.entry((queue, reason)).or_default() += 1;
    }

    /// Holds a message whose copy would lack a part.
    pub(super) fn stay_unread(&self, message: Message, queue: String, held: &mut HeldMessages) {
        let reason = format!("a part cannot be read, queue {queue:?}");
        self.stay(message, queue, reason, held);
    }

    /// Counts a message that was requeued.
    pub(super) fn requeue(&self) {
        self.lock().requeued += 1;
    }

    /// Notes that no further message can be held.
    pub(super) fn fill(&self) {
        self.lock().is_full = true;
    }

    /// Returns the numbers now.
    pub(super) fn numbers(&self) -> MoveNumbers {
        self.lock().clone()
    }
}

impl MoveNumbers {
    fn moved(&self) -> u64 {
        self.by_queue.values().sum()
    }

    /// Prints the result. `only_shows` is whether no message was to be moved, and `is_done` is
    /// false if a failure has ended the move.
    pub(super) fn report(&self, json: bool, only_shows: bool, is_done: bool) -> Result<()> {
        let (name, kept) = match only_shows {
            true => ("would_move", self.held.saturating_sub(self.moved())),
            false => ("moved", self.held),
        };
        if json {
            let mut line =
                json!({ name: self.by_queue, "kept": kept, "looked_at": self.looked_at });
            if !only_shows {
                line["stays"] = self.stays.iter().map(stay_of).collect();
            }
            print_json(&line)?;
        } else {
            self.print_table(name, is_done)?;
        }
        if self.is_full {
            note!(
                "carrot: looked at {} of {}: the held ones reach the limit of --max-held",
                self.looked_at,
                counted(self.ready, "message"),
            );
        }
        if !json {
            self.print_kept(kept);
        }
        Ok(())
    }

    fn print_table(&self, name: &str, is_done: bool) -> Result<()> {
        let entries: Vec<_> = self
            .by_queue
            .iter()
            .map(|(queue, number)| vec![queue.as_str().into(), (*number).into()])
            .collect();
        match entries.is_empty() {
            false => print_entries(false, &["to_queue", name], &entries),
            true if is_done && self.stays.is_empty() => print_line("no message was meant"),
            true => Ok(()),
        }
    }

    /// Prints how many messages stay, and why.
    fn print_kept(&self, kept: u64) {
        for ((_, reason), number) in self.stays.iter().take(REPORTED) {
            note!("carrot: {}: {reason}", staying(*number));
        }
        let more = self.stays.len().saturating_sub(REPORTED);
        if more > 0 {
            note!("carrot: {} more", counted(more as u64, "reason"));
        }
        let others = kept.saturating_sub(self.stays.values().sum());
        if others > 0 && !self.by_queue.is_empty() {
            note!("carrot: {} in their queue", staying(others));
        }
    }

    /// # Errors
    /// Messages that stay because of a failure, or that were not looked at.
    pub(super) fn check(&self) -> Result<()> {
        match self.stays.values().sum() {
            0 if self.is_full => Err(CommandFailure::not_all(
                "not every message was looked at: run again with a larger --max-held",
            )),
            0 => Ok(()),
            number => {
                let number = counted(number, "message");
                Err(CommandFailure::not_all(format!("not moved: {number}")))
            }
        }
    }
}

fn stay_of(((queue, reason), number): (&(String, String), &u64)) -> Value {
    json!({ "queue": queue, "reason": reason, "messages": number })
}

/// Returns `1 message stays`, or `2 messages stay`.
fn staying(number: u64) -> String {
    let verb = if number == 1 { "stays" } else { "stay" };
    format!("{} {verb}", counted(number, "message"))
}
