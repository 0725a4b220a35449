//! The work of `carrot consume`: messages are printed or passed to a program, and settled.

use std::io::Write;
use std::sync::Arc;
use std::time::Instant;

use carrot::consume::Messages;
use carrot::{Error, Message};

use super::consume_arguments::{ConsumeArguments, HELD, OnFailure};
use super::consumed::Consumed;
use super::program::MessageProgram;
use crate::commands::losses::Losses;
use crate::commands::printed_message::{note_unreadable, print_message};
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;

/// The work of a consume, for a thread of its own.
pub(super) struct Consuming {
    pub(super) arguments: ConsumeArguments,
    pub(super) json: bool,
    pub(super) interrupt: Interrupt,
    pub(super) consumed: Arc<Consumed>,
    /// Messages to requeue at the end.
    pub(super) held: Vec<Message>,
}

impl Consuming {
    /// Handles messages until the end, and requeues those that were held.
    pub(super) fn run(mut self, messages: Messages, losses: &Losses) -> Result<()> {
        let done = self.take_all(messages, losses);
        let requeued = self.requeue_held();
        done.and(requeued)
    }

    /// Takes messages until the end. Requeues those that were sent ahead, and sends the last
    /// acknowledgements: the broker delivers no message again here that is requeued then.
    fn take_all(&mut self, mut messages: Messages, losses: &Losses) -> Result<()> {
        if !self.arguments.follow {
            messages = messages.timeout(self.arguments.wait);
        }
        let mut waits_since = Instant::now();
        while self.continues() {
            let Some(message) = messages.next() else {
                let was_lost = !self.interrupt.is_wanted() && losses.any_since(waits_since);
                return if was_lost { Err(lost()) } else { Ok(()) };
            };
            if !self.take(message?)? {
                break;
            }
            waits_since = Instant::now();
        }
        Ok(())
    }

    /// Whether to take another message.
    fn continues(&self) -> bool {
        let is_full = self.arguments.holds_failed() && self.held.len() as u64 >= HELD;
        self.consumed.handled() < self.arguments.most() && !is_full
    }

    /// Handles a message. Returns whether to take the next one.
    pub(super) fn take(&mut self, message: Message) -> Result<bool> {
        let mut continues = true;
        let is_readable = message.unreadable().is_none();
        if let Some(reason) = message.unreadable() {
            note_unreadable(reason, message.id());
        }
        if self.arguments.requeue {
            self.print(&message)?;
            self.held.push(message);
        } else if is_readable && self.handle(&message)? {
            message.ack()?;
        } else if is_readable && self.interrupt.is_wanted() {
            // The signal of a terminal reaches the command, too.
            message.requeue()?;
            return Ok(false);
        } else {
            self.consumed.fail();
            match self.arguments.on_failure {
                OnFailure::Reject => message.reject()?,
                OnFailure::Requeue => self.held.push(message),
                OnFailure::Stop => {
                    message.requeue()?;
                    continues = false;
                }
            }
        }
        self.consumed.handle();
        Ok(continues)
    }

    /// Prints the message, or passes it to the command. Returns whether it can be acknowledged.
    fn handle(&self, message: &Message) -> Result<bool> {
        match self.arguments.command.split_first() {
            Some((program, arguments)) => {
                let program = MessageProgram { program, arguments };
                self.consumed.handling(|| program.handle(message, &self.interrupt))
            }
            None => self.print(message).map(|()| true),
        }
    }

    pub(super) fn requeue_held(&mut self) -> Result<()> {
        for message in self.held.drain(..) {
            match message.requeue() {
                // The broker has requeued it when the connection was lost.
                Err(Error::Stale { .. }) if self.arguments.follow => {}
                requeued => requeued?,
            }
            self.consumed.step();
        }
        Ok(())
    }

    fn print(&self, message: &Message) -> Result<()> {
        self.consumed.handling(|| {
            if self.arguments.body {
                let mut output = std::io::stdout().lock();
                output.write_all(message.body())?;
                output.write_all(b"\n")?;
                return Ok(output.flush()?);
            }
            print_message(message.content(), message.is_redelivered(), self.json)
        })
    }
}

fn lost() -> CommandFailure {
    CommandFailure::unreachable("the connection was lost")
}

#[cfg(test)]
mod unreadable_tests;
