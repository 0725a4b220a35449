//! The differences between the releases of RabbitMQ that the broker imitates. Everything else is
//! the same in all of them.

use carrot_core::RabbitMqRelease;
use carrot_routing::NumberMatch;

/// The rules of one release.
#[derive(Debug)]
pub(crate) struct ReleaseRules {
    pub(crate) release: RabbitMqRelease,
    /// The largest body of a message, in bytes.
    pub(crate) largest_body: usize,
    /// Whether the declaration of an exchange of an unknown type closes the connection. Otherwise,
    /// it closes the channel.
    pub(crate) unknown_exchange_type_closes_connection: bool,
    /// The most `#` that the key of a binding of a topic exchange may have.
    pub(crate) most_topic_hashes: Option<usize>,
    /// Whether the next single active consumer of a classic queue receives the ready messages
    /// before those of an ended channel are requeued. Otherwise, it receives the requeued ones
    /// first.
    pub(crate) activates_before_requeue: bool,
    /// Whether `basic.qos` with `global` limits all consumers of a channel together. Otherwise, the
    /// flag has no effect.
    pub(crate) has_channel_prefetch: bool,
    pub(crate) header_numbers: NumberMatch,
    pub(crate) messages: MessageRules,
    pub(crate) dead_letters: DeadLetterRules,
    pub(crate) replies: ReplyRules,
    pub(crate) queues: QueueArgumentRules,
    pub(crate) quorum: QuorumRules,
}

/// The checks of a published message, and the changes of its properties.
#[derive(Debug)]
pub(crate) struct MessageRules {
    /// Whether a delivery mode other than 1 and 2 is refused.
    pub(crate) checks_delivery_mode: bool,
    /// Whether the user id is checked after the other properties.
    pub(crate) checks_user_last: bool,
    /// Whether the expiration is delivered in plain digits, such as `7` for `+007`.
    pub(crate) normalises_expiration: bool,
    /// Whether headers are delivered sorted by name.
    pub(crate) sorts_headers: bool,
    /// Whether a message of a transaction goes to the queues that have the names at the commit.
    /// Otherwise, the message goes to the queues that were there when it was published.
    pub(crate) keeps_queue_names: bool,
}

/// The records of deaths, and the counts and copies that a dead letter keeps.
#[derive(Debug)]
pub(crate) struct DeadLetterRules {
    /// Whether records of deaths that a client sent are counted on. Otherwise, they are dropped.
    pub(crate) counts_deaths_of_clients: bool,
    /// Whether the headers `x-last-death-queue`, `-reason` and `-exchange` are set.
    pub(crate) names_last_death: bool,
    /// Whether the `CC` header is removed when the queue replaces the routing key. Otherwise, the
    /// header is kept, and its keys are not routed any more.
    pub(crate) replaced_key_removes_copies: bool,
    /// Whether the record of a death omits a replaced routing key that the `BCC` header had named.
    pub(crate) hides_blind_keys: bool,
    /// Whether the failed deliveries of a message stay counted in the next queue.
    pub(crate) keeps_failures: bool,
}

/// Direct reply-to.
#[derive(Debug)]
pub(crate) struct ReplyRules {
    /// Whether a reply uses a delivery tag up. Otherwise, it has the tag of the next delivery.
    pub(crate) use_tags: bool,
    /// Whether a generated address counts as a queue that a message was routed to.
    pub(crate) are_routed: bool,
    /// Whether the declaration of an address that no broker generates closes the connection.
    pub(crate) foreign_address_closes_connection: bool,
}

/// The arguments of queues and consumers.
#[derive(Debug)]
pub(crate) struct QueueArgumentRules {
    /// The arguments of a classic queue that a second declaration compares, in this order.
    pub(crate) compared_by_classic: &'static [&'static str],
    /// The arguments of a quorum queue that a second declaration compares, in this order.
    pub(crate) compared_by_quorum: &'static [&'static str],
    /// The arguments that only other types than the classic one accept, in the order of the check.
    pub(crate) foreign_to_classic: &'static [&'static str],
    /// The arguments that only other types than the quorum one accept, in the order of the check.
    pub(crate) foreign_to_quorum: &'static [&'static str],
    /// The highest priority that the queue has if `x-max-priority` is zero.
    pub(crate) zero_max_priority: u8,
    /// The smallest `x-queue-version`.
    pub(crate) oldest_version: i64,
    /// Whether `x-queue-mode` has a meaning.
    pub(crate) has_modes: bool,
    /// Whether `x-queue-master-locator` is accepted.
    pub(crate) has_master_locator: bool,
    /// Whether an unknown `x-queue-type` of a queue without a name closes the connection.
    /// Otherwise, it closes the channel.
    pub(crate) unknown_type_closes_connection: bool,
    /// Whether an empty `x-queue-type` stands for the default type.
    pub(crate) empty_type_is_default: bool,
    /// Whether the default type is compared as if it had been set. Otherwise, the error of a second
    /// declaration shows none.
    pub(crate) shows_default_type: bool,
    /// The arguments of a consumer that a classic queue refuses.
    pub(crate) foreign_to_classic_consumer: &'static [&'static str],
    /// The arguments of a consumer that a quorum queue refuses.
    pub(crate) foreign_to_quorum_consumer: &'static [&'static str],
    /// Whether `x-cancel-on-ha-failover` has to be a boolean.
    pub(crate) checks_failover: bool,
}

