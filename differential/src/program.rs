//! What a random program consists of: plain data that can be generated, shrunk, printed and kept.
//!
//! Names are slots of small pools, so that the operations of a program meet each other. What a slot is called at the broker is up to
//! [`Names`](crate::names::Names).

use serde::{Deserialize, Serialize};

use crate::open::SHORTLY;

/// A sequence of operations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Program {
    /// In the order in which they are done.
    pub operations: Vec<Operation>,
}

impl Program {
    /// Whether anything in it is set to happen [`SHORTLY`].
    pub fn is_timed(&self) -> bool {
        let shortly = i64::try_from(SHORTLY.as_millis()).unwrap_or(i64::MAX);
        self.operations.iter().any(|operation| match &operation.action {
            Action::DeclareQueue(queue) => queue.arguments.iter().any(|(name, value)| {
                (name == "x-message-ttl" || name == "x-expires") && *value == Data::I64(shortly)
            }),
            Action::Publish(publish) => publish
                .properties
                .expiration
                .as_ref()
                .is_some_and(|expiration| *expiration == shortly.to_string()),
            _ => false,
        })
    }
}

/// How many channel slots there are.
pub const CHANNELS: u8 = 4;
/// How many connection slots there are.
pub const CONNECTIONS: usize = 2;
/// The slot of the channel that is opened without confirms.
pub const UNCONFIRMED: u8 = 2;

/// The connection slot of a channel slot.
pub fn connection_of(channel: u8) -> usize {
    usize::from(channel == CHANNELS - 1)
}

/// One action on one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operation {
    /// The slot of the channel: 0 to 2 on the first connection, 3 on the second; 2 has no confirms. It is opened when it is first used.
    #[serde(rename = "on", default, skip_serializing_if = "is_zero")]
    pub channel: u8,
    /// What to do if the channel is known to be dead: try all the same, or open another one first.
    #[serde(default, skip_serializing_if = "is_false")]
    pub even_if_dead: bool,
    /// What to do.
    #[serde(rename = "do")]
    pub action: Action,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Declares an exchange.
    DeclareExchange(ExchangeSpec),
    /// Declares a queue.
    DeclareQueue(QueueSpec),
    /// Binds.
    Bind(BindingSpec),
    /// Unbinds.
    Unbind(BindingSpec),
    /// Deletes an exchange.
    DeleteExchange {
        /// Which.
        name: ExchangeName,
        /// Only if it is unused.
        #[serde(default, skip_serializing_if = "is_false")]
        if_unused: bool,
    },
    /// Deletes a queue.
    DeleteQueue {
        /// Which.
        name: QueueName,
        /// Only if it has no consumer.
        #[serde(default, skip_serializing_if = "is_false")]
        if_unused: bool,
        /// Only if it has no ready message.
        #[serde(default, skip_serializing_if = "is_false")]
        if_empty: bool,
    },
    /// Purges a queue.
    Purge(QueueName),
    /// Publishes.
    Publish(PublishSpec),
    /// Asks for every confirm that the channel still owes.
    Confirm,
    /// Gets a message.
    Get {
        /// From which queue.
        queue: QueueName,
        /// Without acknowledgement.
        #[serde(default, skip_serializing_if = "is_false")]
        automatic: bool,
    },
    /// Starts a consumer.
    Consume(ConsumeSpec),
    /// Takes deliveries of a lazy consumer.
    Take {
        /// Which of the live subscriptions, modulo their number.
        subscription: u8,
        /// How many at most.
        most: u8,
    },
    /// Cancels a consumer.
    Cancel {
        /// Which of the live subscriptions, modulo their number.
        subscription: u8,
    },
    /// Drops a subscription.
    DropSubscription {
        /// Which of the live subscriptions, modulo their number.
        subscription: u8,
    },
    /// Acknowledges.
    Ack {
        /// What.
        delivery: Pick,
        /// And every delivery before.
        #[serde(default, skip_serializing_if = "is_false")]
        multiple: bool,
    },
    /// Rejects.
    Reject {
        /// What.
        delivery: Pick,
        /// Back to the queue.
        #[serde(default, skip_serializing_if = "is_false")]
        requeue: bool,
        /// And every delivery before.
        #[serde(default, skip_serializing_if = "is_false")]
        multiple: bool,
    },
    /// Closes the channel.
    CloseChannel,
    /// Drops the channel and its subscriptions.
    DropChannel,
    /// Closes the connection of the channel.
    CloseConnection,
    /// Lets so much time pass that everything that is due shortly happens.
    Wait,
}

