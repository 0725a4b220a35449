//! The thread that reads from the socket of a connection.

use std::io::{self, ErrorKind};

use carrot_core::backend::Printable;
use carrot_core::{Error, Result};
use carrot_listener::{TlsIncoming, lock};

use crate::connection::broker_link::{BrokerLink, OWN_SESSION};
use crate::connection::dispatch_barrier::BARRIER;
use crate::connection::handshake::SHOWN;
use crate::connection::linked_channel::Arrival;
use crate::connection::queue_directory::{AdvisoryAck, MOST_BYTES, QueueDirectory};
use crate::wire::broker_error::BrokerException;
use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};
use crate::wire::delivery_commands::{ConsumerControl, MessageAck, MessageDispatch};
use crate::wire::frame_reader::OpenWireFrames;
use crate::wire::message::WireMessage;

/// The size of the buffer for octets of the broker, in bytes.
const BUFFER: usize = 64 << 10;
/// The consumer of the advisories about queues.
pub(crate) const ADVISORIES: i64 = 0;

/// The receiving end of a connection.
#[derive(Debug)]
pub(crate) struct LinkIncoming {
    pub(crate) records: TlsIncoming,
    pub(crate) frames: OpenWireFrames,
    /// Octets that have arrived after the login.
    pub(crate) rest: Vec<u8>,
}

/// Reads until the connection ends.
pub(crate) fn run(link: &BrokerLink, incoming: LinkIncoming) {
    if let Err(error) = read(link, incoming) {
        link.fail(&error);
    }
}

/// Reads until the socket ends.
///
/// # Errors
/// The reason of the end, as the error of the connection. Never succeeds.
fn read(link: &BrokerLink, incoming: LinkIncoming) -> Result<()> {
    let LinkIncoming { mut records, mut frames, rest } = incoming;
    handle_octets(link, &mut frames, &rest)?;
    let patience = link.traits.inactivity.patience();
    link.stream.set_read_timeout(patience).map_err(|error| link.life.loss(error))?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match link.stream.read(&mut records, &mut buffer) {
            Ok(0) => return Err(link.life.loss("the broker closed the connection")),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(link.life.loss(reason(&error))),
        };
        handle_octets(link, &mut frames, buffer.get(..count).unwrap_or_default())?;
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "the broker is silent".into(),
        _ => error.to_string(),
    }
}

fn handle_octets(link: &BrokerLink, frames: &mut OpenWireFrames, mut octets: &[u8]) -> Result<()> {
    loop {
        let read = frames.next(&mut octets, OpenWireCommand::read);
        match read.and_then(Option::transpose).map_err(|error| link.life.loss(error))? {
            None => return Ok(()),
            Some(OpenWireCommand::Command(head, body)) => handle(link, head, body)?,
            Some(OpenWireCommand::Format(_)) => {
                return Err(link.life.loss("the broker sent a second wire format"));
            }
            Some(OpenWireCommand::Message(_)) => {
                return Err(link.life.loss("the broker sent a message to no consumer"));
            }
        }
    }
}

fn handle(link: &BrokerLink, head: CommandHead, body: CommandBody) -> Result<()> {
    match body {
        CommandBody::Response(response) => link.answer(response.correlation, Ok(())),
        CommandBody::Exception(response) => {
            let exception = response.exception.unwrap_or_default();
            link.answer(response.correlation, Err(exception));
        }
        CommandBody::Dispatch(dispatch) => return deliver(link, dispatch),
        CommandBody::KeepAlive if head.needs_answer && !link.outgoing.is_full() => {
            link.send(CommandBody::KeepAlive);
        }
        CommandBody::Control(ConsumerControl { closes: true, consumer: Some(id), .. }) => {
            if let Some(channel) = link.receiver(id.value) {
                channel.consumer_removed(id.value);
            }
        }
        CommandBody::Error(error) => {
            let exception = error.exception.unwrap_or_default();
            let text = Printable::new(SHOWN, exception);
            log::warn!("the broker reports an error of a command without an answer: {text}");
        }
        CommandBody::Shutdown => return Err(link.life.loss("the broker shuts down")),
        _ => {}
    }
    Ok(())
}

fn deliver(link: &BrokerLink, dispatch: MessageDispatch) -> Result<()> {
    let Some(consumer) = dispatch.consumer else { return Ok(()) };
    match (consumer.session, consumer.value) {
        (OWN_SESSION, ADVISORIES) => return note_advisory(link, dispatch.message),
        (OWN_SESSION, BARRIER) => {
            link.barrier.passed();
            return Ok(());
        }
        _ => {}
    }
    let Some(channel) = link.receiver(consumer.value) else { return Ok(()) };
    let redeliveries = dispatch.redeliveries.0;
    let arrival = dispatch.message.map(|message| {
        let is_redelivered = redeliveries > 0 || message.redeliveries > 0;
        Arrival { message, is_redelivered }
    });
    channel.arrived(consumer.value, arrival);
    Ok(())
}

fn note_advisory(link: &BrokerLink, advisory: Option<Box<WireMessage>>) -> Result<()> {
    let (ack, is_too_large) = {
        let mut queues = lock(&link.queues);
        (advisory.and_then(|message| queues.note(*message)), queues.is_too_large())
    };
    link.queues_changed.notify_all();
    if is_too_large {
        let reason = format!("the broker has more names of queues than {MOST_BYTES} bytes");
        return Err(link.life.loss(reason));
    }
    if let Some(ack) = ack {
        acknowledge(link, ack);
    }
    Ok(())
}

fn acknowledge(link: &BrokerLink, ack: AdvisoryAck) {
    let AdvisoryAck { first, last, count } = ack;
    link.send(CommandBody::Ack(MessageAck {
        destination: Some(QueueDirectory::topic()),
        consumer: Some(link.consumer_id(OWN_SESSION, ADVISORIES)),
        kind: MessageAck::STANDARD,
        first: Some(first),
        last: Some(last),
        count,
        ..MessageAck::default()
    }));
}

/// Returns the error of a channel or a call that the broker refused.
pub(crate) fn refusal(exception: &BrokerException) -> Error {
    let reason = Printable::new(SHOWN, exception).to_string();
    if exception.is_security() {
        Error::AccessRefused { reason }
    } else if exception.is_missing() {
        Error::NotFound { reason }
    } else {
        Error::Backend { reason, source: None }
    }
}
