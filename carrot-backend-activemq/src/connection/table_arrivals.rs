//! The arrivals of a consumer of the queue with the table message, within limits.

use std::collections::VecDeque;

use carrot_core::{Error, Result};

use crate::connection::linked_channel::Arrival;
use crate::wire::message::WireMessage;

/// The queue with the table message.
pub(crate) const TABLE_QUEUE: &str = "carrot.routing";
/// The most table messages of one consumer. One is usual. Each client that creates the table at the
/// same time as others adds one.
pub(crate) const MOST_TABLES: usize = 1000;
/// The most octets of several table messages of one consumer. A single one has the limit of all
/// commands.
const MOST_OCTETS: usize = 64 << 20;

/// The arrivals of one consumer. The callers keep the messages that they take, so that the limits
/// hold for all messages of the consumer.
#[derive(Debug, Default)]
pub(crate) struct TableArrivals {
    /// `None` is the answer that the queue is empty.
    waiting: VecDeque<Option<Arrival>>,
    messages: usize,
    octets: usize,
    /// The limit that was exceeded. Nothing more is kept then.
    exceeded: Option<String>,
}

impl TableArrivals {
    /// Keeps an arrival, unless a limit is exceeded.
    pub(crate) fn push(&mut self, arrival: Option<Arrival>) {
        if self.exceeded.is_some() {
            return;
        }
        if let Some(arrival) = &arrival {
            self.messages += 1;
            self.octets = self.octets.saturating_add(octets_of(&arrival.message));
        }
        self.exceeded = self.check();
        if self.exceeded.is_none() {
            self.waiting.push_back(arrival);
        } else {
            self.waiting = VecDeque::new();
        }
    }

    /// Returns the limit that is exceeded, if one is.
    fn check(&self) -> Option<String> {
        if self.messages > MOST_TABLES || self.waiting.len() >= MOST_TABLES {
            return Some(format!("{MOST_TABLES} messages"));
        }
        let is_too_large = self.messages > 1 && self.octets > MOST_OCTETS;
        is_too_large.then(|| format!("{MOST_OCTETS} bytes"))
    }

    /// Takes the next arrival, if there is one.
    ///
    /// # Errors
    /// - [`Error::Backend`]: the broker has sent more than the limits allow.
    pub(crate) fn pop(&mut self) -> Result<Option<Option<Arrival>>> {
        match &self.exceeded {
            None => Ok(self.waiting.pop_front()),
            Some(limit) => Err(Error::Backend {
                reason: format!(
                    "the queue {TABLE_QUEUE} has more than {limit}, and one table is expected"
                ),
                source: None,
            }),
        }
    }
}

/// Returns the octets of a message that a client chooses.
fn octets_of(message: &WireMessage) -> usize {
    let texts = [&message.group, &message.correlation_id, &message.type_name, &message.user];
    let long = [&message.content, &message.properties];
    let texts = texts.into_iter().flatten().map(String::len);
    let long = long.into_iter().flatten().map(Vec::len);
    texts.chain(long).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn arrival(octets: usize) -> Option<Arrival> {
        let content = Some(vec![0; octets]);
        let message = Box::new(WireMessage { content, ..WireMessage::default() });
        Some(Arrival { message, is_redelivered: false })
    }

    fn limit(arrivals: &mut TableArrivals) -> String {
        arrivals.pop().unwrap_err().to_string()
    }

    #[test]
    fn messages_that_were_taken_count() {
        let mut arrivals = TableArrivals::default();
        for _ in 0..MOST_TABLES {
            arrivals.push(arrival(1));
            assert!(arrivals.pop().unwrap().unwrap().is_some());
        }
        arrivals.push(arrival(1));
        let text = limit(&mut arrivals);
        assert!(text.contains("carrot.routing has more than 1000 messages"), "{text}");
    }

    #[test]
    fn octets_of_several_messages_are_limited() {
        let mut arrivals = TableArrivals::default();
        arrivals.push(arrival(MOST_OCTETS + 1));
        assert!(arrivals.pop().unwrap().unwrap().is_some());
        arrivals.push(None);
        assert!(arrivals.pop().unwrap().unwrap().is_none());
        arrivals.push(arrival(1));
        assert!(limit(&mut arrivals).contains("more than 67108864 bytes"));
    }

    #[test]
    fn answers_without_a_message_are_limited_while_they_wait() {
        let mut arrivals = TableArrivals::default();
        for _ in 0..2 * MOST_TABLES {
            arrivals.push(None);
            assert!(arrivals.pop().unwrap().unwrap().is_none());
        }
        for _ in 0..=MOST_TABLES {
            arrivals.push(None);
        }
        assert!(limit(&mut arrivals).contains("1000 messages"));
    }
}