/// Quorum queues.
#[derive(Debug)]
pub(crate) struct QuorumRules {
    /// The delivery limit of a queue that sets none.
    pub(crate) default_delivery_limit: Option<u32>,
    /// Whether a negative delivery limit is none. Otherwise, it is zero.
    pub(crate) negative_limit_is_none: bool,
    /// Whether each return counts as a failed delivery. Otherwise, a basic.nack does not.
    pub(crate) every_return_fails: bool,
    /// Whether a message that exceeds the delivery limit counts twice as returned: as requeued, and
    /// as discarded. Its consumer may then hold one delivery more than its prefetch.
    pub(crate) exceeding_returns_twice: bool,
    /// Whether a settled message goes to the end of a queue without a delivery limit. Otherwise, it
    /// goes to the front.
    pub(crate) unlimited_returns_to_end: bool,
    /// The number of message priorities, and the priority of a message without one.
    pub(crate) priorities: Option<QuorumPriorities>,
    /// Whether the number of returns is shown as `x-acquired-count`.
    pub(crate) shows_acquired_count: bool,
    /// Whether basic.get shows the delivery count of a message that did not return.
    pub(crate) get_shows_zero: bool,
    /// Whether the single active consumer yields to one of higher priority.
    pub(crate) prefers_priority: bool,
    /// Whether returned messages are delayed as `x-delayed-retry-type` asks.
    pub(crate) delays_retries: bool,
    /// The name of the queue type in the refusal of basic.get, as Erlang writes it.
    pub(crate) type_in_refusal: &'static str,
}

/// The message priorities of quorum queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuorumPriorities {
    pub(crate) highest: u8,
    pub(crate) default: u8,
}

const V3_10: ReleaseRules = ReleaseRules {
    release: RabbitMqRelease::V3_10,
    largest_body: 134_217_728,
    unknown_exchange_type_closes_connection: true,
    most_topic_hashes: None,
    activates_before_requeue: false,
    has_channel_prefetch: true,
    header_numbers: NumberMatch::ByValue,
    messages: MessageRules {
        checks_delivery_mode: true,
        checks_user_last: false,
        normalises_expiration: false,
        sorts_headers: false,
        keeps_queue_names: true,
    },
    dead_letters: DeadLetterRules {
        counts_deaths_of_clients: true,
        names_last_death: false,
        replaced_key_removes_copies: true,
        hides_blind_keys: false,
        keeps_failures: false,
    },
    replies: ReplyRules {
        use_tags: false,
        are_routed: false,
        foreign_address_closes_connection: false,
    },
    queues: QueueArgumentRules {
        compared_by_classic: &[
            "x-expires",
            "x-message-ttl",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-priority",
            "x-overflow",
            "x-queue-mode",
            "x-queue-version",
            "x-single-active-consumer",
            "x-queue-type",
            "x-queue-master-locator",
        ],
        compared_by_quorum: &[
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-dead-letter-strategy",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-in-memory-length",
            "x-max-in-memory-bytes",
            "x-overflow",
            "x-single-active-consumer",
            "x-queue-type",
            "x-quorum-initial-group-size",
            "x-delivery-limit",
            "x-message-ttl",
            "x-queue-leader-locator",
        ],
        foreign_to_classic: &[
            "x-delivery-limit",
            "x-max-in-memory-length",
            "x-max-in-memory-bytes",
            "x-quorum-initial-group-size",
            "x-dead-letter-strategy",
            "x-max-age",
            "x-initial-cluster-size",
            "x-queue-leader-locator",
            "x-stream-max-segment-size-bytes",
        ],
        foreign_to_quorum: &[
            "x-max-priority",
            "x-queue-mode",
            "x-queue-version",
            "x-queue-master-locator",
            "x-max-age",
            "x-initial-cluster-size",
            "x-stream-max-segment-size-bytes",
        ],
        zero_max_priority: 0,
        oldest_version: 1,
        has_modes: true,
        has_master_locator: true,
        unknown_type_closes_connection: true,
        empty_type_is_default: false,
        shows_default_type: false,
        foreign_to_classic_consumer: &["x-stream-offset"],
        foreign_to_quorum_consumer: &["x-cancel-on-ha-failover", "x-stream-offset"],
        checks_failover: true,
    },
    quorum: QuorumRules {
        default_delivery_limit: None,
        negative_limit_is_none: false,
        every_return_fails: true,
        exceeding_returns_twice: true,
        unlimited_returns_to_end: true,
        priorities: None,
        shows_acquired_count: false,
        get_shows_zero: true,
        prefers_priority: false,
        delays_retries: false,
        type_in_refusal: "quorum",
    },
};

