//! The round trips of one connection, and which of them the broker may have closed it over.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use carrot_core::Error;
use carrot_core::backend::HardClose;

use crate::connection_close::ConnectionClose;
use crate::frame::{BASIC_PUBLISH, Method};
use crate::turns::{Suspected, Turns};

/// A round trip, and the methods that it sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) methods: &'static [Method],
}

impl Call {
    const fn new(operation: &'static str, methods: &'static [Method]) -> Call {
        Call { operation, methods }
    }
}

pub(crate) const OPEN_CHANNEL: Call = Call::new("opening a channel", &[(20, 10), (85, 10)]);
pub(crate) const CHECK_EXCHANGE: Call = Call::new("checking an exchange", &[(40, 10)]);
pub(crate) const DECLARE_EXCHANGE: Call = Call::new("declaring an exchange", &[(40, 10)]);
pub(crate) const DELETE_EXCHANGE: Call = Call::new("deleting an exchange", &[(40, 20)]);
pub(crate) const DECLARE_QUEUE: Call = Call::new("declaring a queue", &[(50, 10)]);
pub(crate) const BIND_QUEUE: Call = Call::new("binding", &[(50, 20)]);
pub(crate) const BIND_EXCHANGE: Call = Call::new("binding", &[(40, 30)]);
pub(crate) const UNBIND_QUEUE: Call = Call::new("unbinding", &[(50, 50)]);
pub(crate) const UNBIND_EXCHANGE: Call = Call::new("unbinding", &[(40, 40)]);
pub(crate) const PURGE_QUEUE: Call = Call::new("purging a queue", &[(50, 30)]);
pub(crate) const DELETE_QUEUE: Call = Call::new("deleting a queue", &[(50, 40)]);
pub(crate) const GET: Call = Call::new("getting a message", &[(60, 70)]);
pub(crate) const CONSUME: Call = Call::new("starting a consumer", &[(60, 10), (60, 20)]);
pub(crate) const CANCEL: Call = Call::new("cancelling a consumer", &[(60, 30)]);
/// It sends nothing.
pub(crate) const ASK_WHY: Call = Call::new("asking why the channel ended", &[]);

/// A channel, from before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Party(u64);

/// The calls in flight on one connection; after the broker has closed it, what that means for each channel.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    state: Mutex<State>,
    /// Outlives the connection.
    turns: OnceLock<Arc<Turns>>,
}

#[derive(Debug, Default)]
struct State {
    last: u64,
    last_party: u64,
    in_flight: Vec<Entry>,
    verdict: Option<Verdict>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    party: Party,
    methods: &'static [Method],
}

/// What a hard error of the broker means for the channels.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// This one caused it.
    Guilty(Party, HardClose),
    /// One of these did.
    Suspects(Vec<Party>, HardClose),
}

impl Calls {
    /// Sets where calls wait for each other after a hard error. To be called before the first of them.
    pub(crate) fn take_turns(&self, turns: &Arc<Turns>) {
        let _ = self.turns.set(Arc::clone(turns));
    }

    /// A channel that is about to be opened.
    pub(crate) fn party(&self) -> Party {
        let mut state = self.lock();
        state.last_party += 1;
        Party(state.last_party)
    }

