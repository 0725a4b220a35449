//! The settings of sessions and of their consumers.

use std::sync::Arc;
use std::time::Duration;

use carrot_core::Headers;

/// The longest delay that a test can inject into an operation of a session.
pub(crate) const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// The settings of a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionSettings {
    /// The user whose id messages may have.
    pub user: Arc<str>,
    /// The name of the connection, by which a test cuts it. Defaults to the empty name.
    pub name: Arc<str>,
}

impl SessionSettings {
    /// Returns the settings of a user, without a name.
    pub fn new(user: &str) -> SessionSettings {
        SessionSettings { user: user.into(), name: "".into() }
    }

    /// Sets the name of the connection.
    #[must_use]
    pub fn with_name(self, name: &str) -> SessionSettings {
        SessionSettings { name: name.into(), ..self }
    }
}

/// The settings of a consumer.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ConsumeSettings {
    /// Whether the broker acknowledges each delivery when it is sent. Defaults to `false`.
    pub no_ack: bool,
    /// Whether the consumer must be the only one of its queue. Defaults to `false`.
    pub exclusive: bool,
    /// Additional arguments, such as `x-priority`. Defaults to none.
    pub arguments: Headers,
}

impl ConsumeSettings {
    /// Sets whether the broker acknowledges each delivery when it is sent.
    #[must_use]
    pub fn with_no_ack(self, no_ack: bool) -> ConsumeSettings {
        ConsumeSettings { no_ack, ..self }
    }

    /// Sets whether the consumer must be the only one of its queue.
    #[must_use]
    pub fn with_exclusive(self, exclusive: bool) -> ConsumeSettings {
        ConsumeSettings { exclusive, ..self }
    }

    /// Sets the additional arguments.
    #[must_use]
    pub fn with_arguments(self, arguments: Headers) -> ConsumeSettings {
        ConsumeSettings { arguments, ..self }
    }
}
