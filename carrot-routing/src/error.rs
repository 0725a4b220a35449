//! The errors of a table.

use carrot_core::ExchangeKind;
use carrot_core::backend::Printable;

use crate::headers::InvalidMatch;

/// The longest part of a name that an error shows, in bytes: the longest name of AMQP 0-9-1.
const LONGEST_NAME: usize = 255;

/// The reason why a [`RoutingTable`](crate::RoutingTable) refuses a definition.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RoutingError {
    /// A binding names an exchange that is not in the table.
    #[error("no exchange {:?}", Printable::new(LONGEST_NAME, _0))]
    NoExchange(String),
    /// A binding names a queue that is not in the table.
    #[error("no queue {:?}", Printable::new(LONGEST_NAME, _0))]
    NoQueue(String),
    /// An exchange has a type that is no standard one.
    #[error(
        "exchange {:?} has the type {:?}, which is none of direct, fanout, topic and headers",
        Printable::new(LONGEST_NAME, exchange),
        Printable::new(LONGEST_NAME, kind)
    )]
    UnknownType {
        /// The name of the exchange.
        exchange: String,
        /// The type.
        kind: ExchangeKind,
    },
    /// The arguments of a binding are invalid for a headers exchange.
    #[error(transparent)]
    InvalidMatch(#[from] InvalidMatch),
}
