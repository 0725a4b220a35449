//! Octets of a broker, written field by field.

use std::io::Write;
use std::sync::Arc;
use std::sync::mpsc::{self, TrySendError};
use std::thread;
use std::time::Instant;

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{Backend, ChannelOptions, Connector, ConsumeOptions, Subscription};

pub(crate) use crate::support::dispatches::{
    ScriptedMessage, advisory, empty_dispatch, head, text,
};
use crate::support::{FakeBroker, MESSAGE_PULL, SOON, frame};

/// The type octets of commands.
pub(crate) const CONSUMER_INFO: u8 = 5;
pub(crate) const RESPONSE: u8 = 30;
pub(crate) const EXCEPTION_RESPONSE: u8 = 31;
pub(crate) const QUEUE: &str = "q";

/// Returns the frame by which a broker removes a consumer.
pub(crate) fn consumer_removal(session: i64, consumer: i64) -> Vec<u8> {
    let mut octets = head(17);
    // No destination.
    octets.extend([0, 1, 1, 122, 0]);
    octets.extend(session.to_be_bytes());
    octets.extend(consumer.to_be_bytes());
    octets.extend([0; 4 + 1 + 1 + 1]);
    frame(&octets)
}

/// Returns a broker with the queue [`QUEUE`], which answers the pulls of each consumer so.
pub(crate) fn broker_answering_pulls(
    answer: impl Fn(i64, i64) -> Vec<u8> + Send + 'static,
) -> FakeBroker {
    FakeBroker::answering(move |socket, client| {
        let octets = match client.kind {
            CONSUMER_INFO if client.consumer().0 == -1 => advisory(QUEUE),
            MESSAGE_PULL => {
                let (session, consumer) = client.consumer();
                answer(session, consumer)
            }
            _ => Vec::new(),
        };
        let _ = socket.write_all(&octets);
        true
    })
}

/// A channel of a broker that sends what a test asks for, and a subscription to [`QUEUE`].
pub(crate) struct Consuming {
    pub(crate) channel: Arc<dyn Backend>,
    pub(crate) subscription: Box<dyn Subscription>,
    /// The session and the number of the first slot.
    pub(crate) slot: (i64, i64),
    octets: mpsc::SyncSender<Vec<u8>>,
}

impl Consuming {
    /// Opens the channel, with a prefetch of one.
    pub(crate) fn start() -> Consuming {
        let (octets, to_send) = mpsc::sync_channel::<Vec<u8>>(16);
        let (added, slots) = mpsc::channel();
        let mut to_send = Some(to_send);
        let broker = FakeBroker::answering(move |socket, client| {
            if client.kind != CONSUMER_INFO {
                return true;
            }
            let (session, consumer) = client.consumer();
            if session == -1 {
                let _ = socket.write_all(&advisory(QUEUE));
            }
            // Sessions of the connection itself: the names of queues, and the table of exchanges.
            if session < 0 {
                return true;
            }
            if let Some(to_send) = to_send.take() {
                let mut socket = socket.try_clone().unwrap();
                added.send((session, consumer)).unwrap();
                // Ends once the client has closed the socket.
                thread::spawn(move || {
                    let mut octets = to_send.iter();
                    while octets.next().is_some_and(|octets| socket.write_all(&octets).is_ok()) {}
                });
            }
            true
        });
        let options = broker.options().max_message_size(1 << 20);
        let connector = ActiveMqConnector::new(&options).unwrap();
        let channel = connector.open(&ChannelOptions::consume(), SOON).unwrap();
        let options = ConsumeOptions::with_prefetch(1);
        let subscription = channel.consume(QUEUE, &options, SOON).unwrap();
        let slot = slots.recv_timeout(SOON).unwrap();
        Consuming { channel, subscription, slot, octets }
    }

    /// Sends octets. Returns `false` once the client has closed the connection.
    ///
    /// # Panics
    /// If the client neither reads nor closes the connection.
    #[track_caller]
    pub(crate) fn send(&self, mut octets: Vec<u8>) -> bool {
        let deadline = Instant::now() + SOON;
        loop {
            octets = match self.octets.try_send(octets) {
                Ok(()) => return true,
                Err(TrySendError::Disconnected(_)) => return false,
                // The broker waits for a socket that a lost channel may keep.
                Err(TrySendError::Full(_)) if self.channel.check().is_err() => return false,
                Err(TrySendError::Full(octets)) => octets,
            };
            assert!(Instant::now() < deadline, "the client has not read for {SOON:?}");
            thread::yield_now();
        }
    }

    /// Delivers a message to the subscription.
    pub(crate) fn deliver(&self, message: &ScriptedMessage<'_>) -> bool {
        self.send(message.dispatch(self.slot.0, self.slot.1))
    }

    /// Delivers a message, and checks that it arrives.
    #[track_caller]
    pub(crate) fn check_well(&self) {
        self.deliver(&ScriptedMessage { content: Some(b"well"), ..ScriptedMessage::default() });
        let delivery = self.subscription.next(SOON).unwrap().unwrap();
        assert_eq!(delivery.content.body[..], *b"well");
        self.channel.ack(delivery.tag, carrot_core::backend::Extent::One).unwrap();
    }

    /// Waits until the connection is lost. Returns the text of the error.
    #[track_caller]
    pub(crate) fn loss(&self) -> String {
        let error = loop {
            match self.subscription.next(SOON) {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the connection is open after {SOON:?}"),
                Err(error) => break error,
            }
        };
        assert!(error.is_disconnected(), "{error:?}");
        error.to_string()
    }
}
