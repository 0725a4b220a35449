//! The calls that a channel makes, and the methods that they send.

/// The class and the number of a method.
pub(crate) type MethodId = (u16, u16);

pub(crate) const BASIC_PUBLISH: MethodId = (60, 40);

/// A round trip: the methods that it sends, and the answers that it waits for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) methods: &'static [MethodId],
    /// The answers that come first, to methods that were sent in the same write.
    pub(crate) first_answers: &'static [MethodId],
    /// The answers that end the call.
    pub(crate) last_answers: &'static [MethodId],
}

impl Call {
    const fn new(
        operation: &'static str,
        methods: &'static [MethodId],
        last_answers: &'static [MethodId],
    ) -> Call {
        Call { operation, methods, first_answers: &[], last_answers }
    }
}

pub(crate) const OPEN_CHANNEL: Call =
    Call::new("opening a channel", &[(20, 10), (85, 10)], &[(20, 11)]);
pub(crate) const OPEN_CONFIRMING_CHANNEL: Call =
    Call { first_answers: &[(20, 11)], last_answers: &[(85, 11)], ..OPEN_CHANNEL };
pub(crate) const CHECK_EXCHANGE: Call = Call::new("checking an exchange", &[(40, 10)], &[(40, 11)]);
pub(crate) const DECLARE_EXCHANGE: Call =
    Call::new("declaring an exchange", &[(40, 10)], &[(40, 11)]);
pub(crate) const DELETE_EXCHANGE: Call =
    Call::new("deleting an exchange", &[(40, 20)], &[(40, 21)]);
pub(crate) const DECLARE_QUEUE: Call = Call::new("declaring a queue", &[(50, 10)], &[(50, 11)]);
pub(crate) const BIND_QUEUE: Call = Call::new("binding", &[(50, 20)], &[(50, 21)]);
pub(crate) const BIND_EXCHANGE: Call = Call::new("binding", &[(40, 30)], &[(40, 31)]);
pub(crate) const UNBIND_QUEUE: Call = Call::new("unbinding", &[(50, 50)], &[(50, 51)]);
pub(crate) const UNBIND_EXCHANGE: Call = Call::new("unbinding", &[(40, 40)], &[(40, 51)]);
pub(crate) const PURGE_QUEUE: Call = Call::new("purging a queue", &[(50, 30)], &[(50, 31)]);
pub(crate) const DELETE_QUEUE: Call = Call::new("deleting a queue", &[(50, 40)], &[(50, 41)]);
pub(crate) const GET: Call = Call::new("getting a message", &[(60, 70)], &[(60, 71), (60, 72)]);
pub(crate) const CONSUME: Call = Call {
    first_answers: &[(60, 11)],
    ..Call::new("starting a consumer", &[(60, 10), (60, 20)], &[(60, 21)])
};
pub(crate) const CANCEL: Call = Call::new("cancelling a consumer", &[(60, 30)], &[(60, 31)]);
