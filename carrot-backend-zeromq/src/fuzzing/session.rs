//! Serves octets of a client on the calling thread.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use carrot_amqp_wire::PropertiesRef;
use carrot_backend_memory::Broker;
use carrot_listener::{ConnectionRegistry, MemoryBudget, PeerStream, PeerWriter, WriterTask};

use crate::calls::event::HostEvent;
use crate::calls::fields::{FieldReader, MessageStart};
use crate::heartbeat::Heartbeat;
use crate::host::peer::HostPeer;
use crate::host::reader::HostReader;
use crate::host::running::BrokerHost;
use crate::host::settings::{HostContext, HostSettings};
use crate::zmtp::command::Command;
use crate::zmtp::frame::{MessageLimits, ZmtpFrame, ZmtpFrameReader};
use crate::zmtp::greeting::GREETING;

const LIMITS: MessageLimits = MessageLimits { head: u64::MAX, body: u64::MAX };

/// A host without a socket of its own.
#[derive(Debug)]
pub struct SocketlessHost {
    /// A socket that nothing is sent to.
    socket: TcpStream,
}

impl SocketlessHost {
    /// Opens the socket.
    ///
    /// # Errors
    /// No socket of the loopback interface can be opened.
    pub fn new() -> io::Result<SocketlessHost> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(SocketlessHost { socket: TcpStream::connect(listener.local_addr()?)? })
    }

    /// Serves a client that sends these octets in cuts, and ends. Returns what the host sends.
    ///
    /// # Errors
    /// The socket cannot be copied, or the host sends a message that cannot be encoded.
    pub fn serve<'o>(
        &self,
        broker: &Broker,
        cuts: impl IntoIterator<Item = &'o [u8]>,
    ) -> io::Result<Vec<u8>> {
        let settings: HostSettings = BrokerHost::builder(broker).max_channels(3).into();
        let registry: Arc<ConnectionRegistry> = Arc::default();
        let registration = registry.admit(1);
        // Pauses end at once.
        registry.stop(|_| ());
        let Some(registration) = registration else { return Ok(Vec::new()) };
        let budget = MemoryBudget::new(1 << 20);
        let context =
            HostContext { settings: &settings, tls: None, budget: &budget, registry: &registry };
        let stream = PeerStream::from(self.socket.try_clone()?);
        let peer = Arc::new(HostPeer::new(stream, Heartbeat::every(Duration::ZERO))?);
        let mut reader = HostReader::new(&peer, registration, context, None);
        let mut frames = ZmtpFrameReader::new(LIMITS);
        let mut sent = Vec::new();
        for octets in cuts {
            reader.handle(&mut frames, octets)?;
            write(&peer, &mut sent)?;
            if peer.outgoing.is_sealed() {
                break;
            }
        }
        drop(reader);
        if let Some(session) = peer.session.get() {
            session.close();
        }
        write(&peer, &mut sent)?;
        Ok(sent)
    }
}

/// Writes what waits to be written.
fn write(peer: &HostPeer, sent: &mut Vec<u8>) -> io::Result<()> {
    let gives_up = || true;
    while let WriterTask::Write(batch) = peer.outgoing.next_task(Some(Duration::ZERO)) {
        let mut writer = PeerWriter::new(&peer.stream, &gives_up);
        for item in &batch.items {
            item.write(&mut writer)?;
            sent.append(&mut writer.take());
        }
        if peer.outgoing.note_written(&batch)
            && let Some(session) = peer.session.get()
        {
            session.resume();
        }
    }
    Ok(())
}

/// The messages that a host sends.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "for fuzz targets")]
pub struct SentMessages {
    /// The numbers of the calls that were answered.
    pub answers: Vec<u32>,
    /// The channels, consumers and tags of the deliveries.
    pub deliveries: Vec<(u32, u32, u64)>,
    /// The channels and tags of the messages that were fetched.
    pub fetched: Vec<(u32, u64)>,
    /// The channels of the confirms, with the first and the last number of each.
    pub confirms: Vec<(u32, u64, u64)>,
    /// The channels that the host closed.
    pub closed: Vec<u32>,
    /// Whether the last message is the reason of the end.
    pub has_end: bool,
}

