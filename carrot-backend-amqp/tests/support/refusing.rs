//! Scripted peer that closes the connection over poison messages and some declarations. The peer
//! confirms all other messages late and several at once.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::Ordering;

use super::fake::{Peer, Script, consumer_tag, method};

/// Message body and exchange type over which the peer closes the connection.
pub(crate) const POISON: &str = "poison";
/// Name of an exchange that the peer accepts once, regardless of the type.
pub(crate) const LATER: &str = "later";
pub(crate) const CODE: u16 = 541;
pub(crate) const WORDS: &str = "INTERNAL_ERROR";
/// Maximum number of messages confirmed at once.
const AT_ONCE: u64 = 7;

/// State of one connection of the peer.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Number of received messages and number of confirmed messages, by channel.
    counts: BTreeMap<u16, (u64, u64)>,
    /// Number of missing bytes and the received bytes of the body in flight.
    body: Option<(u64, Vec<u8>)>,
    closed: bool,
}

impl Peer<'_> {
    /// Confirms all received messages.
    pub(crate) fn confirm_all(&mut self) -> io::Result<()> {
        for (channel, (come, confirmed)) in &mut self.ledger.counts {
            if come > confirmed {
                *confirmed = *come;
                let answer = method(*channel, 60, 80, &[&come.to_be_bytes()[..], &[1]].concat());
                self.socket.write_all(&answer)?;
            }
        }
        Ok(())
    }

    /// Receives a content header or a body frame of a message.
    pub(crate) fn take_content(
        &mut self,
        kind: u8,
        channel: u16,
        payload: &[u8],
    ) -> io::Result<()> {
        let payload = &payload[..payload.len() - 1];
        match (kind, &mut self.ledger.body) {
            (2, body) => {
                *body = Some((u64::from_be_bytes(payload[4..12].try_into().unwrap()), Vec::new()))
            }
            (3, Some((missing, body))) => {
                *missing -= payload.len() as u64;
                body.extend_from_slice(payload);
            }
            _ => {}
        }
        let Some((_, body)) = self.ledger.body.take_if(|(missing, _)| *missing == 0) else {
            return Ok(());
        };
        if self.ledger.closed {
            return Ok(());
        }
        if body == POISON.as_bytes() {
            return self.refuse(60, 40);
        }
        let (come, confirmed) = self.ledger.counts.entry(channel).or_default();
        *come += 1;
        if *come - *confirmed >= AT_ONCE { self.confirm_all() } else { Ok(()) }
    }

    /// Replies to the methods that only [`Script::Refuses`] handles.
    pub(crate) fn answer(
        &mut self,
        channel: u16,
        (class, number): (u16, u16),
        arguments: &[u8],
    ) -> io::Result<()> {
        if self.ledger.closed {
            return Ok(());
        }
        match (class, number) {
            (40, 10) => {
                let name = usize::from(arguments[2]);
                let kind = &arguments[3 + name..];
                let is_taken = &arguments[3..3 + name] == LATER.as_bytes()
                    && !self.taken.swap(true, Ordering::SeqCst);
                if !is_taken && kind[1..].starts_with(POISON.as_bytes()) {
                    // Other declarations may be in flight.
                    std::thread::sleep(std::time::Duration::from_millis(30));
                    return self.refuse(40, 10);
                }
                self.socket.write_all(&method(channel, 40, 11, &[]))
            }
            (50, 10) => {
                let name = &arguments[2..3 + usize::from(arguments[2])];
                self.socket.write_all(&method(channel, 50, 11, &[name, &[0; 8]].concat()))
            }
            (50, 20) => self.socket.write_all(&method(channel, 50, 21, &[])),
            (50, 30) => self.socket.write_all(&method(channel, 50, 31, &[0; 4])),
            (60, 10) => self.socket.write_all(&method(channel, 60, 11, &[])),
            (60, 20) => self.socket.write_all(&method(channel, 60, 21, &consumer_tag(arguments))),
            (60, 30) => {
                let tag = &arguments[..=usize::from(arguments[0])];
                self.socket.write_all(&method(channel, 60, 31, tag))
            }
            (20, 40) => self.socket.write_all(&method(channel, 20, 41, &[])),
            _ => Ok(()),
        }
    }

    fn refuse(&mut self, class: u16, number: u16) -> io::Result<()> {
        self.ledger.closed = true;
        let (class, number) = if self.script == (Script::Refuses { names_method: true }) {
            (class, number)
        } else {
            (0, 0)
        };
        let mut close = CODE.to_be_bytes().to_vec();
        close.push(u8::try_from(WORDS.len()).unwrap());
        close.extend_from_slice(WORDS.as_bytes());
        close.extend([class.to_be_bytes(), number.to_be_bytes()].concat());
        self.socket.write_all(&method(0, 10, 50, &close))
    }
}
