//! The threads of a connection.

use std::io;
use std::thread;
use std::time::Duration;

use carrot_listener::{
    IntervalTimer, OutgoingItem, OutgoingQueue, PeerStream, PeerWriter, WriterTask,
};

/// The time after which a blocked write looks whether the connection is over.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the writer and the reader of a connection, with the protocol in their names.
///
/// # Errors
/// The errors of the socket; no thread can be started.
pub fn start_threads(
    stream: &PeerStream,
    protocol: &str,
    write: impl FnOnce() + Send + 'static,
    read: impl FnOnce() + Send + 'static,
) -> io::Result<()> {
    // The socket has the timeout of the handshake, which may be any.
    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
    let named = |task| thread::Builder::new().name(format!("carrot-{protocol}-{task}"));
    let started = named("writer").spawn(write).and_then(|_| named("reader").spawn(read));
    started.map(drop).map_err(|error| io::Error::new(error.kind(), format!("no thread: {error}")))
}

/// Writes the items of a queue until it ends, and then ends the TLS session, if there is one.
/// `write` adds an item, and `put_heartbeat` appends a heartbeat, of which one is due in each
/// interval.
///
/// A broker that does not read is waited for as long as the connection is open: it may block all
/// that publish.
///
/// # Errors
/// The errors of the socket, and of `write`.
pub fn write_items<I: OutgoingItem>(
    stream: &PeerStream,
    outgoing: &OutgoingQueue<I>,
    heartbeats: Option<Duration>,
    put_heartbeat: impl Fn(&mut Vec<u8>),
    write: impl Fn(&I, &mut PeerWriter<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let gives_up = || outgoing.is_ending();
    let mut writer = PeerWriter::new(stream, &gives_up);
    let mut timer = IntervalTimer::new(heartbeats);
    loop {
        let task = outgoing.next_task(timer.left());
        if timer.is_due() {
            writer.append(&put_heartbeat)?;
        }
        match task {
            WriterTask::End => return writer.end(),
            WriterTask::Heartbeat => writer.flush()?,
            WriterTask::Write(batch) => {
                batch.items.iter().try_for_each(|item| write(item, &mut writer))?;
                writer.flush()?;
                outgoing.note_written(&batch);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn started_threads_have_a_write_timeout_of_their_own() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let same = socket.try_clone().unwrap();
        socket.set_write_timeout(Some(Duration::from_millis(1))).unwrap();
        start_threads(&PeerStream::from(socket), "test", || (), || ()).unwrap();
        assert_eq!(same.write_timeout().unwrap(), Some(WRITE_TIMEOUT));
    }
}
