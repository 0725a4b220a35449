use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// A password, or another secret. Never displayed: `Debug` prints stars.
#[derive(Clone, PartialEq, Eq)]
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

/// Certificates or a key in PEM form.
#[derive(Clone, PartialEq, Eq)]
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
}

impl fmt::Debug for Pem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::File(path) => formatter.debug_tuple("File").field(path).finish(),
            Pem::Text(_) => formatter.write_str("Text(..)"),
        }
    }
}
