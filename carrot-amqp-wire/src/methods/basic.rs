//! The class basic (AMQP 0-9-1 1.8).

use crate::arguments::Arguments;
use crate::strings::ShortStr;

method_fields! {
    /// Sets the prefetch (`basic.qos`).
    BasicQos {
        /// The maximum of unacknowledged bytes; 0 for no limit. RabbitMQ supports only 0.
        prefetch_size: u32,
        /// The maximum number of unacknowledged deliveries; 0 for no limit.
        prefetch_count: u16,
        /// Whether the limit applies to the channel. Otherwise, the limit applies to each new
        /// consumer of the channel.
        global: bool,
    }

    /// Starts a consumer (`basic.consume`).
    BasicConsume<'a> [u16] {
        /// The name of the queue.
        queue: ShortStr<'a>,
        /// The tag of the consumer. The broker generates a tag if this is empty.
        consumer_tag: ShortStr<'a>,
        /// Whether messages of this connection are left out. RabbitMQ ignores the field.
        no_local: bool,
        /// Whether the broker acknowledges each delivery when it is sent.
        no_ack: bool,
        /// Whether the consumer must be the only one of its queue.
        exclusive: bool,
        /// Whether the broker sends no answer.
        no_wait: bool,
        /// Further arguments.
        arguments: Arguments<'a>,
    }

    /// Answers `basic.consume` (`basic.consume-ok`).
    BasicConsumeOk<'a> {
        /// The tag of the consumer.
        consumer_tag: ShortStr<'a>,
    }

    /// Ends a consumer (`basic.cancel`). RabbitMQ sends this method, too.
    BasicCancel<'a> {
        /// The tag of the consumer.
        consumer_tag: ShortStr<'a>,
        /// Whether the peer sends no answer.
        no_wait: bool,
    }

    /// Answers `basic.cancel` (`basic.cancel-ok`).
    BasicCancelOk<'a> {
        /// The tag of the consumer.
        consumer_tag: ShortStr<'a>,
    }

    /// Publishes the message that follows (`basic.publish`).
    BasicPublish<'a> [u16] {
        /// The name of the exchange; empty for the default exchange.
        exchange: ShortStr<'a>,
        /// The routing key.
        routing_key: ShortStr<'a>,
        /// Whether the broker returns the message if it cannot be routed.
        mandatory: bool,
        /// Whether the broker returns the message if no consumer is ready. RabbitMQ closes the
        /// connection over this field.
        immediate: bool,
    }

    /// Returns the message that follows (`basic.return`).
    BasicReturn<'a> {
        /// The reason, as a number, such as 312 for "no route".
        reply_code: u16,
        /// The reason, in words.
        reply_text: ShortStr<'a>,
        /// The exchange that the message was published to.
        exchange: ShortStr<'a>,
        /// The routing key that the message was published with.
        routing_key: ShortStr<'a>,
    }

    /// Delivers the message that follows to a consumer (`basic.deliver`).
    BasicDeliver<'a> {
        /// The tag of the consumer.
        consumer_tag: ShortStr<'a>,
        /// The number of the delivery on the channel, from 1.
        delivery_tag: u64,
        /// Whether the message was, or may have been, delivered before.
        redelivered: bool,
        /// The exchange that the message was published to.
        exchange: ShortStr<'a>,
        /// The routing key that the message was published with.
        routing_key: ShortStr<'a>,
    }

    /// Requests one message (`basic.get`).
    BasicGet<'a> [u16] {
        /// The name of the queue.
        queue: ShortStr<'a>,
        /// Whether the broker acknowledges the message when it is sent.
        no_ack: bool,
    }

    /// Answers `basic.get` with the message that follows (`basic.get-ok`).
    BasicGetOk<'a> {
        /// The number of the delivery on the channel, from 1.
        delivery_tag: u64,
        /// Whether the message was, or may have been, delivered before.
        redelivered: bool,
        /// The exchange that the message was published to.
        exchange: ShortStr<'a>,
        /// The routing key that the message was published with.
        routing_key: ShortStr<'a>,
        /// The number of ready messages that remain in the queue.
        message_count: u32,
    }

    /// Answers `basic.get` of an empty queue (`basic.get-empty`). All fields are reserved.
    BasicGetEmpty [ShortStr<'_>] {}

    /// Acknowledges deliveries, or confirms publications (`basic.ack`).
    BasicAck {
        /// The number of the delivery or publication. With `multiple`, 0 stands for all.
        delivery_tag: u64,
        /// Whether all lower numbers are acknowledged, too.
        multiple: bool,
    }

    /// Rejects one delivery (`basic.reject`).
    BasicReject {
        /// The number of the delivery.
        delivery_tag: u64,
        /// Whether the message returns to its queue. Otherwise, the message is dropped or
        /// dead-lettered.
        requeue: bool,
    }

    /// Requeues all unacknowledged deliveries, without an answer (`basic.recover-async`).
    BasicRecoverAsync {
        /// Whether the messages may be delivered to other consumers.
        requeue: bool,
    }

    /// Requeues all unacknowledged deliveries (`basic.recover`).
    BasicRecover {
        /// Whether the messages may be delivered to other consumers.
        requeue: bool,
    }

    /// Rejects deliveries, or refuses publications (`basic.nack`, an extension of RabbitMQ).
    BasicNack {
        /// The number of the delivery or publication. With `multiple`, 0 stands for all.
        delivery_tag: u64,
        /// Whether all lower numbers are rejected, too.
        multiple: bool,
        /// Whether the messages return to their queue.
        requeue: bool,
    }
}
