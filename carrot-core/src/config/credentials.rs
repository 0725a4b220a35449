use std::time::Duration;

use serde::ser::{Error as _, SerializeStruct};
use serde::{Deserialize, Serialize, Serializer};

use crate::config::credentials_provider::CredentialsProvider;
use crate::config::given::Given;
use crate::config::secret::Secret;
use crate::error::{Error, Result};

/// The credentials of a client.
///
/// Serialized as a table with the field `user`, or as `"external"`. The password is never
/// serialized. Deserialized from the same, with the field `password`. A missing password is
/// refused, and never replaced by the empty password. Serializing a provider fails.
///
/// ```
/// use carrot::config::Credentials;
///
/// let read: Credentials = serde_json::from_str(r#"{"user": "shop", "password": "s3cret"}"#)?;
/// assert_eq!(read, Credentials::plain("shop", "s3cret"));
/// assert_eq!(serde_json::to_string(&read)?, r#"{"user":"shop"}"#);
/// assert!(serde_json::from_str::<Credentials>(r#"{"user":"shop"}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Given")]
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
    /// A function of the program that provides a user name and a password at each connect (SASL
    /// PLAIN).
    Provider(CredentialsProvider),
}

impl Credentials {
    /// Creates credentials with a user name and password.
    pub fn plain(user: impl Into<String>, password: impl Into<Secret>) -> Credentials {
        Credentials::Plain { user: user.into(), password: password.into() }
    }

    /// Returns the credentials for one connection: those of the provider, or these. For backends,
    /// which call this at each connect.
    ///
    /// `endpoint` is the address that an error names. Blocks while the provider runs, at most for
    /// `timeout`. Without a provider, does not block.
    ///
    /// # Errors
    /// - [`Error::Connect`]: the provider failed or panicked, or returned invalid credentials.
    /// - [`Error::Timeout`]: the provider did not return in time. Its thread continues.
    pub fn resolve(&self, endpoint: &str, timeout: Duration) -> Result<Credentials> {
        match self {
            Credentials::Provider(provider) => {
                let (user, password) = provider.provide(endpoint, timeout)?;
                Ok(Credentials::plain(user, password))
            }
            given @ (Credentials::Plain { .. } | Credentials::External) => Ok(given.clone()),
        }
    }
}

impl Default for Credentials {
    /// Returns user `guest` with password `guest`, which RabbitMQ accepts from its own machine
    /// only.
    fn default() -> Credentials {
        Credentials::plain("guest", "guest")
    }
}

const EXTERNAL: &str = "external";

impl Serialize for Credentials {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Credentials::Plain { user, password: _ } => {
                let mut fields = serializer.serialize_struct("Credentials", 1)?;
                fields.serialize_field("user", user)?;
                fields.end()
            }
            Credentials::External => serializer.serialize_str(EXTERNAL),
            Credentials::Provider(_) => Err(S::Error::custom(
                "a credentials provider is a function of the program, which is not serialized",
            )),
        }
    }
}

impl TryFrom<Given> for Credentials {
    type Error = Error;

    fn try_from(given: Given) -> Result<Credentials> {
        if matches!(&given, Given::Text(text) if text == EXTERNAL) {
            return Ok(Credentials::External);
        }
        let mut fields = given.fields(
            "credentials",
            &["user", "password"],
            "must be a table with user and password, or the string external",
        )?;
        let user = fields.require("user", Given::text)?;
        let password = fields.read("password", Given::text)?.ok_or_else(|| {
            Error::config("password", "is missing; a password is never serialized with its user")
        })?;
        Ok(Credentials::plain(user, password))
    }
}
