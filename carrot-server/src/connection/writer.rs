//! The thread that writes to the socket of a connection.

use std::io::{self, ErrorKind, Write};
use std::net::TcpStream;

use carrot_amqp_wire::HEARTBEAT;
use carrot_backend_memory::session::Session;

use crate::connection::peer::Peer;
use crate::encode::Encoder;
use crate::outgoing::{Outgoing, WriterTask};

/// Writes until the connection ends.
pub(crate) fn run(peer: &Peer) {
    if let Err(error) = write(peer) {
        log::debug!("writing to a peer failed: {error}");
    }
    peer.close_socket();
    // A reader that waits because publishers are blocked does not see the socket.
    peer.session.get().inspect(|session| Session::close(session));
}

fn write(peer: &Peer) -> io::Result<()> {
    let outgoing = &*peer.outgoing;
    let mut octets = Vec::new();
    loop {
        // Two heartbeats in an interval, as RabbitMQ sends them.
        match outgoing.next_task(peer.heartbeat().map(|interval| interval / 2)) {
            WriterTask::End => {
                let close = |records: &[u8]| write_all(&peer.socket, records, outgoing);
                return peer.tls.get().map_or(Ok(()), |tls| tls.close(close));
            }
            WriterTask::Heartbeat => seal_and_write(peer, &HEARTBEAT)?,
            WriterTask::Write(batch) => {
                let write = |octets: &[u8]| seal_and_write(peer, octets);
                let mut encoder = Encoder::new(octets, write);
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

/// Writes all octets, as records if the connection has TLS.
fn seal_and_write(peer: &Peer, octets: &[u8]) -> io::Result<()> {
    let write = |octets: &[u8]| write_all(&peer.socket, octets, &peer.outgoing);
    match peer.tls.get() {
        None => write(octets),
        Some(tls) => tls.write(octets, write),
    }
}

/// Writes all octets. A peer that does not read is waited for as long as the connection is open.
fn write_all(mut socket: &TcpStream, mut octets: &[u8], outgoing: &Outgoing) -> io::Result<()> {
    while !octets.is_empty() {
        match socket.write(octets) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => octets = octets.get(count..).unwrap_or_default(),
            Err(error) => match error.kind() {
                ErrorKind::Interrupted => {}
                ErrorKind::WouldBlock | ErrorKind::TimedOut if !outgoing.is_ending() => {}
                _ => return Err(error),
            },
        }
    }
    Ok(())
}
