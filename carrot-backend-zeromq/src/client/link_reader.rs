//! The thread that reads from the socket of a connection.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use carrot_amqp_wire::PropertiesRef;
use carrot_core::backend::{Body, Content, Delivery, DeliveryTag, Printable};
use carrot_core::{Error, Properties};
use carrot_listener::{PeerStream, TlsIncoming};

use crate::calls::event::{DeliveredHead, HostEvent};
use crate::calls::fields::{FieldReader, MessageStart};
use crate::calls::put_request::put_taken;
use crate::client::item::ClientItem;
use crate::client::link_shared::{CallAnswer, LinkShared};
use crate::zmtp::command::{self, Command};
use crate::zmtp::frame::{MessageLimits, ZmtpFrame, ZmtpFrameReader};

/// The size of the buffer for octets of the host, in bytes.
const BUFFER: usize = 64 << 10;
/// The longest text of a host in an error, in bytes.
const SHOWN: usize = 1000;
/// The largest message that a client accepts.
pub(crate) const LIMITS: MessageLimits = MessageLimits { head: 16 << 20, body: 4 << 30 };

/// The receiving end of a connection.
#[derive(Debug)]
pub(crate) struct LinkInput {
    pub(crate) stream: PeerStream,
    /// Records that have arrived after the welcome.
    pub(crate) records: TlsIncoming,
    pub(crate) frames: ZmtpFrameReader,
    /// Octets that have arrived after the welcome.
    pub(crate) rest: Vec<u8>,
}

/// The state of an input whose socket is shared.
#[derive(Debug)]
pub(crate) struct LinkReadState {
    records: TlsIncoming,
    frames: ZmtpFrameReader,
    rest: Vec<u8>,
}

impl LinkInput {
    pub(crate) fn split(self) -> (PeerStream, LinkReadState) {
        let LinkInput { stream, records, frames, rest } = self;
        (stream, LinkReadState { records, frames, rest })
    }
}

/// Reads until the connection ends.
pub(crate) fn run(link: &LinkShared, input: LinkReadState) {
    let LinkReadState { mut records, mut frames, rest } = input;
    let mut reader = LinkReader { link, head: Vec::new() };
    let ended = reader.octets(&mut frames, &rest).and_then(|()| {
        link.stream
            .set_read_timeout(link.heartbeat.patience())
            .map_err(|error| link.life.loss(error))?;
        reader.read(&mut records, &mut frames)
    });
    if let Err(error) = ended {
        link.fail(&error);
    }
}

struct LinkReader<'l> {
    link: &'l LinkShared,
    /// The head of a message whose body comes next.
    head: Vec<u8>,
}

