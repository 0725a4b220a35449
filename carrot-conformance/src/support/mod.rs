//! Steps that many cases share.

mod stage;
mod steps;
mod taking;

use std::thread;
use std::time::{Duration, Instant};

pub(crate) use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete,
    DeleteIf, Delivery, DeliveryTag, Event, Extent, Outcome, Publication, PublishTag, QueueInfo,
    Rejection, Role, Subscription,
};
pub(crate) use carrot_core::{
    Binding, DeliveryMode, Error, Exchange, ExchangeKind, Headers, Overflow, Properties, Queue,
    Result, Value,
};

pub(crate) use crate::Harness;

pub(crate) use self::stage::{Stage, open, unique};
pub(crate) use self::steps::Steps;
pub(crate) use self::taking::Taking;

/// The longest wait for what has to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// How long to watch for what must not happen.
const QUIET: Duration = Duration::from_millis(100);
const PAUSE: Duration = Duration::from_millis(2);

pub(crate) fn body(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.content.body).into_owned()
}

pub(crate) fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Waits until a condition holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < until, "waited {DEADLINE:?} in vain for {what}");
        thread::sleep(PAUSE);
    }
}

/// Asserts that something gives an error of this kind.
macro_rules! assert_error {
    ($result:expr, $($kind:pat_param)|+ $(,)?) => {
        match $result {
            Err($($kind)|+) => {}
            other => panic!("{} was to give {}, and gave {other:?}", stringify!($result), stringify!($($kind)|+)),
        }
    };
}
pub(crate) use assert_error;
