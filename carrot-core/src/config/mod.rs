//! Connection options, as plain data.

mod credentials;
mod display;
mod environment;
mod host;
mod options;
mod scheme;
mod secret;
mod tls;
mod url;
mod validate;

pub use credentials::Credentials;
pub use host::Host;
pub use options::ConnectionOptions;
pub use scheme::Scheme;
pub use secret::{Pem, Secret};
pub use tls::TlsOptions;
