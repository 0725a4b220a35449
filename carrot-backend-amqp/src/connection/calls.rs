//! The calls that a channel makes, and the methods that they send.

/// The class and the number of a method.
pub(crate) type MethodId = (u16, u16);

pub(crate) const BASIC_PUBLISH: MethodId = (60, 40);

/// A round trip, and the methods that it sends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call {
    pub(crate) operation: &'static str,
    pub(crate) methods: &'static [MethodId],
}

impl Call {
    const fn new(operation: &'static str, methods: &'static [MethodId]) -> Call {
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
