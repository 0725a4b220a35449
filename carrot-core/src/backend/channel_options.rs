#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// The purpose of a channel.
///
/// A backend may keep a connection for each role. An exclusive queue then belongs to the connection
/// of one role, and the other role fails with [`Error::ResourceLocked`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Mainly to publish. A broker under an alarm stops reading from connections that publish, so
    /// they are kept apart.
    Publish,
    /// Mainly to consume.
    Consume,
}

impl std::fmt::Display for Role {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Role::Publish => "publish",
            Role::Consume => "consume",
        })
    }
}

/// The options of a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// The purpose of the channel. Every method works in either role.
    pub role: Role,
    /// Whether the broker confirms each message published on the channel. Without confirms,
    /// `confirm` fails with [`Error::Invalid`].
    pub confirms: bool,
    /// The number of bytes that may wait on the channel for [`Subscription::next`]; `None` for a
    /// channel whose consumers have a prefetch. For consumers with automatic acknowledgement, which
    /// no broker limits.
    ///
    /// A backend that receives what it cannot refuse opens a connection for the channel, and stops
    /// reading from the connection while more waits. Calls on the channel still get their answers.
    /// A backend whose broker is in the same process ignores the number.
    ///
    /// [`Subscription::next`]: crate::backend::Subscription::next
    pub max_waiting_bytes: Option<u64>,
}

impl ChannelOptions {
    /// Returns the options of a channel to publish on, with confirms.
    pub fn publish() -> ChannelOptions {
        ChannelOptions { role: Role::Publish, confirms: true, max_waiting_bytes: None }
    }

    /// Returns the options of a channel to consume on, without confirms.
    pub fn consume() -> ChannelOptions {
        ChannelOptions { role: Role::Consume, confirms: false, max_waiting_bytes: None }
    }

    /// Disables confirms.
    #[must_use]
    pub fn without_confirms(mut self) -> ChannelOptions {
        self.confirms = false;
        self
    }

    /// Limits the bytes that may wait on the channel.
    #[must_use]
    pub fn with_max_waiting_bytes(mut self, bytes: u64) -> ChannelOptions {
        self.max_waiting_bytes = Some(bytes);
        self
    }

    /// Removes the limit of the bytes that may wait on the channel.
    #[must_use]
    pub fn without_max_waiting_bytes(mut self) -> ChannelOptions {
        self.max_waiting_bytes = None;
        self
    }

    /// Enables confirms.
    #[must_use]
    pub fn with_confirms(mut self) -> ChannelOptions {
        self.confirms = true;
        self
    }
}
