//! The fixture and the actions of the cases.
//!
//! The cases import all of this module, with the types of the contract.

mod actions;
mod fixture;
mod receiving;
mod waiting;

pub(crate) use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, ConsumeOptions, Content, Delete, DeleteIf, Delivery,
    DeliveryTag, Event, Extent, Outcome, Publication, PublishTag, QueueInfo, Rejection, Role,
    Subscription,
};
pub(crate) use carrot_core::{
    Binding, DeliveryMode, Error, Exchange, ExchangeKind, Headers, Overflow, Properties, Queue,
    Value,
};

pub(crate) use crate::harness::Harness;
pub(crate) use crate::release_answers::ReleaseAnswer;

pub(crate) use self::actions::ChannelActions;
pub(crate) use self::fixture::{CaseFixture, open, unique};
pub(crate) use self::receiving::Receiving;
pub(crate) use self::waiting::{DEADLINE, body, eventually, milliseconds, woken};

/// Asserts that a result is an error of this kind.
macro_rules! assert_error {
    ($result:expr, $($kind:pat_param)|+ $(,)?) => {
        match $result {
            Err($($kind)|+) => {}
            other => panic!("{}: expected {}, got {other:?}", stringify!($result), stringify!($($kind)|+)),
        }
    };
}
pub(crate) use assert_error;
