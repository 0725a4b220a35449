//! The class access of AMQP 0-8.

use crate::strings::ShortStr;

method_fields! {
    /// Requests access to a realm (`access.request`), which AMQP 0-9-1 no longer defines.
    ///
    /// RabbitMQ answers with ticket 1, for clients of AMQP 0-8.
    AccessRequest<'a> {
        /// The name of the realm.
        realm: ShortStr<'a>,
        /// Whether the client requests exclusive access.
        exclusive: bool,
        /// Whether the client requests passive access.
        passive: bool,
        /// Whether the client requests active access.
        active: bool,
        /// Whether the client requests write access.
        write: bool,
        /// Whether the client requests read access.
        read: bool,
    }

    /// Answers `access.request` (`access.request-ok`).
    AccessRequestOk {
        /// The ticket, which later methods repeat and no broker checks.
        ticket: u16,
    }
}
