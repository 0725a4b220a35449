use std::fmt;

macro_rules! features {
    ($($(#[$doc:meta])* $name:ident => $text:literal,)*) => {
        /// One thing that a broker may or may not be able to do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Feature {
            $($(#[$doc])* $name,)*
        }

        impl Feature {
            /// Every feature, in the order of this list.
            pub const ALL: &'static [Feature] = &[$(Feature::$name,)*];

            /// The feature in a few words, such as `dead letters`.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Feature::$name => $text,)*
                }
            }
        }
    };
}

features! {
    /// Topic exchanges.
    TopicExchange => "topic exchange",
    /// Headers exchanges.
    HeadersExchange => "headers exchange",
    /// Bindings from an exchange to another.
    ExchangeToExchange => "exchange-to-exchange bindings",
    /// The `alternate-exchange` argument.
    AlternateExchange => "alternate exchange",
    /// Exchanges closed to publishers.
    InternalExchange => "internal exchange",
    /// The `CC` and `BCC` headers.
    SenderSelectedRouting => "CC and BCC headers",
    /// The exchanges `amq.direct`, `amq.fanout`, `amq.topic` and `amq.headers` from the start.
    PredeclaredExchanges => "predeclared exchanges",
    /// Names that start with `amq.` are refused.
    ReservedNames => "reserved names",
    /// Mandatory publications that are returned.
    Returns => "returns",
    /// Queues named by the broker.
    ServerNamedQueues => "server-named queues",
    /// Queues of one connection alone.
    ExclusiveQueues => "exclusive queues",
    /// Queues of the type `quorum`, with a message TTL and dead letters that arrive at least once.
    QuorumQueues => "quorum queues",
    /// Queues and exchanges that go once they are no longer used.
    AutoDelete => "auto-delete",
    /// Consumers that are the only one of their queue.
    ExclusiveConsumers => "exclusive consumers",
    /// The `x-single-active-consumer` argument.
    SingleActiveConsumer => "single active consumer",
    /// The `x-priority` argument of consumers.
    ConsumerPriorities => "consumer priorities",
    /// The `x-max-priority` argument of queues.
    MessagePriorities => "message priorities",
    /// The `x-message-ttl` argument, and the expiration of a message.
    MessageTtl => "message time-to-live",
    /// The `x-expires` argument.
    QueueExpiry => "queue expiry",
    /// The `x-max-length` and `x-max-length-bytes` arguments, which drop from the head.
    LengthLimits => "length limits",
    /// The `x-overflow` argument.
    RejectPublish => "reject-publish overflow",
    /// The `x-dead-letter-exchange` argument.
    DeadLetters => "dead letters",
    /// The pseudo-queue `amq.rabbitmq.reply-to`.
    DirectReplyTo => "direct reply-to",
    /// A message that claims to be of another user is refused.
    UserIdCheck => "user-id check",
    /// Bodies of 16 MiB.
    LargeBodies => "large bodies",
    /// [`Harness::pass`](crate::Harness::pass) turns a clock instead of waiting, so that half an hour costs nothing.
    ManualClock => "manual clock",
    /// [`Harness::breakable`](crate::Harness::breakable) gives connectors whose connections can be cut.
    CutConnection => "cutting a connection",
    /// [`Harness::block`](crate::Harness::block) raises and clears a resource alarm.
    BlockBroker => "blocking the broker",
    /// [`Harness::restart`](crate::Harness::restart) stops and starts the broker.
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
    /// What a backend needs for no more than the unconditional cases.
    pub const fn none() -> Features {
        Features(0)
    }

    /// All that a RabbitMQ broker does by itself: every feature except a manual clock and the three faults, for which the harness
    /// needs means of its own.
    pub const fn rabbitmq() -> Features {
        let mut features = Features::none();
        let mut index = 0;
        while index < Feature::ALL.len() {
            features = features.with(Feature::ALL[index]);
            index += 1;
        }
        features
            .without(Feature::ManualClock)
            .without(Feature::CutConnection)
            .without(Feature::BlockBroker)
            .without(Feature::RestartBroker)
    }

    /// These and one more.
    #[must_use]
    pub const fn with(self, feature: Feature) -> Features {
        Features(self.0 | 1 << feature as u64)
    }

    /// These without one.
    #[must_use]
    pub const fn without(self, feature: Feature) -> Features {
        Features(self.0 & !(1 << feature as u64))
    }

    /// Whether a feature is among these.
    pub const fn contains(self, feature: Feature) -> bool {
        self.0 & 1 << feature as u64 != 0
    }

    /// Each of these.
    pub fn iter(self) -> impl Iterator<Item = Feature> {
        Feature::ALL.iter().copied().filter(move |feature| self.contains(*feature))
    }
}
