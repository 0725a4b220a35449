//! The calls in flight on one connection, and those that may have made the broker close it.

use std::sync::{Arc, Mutex};

use carrot_core::Error;
use carrot_core::backend::HardClose;

use super::call_isolation::{CallIsolation, Suspected};
use super::calls::{BASIC_PUBLISH, Call, MethodId};
use super::close_method::ConnectionClose;
use crate::sync::lock;

/// Identifies a channel, also before it is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChannelId(u64);

/// The calls in flight on one connection. After the broker has closed the connection, the cause for
/// each channel.
#[derive(Debug, Default)]
pub(crate) struct CallsInFlight {
    state: Mutex<CallState>,
    /// Outlives the connection. Calls wait here for each other after a hard error.
    pub(crate) isolation: Arc<CallIsolation>,
}

#[derive(Debug, Default)]
struct CallState {
    /// The number of the last channel or call.
    last: u64,
    in_flight: Vec<CallEntry>,
    cause: Option<HardErrorCause>,
}

#[derive(Debug)]
struct CallEntry {
    number: u64,
    id: ChannelId,
    methods: &'static [MethodId],
}

/// The channels that caused a hard error of the broker.
#[derive(Debug, PartialEq, Eq)]
enum HardErrorCause {
    /// This channel caused it.
    Known(ChannelId, HardClose),
    /// One of these channels caused it.
    Suspected(Vec<ChannelId>, HardClose),
}

impl CallsInFlight {
    pub(crate) fn new(isolation: &Arc<CallIsolation>) -> CallsInFlight {
        CallsInFlight { state: Mutex::default(), isolation: Arc::clone(isolation) }
    }

    /// Returns the identity of a channel that is about to open.
    pub(crate) fn id(&self) -> ChannelId {
        let mut state = lock(&self.state);
        state.last += 1;
        ChannelId(state.last)
    }

    /// Records that a call is in flight, until the result is dropped.
    pub(crate) fn enter(&self, id: ChannelId, call: Call) -> CallInFlight<'_> {
        let mut state = lock(&self.state);
        state.last += 1;
        let number = state.last;
        state.in_flight.push(CallEntry { number, id, methods: call.methods });
        CallInFlight { calls: self, number }
    }

    /// Finds the channels whose operations may have made the broker close the connection.
    ///
    /// `unconfirmed` holds the number of messages without an answer, for each channel. Must happen
    /// before any thread can learn that the connection has ended.
    pub(crate) fn closed_by_broker(
        &self,
        connection_close: &ConnectionClose,
        unconfirmed: &[(ChannelId, u64)],
    ) {
        if !connection_close.is_hard() {
            return;
        }
        let mut state = lock(&self.state);
        let has_messages = |(_, count): &&(ChannelId, u64)| {
            *count > 0 && connection_close.may_be_over(BASIC_PUBLISH)
        };
        let publishing: Vec<(ChannelId, u64)> =
            unconfirmed.iter().filter(has_messages).copied().collect();
        let is_suspect = |entry: &&CallEntry| {
            entry.methods.iter().any(|method| connection_close.may_be_over(*method))
        };
        let calling: Vec<ChannelId> =
            state.in_flight.iter().filter(is_suspect).map(|entry| entry.id).collect();
        let messages = publishing.iter().map(|(_, count)| *count).sum::<u64>();
        let close = connection_close
            .hard_close()
            .with_suspects(usize::try_from(messages).unwrap_or(usize::MAX), calling.len());
        let suspects: Vec<ChannelId> =
            publishing.iter().map(|(id, _)| *id).chain(calling).collect();
        let cause = match suspects[..] {
            [] => return,
            [id] if messages <= 1 && close.names_method() => HardErrorCause::Known(id, close),
            _ => {
                let suspected = connection_close.method.map_or(Suspected::All, Suspected::Method);
                self.isolation.begin(suspected);
                HardErrorCause::Suspected(suspects, close)
            }
        };
        state.cause.get_or_insert(cause);
    }

    /// Returns the first error of a channel whose connection has ended with `death`.
    pub(crate) fn first_error(&self, id: ChannelId, death: Error) -> Error {
        let Error::Disconnected { reason, .. } = &death else { return death };
        match &lock(&self.state).cause {
            Some(HardErrorCause::Known(guilty, close)) if *guilty == id => {
                Error::HardError { code: close.code, reason: close.text.clone() }
            }
            Some(HardErrorCause::Suspected(suspects, close)) if suspects.contains(&id) => {
                Error::Disconnected {
                    reason: reason.clone(),
                    source: Some(Arc::new(close.clone())),
                }
            }
            _ => death,
        }
    }
}

