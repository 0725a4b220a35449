//! The thread that writes to the socket of a connection.

use std::io;

use carrot_amqp_wire::HEARTBEAT;
use carrot_backend_memory::session::Session;
use carrot_listener::{PeerWriter, WriterTask};

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
    let gives_up = || outgoing.is_ending();
    let mut writer = PeerWriter::new(&peer.stream, &gives_up);
    let mut octets = Vec::new();
    loop {
        // Two heartbeats in an interval, as RabbitMQ sends them.
        match outgoing.next_task(peer.heartbeat().map(|interval| interval / 2)) {
            WriterTask::End => return writer.end(),
            WriterTask::Heartbeat => writer.write_all(&HEARTBEAT)?,
            WriterTask::Write(batch) => {
                let mut encoder = Encoder::new(octets, |octets: &[u8]| writer.write_all(octets));
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
