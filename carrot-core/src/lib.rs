//! The portable half of Carrot.
mod error;
mod properties;
mod topology;
mod value;

pub mod backend;
pub mod validate;

pub use error::{Cause, Error, Result, Returned};
pub use properties::{DeliveryMode, Properties};
pub use topology::{Binding, Destination, Exchange, ExchangeKind, Overflow, Queue};
pub use value::{Headers, Value};

mod config;
pub use config::{ConnectionOptions, Credentials, Host, Pem, Scheme, Secret, TlsOptions};

mod codec;
pub use codec::{BodyReader, Codec, Codecs, Encodable, Format, FormatError};