/// The arguments of a consumer of a stream.
const STREAM_CONSUMER_ARGUMENTS: &[&str] =
    &["x-stream-offset", "x-stream-filter", "x-stream-match-unfiltered"];

const V4_3: ReleaseRules = ReleaseRules {
    release: RabbitMqRelease::V4_3,
    largest_body: 16_777_216,
    unknown_exchange_type_closes_connection: false,
    most_topic_hashes: Some(2),
    activates_before_requeue: true,
    has_channel_prefetch: false,
    header_numbers: NumberMatch::WithinKinds,
    messages: MessageRules {
        checks_delivery_mode: false,
        checks_user_last: true,
        normalises_expiration: true,
        sorts_headers: true,
        keeps_queue_names: false,
    },
    dead_letters: DeadLetterRules {
        counts_deaths_of_clients: false,
        names_last_death: true,
        replaced_key_removes_copies: false,
        hides_blind_keys: true,
        keeps_failures: true,
    },
    replies: ReplyRules {
        use_tags: true,
        are_routed: true,
        foreign_address_closes_connection: true,
    },
    queues: QueueArgumentRules {
        compared_by_classic: &[
            "x-expires",
            "x-message-ttl",
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-priority",
            "x-overflow",
            "x-queue-mode",
            "x-queue-version",
            "x-single-active-consumer",
            "x-queue-type",
            "x-queue-master-locator",
            "x-queue-leader-locator",
        ],
        compared_by_quorum: &[
            "x-dead-letter-exchange",
            "x-dead-letter-routing-key",
            "x-dead-letter-strategy",
            "x-expires",
            "x-max-length",
            "x-max-length-bytes",
            "x-max-in-memory-length",
            "x-max-in-memory-bytes",
            "x-overflow",
            "x-single-active-consumer",
            "x-queue-type",
            "x-quorum-initial-group-size",
            "x-delivery-limit",
            "x-message-ttl",
            "x-queue-leader-locator",
            "x-consumer-disconnected-timeout",
            "x-consumer-timeout",
            "x-delayed-retry-type",
            "x-delayed-retry-min",
            "x-delayed-retry-max",
        ],
        foreign_to_classic: &[
            "x-consumer-disconnected-timeout",
            "x-consumer-timeout",
            "x-dead-letter-strategy",
            "x-delayed-retry-max",
            "x-delayed-retry-min",
            "x-delayed-retry-type",
            "x-delivery-limit",
            "x-initial-cluster-size",
            "x-max-age",
            "x-max-in-memory-bytes",
            "x-max-in-memory-length",
            "x-quorum-initial-group-size",
            "x-stream-filter-size-bytes",
            "x-stream-max-segment-size-bytes",
        ],
        foreign_to_quorum: &[
            "x-max-priority",
            "x-queue-mode",
            "x-queue-version",
            "x-queue-master-locator",
            "x-max-age",
            "x-initial-cluster-size",
            "x-stream-max-segment-size-bytes",
            "x-stream-filter-size-bytes",
        ],
        zero_max_priority: 1,
        oldest_version: 2,
        has_modes: false,
        has_master_locator: false,
        unknown_type_closes_connection: false,
        empty_type_is_default: true,
        shows_default_type: true,
        foreign_to_classic_consumer: STREAM_CONSUMER_ARGUMENTS,
        foreign_to_quorum_consumer: STREAM_CONSUMER_ARGUMENTS,
        checks_failover: false,
    },
    quorum: QuorumRules {
        default_delivery_limit: Some(20),
        negative_limit_is_none: true,
        every_return_fails: false,
        exceeding_returns_twice: false,
        unlimited_returns_to_end: false,
        priorities: Some(QuorumPriorities { highest: 31, default: 4 }),
        shows_acquired_count: true,
        get_shows_zero: false,
        prefers_priority: true,
        delays_retries: true,
        type_in_refusal: "<<\"quorum\">>",
    },
};

impl ReleaseRules {
    /// Returns the rules of a release; those of the newest known release for a later one.
    pub(crate) fn of(release: RabbitMqRelease) -> &'static ReleaseRules {
        match release {
            RabbitMqRelease::V3_10 => &V3_10,
            _ => &V4_3,
        }
    }
}
