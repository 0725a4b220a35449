//! The thread that writes to the socket of a connection.

use std::io::{self, ErrorKind, Write};

use carrot_amqp_wire::HEARTBEAT;
use carrot_backend_memory::session::Session;
use carrot_listener::{TlsOutgoing, WriterTask};

use crate::connection::peer::Peer;
use crate::encode::Encoder;

/// Writes until the connection ends.
pub(crate) fn run(peer: &Peer) {
    if let Err(error) = write(peer) {
        log::debug!("writing to a peer failed: {error}");
    }
    if peer.outgoing.has_overflowed() {
        log::warn!("a connection was closed: its client does not read");
    }
    peer.close_socket();
    // A reader that waits because publishers are blocked does not see the socket.
    peer.session.get().inspect(|session| Session::close(session));
}

fn write(peer: &Peer) -> io::Result<()> {
    let outgoing = &*peer.outgoing;
    let mut sink = PeerSink { peer, records: TlsOutgoing::default() };
    let mut octets = Vec::new();
    loop {
        // Two heartbeats in an interval, as RabbitMQ sends them.
        match outgoing.next_task(peer.heartbeat().map(|interval| interval / 2)) {
            WriterTask::End => return sink.end(),
            WriterTask::Heartbeat => sink.write_all(&HEARTBEAT)?,
            WriterTask::Write(batch) => {
                let mut encoder = Encoder::new(octets, |octets: &[u8]| sink.write_all(octets));
                let frame_max = outgoing.frame_max();
                batch.items.iter().try_for_each(|item| encoder.encode(item, frame_max))?;
                octets = encoder.finish()?;
                if outgoing.note_written(&batch) {
                    peer.session.get().inspect(|session| Session::resume(session));
                }
            }
        }
    }
}

/// The outgoing side of a socket, as records if the connection has TLS.
struct PeerSink<'p> {
    peer: &'p Peer,
    records: TlsOutgoing,
}

impl PeerSink<'_> {
    /// Writes all octets. A peer that does not read is waited for as long as the connection is
    /// open.
    fn write_all(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let written = self.retry(|peer, records| match peer.tls.get() {
                None => (&peer.socket).write(octets),
                Some(tls) => tls.write(records, &peer.socket, octets),
            });
            match written? {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => octets = octets.get(count..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Ends the TLS session, if there is one.
    fn end(&mut self) -> io::Result<()> {
        self.retry(|peer, records| match peer.tls.get() {
            None => Ok(()),
            Some(tls) => tls.end(records, &peer.socket),
        })
    }

    fn retry<T>(
        &mut self,
        mut write: impl FnMut(&Peer, &mut TlsOutgoing) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match write(self.peer, &mut self.records) {
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut
                        if !self.peer.outgoing.is_ending() => {}
                    _ => return Err(error),
                },
                written => return written,
            }
        }
    }
}
