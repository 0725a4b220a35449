//! Connection options, as plain data.

mod credentials;
mod credentials_provider;
mod display;
mod environment;
pub(crate) mod given;
mod host;
mod host_serde;
mod options;
mod options_serde;
mod rabbitmq_release;
mod scheme;
pub(crate) mod seconds;
mod secret;
mod strings;
mod tls;
mod url;
mod validate;

pub use credentials::Credentials;
pub use credentials_provider::CredentialsProvider;
pub use host::Host;
pub use options::ConnectionOptions;
pub use rabbitmq_release::RabbitMqRelease;
pub use scheme::Scheme;
pub use secret::{Pem, Secret};
pub use tls::{TlsIdentity, TlsOptions};
