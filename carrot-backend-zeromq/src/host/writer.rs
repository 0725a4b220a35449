//! The thread that writes to the socket of a connection.

use std::io::{self, ErrorKind};
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use carrot_backend_memory::session::Session;
use carrot_listener::{IntervalTimer, PeerWriter, WriterTask};

use crate::heartbeat::Heartbeat;
use crate::host::peer::HostPeer;
use crate::zmtp::command;

/// The interval of the signs of life to a client whose publications wait. The client sees no other,
/// because its own PINGs wait behind the publications. Carrot's client waits for at least
/// 1.5 seconds for one.
const BLOCKED_INTERVAL: Duration = Duration::from_secs(1);

/// The time in which the reader handles what has arrived, after nothing more reaches the peer.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Writes until the connection ends. `reading` is open while the connection is read.
pub(crate) fn run(peer: &HostPeer, heartbeat: Heartbeat, reading: &Receiver<()>) {
    let written = write(peer, heartbeat);
    match &written {
        // The message returns to its queue, and the next consumer meets it.
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            log::warn!("a connection is closed: {error}");
        }
        Err(error) => log::debug!("writing to a peer failed: {error}"),
        Ok(()) => {}
    }
    let drains = match written {
        _ if peer.outgoing.has_overflowed() => {
            log::warn!("a connection was closed: its client does not read");
            false
        }
        // Octets of the peer that are not read would reset the connection, and the last message
        // would be lost. A socket of libzmq closes at the end, and not over a message.
        Ok(()) => true,
        // A peer that has gone may have settled and published before.
        Err(error) => matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
    };
    if drains {
        peer.is_draining.store(true, Ordering::Release);
        peer.outgoing.abandon();
        peer.stream.shut_down_writing();
        // Nothing is sent: the end of the reader ends the wait.
        let _ = reading.recv_timeout(DRAIN_TIMEOUT);
    }
    peer.close_socket();
    // A reader that waits because publishers are blocked does not see the socket.
    peer.session.get().inspect(|session| Session::close(session));
}

fn write(peer: &HostPeer, heartbeat: Heartbeat) -> io::Result<()> {
    let gives_up = || peer.outgoing.is_ending();
    // The reader waits for the peer to read, and sees no sign of life meanwhile.
    let is_stalled = |stall| {
        let patience = heartbeat.patience();
        patience.is_some_and(|patience| stall >= patience) && peer.outgoing.is_full()
    };
    let mut writer = PeerWriter::new(&peer.stream, &gives_up).with_stall(&is_stalled);
    let mut timer = IntervalTimer::new(heartbeat.interval());
    loop {
        if peer.session.get().is_some_and(Session::is_blocked) {
            timer.hasten(BLOCKED_INTERVAL);
        }
        let task = peer.outgoing.next_task(timer.left());
        // Before the handshake ends, a peer answers no PING.
        let is_due = timer.is_due() && peer.session.get().is_some();
        if is_due && peer.has_heartbeats.load(Ordering::Relaxed) {
            writer.append(|out| command::ping(out, heartbeat.ttl_tenths()))?;
        }
        match task {
            WriterTask::End => return writer.end(),
            WriterTask::Heartbeat => writer.flush()?,
            WriterTask::Write(batch) => {
                batch.items.iter().try_for_each(|item| item.write(&mut writer))?;
                writer.flush()?;
                if peer.outgoing.note_written(&batch) {
                    peer.session.get().inspect(|session| Session::resume(session));
                }
            }
        }
    }
}
