//! The thread that writes to the socket of a connection.

use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use carrot_listener::{TlsOutgoing, WriterTask};

use crate::connection::broker_link::BrokerLink;
use crate::connection::keep_alive::KeepAliveTimer;
use crate::connection::outgoing_frame::OutgoingFrame;
use crate::wire::command::{CommandBody, CommandHead, OpenWireCommand};

/// The time that a broker has to read the last commands, and to close the socket.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// Frames of less than this are gathered, in bytes.
const CHUNK: usize = 64 << 10;

/// Writes until the connection ends.
pub(crate) fn run(link: &BrokerLink, records: TlsOutgoing) {
    match (LinkWriter { link, records, gathered: Vec::new() }).write() {
        Ok(()) => finish(link),
        Err(error) => link.fail(&link.loss(error)),
    }
}

/// Ends the socket after the last command. The reader continues: if octets of the broker reached a
/// socket that is closed, the system would discard what is still on its way to the broker.
fn finish(link: &BrokerLink) {
    link.stream.shut_down_writing();
    link.wait_for_end(Instant::now() + END_TIMEOUT);
    link.stream.shut_down();
}

struct LinkWriter<'l> {
    link: &'l BrokerLink,
    records: TlsOutgoing,
    /// Small frames, which one write sends.
    gathered: Vec<u8>,
}

impl LinkWriter<'_> {
    fn write(&mut self) -> io::Result<()> {
        let link = self.link;
        let mut timer = KeepAliveTimer::new(link.traits.inactivity);
        loop {
            let task = link.outgoing.next_task(timer.left());
            if timer.is_due() {
                let keep_alive =
                    OpenWireCommand::Command(CommandHead::default(), CommandBody::KeepAlive);
                self.add(&OutgoingFrame::new(&keep_alive))?;
            }
            match task {
                WriterTask::End => {
                    self.flush()?;
                    return self.retry(|link, records, _| link.stream.end_tls(records), &[]);
                }
                WriterTask::Heartbeat => self.flush()?,
                WriterTask::Write(batch) => {
                    batch.items.iter().try_for_each(|item| self.add(item))?;
                    self.flush()?;
                    link.outgoing.note_written(&batch);
                }
            }
        }
    }

    fn add(&mut self, frame: &OutgoingFrame) -> io::Result<()> {
        let octets = frame.octets();
        if octets.len() >= CHUNK {
            self.flush()?;
            return self.write_all(octets);
        }
        self.gathered.extend_from_slice(octets);
        if self.gathered.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        let octets = std::mem::take(&mut self.gathered);
        let written = self.write_all(&octets);
        self.gathered = octets;
        self.gathered.clear();
        written
    }

    fn write_all(&mut self, mut octets: &[u8]) -> io::Result<()> {
        while !octets.is_empty() {
            let count =
                self.retry(|link, records, octets| link.stream.write(records, octets), octets)?;
            match count {
                0 => return Err(ErrorKind::WriteZero.into()),
                count => octets = octets.get(count..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    /// Writes until that succeeds. A broker that does not read is waited for as long as the
    /// connection is open: it may block all that publish.
    fn retry<T>(
        &mut self,
        mut write: impl FnMut(&BrokerLink, &mut TlsOutgoing, &[u8]) -> io::Result<T>,
        octets: &[u8],
    ) -> io::Result<T> {
        loop {
            match write(self.link, &mut self.records, octets) {
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock | ErrorKind::TimedOut
                        if !self.link.outgoing.is_ending() => {}
                    _ => return Err(error),
                },
                written => return written,
            }
        }
    }
}