    /// Notes that a call is in flight, until the result is dropped.
    pub(crate) fn enter(&self, party: Party, call: Call) -> InFlight<'_> {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        if !call.methods.is_empty() {
            state.in_flight.push(Entry { number, party, methods: call.methods });
        }
        InFlight { calls: self, number }
    }

    /// Finds the channels whose operations the broker may have closed the connection over. `unconfirmed` says how many messages of each
    /// channel have no answer. To be called before anybody can know that the connection has ended.
    pub(crate) fn closed_by_broker(
        &self,
        connection_close: &ConnectionClose,
        unconfirmed: &[(Party, u64)],
    ) {
        if !connection_close.is_hard() {
            return;
        }
        let mut state = self.lock();
        let has_messages =
            |(_, count): &&(Party, u64)| *count > 0 && connection_close.may_be_over(BASIC_PUBLISH);
        let publishing: Vec<(Party, u64)> =
            unconfirmed.iter().filter(has_messages).copied().collect();
        let is_suspect = |entry: &&Entry| {
            entry.methods.iter().any(|method| connection_close.may_be_over(*method))
        };
        let calling: Vec<Party> =
            state.in_flight.iter().filter(is_suspect).map(|entry| entry.party).collect();
        let messages = publishing.iter().map(|(_, count)| *count).sum::<u64>();
        let close = connection_close
            .hard_close()
            .with_suspects(usize::try_from(messages).unwrap_or(usize::MAX), calling.len());
        let suspects: Vec<Party> =
            publishing.iter().map(|(party, _)| *party).chain(calling).collect();
        let (verdict, several) = match suspects[..] {
            [] => return,
            [party] if messages <= 1 && close.names_method() => {
                (Verdict::Guilty(party, close), false)
            }
            _ => (Verdict::Suspects(suspects, close), true),
        };
        state.verdict.get_or_insert(verdict);
        drop(state);
        if let Some(turns) = self.turns.get().filter(|_| several) {
            turns.begin(connection_close.method.map_or(Suspected::All, Suspected::Method));
        }
    }

    /// The first error of a channel whose connection has ended with `death`.
    pub(crate) fn first_error(&self, party: Party, death: Error) -> Error {
        let Error::Disconnected { reason, .. } = &death else { return death };
        match &self.lock().verdict {
            Some(Verdict::Guilty(guilty, close)) if *guilty == party => {
                Error::HardError { code: close.code, reason: close.text.clone() }
            }
            Some(Verdict::Suspects(suspects, close)) if suspects.contains(&party) => {
                Error::Disconnected {
                    reason: reason.clone(),
                    source: Some(Arc::new(close.clone())),
                }
            }
            _ => death,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call in flight.
#[derive(Debug)]
pub(crate) struct InFlight<'a> {
    calls: &'a Calls,
    number: u64,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut state = self.calls.lock();
        if let Some(position) = state.in_flight.iter().position(|entry| entry.number == self.number)
        {
            state.in_flight.swap_remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection_close(code: u16, method: Option<Method>) -> ConnectionClose {
        ConnectionClose { code, text: "WORDS".into(), method }
    }

    fn error(calls: &Calls, party: Party) -> &'static str {
        match calls.first_error(party, Error::disconnected("lost")) {
            Error::HardError { code: 503, reason } if reason == "WORDS" => "guilty",
            error if error.hard_close().is_some() => "suspect",
            Error::Disconnected { reason, source: None } if reason == "lost" => "lost",
            other => panic!("{other:?}"),
        }
    }

    /// What three channels are told: the first declares an exchange and has published, the second consumes and has published, the third
    /// declares a queue.
    fn told(close: &ConnectionClose, published: [u64; 2]) -> [&'static str; 3] {
        let calls = Calls::default();
        let parties = [1, 2, 3].map(Party);
        let done = calls.enter(parties[1], DECLARE_EXCHANGE);
        let started = [DECLARE_EXCHANGE, CONSUME, DECLARE_QUEUE].into_iter().zip(parties);
        let _in_flight: Vec<_> = started.map(|(call, party)| calls.enter(party, call)).collect();
        drop(done);
        calls.closed_by_broker(close, &[(parties[0], published[0]), (parties[1], published[1])]);
        parties.map(|party| error(&calls, party))
    }

    #[test]
    fn the_only_call_of_the_method_that_the_broker_names_is_guilty() {
        assert_eq!(
            told(&connection_close(503, Some((40, 10))), [5, 5]),
            ["guilty", "lost", "lost"]
        );
        assert_eq!(
            told(&connection_close(503, Some((60, 20))), [5, 5]),
            ["lost", "guilty", "lost"]
        );
        assert_eq!(told(&connection_close(503, Some((50, 40))), [5, 5]), ["lost", "lost", "lost"]);
    }

    #[test]
    fn the_only_message_without_an_answer_is_guilty() {
        let over_a_message = connection_close(503, Some((60, 40)));
        assert_eq!(told(&over_a_message, [0, 1]), ["lost", "guilty", "lost"]);
        assert_eq!(told(&over_a_message, [0, 2]), ["lost", "suspect", "lost"]);
        assert_eq!(told(&over_a_message, [1, 1]), ["suspect", "suspect", "lost"]);
        assert_eq!(told(&over_a_message, [0, 0]), ["lost", "lost", "lost"]);
    }

    #[test]
    fn everything_is_suspect_if_the_broker_names_no_method() {
        assert_eq!(told(&connection_close(541, None), [0, 0]), ["suspect", "suspect", "suspect"]);
        let calls = Calls::default();
        let (alone, idle) = (Party(1), Party(2));
        let _in_flight = calls.enter(alone, GET);
        calls.closed_by_broker(&connection_close(541, None), &[]);
        assert_eq!([alone, idle].map(|party| error(&calls, party)), ["suspect", "lost"]);
    }

    #[test]
    fn what_is_no_hard_error_is_a_plain_loss() {
        assert_eq!(told(&connection_close(320, Some((40, 10))), [1, 1]), ["lost"; 3]);
        assert_eq!(told(&connection_close(320, None), [1, 1]), ["lost"; 3]);
    }

    #[test]
    fn a_connection_that_this_program_closed_stays_closed() {
        let calls = Calls::default();
        let party = Party(1);
        let _in_flight = calls.enter(party, GET);
        calls.closed_by_broker(&connection_close(503, Some((60, 70))), &[]);
        assert!(matches!(
            calls.first_error(party, Error::closed("connection")),
            Error::Closed { .. }
        ));
    }
}
