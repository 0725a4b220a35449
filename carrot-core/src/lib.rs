//! The portable half of Carrot, a blocking AMQP messaging library: publishers, consumers, and the contract with the drivers that carry
//! their messages.
//!
//! Programs use the crate `carrot`, which re-exports this one together with the drivers; drivers implement [`backend`].
//!
//! A [`Connection`] makes a [`Publisher`], which sends to an [`Exchange`], and a [`Consumer`], which owns a [`Queue`] and hands out each
//! [`Message`]; a [`Codec`] stands between values and bodies.

#[macro_use]
mod settings;

mod backlog;
mod batch;
mod codec;
mod config;
mod connection;
mod consumer;
mod consumer_builder;
mod deadline;
mod effects;
mod error;
mod failure;
mod guard;
mod handler;
mod hard_losses;
mod in_flight;
mod intake;
mod isolation;
mod line;
mod link;
mod message;
mod messages;
mod outgoing;
mod probation;
mod process;
mod properties;
mod publisher;
mod publisher_builder;
mod receipt;
mod reconnecting;
mod redial;
mod report;
mod sender;
mod session;
mod stop;
mod subscribed;
mod suspects;
mod topology;
mod trial;
mod value;
mod window;
mod within;
mod workers;

pub mod backend;
pub mod limits;
pub mod validate;

pub use backend::{Condition, Declared, IntoBody, Role};
pub use codec::{BodyReader, Codec, Codecs, Encodable, Format, FormatError};
pub use config::{ConnectionOptions, Credentials, Host, Pem, Scheme, Secret, TlsOptions};
pub use connection::Connection;
pub use consumer::Consumer;
pub use consumer_builder::{ConsumerBuilder, ConsumerDefinition};
pub use error::{Cause, Error, Result, Returned};
pub use failure::Retry;
pub use handler::{Handler, HandlerError, IntoHandlerError, IntoSettlement};
pub use message::{Death, Message, Settlement};
pub use messages::{Drain, Messages};
pub use outgoing::Outgoing;
pub use properties::{DeliveryMode, Properties};
pub use publisher::Publisher;
pub use publisher_builder::{PublisherBuilder, PublisherDefinition};
pub use receipt::Receipt;
pub use report::Report;
pub use stop::StopHandle;
pub use topology::{Binding, Destination, Exchange, ExchangeKind, Overflow, Queue};
pub use value::{Headers, Timestamp, Value};
pub use workers::{Workers, WorkersBuilder};
