//! Large bodies on their way around amiquip, which would copy them twice, and set memory aside for each frame.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use carrot_core::backend::Body;

/// From this size on a body goes around.
pub(crate) const LARGE: u64 = 4096;

const SECRET: usize = 16;

/// What amiquip is given in place of a large body. Nobody can guess it, so no other body is taken for one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Ticket([u8; SECRET + 8]);

impl Ticket {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Ticket")
    }
}

/// The tickets of one connection, each of which is given once.
#[derive(Debug)]
pub(crate) struct Tickets {
    secret: [u8; SECRET],
    last: u64,
}

impl Default for Tickets {
    fn default() -> Tickets {
        let mut secret = [0; SECRET];
        for half in secret.chunks_mut(SECRET / 2) {
            half.copy_from_slice(&RandomState::new().build_hasher().finish().to_be_bytes());
        }
        Tickets { secret, last: 0 }
    }
}

impl Tickets {
    pub(crate) fn next(&mut self) -> Ticket {
        self.last += 1;
        let mut ticket = [0; SECRET + 8];
        ticket[..SECRET].copy_from_slice(&self.secret);
        ticket[SECRET..].copy_from_slice(&self.last.to_be_bytes());
        Ticket(ticket)
    }
}

/// The large bodies of one channel, from when they have come until their messages are handed out or given back.
#[derive(Default)]
pub(crate) struct LargeBodies(Mutex<HashMap<Ticket, Around>>);

/// A body that went around amiquip.
#[derive(Debug, Clone)]
pub(crate) struct Around {
    pub(crate) body: Body,
    /// Whether amiquip can read all that its header says.
    pub(crate) is_complete: bool,
}

impl LargeBodies {
    fn lock(&self) -> MutexGuard<'_, HashMap<Ticket, Around>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, ticket: Ticket, around: Around) {
        self.lock().insert(ticket, around);
    }

    /// The body that amiquip's stands for: another one, if it is a ticket.
    pub(crate) fn claim(&self, body: Vec<u8>) -> Around {
        self.remove(&body).unwrap_or_else(|| Around { body: body.into(), is_complete: true })
    }

    /// Lets go of the body that amiquip's stands for.
    pub(crate) fn discard(&self, body: &[u8]) {
        drop(self.remove(body));
    }

    fn remove(&self, body: &[u8]) -> Option<Around> {
        let ticket = Ticket(body.try_into().ok()?);
        self.lock().remove(&ticket)
    }
}

impl fmt::Debug for LargeBodies {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("LargeBodies").field("count", &self.lock().len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(byte: u8) -> Around {
        Around { body: vec![byte; 10].into(), is_complete: true }
    }

    #[test]
    fn a_ticket_is_worth_its_body_once() {
        let (mut tickets, bodies) = (Tickets::default(), LargeBodies::default());
        let [one, other] = [tickets.next(), tickets.next()];
        bodies.put(one, around(1));
        bodies.put(other, around(2));
        assert_eq!(bodies.claim(other.bytes().to_vec()).body, vec![2; 10]);
        assert_eq!(bodies.claim(other.bytes().to_vec()).body, other.bytes());
        bodies.discard(one.bytes());
        assert!(bodies.lock().is_empty());
    }

    #[test]
    fn what_is_no_ticket_stays_as_it_is() {
        let (mut tickets, bodies) = (Tickets::default(), LargeBodies::default());
        bodies.put(tickets.next(), around(1));
        for body in [vec![], vec![0; SECRET + 8], Tickets::default().next().bytes().to_vec()] {
            assert_eq!(bodies.claim(body.clone()).body, body);
        }
    }
}
