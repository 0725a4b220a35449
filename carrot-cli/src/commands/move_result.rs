//! The messages that `carrot move` has moved, and those that it holds.

use std::collections::{BTreeMap, HashMap};

use carrot::Message;
use serde_json::{Value, json};

use crate::exit::{CommandFailure, Result};
use crate::printing::{counted, print_entries, print_json, print_line};

/// The most bytes of messages that are held at once, to show where they would go.
const MOST_HELD: usize = 64 << 20;
/// The bytes that a message takes in addition to its body.
const OF_MESSAGE: usize = 256;
/// The most reasons that are printed one by one.
const REPORTED: usize = 20;

/// The result of a move.
#[derive(Default)]
pub(super) struct MoveResult {
    /// Messages that were moved, or would be.
    by_queue: BTreeMap<String, u64>,
    /// Messages that stay because of a failure, by the queue and the reason.
    stays: BTreeMap<(String, String), u64>,
    /// Queues that take no message, with the reason.
    failing: HashMap<String, String>,
    /// All messages to requeue at the end.
    pub(super) held: Vec<Message>,
    held_bytes: usize,
}

impl MoveResult {
    /// Counts a message that was moved to the queue, or would be.
    pub(super) fn count(&mut self, queue: String) {
        *self.by_queue.entry(queue).or_default() += 1;
    }

    /// Returns how many messages were moved, or would be.
    pub(super) fn moved(&self) -> u64 {
        self.by_queue.values().sum()
    }

    pub(super) fn hold(&mut self, message: Message) {
        self.held_bytes = self.held_bytes.saturating_add(message.body().len() + OF_MESSAGE);
        self.held.push(message);
    }

    /// Whether the held messages take as much memory as they may.
    pub(super) fn is_full(&self) -> bool {
        self.held_bytes >= MOST_HELD
    }

    /// Holds a message that its queue does not take.
    pub(super) fn stay(&mut self, message: Message, queue: String, reason: String) {
        *self.stays.entry((queue, reason)).or_default() += 1;
        self.hold(message);
    }

    /// Returns why a queue takes no message, if that is known.
    pub(super) fn failure_of(&self, queue: &str) -> Option<&String> {
        self.failing.get(queue)
    }

    /// Notes that a queue takes no message.
    pub(super) fn fail(&mut self, queue: String, reason: String) {
        self.failing.insert(queue, reason);
    }

    /// Prints the result. `looked` is the number of messages that were looked at, of `ready`, if
    /// none was moved. `is_done` is false if a failure has ended the move.
    pub(super) fn report(
        &self,
        json: bool,
        looked: Option<(u64, u64)>,
        held: usize,
        is_done: bool,
    ) -> Result<()> {
        let kept = match looked {
            Some(_) => (held as u64).saturating_sub(self.moved()),
            None => held as u64,
        };
        let name = if looked.is_some() { "would_move" } else { "moved" };
        if json {
            let mut line = json!({ name: self.by_queue, "kept": kept });
            match looked {
                Some((looked, _)) => line["looked_at"] = looked.into(),
                None => line["stays"] = self.stays.iter().map(stay_of).collect(),
            }
            print_json(&line)?;
        } else {
            self.print_table(name, is_done)?;
        }
        if let Some((looked, ready)) =
            looked.filter(|(looked, ready)| self.is_full() && looked < ready)
        {
            note!(
                "carrot: looked at {looked} of {}: they take {} MiB",
                counted(ready, "message"),
                MOST_HELD >> 20
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
            note!("carrot: {}: {}", staying(*number), reason);
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
    /// Messages that stay because of a failure.
    pub(super) fn check(&self) -> Result<()> {
        match self.stays.values().sum() {
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
