//! Transactions of a channel (AMQP 0-9-1 1.9).

use std::mem;
use std::sync::Arc;

use carrot_core::backend::Content;
use carrot_core::{Error, Result};

use crate::broker::OpenConnection;
use crate::broker::fault_plan::FaultOutcome;
use crate::errors;
use crate::session::channel::SessionChannel;
use crate::session::mode::{ChannelMode, PendingPublication};
use crate::sync::lock;

impl SessionChannel {
    /// Confirms the publications that follow (`confirm.select`).
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the channel has transactions. The channel is closed.
    /// - The error of a closed channel.
    pub fn select_confirms(&self) -> Result<()> {
        self.handle.channel.check()?;
        let mut mode = lock(&self.mode);
        if matches!(*mode, ChannelMode::Transactions(_)) {
            drop(mode);
            return self.refuse(errors::precondition("cannot switch from tx to confirm mode"));
        }
        *mode = ChannelMode::Confirms;
        drop(mode);
        self.handle.channel.select_confirms();
        Ok(())
    }

    /// Collects the publications and settlements that follow in transactions (`tx.select`).
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the channel has confirms. The channel is closed.
    /// - The error of a closed channel.
    pub fn select_transactions(&self) -> Result<()> {
        self.handle.channel.check()?;
        let mut mode = lock(&self.mode);
        match *mode {
            ChannelMode::Plain => *mode = ChannelMode::Transactions(Vec::new()),
            ChannelMode::Transactions(_) => {}
            ChannelMode::Confirms => {
                drop(mode);
                return self.refuse(errors::precondition("cannot switch from confirm to tx mode"));
            }
        }
        Ok(())
    }

    /// Publishes the messages of the transaction, then carries out its settlements (`tx.commit`).
    ///
    /// A message was checked and routed when the peer sent it. Its queues may be gone. RabbitMQ
    /// 3.10 then delivers to the queues that have their names now. RabbitMQ 4.3 refuses the commit.
    /// Blocks while publishers are blocked and the peer was notified.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the channel has no transactions, or a queue refused one of
    ///   the messages. The channel is closed.
    /// - [`Error::HardError`]: RabbitMQ 4.3 is imitated, and the queue of a message was deleted.
    /// - The error of a closed channel.
    pub fn commit(&self) -> Result<()> {
        let publications = self.take_publications()?;
        let (channel, connection) = (&self.handle.channel, &self.handle.connection);
        connection.gate.wait_until_unblocked();
        for PendingPublication { message, mandatory, fault } in publications {
            channel.check()?;
            connection.publish_kept(channel, message, mandatory, fault);
        }
        channel.check()?;
        for (action, deliveries) in channel.take_pending() {
            self.carry_out(action, deliveries);
        }
        self.resume();
        if lock(&channel.confirms).take_refused() {
            return self.refuse(errors::precondition("partial tx completion"));
        }
        Ok(())
    }

    /// Drops the messages and the settlements of the transaction (`tx.rollback`).
    ///
    /// The settled deliveries are unacknowledged again.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the channel has no transactions. The channel is closed.
    /// - The error of a closed channel.
    pub fn roll_back(&self) -> Result<()> {
        drop(self.take_publications()?);
        self.handle.channel.restore_pending();
        Ok(())
    }

    /// Takes the publications of the transaction, and begins the next one.
    fn take_publications(&self) -> Result<Vec<PendingPublication>> {
        self.handle.channel.check()?;
        let taken = match &mut *lock(&self.mode) {
            ChannelMode::Transactions(publications) => Some(mem::take(publications)),
            ChannelMode::Plain | ChannelMode::Confirms => None,
        };
        match taken {
            Some(publications) => Ok(publications),
            None => self.refuse(errors::precondition("channel is not transactional")),
        }
    }

    /// Keeps a publication, if the channel has transactions. Returns the content otherwise.
    pub(crate) fn keep_publication(
        &self,
        content: Arc<Content>,
        mandatory: bool,
        fault: FaultOutcome,
    ) -> Result<Option<Arc<Content>>> {
        if !matches!(*lock(&self.mode), ChannelMode::Transactions(_)) {
            return Ok(Some(content));
        }
        let connection = &self.handle.connection;
        let kept = connection.shared.keep(&self.handle.channel, connection.user(), &content);
        self.handle.channel.check()?;
        let message = match kept {
            Ok(message) => message,
            Err(error) => return self.refuse(error),
        };
        if let ChannelMode::Transactions(publications) = &mut *lock(&self.mode) {
            publications.push(PendingPublication { message, mandatory, fault });
        }
        Ok(None)
    }

    /// Whether settlements are collected in a transaction.
    pub(crate) fn has_transactions(&self) -> bool {
        matches!(*lock(&self.mode), ChannelMode::Transactions(_))
    }

    /// Returns an error, after closing the channel over it.
    pub(crate) fn refuse<T>(&self, error: Error) -> Result<T> {
        self.handle.close(error.clone());
        Err(error)
    }
}