/// The name of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueName {
    /// One of the pool.
    #[serde(rename = "q")]
    Slot(u8),
    /// One of those that are there, modulo their number.
    #[serde(rename = "known_q")]
    Known(u8),
    /// One that the broker named: the n-th last.
    Server(u8),
    /// Empty: to be named by the broker, or the one last declared on the channel.
    Empty,
    /// One that begins with `amq.`.
    Reserved,
    /// The pseudo-queue of direct answers, `amq.rabbitmq.reply-to`.
    ReplyTo,
    /// Over 255 bytes.
    TooLong,
}

/// The name of an exchange.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeName {
    /// One of the pool.
    #[serde(rename = "x")]
    Slot(u8),
    /// One of those that were declared, modulo their number.
    #[serde(rename = "known_x")]
    Known(u8),
    /// The default exchange.
    Default,
    /// A predeclared one, such as `amq.topic`.
    Amq(String),
    /// Over 255 bytes.
    TooLong,
}

/// A routing key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// As it is.
    #[serde(rename = "k")]
    Words(String),
    /// The name of a queue.
    Queue(QueueName),
    /// Where the message that was last seen with a direct way to answer wants its answer.
    Answer,
    /// Over 255 bytes.
    TooLong,
}

/// A value of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "named after the variants of carrot_core::Value")]
pub enum Data {
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
    Decimal(u8, u32),
    String(String),
    Bytes(Vec<u8>),
    Timestamp(u64),
    Array(Vec<Data>),
    Table(Table),
    /// The name of a queue, as a string.
    QueueName(QueueName),
    /// The name of an exchange, as a string.
    ExchangeName(ExchangeName),
}

/// Named values.
pub type Table = Vec<(String, Data)>;

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

/// Where a binding leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// To a queue.
    Queue(QueueName),
    /// To an exchange.
    Exchange(ExchangeName),
}

/// A binding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "as the fields of carrot_core::Binding")]
pub struct BindingSpec {
    pub from: ExchangeName,
    pub to: Target,
    pub key: Key,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Table,
}

/// A message to publish. Its body is its number in the program, and padding.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PublishSpec {
    /// To which exchange.
    pub exchange: ExchangeName,
    /// With which routing key.
    pub key: Key,
    /// Whether it is to be returned if nothing takes it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub mandatory: bool,
    /// Whether its confirm is left to [`Action::Confirm`].
    #[serde(default, skip_serializing_if = "is_false")]
    pub confirm_later: bool,
    /// How many bytes of padding the body has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub padding: u8,
    /// Its properties.
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
    /// Content type, content encoding, correlation id, message id, type, app id, cluster id, reply-to and timestamp, or none of them.
    #[serde(skip_serializing_if = "is_false")]
    pub descriptive: bool,
    /// Whether it asks for a direct answer.
    #[serde(skip_serializing_if = "is_false")]
    pub answer_here: bool,
}

impl PropertiesSpec {
    fn is_empty(&self) -> bool {
        *self == PropertiesSpec::default()
    }
}

/// A consumer to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConsumeSpec {
    /// On which queue.
    pub queue: QueueName,
    /// Its prefetch.
    #[serde(default, skip_serializing_if = "is_zero_u16")]
    pub prefetch: u16,
    /// Whether it takes without acknowledgement.
    #[serde(default, skip_serializing_if = "is_false")]
    pub automatic: bool,
    /// Whether it is to be the only one.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    /// Whether its deliveries are only taken by [`Action::Take`], and not as soon as they arrive.
    #[serde(default, skip_serializing_if = "is_false")]
    pub lazy: bool,
    /// Further arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Table,
}

/// Which delivery to settle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// One of those that the channel handed out and nobody settled, modulo their number, the oldest first; if it has none, of the next
    /// channel that has some.
    Unsettled(u8),
    /// One of those that the channel handed out and that were settled.
    Settled(u8),
    /// Tag zero.
    Zero,
    /// A tag that was never given.
    Unknown,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_false(value: &bool) -> bool {
    !value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero(value: &u8) -> bool {
    *value == 0
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_zero_u16(value: &u16) -> bool {
    *value == 0
}
