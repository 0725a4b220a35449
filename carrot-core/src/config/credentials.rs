use crate::config::secret::Secret;

/// How the program proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Credentials {
    /// A user name and password (SASL PLAIN).
    Plain {
        /// The user name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// The client certificate (SASL EXTERNAL); the broker needs a plug-in for it.
    External,
}

impl Credentials {
    /// A user name and password.
    pub fn plain(user: impl Into<String>, password: impl Into<Secret>) -> Credentials {
        Credentials::Plain { user: user.into(), password: password.into() }
    }
}

impl Default for Credentials {
    /// User `guest` with password `guest`, which RabbitMQ accepts from its own machine only.
    fn default() -> Credentials {
        Credentials::plain("guest", "guest")
    }
}
