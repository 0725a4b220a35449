use std::fmt;

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// An optional capability of a broker.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Feature {
            $($(#[$doc])* $name,)*
        }

        impl Feature {
            /// All features, in the order of this list.
            pub const ALL: &'static [Feature] = &[$(Feature::$name,)*];

            /// Returns a short description, such as `dead letters`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Feature::$name => $text,)*
                }
            }
        }
    };
}

features! {
    /// Direct and fanout exchanges, and bindings of queues to them. A backend with another feature
    /// of exchanges has this one too.
    Exchanges => "exchanges and bindings",
    /// Topic exchanges.
    TopicExchange => "topic exchange",
    /// Headers exchanges.
    HeadersExchange => "headers exchange",
    /// Bindings from one exchange to another.
    ExchangeToExchange => "exchange-to-exchange bindings",
    /// The `alternate-exchange` argument.
    AlternateExchange => "alternate exchange",
    /// Exchanges that the broker deletes with their last binding.
    AutoDeleteExchanges => "auto-delete exchanges",
    /// Exchanges that are declared transient, and deleted by a restart. Without it, a transient
    /// exchange is kept.
    TransientExchanges => "transient exchanges",
    /// Exchanges that refuse messages of publishers.
    InternalExchange => "internal exchange",
    /// The `CC` and `BCC` headers.
    SenderSelectedRouting => "CC and BCC headers",
    /// The predeclared exchanges `amq.direct`, `amq.fanout`, `amq.topic` and `amq.headers`.
    PredeclaredExchanges => "predeclared exchanges",
    /// The refusal of names that start with `amq.`.
    ReservedNames => "reserved names",
    /// Returns of mandatory messages that cannot be routed.
    Returns => "returns",
    /// Queues that are declared transient, which differ from durable ones.
    TransientQueues => "transient queues",
    /// The number of consumers of a queue, in its declaration.
    ConsumerCounts => "consumer counts",
    /// The return of a requeued message to its old place, behind earlier messages. Without it, the
    /// message returns to the head of its queue, and the messages of a lost connection return in
    /// any order.
    OldPlaceAfterRequeue => "old place after a requeue",
    /// Queues with a name from the broker.
    ServerNamedQueues => "server-named queues",
    /// Queues that only one connection can use.
    ExclusiveQueues => "exclusive queues",
    /// Queues of the type `quorum`, with a message TTL and at-least-once dead-lettering.
    QuorumQueues => "quorum queues",
    /// Queues that the broker deletes with their last consumer.
    AutoDeleteQueues => "auto-delete queues",
    /// Consumers that exclude other consumers of their queue.
    ExclusiveConsumers => "exclusive consumers",
    /// The `x-single-active-consumer` argument.
    SingleActiveConsumer => "single active consumer",
    /// Several unsettled messages of a single active consumer. Without it, the consumer receives
    /// one at a time, regardless of its prefetch, and a requeue passes its turn on.
    SingleActivePrefetch => "prefetch of a single active consumer",
    /// The `x-priority` argument of consumers.
    ConsumerPriorities => "consumer priorities",
    /// The `x-max-priority` argument of queues.
    MessagePriorities => "message priorities",
    /// The `x-message-ttl` argument, and the `expiration` property of messages.
    MessageTtl => "message time-to-live",
    /// Exact expiry: an expired message leaves the count of ready messages at once, and a message
    /// that expires at once reaches a waiting consumer. Without it, a broker may count an expired
    /// message until it looks for such, and drops a message that expires at once.
    PromptExpiry => "prompt expiry",
    /// The dead-letter exchange of messages that expire in a queue with one.
    ExpiredDeadLetters => "dead letters of expired messages",
    /// The `x-expires` argument.
    QueueExpiry => "queue expiry",
    /// The `x-max-length` and `x-max-length-bytes` arguments, which drop messages from the head.
    LengthLimits => "length limits",
    /// The `x-overflow` argument.
    RejectPublish => "reject-publish overflow",
    /// The `x-dead-letter-exchange` argument.
    DeadLetters => "dead letters",
    /// The pseudo-queue `amq.rabbitmq.reply-to`.
    DirectReplyTo => "direct reply-to",
    /// The refusal of messages with the user id of another user.
    UserIdCheck => "user-id check",
    /// The replacement of the secret of an open connection.
    SecretUpdates => "secret updates",
    /// The delay of a publication.
    DelayedPublish => "delayed publish",
    /// Bodies of 16 MiB.
    LargeBodies => "large bodies",
    /// [`Harness::pass`](crate::Harness::pass) advances a clock and does not sleep.
    ManualClock => "manual clock",
    /// [`Harness::breakable`](crate::Harness::breakable) returns connectors whose connections can
    /// be cut.
    CutConnection => "cutting a connection",
    /// [`Harness::block`](crate::Harness::block) raises and clears a resource alarm.
    BlockBroker => "blocking the broker",
    /// [`Harness::restart`](crate::Harness::restart) restarts the broker.
    RestartBroker => "restarting the broker",
}

impl fmt::Display for Feature {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// The features of one backend.
///
/// ```
/// use carrot_conformance::{Feature, Features};
///
/// let features = Features::none().with(Feature::TopicExchange).with(Feature::Returns);
/// assert!(features.contains(Feature::Returns));
/// assert!(!Features::rabbitmq().without(Feature::DeadLetters).contains(Feature::DeadLetters));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Features(u64);

impl Features {
    /// Returns no features. Only the unconditional cases run.
    pub const fn none() -> Features {
        Features(0)
    }

    /// Returns the features of RabbitMQ: all features except delayed publish, which no AMQP 0-9-1
    /// method has, a manual clock and the three faults, which the harness has to implement.
    pub const fn rabbitmq() -> Features {
        let mut features = Features::none();
        let mut index = 0;
        while index < Feature::ALL.len() {
            features = features.with(Feature::ALL[index]);
            index += 1;
        }
        features
            .without(Feature::DelayedPublish)
            .without(Feature::ManualClock)
            .without(Feature::CutConnection)
            .without(Feature::BlockBroker)
            .without(Feature::RestartBroker)
    }

    /// Adds a feature.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Features {
        Features(self.0 | 1 << feature as u64)
    }

    /// Removes a feature.
    #[must_use]
    pub const fn without(self, feature: Feature) -> Features {
        Features(self.0 & !(1 << feature as u64))
    }

    /// Returns whether a feature is included.
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u64 != 0
    }

    /// Returns an iterator over the features.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |feature| self.contains(*feature))
    }
}
