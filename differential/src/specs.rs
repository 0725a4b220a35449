//! The names, values, entities and messages of a program.

use serde::{Deserialize, Serialize};

/// The name of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueName {
    /// A queue of the pool.
    #[serde(rename = "q")]
    Slot(u8),
    /// A queue that exists, modulo their number.
    #[serde(rename = "known_q")]
    Known(u8),
    /// A queue that the broker has named, counted from the last.
    Server(u8),
    /// The empty name: for a declaration a name from the broker, otherwise the last queue declared
    /// on the channel.
    Empty,
    /// A name that begins with `amq.`.
    Reserved,
    /// The pseudo-queue of direct reply-to, `amq.rabbitmq.reply-to`.
    ReplyTo,
    /// A name of more than 255 bytes.
    TooLong,
}

/// The name of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeName {
    /// An exchange of the pool.
    #[serde(rename = "x")]
    Slot(u8),
    /// An exchange that was declared, modulo their number.
    #[serde(rename = "known_x")]
    Known(u8),
    /// The default exchange.
    Default,
    /// A predeclared exchange, such as `amq.topic`.
    Amq(String),
    /// A name of more than 255 bytes.
    TooLong,
}

/// A routing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// A literal routing key.
    #[serde(rename = "k")]
    Words(String),
    /// The name of a queue.
    Queue(QueueName),
    /// The reply address of the last message with a direct reply-to address.
    #[serde(rename = "answer")]
    ReplyAddress,
    /// A name of more than 255 bytes.
    TooLong,
}

/// A value of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "named after the variants of carrot_core::Value")]
pub enum TableValue {
    Void,
    Bool(bool),
    I8(i8),
    U8(u8),
    I16(i16),
    U16(u16),
    I32(i32),
    U32(u32),
    I64(i64),
    F32(f32),
    F64(f64),
    Decimal(u8, i32),
    String(String),
    Bytes(Vec<u8>),
    Timestamp(u64),
    Array(Vec<TableValue>),
    Table(Table),
    /// The name of a queue, as a string.
    QueueName(QueueName),
    /// The name of an exchange, as a string.
    ExchangeName(ExchangeName),
}

/// Named values.
pub type Table = Vec<(String, TableValue)>;

/// An exchange to declare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the fields of carrot_core::Exchange")]
pub struct ExchangeSpec {
    pub name: ExchangeName,
    pub kind: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub transient: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_delete: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub internal: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub passive: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Table,
}

/// A queue to declare.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the fields of carrot_core::Queue")]
pub struct QueueSpec {
    pub name: QueueName,
    #[serde(default, skip_serializing_if = "is_false")]
    pub transient: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub auto_delete: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub passive: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Table,
}

/// The destination of a binding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BindingTargetSpec {
    /// A queue.
    Queue(QueueName),
    /// An exchange.
    Exchange(ExchangeName),
}

/// A binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the fields of carrot_core::Binding")]
pub struct BindingSpec {
    pub from: ExchangeName,
    pub to: BindingTargetSpec,
    pub key: Key,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Table,
}

/// A message to publish. The body consists of the number of the message in the program, and
/// padding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishSpec {
    /// The exchange.
    pub exchange: ExchangeName,
    /// The routing key.
    pub key: Key,
    /// Whether the broker has to return the message if it cannot be routed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mandatory: bool,
    /// Whether a later [`ProgramAction::Confirm`](crate::program::ProgramAction::Confirm) waits for
    /// the confirm.
    #[serde(default, skip_serializing_if = "is_false")]
    pub confirm_later: bool,
    /// The size of the padding, in bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub padding: u8,
    /// The properties.
    #[serde(default, skip_serializing_if = "PropertiesSpec::is_empty")]
    pub properties: PropertiesSpec,
}

/// The properties of a message.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "as the properties of carrot_core::Properties")]
pub struct PropertiesSpec {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery_mode: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers: Option<Table>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Whether to set content type, content encoding, correlation id, message id, type, app id,
    /// cluster id, reply-to and timestamp.
    #[serde(skip_serializing_if = "is_false")]
    pub descriptive: bool,
    /// Whether the message requests a direct reply.
    #[serde(rename = "answer_here", skip_serializing_if = "is_false")]
    pub reply_here: bool,
}

impl PropertiesSpec {
    fn is_empty(&self) -> bool {
        *self == PropertiesSpec::default()
    }
}

/// A consumer to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumeSpec {
    /// The queue.
    pub queue: QueueName,
    /// The prefetch.
    #[serde(default, skip_serializing_if = "is_zero_u16")]
    pub prefetch: u16,
    /// Whether the broker acknowledges automatically.
    #[serde(default, skip_serializing_if = "is_false")]
    pub automatic: bool,
    /// Whether the consumer is exclusive.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    /// Whether only [`ProgramAction::Take`](crate::program::ProgramAction::Take) receives the
    /// deliveries. Otherwise the run receives them as soon as they arrive.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lazy: bool,
    /// The arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Table,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
pub(crate) fn is_zero(value: &u8) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde requires this signature")]
fn is_zero_u16(value: &u16) -> bool {
    *value == 0
}
