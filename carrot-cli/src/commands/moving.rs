//! The work of `carrot move`: messages are looked at one by one, and moved or held.

use std::time::Duration;

use carrot::{Connection, Consumer, Message, Publisher, Queue};
use indicatif::ProgressBar;

use crate::commands::held_messages::HeldMessages;
use crate::commands::move_arguments::MoveArguments;
use crate::commands::move_back::{GoingBack, Taken, origin};
use crate::commands::move_result::MoveResult;
use crate::exit::Result;
use crate::interrupt::Interrupt;

/// The work of a move, for a thread of its own.
pub(super) struct Moving {
    pub(super) arguments: MoveArguments,
    pub(super) connection: Connection,
    pub(super) user: Option<String>,
    /// For the confirm of each message.
    pub(super) timeout: Duration,
    pub(super) interrupt: Interrupt,
    pub(super) progress: ProgressBar,
    pub(super) moved: MoveResult,
}

impl Moving {
    /// Moves the messages, and requeues those that stay.
    pub(super) fn run(&self) -> Result<()> {
        let from = &self.arguments.from;
        let ready = self.connection.declare_queue(Queue::existing(from))?.message_count;
        let consumer = self.connection.consumer(Queue::existing(from)).build()?;
        self.moved.begin(ready.into());
        let mut held = HeldMessages::new((self.arguments.max_held as usize) << 20);
        let done = if self.arguments.only_shows() {
            self.show(&consumer, ready.into(), &mut held)
        } else {
            self.move_messages(&consumer, ready.into(), &mut held)
        };
        let requeued = held.requeue(|| self.moved.requeue());
        done.and(requeued)?;
        consumer.close()?;
        Ok(self.connection.close()?)
    }

    /// Whether to look at another one of `left` messages.
    fn continues(&self, left: u64, held: &HeldMessages) -> bool {
        if left == 0 || self.interrupt.is_wanted() || self.arguments.is_enough(&self.moved) {
            return false;
        }
        if held.is_full() {
            self.moved.fill();
            return false;
        }
        true
    }

    /// Counts where the messages would go, and holds them. Looks at `left` messages: those that
    /// come meanwhile, or come back, do not make the move endless.
    fn show(&self, consumer: &Consumer, mut left: u64, held: &mut HeldMessages) -> Result<()> {
        while self.continues(left, held) {
            let Some(message) = consumer.fetch()? else { break };
            let queue = self.arguments.to.clone().or_else(|| origin(&message));
            if let Some(queue) = queue.filter(|_| self.arguments.is_meant(&message)) {
                self.moved.count(queue);
            }
            self.moved.hold(message, held);
            self.moved.look();
            left -= 1;
        }
        Ok(())
    }

    fn move_messages(
        &self,
        consumer: &Consumer,
        mut left: u64,
        held: &mut HeldMessages,
    ) -> Result<()> {
        let publisher = match &self.arguments.to {
            Some(queue) => {
                self.connection.declare_queue(Queue::existing(queue))?;
                let publisher = self.connection.publisher().send_timeout(self.timeout);
                Some(publisher.routing_key(queue).mandatory().build()?)
            }
            None => None,
        };
        let mut way = match &publisher {
            Some(publisher) => Way::Copying(Copying { publisher, user: self.user.clone() }),
            None => Way::Back(GoingBack::new(&self.connection)),
        };
        self.progress.set_length(self.arguments.bar_length(left));
        while self.continues(left, held) {
            let Some(message) = consumer.fetch()? else { break };
            match (&mut way, &self.arguments.to) {
                _ if !self.arguments.is_meant(&message) => self.moved.hold(message, held),
                (Way::Copying(_), Some(queue)) if message.unreadable().is_some() => {
                    self.moved.stay_unread(message, queue.clone(), held);
                }
                (Way::Copying(copies), Some(queue)) => {
                    copies.send(&message)?;
                    message.ack()?;
                    self.moved.count(queue.clone());
                }
                (Way::Back(back), _) => {
                    if back.take(message, held, &self.moved)? == Taken::ComesAgain {
                        continue;
                    }
                }
                _ => self.moved.hold(message, held),
            }
            self.moved.look();
            self.progress.inc(1);
            left -= 1;
        }
        Ok(())
    }
}

/// How messages are moved.
enum Way<'a> {
    Copying(Copying<'a>),
    Back(GoingBack<'a>),
}

/// Copies of messages for the queue of a publisher.
struct Copying<'a> {
    publisher: &'a Publisher,
    user: Option<String>,
}

impl Copying<'_> {
    /// Sends the same message, and waits for the confirm.
    fn send(&self, message: &Message) -> Result<()> {
        let mut properties = message.properties().clone();
        // RabbitMQ refuses the name of another user.
        if properties.user_id() != self.user.as_deref() {
            properties = properties.without_user_id();
        }
        let copy = self.publisher.message().without_message_id().properties(|_| properties);
        Ok(copy.send_bytes(message.body())?)
    }
}

#[cfg(test)]
mod unreadable_tests;
