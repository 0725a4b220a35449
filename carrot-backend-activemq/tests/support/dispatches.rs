//! Deliveries of a broker, written field by field.

use crate::support::frame;

/// The type octet of deliveries.
pub(crate) const DISPATCH: u8 = 21;

/// Returns a text behind the octet of its presence, and its length.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&[1][..], &u16::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// Returns a command without fields.
pub(crate) fn head(kind: u8) -> Vec<u8> {
    vec![kind, 0, 0, 0, 0, 0]
}

/// A message of a broker.
#[derive(Clone, Default)]
pub(crate) struct ScriptedMessage<'a> {
    pub(crate) content: Option<&'a [u8]>,
    pub(crate) properties: Option<&'a [u8]>,
    /// The queue of an advisory.
    pub(crate) added: Option<&'a str>,
    /// The command of the client that an advisory is about.
    pub(crate) command: Option<&'a [u8]>,
}

impl ScriptedMessage<'_> {
    fn octets(&self) -> Vec<u8> {
        let mut octets = vec![24, 0, 0, 0, 0, 0];
        // No producer, destination, transaction and original destination.
        octets.extend([0; 4]);
        octets.extend(message_id());
        // No original transaction, group, correlation id, reply queue and type; all numbers zero.
        octets.extend([0; 1 + 1 + 4 + 1 + 1 + 8 + 1 + 1 + 8 + 1]);
        for long in [self.content, self.properties] {
            octets.push(u8::from(long.is_some()));
            if let Some(long) = long {
                octets.extend(u32::try_from(long.len()).unwrap().to_be_bytes());
                octets.extend(long);
            }
        }
        match (self.added, self.command) {
            (None, None) => octets.push(0),
            (Some(queue), _) => {
                octets.extend([1, 8, 0, 0, 0, 0, 0, 0, 1, 100]);
                octets.extend(text(queue));
                octets.extend([0; 1 + 8 + 1]);
            }
            (None, Some(command)) => {
                octets.push(1);
                octets.extend(command);
            }
        }
        octets.extend([0; 1 + 1 + 4 + 1 + 8 + 1 + 1 + 1 + 1 + 8 + 8 + 1]);
        octets
    }

    /// Returns the frame that delivers the message to a consumer of a session.
    pub(crate) fn dispatch(&self, session: i64, consumer: i64) -> Vec<u8> {
        let mut octets = head(DISPATCH);
        octets.extend([1, 122, 0]);
        octets.extend(session.to_be_bytes());
        octets.extend(consumer.to_be_bytes());
        octets.push(0);
        octets.push(1);
        octets.extend(self.octets());
        octets.extend([0; 4]);
        frame(&octets)
    }
}

/// Returns the frame without a message: the answer that a queue is empty.
pub(crate) fn empty_dispatch(session: i64, consumer: i64) -> Vec<u8> {
    let mut octets = head(DISPATCH);
    octets.extend([1, 122, 0]);
    octets.extend(session.to_be_bytes());
    octets.extend(consumer.to_be_bytes());
    // No destination, no message, and no redeliveries.
    octets.extend([0; 1 + 1 + 4]);
    frame(&octets)
}

/// Returns a message id without a producer.
fn message_id() -> Vec<u8> {
    let mut octets = vec![1, 110, 0];
    octets.push(0);
    octets.extend([0; 8 + 8]);
    octets
}

/// Returns the advisory about a new queue.
pub(crate) fn advisory(queue: &str) -> Vec<u8> {
    ScriptedMessage { added: Some(queue), ..ScriptedMessage::default() }.dispatch(-1, 0)
}
