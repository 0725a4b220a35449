//! The portable half of Carrot, a blocking AMQP messaging library.
//!
//! Contains publishers, consumers, codecs and options, and the contract of the drivers in
//! [`backend`]. Programs use the crate `carrot`, which re-exports this crate together with the
//! drivers.
//!
//! Three types carry the messages. A [`Connection`] opens publishers and consumers. A [`Publisher`]
//! sends to an [`Exchange`]. A [`Consumer`] receives each [`Message`] of a [`Queue`]. A
//! [`Codec`] converts values to bodies and back.

#![warn(clippy::exhaustive_enums, clippy::exhaustive_structs)]

mod call;
mod codec;
mod config;
mod connection;
mod consumer;
mod deadline;
mod error;
mod escaping;
mod layers;
mod model;
mod panic_guard;
mod publish_layer;
mod publisher;
mod recovery;
mod statistics;
mod topology;
mod waiting_queues;

pub mod backend;

pub use backend::{IntoBody, Role};

pub use call::answer::Answer;
pub use call::caller::Caller;
pub use call::definition::CallerDefinition;
pub use call::remote_error::{IntoRemoteError, RemoteError};
pub use call::request_builder::RequestBuilder;
pub use codec::{BodyReader, Codec, Codecs, Compression, Encodable, Format, FormatError};
pub use config::{
    ConnectionOptions, Credentials, CredentialsProvider, Host, Pem, RabbitMqRelease, Scheme,
    Secret, TlsIdentity, TlsOptions,
};
pub use connection::Connection;
pub use consumer::Consumer;
pub use consumer::batches::batch::Batch;
pub use consumer::batches::builder::BatchWorkersBuilder;
pub use consumer::batches::iter::Batches;
pub use consumer::batches::settlement::{BatchSettlement, IntoBatchSettlement};
pub use consumer::death::Death;
pub use consumer::definition::ConsumerDefinition;
pub use consumer::failure::Retry;
pub use consumer::handled::Handled;
pub use consumer::handler::{Handler, IntoSettlement};
pub use consumer::handler_error::{HandlerError, IntoHandlerError};
pub use consumer::iter::{FetchAll, Messages};
pub use consumer::layer::{HandleLayer, Next, SettledMessage, Treatment};
pub use consumer::message::Message;
pub use consumer::ordered::builder::OrderedWorkersBuilder;
pub use consumer::report::Report;
pub use consumer::router::Router;
pub use consumer::settlement::Settlement;
pub use consumer::stop::StopHandle;
pub use consumer::stream_offset::StreamOffset;
pub use consumer::workers::Workers;
pub use consumer::workers_builder::WorkersBuilder;
pub use error::{Cause, Error, Result, Returned};
pub use layers::deduplicate::Deduplicate;
pub use layers::id_store::{Claim, IdStore};
pub use layers::log_messages::LogMessages;
pub use layers::memory_ids::MemoryIds;
#[cfg(feature = "metrics")]
pub use layers::metrics::Metrics;
#[cfg(feature = "opentelemetry")]
pub use layers::open_telemetry::OpenTelemetry;
pub use layers::rate_limit::RateLimit;
pub use layers::slow_handlers::SlowHandlers;
#[cfg(feature = "tracing")]
pub use layers::spans::Spans;
pub use layers::trace_context::TraceContext;
pub use layers::trace_parent::TraceParent;
pub use model::{
    Binding, DelayedRetry, DeleteIf, DeliveryMode, Destination, Exchange, ExchangeKind, Headers,
    LeaderLocator, Overflow, Properties, Queue, QueueInfo, Timestamp, Value,
};
pub use publish_layer::layer::PublishLayer;
pub use publish_layer::outgoing::{OutgoingMessage, SentMessage};
pub use publisher::Publisher;
pub use publisher::batch::SendProgress;
pub use publisher::confirmation::Confirmation;
pub use publisher::definition::PublisherDefinition;
pub use publisher::message_builder::MessageBuilder;
pub use statistics::health::{Health, RoleHealth, WorkerHealth};
pub use statistics::{
    ConnectingStatistics, ConsumingStatistics, PublishingStatistics, RoleStatistics, Statistics,
};
pub use topology::{Difference, DifferenceKind, Topology, TopologyCheck};
