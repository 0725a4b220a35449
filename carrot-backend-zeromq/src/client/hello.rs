//! The handshake with a host, the hello and the welcome.

use std::io;

use carrot_core::backend::Printable;
use carrot_core::{Error, Result};
use carrot_link::LinkAttempt;
use carrot_listener::{PeerStream, TlsIncoming, TlsOutgoing};

use crate::calls::event::{HostEvent, HostTraits};
use crate::calls::fields::FieldReader;
use crate::calls::put_request::put_hello;
use crate::calls::request::SessionId;
use crate::client::link_reader::{LIMITS, LinkInput};
use crate::zmtp::frame::{ZmtpFrame, ZmtpFrameReader, message};
use crate::zmtp::handshake::{ClientHandshake, ZmtpFailure, ZmtpProgress};

/// The call of the hello.
const HELLO: u32 = 1;
/// The longest text of a host in an error, in bytes.
const SHOWN: usize = 1000;

/// The login of a client at one address.
pub(crate) struct ClientHello<'a> {
    pub(crate) attempt: &'a LinkAttempt,
    pub(crate) user: &'a str,
    pub(crate) password: &'a str,
    /// The name of the connection.
    pub(crate) name: &'a str,
}

impl ClientHello<'_> {
    /// Runs the handshake, says hello, and waits for the welcome.
    pub(crate) fn greet(&self, stream: PeerStream) -> Result<(LinkInput, HostTraits)> {
        let (mut records, mut outgoing) = (TlsIncoming::default(), TlsOutgoing::default());
        let mut out = Vec::new();
        let mut handshake = ClientHandshake::start(self.user, self.password, &mut out);
        self.write(&stream, &mut outgoing, &mut out)?;
        let mut frames = ZmtpFrameReader::new(LIMITS);
        let session = self.session_id()?;
        let mut is_open = false;
        let mut buffer = [0; 4096];
        loop {
            let count = self.read(&stream, &mut records, &mut buffer)?;
            let mut octets = buffer.get(..count).unwrap_or_default();
            let greeted = handshake.greeting(&mut octets, &mut out);
            if !greeted.map_err(|failure| self.refused(failure))? {
                continue;
            }
            self.write(&stream, &mut outgoing, &mut out)?;
            let mut next =
                |octets: &mut _| frames.read(octets).map_err(|error| self.lost(error.to_string()));
            while let Some(frame) = next(&mut octets)? {
                match frame {
                    ZmtpFrame::Command(command) if !is_open => {
                        let progress = handshake.command(&command, &mut out);
                        let progress = progress.map_err(|failure| self.refused(failure))?;
                        if let ZmtpProgress::Open { .. } = progress {
                            is_open = true;
                            message(&mut out, |out| put_hello(out, HELLO, &session, self.name));
                        }
                        self.write(&stream, &mut outgoing, &mut out)?;
                    }
                    // A PING is answered once the connection is open.
                    ZmtpFrame::Command(_) => {}
                    ZmtpFrame::Head { octets: head, has_body: false } if is_open => {
                        let traits = self.welcome(&head, &session)?;
                        let rest = octets.to_vec();
                        return Ok((LinkInput { stream, records, frames, rest }, traits));
                    }
                    _ => return Err(self.lost("the host sent a message before its welcome".into())),
                }
            }
        }
    }

    fn welcome(&self, head: &[u8], session: &SessionId) -> Result<HostTraits> {
        let mut fields = FieldReader::new(head);
        let read = fields.start().and_then(|start| HostEvent::read(start, fields));
        match read.map_err(|error| self.lost(error.to_string()))? {
            HostEvent::Welcome { session: welcomed, traits } if welcomed == *session => Ok(traits),
            HostEvent::Failed(error) | HostEvent::End(error) => {
                Err(self.attempt.failed(Printable::new(SHOWN, error.0).to_string(), None))
            }
            _ => Err(self.lost("the host did not answer the hello".into())),
        }
    }

    fn session_id(&self) -> Result<SessionId> {
        let mut session = SessionId::default();
        getrandom::fill(&mut session).map_err(|error| {
            self.attempt.failed(format!("the random source failed: {error}"), None)
        })?;
        Ok(session)
    }

    /// Writes all octets of `out`, and empties it.
    fn write(
        &self,
        stream: &PeerStream,
        records: &mut TlsOutgoing,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.attempt.write_all(stream, records, out).map_err(|error| self.io(error))?;
        out.clear();
        Ok(())
    }

    fn read(
        &self,
        stream: &PeerStream,
        records: &mut TlsIncoming,
        buffer: &mut [u8],
    ) -> Result<usize> {
        match self.attempt.read(stream, records, buffer).map_err(|error| self.io(error))? {
            0 => Err(self.lost("the host closed the connection".into())),
            count => Ok(count),
        }
    }

    fn io(&self, error: io::Error) -> Error {
        self.attempt.broken(error, |error| self.lost(error.to_string()))
    }

    /// Returns the error of a connection that ended in the handshake.
    fn lost(&self, reason: String) -> Error {
        Error::disconnected(format!("{}: {reason}", self.attempt.endpoint()))
    }

    fn refused(&self, failure: ZmtpFailure) -> Error {
        match failure {
            ZmtpFailure::Credentials => Error::Authentication {
                endpoint: self.attempt.endpoint().into(),
                user: self.user.into(),
                reason: "wrong user or password".into(),
            },
            failure => self.attempt.failed(failure.to_string(), None),
        }
    }
}
