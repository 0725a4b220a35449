//! The methods of AMQP 0-9-1 as RabbitMQ implements them, each a struct of its fields.

#[macro_use]
mod macros;

mod access;
mod basic;
mod channel;
mod confirm;
mod connection;
mod exchange;
mod method;
mod method_fields;
mod queue;
#[cfg(test)]
mod tests;

pub use access::{AccessRequest, AccessRequestOk};
pub use basic::{
    BasicAck, BasicCancel, BasicCancelOk, BasicConsume, BasicConsumeOk, BasicDeliver, BasicGet,
    BasicGetEmpty, BasicGetOk, BasicNack, BasicPublish, BasicQos, BasicRecover, BasicRecoverAsync,
    BasicReject, BasicReturn,
};
pub use channel::{ChannelClose, ChannelFlow, ChannelFlowOk, ChannelOpen, ChannelOpenOk};
pub use confirm::ConfirmSelect;
pub use connection::{
    ConnectionBlocked, ConnectionClose, ConnectionOpen, ConnectionOpenOk, ConnectionSecure,
    ConnectionSecureOk, ConnectionStart, ConnectionStartOk, ConnectionTune, ConnectionTuneOk,
    ConnectionUpdateSecret,
};
pub use exchange::{ExchangeBind, ExchangeDeclare, ExchangeDelete, ExchangeUnbind};
pub use method::Method;
pub use queue::{
    QueueBind, QueueDeclare, QueueDeclareOk, QueueDelete, QueueDeleteOk, QueuePurge, QueuePurgeOk,
    QueueUnbind,
};
