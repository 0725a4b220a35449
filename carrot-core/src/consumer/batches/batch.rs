use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;

use crate::consumer::batches::acknowledge::acknowledge_all;
use crate::consumer::failure::Failure;
use crate::consumer::handler_error::IntoHandlerError;
use crate::consumer::message::Message;
use crate::error::{Error, Result};

/// Several messages of one queue, in the order of their delivery. Returned by
/// [`Consumer::batches`](crate::Consumer::batches).
///
/// [`ack`](Batch::ack) settles all messages at once: those that [`fail`](Batch::fail) names have
/// failed, and all others are acknowledged. Acknowledgements that follow each other are one frame
/// of AMQP if all earlier messages of the channel are settled. No message outside of the batch is
/// settled.
///
/// Dropping a batch requeues its messages, also those that `fail` names. A batch has at least one
/// message.
///
/// ```
/// # fn insert(_: &[String]) -> Result<(), std::io::Error> { Ok(()) }
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// use std::time::Duration;
///
/// for batch in consumer.batches(100, Duration::from_secs(1))? {
///     let mut batch = batch?;
///     let rows: Vec<String> = batch.decode_or_fail().into_iter().map(|(_, row)| row).collect();
///     match insert(&rows) {
///         Ok(()) => batch.ack()?,
///         Err(_) => batch.requeue()?,
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "a batch that is dropped goes back to its queue"]
pub struct Batch {
    messages: Vec<Message>,
    failures: BTreeMap<usize, Failure>,
}

impl Batch {
    pub(super) fn new(messages: Vec<Message>) -> Batch {
        Batch { messages, failures: BTreeMap::new() }
    }

    /// Returns the messages.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Returns the number of messages, at least 1.
    #[allow(clippy::len_without_is_empty, reason = "a batch is never empty")]
    pub fn len(&self) -> usize {
        self.messages.len()
    }

    /// Decodes each message, as [`Message::decode`] does, in the order of
    /// [`messages`](Batch::messages).
    pub fn decode<T: DeserializeOwned>(&self) -> impl Iterator<Item = Result<T>> {
        self.messages.iter().map(Message::decode)
    }

    /// Decodes the messages. Returns the values, with the positions of their messages. Messages
    /// that cannot be decoded are failed, as by [`fail`](Batch::fail).
    pub fn decode_or_fail<T: DeserializeOwned>(&mut self) -> Vec<(usize, T)> {
        let mut values = Vec::with_capacity(self.messages.len());
        for (position, message) in self.messages.iter().enumerate() {
            match message.decode() {
                Ok(value) => values.push((position, value)),
                Err(error) => {
                    let failure = error.into_handler_error().into_failure();
                    self.failures.entry(position).or_insert(failure);
                }
            }
        }
        values
    }

    /// Fails the message at `position`, from 0, once [`ack`](Batch::ack) is called. The message is
    /// then tried again later or parked, as by [`Message::fail`]. A second call for the same
    /// message replaces the reason.
    ///
    /// # Errors
    /// [`Error::Invalid`]: the batch has no message at `position`.
    ///
    /// ```
    /// # fn import(_: &str) -> Result<(), std::io::Error> { Ok(()) }
    /// # fn example(mut batch: carrot::consume::Batch) -> carrot::Result<()> {
    /// for (position, url) in batch.decode_or_fail::<String>() {
    ///     if let Err(error) = import(&url) {
    ///         batch.fail(position, error)?;
    ///     }
    /// }
    /// batch.ack()
    /// # }
    /// ```
    pub fn fail(&mut self, position: usize, error: impl IntoHandlerError) -> Result<()> {
        if position >= self.messages.len() {
            return Err(Error::Invalid {
                field: "position in a batch".into(),
                value: position.to_string(),
                limit: format!("at most {}", self.messages.len().saturating_sub(1)).into(),
            });
        }
        self.failures.insert(position, error.into_handler_error().into_failure());
        Ok(())
    }

    /// Acknowledges the messages, except those that [`fail`](Batch::fail) names, which fail. Every
    /// message is treated, also after an error.
    ///
    /// Does not block if no message failed. Blocks for each failed message as [`Message::fail`]
    /// does.
    ///
    /// # Errors
    /// The first error:
    /// - [`Error::Stale`]: the channel was lost. The broker redelivers the messages.
    /// - As [`Message::fail`].
    pub fn ack(self) -> Result<()> {
        let Batch { messages, mut failures } = self;
        let (mut acknowledged, mut failed) = (Vec::with_capacity(messages.len()), Vec::new());
        for (position, message) in messages.into_iter().enumerate() {
            match failures.remove(&position) {
                Some(failure) => failed.push((message, failure)),
                None => acknowledged.push(message),
            }
        }
        let (_, result) = acknowledge_all(acknowledged);
        let failed = failed.into_iter().map(|(message, failure)| message.fail_with(failure));
        failed.fold(result, Result::and)
    }

    /// Requeues every message, also those that [`fail`](Batch::fail) names, as
    /// [`Message::requeue`] does. Every message is treated, also after an error.
    ///
    /// Does not block.
    ///
    /// # Errors
    /// The first error, as [`Message::requeue`].
    pub fn requeue(self) -> Result<()> {
        self.messages.into_iter().map(Message::requeue).fold(Ok(()), Result::and)
    }

    /// Rejects every message, also those that [`fail`](Batch::fail) names, as [`Message::reject`]
    /// does. Every message is treated, also after an error.
    ///
    /// Does not block.
    ///
    /// # Errors
    /// The first error, as [`Message::reject`].
    pub fn reject(self) -> Result<()> {
        self.messages.into_iter().map(Message::reject).fold(Ok(()), Result::and)
    }

    /// Returns the messages, to settle each on its own.
    pub fn into_messages(self) -> Vec<Message> {
        self.messages
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Batch")
            .field("messages", &self.messages.len())
            .field("failed", &self.failures.keys())
            .finish_non_exhaustive()
    }
}
