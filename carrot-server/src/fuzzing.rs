//! Serves octets of a client on the calling thread, without a socket that is read. Only fuzz
//! targets and tests compile it.

use std::cell::OnceCell;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use carrot_amqp_wire::{
    BasicConsume, BasicPublish, ChannelOpen, ConfirmSelect, ConnectionOpen, ConnectionStartOk,
    ConnectionTuneOk, FrameReader, FrameWriter, Method, PropertiesRef, ProtocolHeader,
    QueueDeclare,
};
use carrot_backend_memory::Broker;
use carrot_listener::{ConnectionRegistry, MemoryBudget, WriterTask};

use crate::connection::peer::Peer;
use crate::connection::reader::{PeerReader, ReadProgress, ServerContext, frame_limit};
use crate::encode::Encoder;
use crate::server::Server;
use crate::settings::ServerSettings;

const FRAME_MAX: u32 = 4096;

/// A server without a socket of its own.
#[derive(Debug)]
pub struct SocketlessServer {
    /// A socket that nothing is sent to.
    socket: TcpStream,
}

impl SocketlessServer {
    /// Opens the socket.
    ///
    /// # Errors
    /// No socket of the loopback interface can be opened.
    pub fn new() -> io::Result<SocketlessServer> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        Ok(SocketlessServer { socket: TcpStream::connect(listener.local_addr()?)? })
    }

    /// Serves a client that sends these octets in cuts, and ends. Returns what the server sends.
    ///
    /// # Errors
    /// The socket cannot be copied, or the server sends a frame that cannot be encoded.
    pub fn serve<'o>(
        &self,
        broker: &Broker,
        cuts: impl IntoIterator<Item = &'o [u8]>,
    ) -> io::Result<Vec<u8>> {
        let settings: ServerSettings = Server::builder(broker).frame_max(FRAME_MAX).into();
        let registry: Arc<ConnectionRegistry> = Arc::default();
        let registration = registry.admit(1);
        // Pauses end at once.
        registry.stop(|_| ());
        let Some(mut registration) = registration else { return Ok(Vec::new()) };
        let budget = MemoryBudget::new(1 << 20);
        let context =
            ServerContext { settings: &settings, budget: &budget, registry: &registry, tls: None };
        let peer = Arc::new(Peer::new(self.socket.try_clone()?, false, settings.least_frame_max()));
        let opened = OnceCell::new();
        let mut reader = PeerReader::new(&peer, &mut registration, context, &opened, None);
        let mut frames = FrameReader::for_server(frame_limit(peer.outgoing.frame_max()));
        let mut sent = Vec::new();
        for mut octets in cuts {
            let mut progress = ReadProgress::Full;
            while progress == ReadProgress::Full {
                progress = reader.octets(&mut frames, &mut octets);
                write(&peer, &mut sent)?;
            }
            if progress == ReadProgress::End {
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
fn write(peer: &Peer, sent: &mut Vec<u8>) -> io::Result<()> {
    while let WriterTask::Write(batch) = peer.outgoing.next_task(Some(Duration::ZERO)) {
        let mut encoder = Encoder::new(Vec::new(), |octets: &[u8]| {
            sent.extend_from_slice(octets);
            Ok(())
        });
        let frame_max = peer.outgoing.frame_max();
        batch.items.iter().try_for_each(|item| encoder.encode(item, frame_max))?;
        encoder.finish()?;
        if peer.outgoing.note_written(&batch)
            && let Some(session) = peer.session.get()
        {
            session.resume();
        }
    }
    Ok(())
}

/// Returns the octets of a client that opens a connection, a channel with confirms and a consumer.
///
/// # Panics
/// If the methods cannot be encoded.
pub fn greeting() -> Vec<u8> {
    let mut octets = ProtocolHeader::AMQP_0_9_1.octets().to_vec();
    let mut method = |channel, method: Method<'_>| {
        let written = FrameWriter::new(&mut octets, channel, FRAME_MAX).method(&method);
        written.expect("a method that can be written");
    };
    let start_ok = ConnectionStartOk {
        mechanism: "PLAIN".into(),
        response: b"\0guest\0guest"[..].into(),
        locale: "en_US".into(),
        ..ConnectionStartOk::default()
    };
    method(0, start_ok.into());
    let tune_ok = ConnectionTuneOk { channel_max: 9, frame_max: FRAME_MAX, heartbeat: 0 };
    method(0, tune_ok.into());
    method(0, ConnectionOpen { virtual_host: "/".into() }.into());
    method(1, ChannelOpen::default().into());
    method(1, ConfirmSelect::default().into());
    method(1, QueueDeclare { queue: "q0".into(), ..QueueDeclare::default() }.into());
    let consume = BasicConsume { queue: "q0".into(), consumer_tag: "t".into(), ..<_>::default() };
    method(1, consume.into());
    let publish = BasicPublish { routing_key: "q0".into(), ..BasicPublish::default() };
    let written = FrameWriter::new(&mut octets, 1, FRAME_MAX).content(
        &publish.into(),
        &PropertiesRef::default(),
        b"x",
    );
    written.expect("a message that can be written");
    octets
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    #[test]
    fn octets_in_any_cut_are_answered_alike() {
        let server = SocketlessServer::new().unwrap();
        let octets = greeting();
        let whole = server.serve(&Broker::new(), [&octets[..]]).unwrap();
        assert!(whole.windows(2).any(|id| id == [60, 0]), "{whole:?}");
        let broker = Broker::new();
        let cut = server.serve(&broker, octets.chunks(1)).unwrap();
        // The capabilities and the version are the same, and confirms cannot be combined.
        assert_eq!(cut, whole);
        let queue = broker.queue("q0").unwrap();
        assert_eq!((queue.ready.len(), queue.unacked.len()), (1, 0));
    }
}
