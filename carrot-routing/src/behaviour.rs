//! The ways in which an exchange routes.

use carrot_core::{Exchange, ExchangeKind};

/// The way in which an exchange routes: one of the standard types.
///
/// The type of an exchange can also be one that a broker adds, which behaves as a standard one.
///
/// Defaults to [`Direct`](ExchangeBehaviour::Direct).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(clippy::exhaustive_enums, reason = "AMQP 0-9-1 has no other standard types")]
pub enum ExchangeBehaviour {
    /// To the targets that are bound with the routing key itself.
    #[default]
    Direct,
    /// To every target.
    Fanout,
    /// To the targets whose pattern matches the routing key.
    Topic,
    /// To the targets whose arguments match the headers.
    Headers,
}

impl ExchangeBehaviour {
    /// Returns the behaviour of a standard type; `None` for a type of another name.
    ///
    /// ```
    /// use carrot_core::ExchangeKind;
    /// use carrot_routing::ExchangeBehaviour;
    ///
    /// assert_eq!(ExchangeBehaviour::of(&ExchangeKind::Topic), Some(ExchangeBehaviour::Topic));
    /// assert_eq!(ExchangeBehaviour::of(&"x-random".into()), None);
    /// ```
    pub fn of(kind: &ExchangeKind) -> Option<ExchangeBehaviour> {
        match kind {
            ExchangeKind::Direct => Some(ExchangeBehaviour::Direct),
            ExchangeKind::Fanout => Some(ExchangeBehaviour::Fanout),
            ExchangeKind::Topic => Some(ExchangeBehaviour::Topic),
            ExchangeKind::Headers => Some(ExchangeBehaviour::Headers),
            _ => None,
        }
    }
}

/// Returns the exchanges that AMQP 0-9-1 demands of every broker, without the default exchange:
/// `amq.direct`, `amq.fanout`, `amq.topic`, `amq.headers` and `amq.match`.
///
/// They are durable.
pub fn standard_exchanges() -> [Exchange; 5] {
    [
        Exchange::direct("amq.direct"),
        Exchange::fanout("amq.fanout"),
        Exchange::topic("amq.topic"),
        Exchange::headers("amq.headers"),
        Exchange::headers("amq.match"),
    ]
}
