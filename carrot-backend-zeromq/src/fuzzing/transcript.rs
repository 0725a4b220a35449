//! The octets of a peer, from the greeting on, as either side understands them.

use carrot_listener::Users;

use crate::zmtp::command::Command;
use crate::zmtp::frame::{MessageLimits, ZmtpError, ZmtpFrame, ZmtpFrameReader};
use crate::zmtp::handshake::{ClientHandshake, HostHandshake, ZmtpFailure, ZmtpProgress};

/// Small limits, which short inputs exceed.
const LIMITS: MessageLimits = MessageLimits { head: 300, body: 600 };

/// The side that reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "for fuzz targets")]
pub enum ZmtpRole {
    /// A host without users.
    Host,
    /// A host with the user `ann` and the password `hush`.
    HostWithUsers,
    /// A client.
    Client,
}

/// The frames that a side has read, and its answers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_structs, reason = "for fuzz targets")]
pub struct ZmtpTranscript {
    /// The octets that the side sent.
    pub sent: Vec<u8>,
    /// The frames after the handshake, and the commands among them.
    pub received: Vec<String>,
    /// Whether the handshake is complete.
    pub is_open: bool,
    /// The reason of the end.
    pub error: Option<String>,
    /// The most memory of a frame that had not arrived completely, in bytes.
    pub most_unfinished: usize,
}

enum SideHandshake<'u> {
    Host(HostHandshake, &'u Users),
    Client(ClientHandshake<'u>),
}

impl SideHandshake<'_> {
    fn greeting(&mut self, octets: &mut &[u8], sent: &mut Vec<u8>) -> Result<bool, ZmtpFailure> {
        match self {
            SideHandshake::Host(handshake, _) => handshake.greeting(octets, sent),
            SideHandshake::Client(handshake) => handshake.greeting(octets, sent),
        }
    }

    fn command(&mut self, octets: &[u8], sent: &mut Vec<u8>) -> Result<ZmtpProgress, ZmtpFailure> {
        match self {
            SideHandshake::Host(handshake, users) => handshake.command(octets, users, sent),
            SideHandshake::Client(handshake) => handshake.command(octets, sent),
        }
    }
}

/// Reads octets of a peer in cuts, up to the first error.
pub fn zmtp_transcript<'o>(
    role: ZmtpRole,
    cuts: impl IntoIterator<Item = &'o [u8]>,
) -> ZmtpTranscript {
    let mut users = Users::default();
    users.add("ann".into(), Some("hush".into()));
    let mut transcript = ZmtpTranscript::default();
    let sent = &mut transcript.sent;
    let mut handshake = match role {
        ZmtpRole::Host => SideHandshake::Host(HostHandshake::start(false, sent), &users),
        ZmtpRole::HostWithUsers => SideHandshake::Host(HostHandshake::start(true, sent), &users),
        ZmtpRole::Client => SideHandshake::Client(ClientHandshake::start("ann", "hush", sent)),
    };
    let mut frames = ZmtpFrameReader::new(LIMITS);
    for octets in cuts {
        if let Err(failure) = read(&mut transcript, &mut handshake, &mut frames, octets) {
            // The name of another protocol needs several octets in one part.
            let error = match failure {
                ZmtpFailure::Protocol(ZmtpError::NotZmtp { .. }) => {
                    "the peer speaks no ZMTP".into()
                }
                failure => failure.to_string(),
            };
            transcript.error = Some(error);
            break;
        }
    }
    transcript
}

fn read(
    transcript: &mut ZmtpTranscript,
    handshake: &mut SideHandshake<'_>,
    frames: &mut ZmtpFrameReader,
    mut octets: &[u8],
) -> Result<(), ZmtpFailure> {
    if !handshake.greeting(&mut octets, &mut transcript.sent)? {
        return Ok(());
    }
    while let Some(frame) = frames.read(&mut octets)? {
        match frame {
            ZmtpFrame::Command(octets) if !transcript.is_open => {
                let progress = handshake.command(&octets, &mut transcript.sent)?;
                transcript.is_open = matches!(progress, ZmtpProgress::Open { .. });
                transcript.received.push(format!("{progress:?}"));
            }
            _ if !transcript.is_open => {
                return Err(ZmtpError::Command { problem: "a message is out of order" }.into());
            }
            ZmtpFrame::Command(octets) => {
                transcript.received.push(format!("{:?}", Command::read(&octets)?));
            }
            frame => transcript.received.push(format!("{frame:?}")),
        }
    }
    transcript.most_unfinished = transcript.most_unfinished.max(frames.unfinished_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zmtp::command::{self, DEALER, ROUTER};
    use crate::zmtp::frame::message;
    use crate::zmtp::greeting::{Mechanism, greeting};

    fn octets_for(role: ZmtpRole) -> Vec<u8> {
        let mechanism = match role {
            ZmtpRole::HostWithUsers => Mechanism::Plain,
            _ => Mechanism::Null,
        };
        let mut octets = greeting(mechanism, role == ZmtpRole::Client).to_vec();
        match role {
            ZmtpRole::Host => command::with_socket(&mut octets, "READY", DEALER),
            ZmtpRole::HostWithUsers => {
                command::hello(&mut octets, "ann", "hush");
                command::with_socket(&mut octets, "INITIATE", DEALER);
            }
            ZmtpRole::Client => command::with_socket(&mut octets, "READY", ROUTER),
        }
        command::ping(&mut octets, 7);
        message(&mut octets, |out| out.extend_from_slice(&[9; 300]));
        octets
    }

    #[test]
    fn octets_in_any_cut_are_understood_alike() {
        for role in [ZmtpRole::Host, ZmtpRole::HostWithUsers, ZmtpRole::Client] {
            let octets = octets_for(role);
            let whole = zmtp_transcript(role, [&octets[..]]);
            assert!(whole.is_open && whole.received.len() >= 3, "{whole:?}");
            for cut in [1, 2, 7, 65] {
                let parts = zmtp_transcript(role, octets.chunks(cut));
                assert!(parts.most_unfinished <= octets.len());
                assert_eq!(ZmtpTranscript { most_unfinished: 0, ..parts }, whole);
            }
        }
    }
}
