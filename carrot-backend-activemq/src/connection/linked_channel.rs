use std::fmt::Debug;

use carrot_core::Error;

use crate::wire::broker_error::BrokerException;
use crate::wire::destination::WireDestination;
use crate::wire::message::WireMessage;

/// The answer of a broker to a command.
pub(crate) type BrokerAnswer = Result<(), BrokerException>;

/// A message for a consumer.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) message: Box<WireMessage>,
    /// Whether the message was, or may have been, delivered before.
    pub(crate) is_redelivered: bool,
}

/// Receives the events of a connection. The reader of the connection calls, with no lock
/// held.
pub(crate) trait LinkedChannel: Debug + Send + Sync {
    /// The broker has answered the publication with this tag.
    fn confirmed(&self, tag: u64, answer: BrokerAnswer);

    /// A consumer has received a message, or the answer that its queue is empty.
    fn arrived(&self, consumer: i64, arrival: Option<Arrival>);

    /// The broker has removed a consumer.
    fn consumer_removed(&self, consumer: i64);

    /// A queue is about to be deleted. The channel removes its consumers of the queue.
    fn queue_deleted(&self, queue: &WireDestination);

    /// The connection was lost, or closed.
    fn lost(&self, error: &Error);
}