impl SentMessages {
    /// Reads what a host sends. The octets end with a whole frame.
    ///
    /// # Errors
    /// The octets are no greeting, commands and messages of a host.
    pub fn read(octets: &[u8]) -> Result<SentMessages, String> {
        let mut sent = SentMessages::default();
        let mut octets = octets.get(GREETING..).ok_or("no greeting")?;
        let mut frames = ZmtpFrameReader::new(LIMITS);
        let mut kept = Vec::new();
        while let Some(frame) = frames.read(&mut octets).map_err(|error| error.to_string())? {
            if sent.has_end {
                return Err("a frame after the end".into());
            }
            match frame {
                ZmtpFrame::Command(octets) => {
                    Command::read(&octets).map_err(|error| error.to_string())?;
                }
                ZmtpFrame::Head { octets, has_body: true } => kept = octets.into_owned(),
                ZmtpFrame::Head { octets, has_body: false } => sent.note(&octets, false)?,
                ZmtpFrame::Body(_) => sent.note(&kept, true)?,
            }
        }
        match frames.is_idle() {
            true => Ok(sent),
            false => Err("the octets end within a message".into()),
        }
    }

    fn note(&mut self, head: &[u8], has_body: bool) -> Result<(), String> {
        let mut fields = FieldReader::new(head);
        let read = fields.start().and_then(|start| Ok((start, HostEvent::read(start, fields)?)));
        let (MessageStart { channel, number, .. }, event) =
            read.map_err(|error| error.to_string())?;
        let mut readable = true;
        let takes_body = matches!(event, HostEvent::Delivered(_) | HostEvent::Fetched(_));
        match event {
            HostEvent::Done(_) | HostEvent::Failed(_) | HostEvent::Welcome { .. } => {
                self.answers.push(number);
            }
            HostEvent::Delivered(head) => {
                readable = PropertiesRef::read(head.properties).is_ok();
                self.deliveries.push((channel, number, head.tag));
            }
            HostEvent::Fetched(head) => {
                readable = PropertiesRef::read(head.properties).is_ok();
                self.answers.push(number);
                self.fetched.push((channel, head.tag));
            }
            HostEvent::Confirmed { first, last, .. } => self.confirms.push((channel, first, last)),
            HostEvent::ChannelClosed(_) => self.closed.push(channel),
            HostEvent::End(_) => self.has_end = true,
            HostEvent::Cancelled | HostEvent::Blocked { .. } | HostEvent::Unblocked => {}
        }
        match takes_body == has_body && readable {
            true => Ok(()),
            false => {
                Err(format!("{}: body {has_body}, properties {readable}", head.escape_ascii()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;
    use crate::fuzzing::call_program::{CallProgram, call_program};

    #[test]
    fn octets_in_any_cut_are_answered_alike() {
        let host = SocketlessHost::new().unwrap();
        // Opens a channel, declares q0, consumes it, publishes to it, fetches, and settles.
        let script: Vec<u8> = [
            &[0, 0, 0][..],
            &[2, 0, 0, 0],
            &[15, 0, 3],
            &[10, 0, 0, 5],
            &[10, 0, 0, 6],
            &[18, 0, 0, 1, 0],
            &[14, 0],
        ]
        .concat();
        let CallProgram { octets, calls } = call_program(&script);
        let broker = Broker::new();
        let whole = host.serve(&broker, [&octets[..]]).unwrap();
        let sent = SentMessages::read(&whole).unwrap();
        assert_eq!(sent.answers, calls, "{sent:?}");
        assert_eq!(sent.deliveries.len(), 2, "{sent:?}");
        assert!(!sent.confirms.is_empty() && !sent.has_end, "{sent:?}");
        let queue = broker.queue("q0").unwrap();
        assert_eq!((queue.ready.len(), queue.unacked.len()), (1, 0));
        let broker = Broker::new();
        let cut = SentMessages::read(&host.serve(&broker, octets.chunks(1)).unwrap()).unwrap();
        assert_eq!((cut.answers, cut.deliveries), (sent.answers, sent.deliveries));
    }
}
