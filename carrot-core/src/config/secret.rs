use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};

use crate::config::given::Given;
use crate::error::{Error, Result};

/// A password, or another secret. Never displayed: `Debug` prints stars.
///
/// Deserialized from a string, and never serialized. The error about any other value does not
/// repeat the value.
///
/// ```
/// use carrot::config::Secret;
///
/// let password: Secret = serde_json::from_str(r#""s3cret""#)?;
/// assert_eq!(password.reveal(), "s3cret");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Given")]
pub struct Secret(Arc<str>);

impl Secret {
    /// Wraps a secret.
    pub fn new(secret: impl Into<Arc<str>>) -> Secret {
        Secret(secret.into())
    }

    /// Returns the secret, for the driver that sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl From<&str> for Secret {
    fn from(secret: &str) -> Secret {
        Secret::new(secret)
    }
}

impl From<String> for Secret {
    fn from(secret: String) -> Secret {
        Secret::new(secret)
    }
}

impl From<&String> for Secret {
    fn from(secret: &String) -> Secret {
        Secret::new(secret.as_str())
    }
}

impl TryFrom<Given> for Secret {
    type Error = Error;

    fn try_from(given: Given) -> Result<Secret> {
        given.text("secret").map(Secret::from)
    }
}

/// Certificates or a key in PEM form.
///
/// Serialized as the path of the file. Serializing PEM text fails, because the text may be a key.
/// Deserialized from the path of a file, or from a table with the field `text`.
///
/// ```
/// use carrot::config::Pem;
///
/// let file: Pem = serde_json::from_str(r#""/etc/shop/ca.pem""#)?;
/// assert_eq!(file, Pem::file("/etc/shop/ca.pem"));
/// let text: Pem = serde_json::from_str(r#"{"text": "-----BEGIN CERTIFICATE-----"}"#)?;
/// assert_eq!(text, Pem::text("-----BEGIN CERTIFICATE-----"));
/// assert!(serde_json::to_string(&text).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Given")]
#[allow(clippy::exhaustive_enums, reason = "PEM is read from a file or given as text")]
pub enum Pem {
    /// A file, read at each connect.
    File(PathBuf),
    /// Text in memory.
    Text(Secret),
}

impl Pem {
    /// Returns PEM in a file. The file is read at each connect, so a renewed certificate is used.
    pub fn file(path: impl Into<PathBuf>) -> Pem {
        Pem::File(path.into())
    }

    /// Returns PEM in memory: the text, with its `-----BEGIN` lines.
    pub fn text(pem: impl Into<Secret>) -> Pem {
        Pem::Text(pem.into())
    }

    pub(super) fn read(given: Given, field: &'static str) -> Result<Pem> {
        match given {
            // Opening a file of that name would fail with an error that shows the key.
            Given::Text(text) if text.contains("-----BEGIN") => {
                Err(Error::config(field, "must hold PEM text in a table, as the field text"))
            }
            Given::Text(path) => Ok(Pem::file(path)),
            given => {
                let otherwise = "must be the path of a file, or a table with the field text";
                let mut fields = given.fields(field, &["text"], otherwise)?;
                fields.require("text", Given::text).map(Pem::text)
            }
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Pem::Text(_) => formatter.write_str("Text(..)"),
        }
    }
}

impl Serialize for Pem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Pem::File(path) => path.serialize(serializer),
            Pem::Text(_) => Err(S::Error::custom(
                "PEM text is not serialized, because the text may be a key; use a file",
            )),
        }
    }
}

impl TryFrom<Given> for Pem {
    type Error = Error;

    fn try_from(given: Given) -> Result<Pem> {
        Pem::read(given, "PEM")
    }
}
