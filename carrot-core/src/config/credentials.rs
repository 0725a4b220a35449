use crate::config::secret::Secret;

/// The credentials of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// A user name and password (SASL PLAIN).
    Plain {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The client certificate (SASL EXTERNAL). The broker needs a plug-in for it.
    External,
}

impl Credentials {
    /// Creates credentials with a user name and password.
    pub fn plain(user: impl Into<String>, password: impl Into<Secret>) -> Credentials {
        Credentials::Plain { user: user.into(), password: password.into() }
    }
}

impl Default for Credentials {
    /// Returns user `guest` with password `guest`, which RabbitMQ accepts from its own machine
    /// only.
    fn default() -> Credentials {
        Credentials::plain("guest", "guest")
    }
}