/// A call in flight.
#[derive(Debug)]
pub(crate) struct CallInFlight<'a> {
    calls: &'a CallsInFlight,
    number: u64,
}

impl Drop for CallInFlight<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.calls.state);
        if let Some(position) = state.in_flight.iter().position(|entry| entry.number == self.number)
        {
            state.in_flight.swap_remove(position);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::calls::{CONSUME, DECLARE_EXCHANGE, DECLARE_QUEUE, GET};
    use super::*;

    fn connection_close(code: u16, method: Option<MethodId>) -> ConnectionClose {
        ConnectionClose { code, text: "WORDS".into(), method }
    }

    fn error(calls: &CallsInFlight, id: ChannelId) -> &'static str {
        match calls.first_error(id, Error::disconnected("lost")) {
            Error::HardError { code: 503, reason } if reason == "WORDS" => "guilty",
            error if error.hard_close().is_some() => "suspect",
            Error::Disconnected { reason, source: None } if reason == "lost" => "lost",
            other => panic!("{other:?}"),
        }
    }

    /// Returns the roles of three channels: the first declares an exchange and has published, the
    /// second consumes and has published, the third declares a queue.
    fn errors_after(close: &ConnectionClose, published: [u64; 2]) -> [&'static str; 3] {
        let calls = CallsInFlight::default();
        let ids = [1, 2, 3].map(ChannelId);
        let done = calls.enter(ids[1], DECLARE_EXCHANGE);
        let started = [DECLARE_EXCHANGE, CONSUME, DECLARE_QUEUE].into_iter().zip(ids);
        let _in_flight: Vec<_> = started.map(|(call, id)| calls.enter(id, call)).collect();
        drop(done);
        calls.closed_by_broker(close, &[(ids[0], published[0]), (ids[1], published[1])]);
        ids.map(|id| error(&calls, id))
    }

    #[test]
    fn the_only_call_of_the_method_that_the_broker_names_is_guilty() {
        assert_eq!(
            errors_after(&connection_close(503, Some((40, 10))), [5, 5]),
            ["guilty", "lost", "lost"]
        );
        assert_eq!(
            errors_after(&connection_close(503, Some((60, 20))), [5, 5]),
            ["lost", "guilty", "lost"]
        );
        assert_eq!(
            errors_after(&connection_close(503, Some((50, 40))), [5, 5]),
            ["lost", "lost", "lost"]
        );
    }

    #[test]
    fn the_only_message_without_an_answer_is_guilty() {
        let over_a_message = connection_close(503, Some((60, 40)));
        assert_eq!(errors_after(&over_a_message, [0, 1]), ["lost", "guilty", "lost"]);
        assert_eq!(errors_after(&over_a_message, [0, 2]), ["lost", "suspect", "lost"]);
        assert_eq!(errors_after(&over_a_message, [1, 1]), ["suspect", "suspect", "lost"]);
        assert_eq!(errors_after(&over_a_message, [0, 0]), ["lost", "lost", "lost"]);
    }

    #[test]
    fn everything_is_suspect_if_the_broker_names_no_method() {
        assert_eq!(
            errors_after(&connection_close(541, None), [0, 0]),
            ["suspect", "suspect", "suspect"]
        );
        let calls = CallsInFlight::default();
        let (alone, idle) = (ChannelId(1), ChannelId(2));
        let _in_flight = calls.enter(alone, GET);
        calls.closed_by_broker(&connection_close(541, None), &[]);
        assert_eq!([alone, idle].map(|id| error(&calls, id)), ["suspect", "lost"]);
    }

    #[test]
    fn what_is_no_hard_error_is_a_plain_loss() {
        assert_eq!(errors_after(&connection_close(320, Some((40, 10))), [1, 1]), ["lost"; 3]);
        assert_eq!(errors_after(&connection_close(320, None), [1, 1]), ["lost"; 3]);
    }

    #[test]
    fn a_connection_that_this_program_closed_stays_closed() {
        let calls = CallsInFlight::default();
        let id = ChannelId(1);
        let _in_flight = calls.enter(id, GET);
        calls.closed_by_broker(&connection_close(503, Some((60, 70))), &[]);
        assert!(matches!(calls.first_error(id, Error::closed("connection")), Error::Closed { .. }));
    }
}
