//! Commands: the steps of a handshake, and heartbeats.

use crate::zmtp::frame::{ZmtpError, start_command};

/// The longest context of a PING, in octets.
const LONGEST_CONTEXT: usize = 16;
/// The longest reason of an ERROR, in octets.
const LONGEST_REASON: usize = 255;

/// The kind of socket that a client is.
pub(crate) const DEALER: &str = "DEALER";
/// The kind of socket that a host is.
pub(crate) const ROUTER: &str = "ROUTER";

/// A command of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command<'a> {
    Ready { properties: &'a [u8] },
    Hello { user: &'a [u8], password: &'a [u8] },
    Welcome,
    Initiate { properties: &'a [u8] },
    Error { reason: &'a [u8] },
    Ping { context: &'a [u8] },
    Pong,
}

impl<'a> Command<'a> {
    /// Reads the payload of a command.
    pub(crate) fn read(octets: &'a [u8]) -> Result<Command<'a>, ZmtpError> {
        let malformed = ZmtpError::Command { problem: "a command is malformed" };
        let (name, rest) = short(octets).ok_or(malformed.clone())?;
        match name {
            b"READY" => Ok(Command::Ready { properties: rest }),
            b"INITIATE" => Ok(Command::Initiate { properties: rest }),
            b"HELLO" => {
                let (user, rest) = short(rest).ok_or(malformed.clone())?;
                match short(rest) {
                    Some((password, [])) => Ok(Command::Hello { user, password }),
                    _ => Err(malformed),
                }
            }
            b"WELCOME" if rest.is_empty() => Ok(Command::Welcome),
            b"ERROR" => match short(rest) {
                Some((reason, _)) => Ok(Command::Error { reason }),
                None => Err(malformed),
            },
            b"PING" => match rest.split_first_chunk::<2>() {
                Some((_, context)) if context.len() <= LONGEST_CONTEXT => {
                    Ok(Command::Ping { context })
                }
                _ => Err(malformed),
            },
            b"PONG" => Ok(Command::Pong),
            _ => Err(ZmtpError::Command { problem: "a command has an unknown name" }),
        }
    }
}

/// Splits off the octets that follow a length of one octet.
fn short(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first()?;
    rest.split_at_checked(usize::from(*length))
}

/// Returns the value of a property in READY or INITIATE. Names are compared without case.
pub(crate) fn property<'p>(
    mut properties: &'p [u8],
    wanted: &str,
) -> Result<Option<&'p [u8]>, ZmtpError> {
    let malformed = || ZmtpError::Command { problem: "the properties of a socket are malformed" };
    let mut found = None;
    while !properties.is_empty() {
        let (name, rest) = short(properties).ok_or_else(malformed)?;
        let (length, rest) = rest.split_first_chunk().ok_or_else(malformed)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| malformed())?;
        let (value, rest) = rest.split_at_checked(length).ok_or_else(malformed)?;
        if name.eq_ignore_ascii_case(wanted.as_bytes()) {
            found = found.or(Some(value));
        }
        properties = rest;
    }
    Ok(found)
}

/// Checks that a peer is the kind of socket that can talk to this one.
pub(crate) fn check_socket(properties: &[u8], expected: &'static str) -> Result<(), ZmtpError> {
    match property(properties, "Socket-Type")? {
        Some(kind) if kind == expected.as_bytes() => Ok(()),
        _ if expected == DEALER => Err(ZmtpError::Command {
            problem: "the socket of the peer is no DEALER, which a host serves only",
        }),
        _ => Err(ZmtpError::Command { problem: "the socket of the peer is no ROUTER" }),
    }
}

/// Appends READY or INITIATE, with the kind of this socket.
pub(crate) fn with_socket(out: &mut Vec<u8>, name: &str, kind: &str) {
    command(out, name, |out| {
        put_short(out, b"Socket-Type");
        out.extend_from_slice(&(kind.len() as u32).to_be_bytes());
        out.extend_from_slice(kind.as_bytes());
        put_short(out, b"Identity");
        out.extend_from_slice(&0_u32.to_be_bytes());
    });
}

/// Appends HELLO. User and password have at most 255 octets.
pub(crate) fn hello(out: &mut Vec<u8>, user: &str, password: &str) {
    command(out, "HELLO", |out| {
        put_short(out, user.as_bytes());
        put_short(out, password.as_bytes());
    });
}

pub(crate) fn welcome(out: &mut Vec<u8>) {
    command(out, "WELCOME", |_| ());
}

/// Appends ERROR. A long reason is cut.
pub(crate) fn error(out: &mut Vec<u8>, reason: &str) {
    command(out, "ERROR", |out| put_short(out, reason.as_bytes()));
}

/// Appends PING, which asks a peer for PONG. A peer that is silent for `ttl_tenths` is lost.
pub(crate) fn ping(out: &mut Vec<u8>, ttl_tenths: u16) {
    command(out, "PING", |out| out.extend_from_slice(&ttl_tenths.to_be_bytes()));
}

pub(crate) fn pong(out: &mut Vec<u8>, context: &[u8]) {
    command(out, "PONG", |out| out.extend_from_slice(context));
}

fn command(out: &mut Vec<u8>, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
    let mut payload = Vec::new();
    put_short(&mut payload, name.as_bytes());
    write(&mut payload);
    start_command(out, payload.len());
    out.extend_from_slice(&payload);
}

/// Appends at most 255 octets behind their length in one octet.
fn put_short(out: &mut Vec<u8>, octets: &[u8]) {
    let cut = octets.get(..octets.len().min(LONGEST_REASON)).unwrap_or_default();
    out.push(cut.len() as u8);
    out.extend_from_slice(cut);
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test may fail by panicking"
    )]

    use super::*;

    /// Returns the payload of a command of less than 256 octets.
    fn payload(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut out = Vec::new();
        write(&mut out);
        assert_eq!((out[0], usize::from(out[1])), (4, out.len() - 2));
        out.split_off(2)
    }

    #[test]
    fn written_commands_are_read_again() {
        let hello = payload(|out| hello(out, "ann", "hush"));
        let expected = Command::Hello { user: b"ann", password: b"hush" };
        assert_eq!(Command::read(&hello), Ok(expected));
        assert_eq!(Command::read(&payload(welcome)), Ok(Command::Welcome));
        let error = payload(|out| error(out, "no"));
        assert_eq!(Command::read(&error), Ok(Command::Error { reason: b"no" }));
        let ping = payload(|out| ping(out, 50));
        assert_eq!(Command::read(&ping), Ok(Command::Ping { context: b"" }));
        assert_eq!(Command::read(&payload(|out| pong(out, b"context"))), Ok(Command::Pong));
        let ready = payload(|out| with_socket(out, "READY", DEALER));
        let Ok(Command::Ready { properties }) = Command::read(&ready) else { panic!("{ready:?}") };
        assert_eq!(property(properties, "socket-type"), Ok(Some(&b"DEALER"[..])));
        assert_eq!(check_socket(properties, DEALER), Ok(()));
        assert!(check_socket(properties, ROUTER).is_err());
    }

    #[test]
    fn malformed_commands_are_refused() {
        for octets in [
            &b""[..],
            b"\x05HELL",
            b"\x05HELLO\x03an",
            b"\x05HELLO\x03ann\x05hush",
            b"\x05HELLO\x03ann\x04hush!",
            b"\x07WELCOME!",
            b"\x05ERROR",
            b"\x04PING\0",
            b"\x04PING\0\0seventeen octets!",
            b"\x09SUBSCRIBEall",
        ] {
            assert!(Command::read(octets).is_err(), "{octets:?}");
        }
        for properties in [&b"\x05na"[..], b"\x04name\0\0", b"\x04name\0\0\0\x05four"] {
            assert!(property(properties, "other").is_err(), "{properties:?}");
        }
    }
}