impl LinkReader<'_> {
    /// Reads until the socket ends.
    ///
    /// # Errors
    /// The reason of the end, as the error of the connection. Never succeeds.
    fn read(
        &mut self,
        records: &mut TlsIncoming,
        frames: &mut ZmtpFrameReader,
    ) -> Result<(), Error> {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = match self.link.stream.read(records, &mut buffer) {
                Ok(0) => return Err(self.link.life.loss("the host closed the connection")),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.link.life.loss(reason(&error))),
            };
            self.octets(frames, buffer.get(..count).unwrap_or_default())?;
            self.link.outgoing.flush();
        }
    }

    fn octets(&mut self, frames: &mut ZmtpFrameReader, mut octets: &[u8]) -> Result<(), Error> {
        while let Some(frame) =
            frames.read(&mut octets).map_err(|error| self.link.life.loss(error))?
        {
            match frame {
                ZmtpFrame::Command(octets) => self.command(&octets)?,
                ZmtpFrame::Head { octets, has_body: true } => {
                    self.head.clear();
                    self.head.extend_from_slice(&octets);
                }
                ZmtpFrame::Head { octets, has_body: false } => self.message(&octets, None)?,
                ZmtpFrame::Body(octets) => {
                    let head = std::mem::take(&mut self.head);
                    let handled = self.message(&head, Some(Body::from(octets)));
                    self.head = head;
                    handled?;
                }
            }
        }
        Ok(())
    }

    fn command(&self, octets: &[u8]) -> Result<(), Error> {
        match Command::read(octets).map_err(|error| self.link.life.loss(error))? {
            Command::Ping { context } => {
                // A host that does not read the answers needs none.
                if !self.link.outgoing.is_full() {
                    let mut answer = Vec::new();
                    command::pong(&mut answer, context);
                    self.link.outgoing.add_and_wake(ClientItem::Frames(answer));
                }
                Ok(())
            }
            Command::Pong => Ok(()),
            _ => Err(self.link.life.loss("the host sent a command that is out of order")),
        }
    }

    fn message(&self, head: &[u8], body: Option<Body>) -> Result<(), Error> {
        let link = self.link;
        let mut fields = FieldReader::new(head);
        let read = fields.start().and_then(|start| Ok((start, HostEvent::read(start, fields)?)));
        let (start, event) = read.map_err(|error| link.life.loss(error))?;
        let MessageStart { channel: number, number: call, .. } = start;
        match (event, body) {
            (HostEvent::Delivered(head), Some(body)) => {
                if let Some(channel) = link.channel(number)
                    && let Some(bytes) = channel.deliver(call, delivery(head, body))
                {
                    link.outgoing.add(ClientItem::message(|out| put_taken(out, number, bytes)));
                }
            }
            (HostEvent::Fetched(head), Some(body)) => {
                link.answer(call, Ok(CallAnswer::Fetched(delivery(head, body))));
            }
            (_, Some(_)) => {
                return Err(link.life.loss("the host sent a body that is not expected"));
            }
            (HostEvent::Delivered(_) | HostEvent::Fetched(_), None) => {
                return Err(link.life.loss("the host sent a message without its body"));
            }
            (HostEvent::Done(octets), None) => {
                link.answer(call, Ok(CallAnswer::Done(octets.to_vec())));
            }
            (HostEvent::Failed(error), None) => {
                let error = error.0;
                let ends_channel = error.is_channel_error()
                    || error.hard_close().is_some()
                    || matches!(error, Error::HardError { .. });
                if ends_channel && let Some(channel) = link.channel(number) {
                    channel.fail(&error);
                }
                link.answer(call, Err(error));
            }
            (HostEvent::Confirmed { first, last, outcome }, None) => {
                if let Some(channel) = link.channel(number) {
                    channel.confirm(first, last, &outcome);
                }
            }
            (HostEvent::Cancelled, None) => {
                if let Some(channel) = link.channel(number) {
                    channel.end_consumer(call, "the broker cancelled the consumer");
                }
            }
            (HostEvent::ChannelClosed(error), None) => {
                if let Some(channel) = link.channel(number) {
                    channel.fail(&error.0);
                }
            }
            (HostEvent::Blocked { reason }, None) => link.note_blocked(Some(reason.into())),
            (HostEvent::Unblocked, None) => link.note_blocked(None),
            (HostEvent::End(error), None) => {
                return Err(link.life.loss(Printable::new(SHOWN, ended(error.0))));
            }
            (HostEvent::Welcome { .. }, None) => {
                return Err(link.life.loss("the host sent a second welcome"));
            }
        }
        Ok(())
    }
}

/// Returns the text of the reason for which a host ends a connection.
fn ended(error: Error) -> String {
    match error {
        Error::Disconnected { reason, .. } | Error::Backend { reason, .. } => reason,
        other => other.to_string(),
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => "the host is silent".into(),
        _ => error.to_string(),
    }
}

/// Returns a delivery. Malformed properties make it unreadable.
pub(crate) fn delivery(head: DeliveredHead<'_>, body: Body) -> Delivery {
    let DeliveredHead { tag, redelivered, exchange, routing_key, properties } = head;
    let (properties, unreadable) = match PropertiesRef::read(properties) {
        Ok(properties) => (properties.to_properties(), None),
        Err(error) => (Properties::new(), Some(error)),
    };
    let content = Content { exchange, routing_key, properties, body };
    let delivery = Delivery::new(DeliveryTag(tag), Arc::new(content)).with_redelivered(redelivered);
    match unreadable {
        None => delivery,
        Some(error) => delivery.with_unreadable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    use carrot_core::backend::Role;
    use carrot_link::LinkLife;
    use carrot_listener::{MOST_WAITING, OutgoingItem, WriterTask};

    use super::*;
    use crate::heartbeat::Heartbeat;

    #[test]
    fn pings_of_a_host_that_does_not_read_take_no_memory_without_bound() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let heartbeat = Heartbeat::every(Duration::ZERO);
        let stream = PeerStream::from(socket);
        // No thread writes what is added.
        let life = LinkLife::new(Role::Publish, "host".into(), &Arc::default());
        let link = LinkShared::new(stream, heartbeat, life);
        let mut reader = LinkReader { link: &link, head: Vec::new() };
        let mut pings = Vec::new();
        (0..50_000).for_each(|_| command::ping(&mut pings, 9));
        reader.octets(&mut ZmtpFrameReader::new(LIMITS), &pings).unwrap();
        link.outgoing.end();
        let mut bytes = 0;
        while let WriterTask::Write(batch) = link.outgoing.next_task(None) {
            bytes += batch.items.iter().map(OutgoingItem::size).sum::<usize>();
        }
        assert!(bytes > MOST_WAITING / 2, "{bytes}");
        assert!(bytes < MOST_WAITING + 1024, "{bytes}");
    }
}
