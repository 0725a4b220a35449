//! Carrot's data types to amiquip's and back; pure.

use amiquip::{
    AmqpProperties, AmqpValue, ConsumerOptions, ExchangeDeclareOptions, ExchangeType, FieldTable,
    QueueDeclareOptions,
};
use amq_protocol_types::DecimalValue;
use carrot_core::backend::{Acknowledgement, Body, ConsumeOptions, Content};
use carrot_core::{DeliveryMode, Exchange, ExchangeKind, Headers, Properties, Queue, Value};

pub(crate) fn to_table(headers: &Headers) -> FieldTable {
    headers.iter().map(|(name, value)| (name.to_string(), to_value(value))).collect()
}

fn to_value(value: &Value) -> AmqpValue {
    match value {
        Value::Void => AmqpValue::Void,
        Value::Bool(truth) => AmqpValue::Boolean(*truth),
        Value::I8(number) => AmqpValue::ShortShortInt(*number),
        Value::U8(number) => AmqpValue::ShortShortUInt(*number),
        Value::I16(number) => AmqpValue::ShortInt(*number),
        Value::U16(number) => AmqpValue::ShortUInt(*number),
        Value::I32(number) => AmqpValue::LongInt(*number),
        Value::U32(number) => AmqpValue::LongUInt(*number),
        Value::I64(number) => AmqpValue::LongLongInt(*number),
        Value::F32(number) => AmqpValue::Float(*number),
        Value::F64(number) => AmqpValue::Double(*number),
        Value::Decimal { scale, value } => {
            AmqpValue::DecimalValue(DecimalValue { scale: *scale, value: value.cast_unsigned() })
        }
        Value::String(text) => AmqpValue::LongString(text.clone()),
        Value::Bytes(bytes) => AmqpValue::ByteArray(bytes.clone()),
        Value::Timestamp(seconds) => AmqpValue::Timestamp(*seconds),
        Value::Array(values) => AmqpValue::FieldArray(values.iter().map(to_value).collect()),
        Value::Table(table) => AmqpValue::FieldTable(to_table(table)),
    }
}

pub(crate) fn from_table(table: &FieldTable) -> Headers {
    table.iter().map(|(name, value)| (name.clone(), from_value(value))).collect()
}

fn from_value(value: &AmqpValue) -> Value {
    match value {
        AmqpValue::Void => Value::Void,
        AmqpValue::Boolean(truth) => Value::Bool(*truth),
        AmqpValue::ShortShortInt(number) => Value::I8(*number),
        AmqpValue::ShortShortUInt(number) => Value::U8(*number),
        AmqpValue::ShortInt(number) => Value::I16(*number),
        AmqpValue::ShortUInt(number) => Value::U16(*number),
        AmqpValue::LongInt(number) => Value::I32(*number),
        AmqpValue::LongUInt(number) => Value::U32(*number),
        AmqpValue::LongLongInt(number) => Value::I64(*number),
        AmqpValue::Float(number) => Value::F32(*number),
        AmqpValue::Double(number) => Value::F64(*number),
        AmqpValue::DecimalValue(DecimalValue { scale, value }) => {
            Value::Decimal { scale: *scale, value: value.cast_signed() }
        }
        AmqpValue::LongString(text) => Value::String(text.clone()),
        AmqpValue::ByteArray(bytes) => Value::Bytes(bytes.clone()),
        AmqpValue::Timestamp(seconds) => Value::Timestamp(*seconds),
        AmqpValue::FieldArray(values) => Value::Array(values.iter().map(from_value).collect()),
        AmqpValue::FieldTable(table) => Value::Table(from_table(table)),
    }
}

pub(crate) fn from_properties(amqp: &AmqpProperties) -> Properties {
    let mut properties = Properties::new();
    macro_rules! copy {
        ($($get:ident => $with:ident;)*) => {$(
            if let Some(text) = amqp.$get() {
                properties = properties.$with(text.as_str());
            }
        )*};
    }
    copy! {
        content_type => with_content_type;
        content_encoding => with_content_encoding;
        correlation_id => with_correlation_id;
        reply_to => with_reply_to;
        expiration => with_expiration;
        message_id => with_message_id;
        type_ => with_kind;
        user_id => with_user_id;
        app_id => with_app_id;
        cluster_id => with_cluster_id;
    }
    if let Some(table) = amqp.headers() {
        properties = properties.with_headers(from_table(table));
    }
    if let Some(mode) = *amqp.delivery_mode() {
        properties = properties.with_delivery_mode(DeliveryMode::from(mode));
    }
    if let Some(priority) = *amqp.priority() {
        properties = properties.with_priority(priority);
    }
    if let Some(seconds) = *amqp.timestamp() {
        properties = properties.with_timestamp(seconds);
    }
    properties
}

/// Takes all but the body out of a delivery, and leaves of it what is needed to settle it.
pub(crate) fn take_content(delivery: &mut amiquip::Delivery, body: Body) -> Content {
    let properties = std::mem::take(&mut delivery.properties);
    Content {
        exchange: std::mem::take(&mut delivery.exchange).into(),
        routing_key: std::mem::take(&mut delivery.routing_key).into(),
        properties: from_properties(&properties),
        body,
    }
}

pub(crate) fn to_exchange(exchange: &Exchange) -> (ExchangeType, ExchangeDeclareOptions) {
    let kind = match &exchange.kind {
        ExchangeKind::Direct => ExchangeType::Direct,
        ExchangeKind::Fanout => ExchangeType::Fanout,
        ExchangeKind::Topic => ExchangeType::Topic,
        ExchangeKind::Headers => ExchangeType::Headers,
        other => ExchangeType::Custom(other.as_str().into()),
    };
    let options = ExchangeDeclareOptions {
        durable: exchange.durable,
        auto_delete: exchange.auto_delete,
        internal: exchange.internal,
        arguments: to_table(&exchange.arguments),
    };
    (kind, options)
}

pub(crate) fn to_queue(queue: &Queue) -> QueueDeclareOptions {
    QueueDeclareOptions {
        durable: queue.durable,
        exclusive: queue.exclusive,
        auto_delete: queue.auto_delete,
        arguments: to_table(&queue.arguments),
    }
}

pub(crate) fn to_consumer(options: &ConsumeOptions) -> ConsumerOptions {
    ConsumerOptions {
        no_local: false,
        no_ack: options.acknowledgement == Acknowledgement::Automatic,
        exclusive: options.exclusive,
        arguments: to_table(&options.arguments),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn every_value() -> Headers {
        let nested: Headers = [(
            "deep",
            Value::Array(vec![Value::Void, Value::from("x"), Value::Table(Headers::new())]),
        )]
        .into();
        [
            ("void", Value::Void),
            ("bool", Value::Bool(true)),
            ("i8", Value::I8(i8::MIN)),
            ("u8", Value::U8(u8::MAX)),
            ("i16", Value::I16(i16::MIN)),
            ("u16", Value::U16(u16::MAX)),
            ("i32", Value::I32(i32::MIN)),
            ("u32", Value::U32(u32::MAX)),
            ("i64", Value::I64(i64::MIN)),
            ("f32", Value::F32(1.5)),
            ("f64", Value::F64(-2.25)),
            ("decimal", Value::Decimal { scale: 2, value: 314 }),
            ("string", Value::from("grüße")),
            ("bytes", Value::Bytes(vec![0, 255])),
            ("timestamp", Value::Timestamp(u64::MAX)),
            ("array", Value::Array(vec![])),
            ("table", Value::Table(nested)),
        ]
        .into()
    }

    #[test]
    fn every_header_value_survives_both_ways() {
        let headers = every_value();
        assert_eq!(from_table(&to_table(&headers)), headers);
    }

    #[test]
    fn topology_keeps_its_flags_and_arguments() {
        let (kind, options) = to_exchange(
            &Exchange::topic("prices").transient().internal().alternate_exchange("rest"),
        );
        assert_eq!(kind.as_ref(), "topic");
        assert!(!options.durable && options.internal && !options.auto_delete);
        assert_eq!(
            options.arguments.get("alternate-exchange"),
            Some(&AmqpValue::LongString("rest".into()))
        );

        let (kind, _) =
            to_exchange(&Exchange::new("odd", ExchangeKind::Custom("x-delayed".into())));
        assert_eq!(kind.as_ref(), "x-delayed");

        let queue = to_queue(&Queue::new("jobs").max_priority(5));
        assert!(queue.durable && !queue.exclusive && !queue.auto_delete);
        assert_eq!(queue.arguments.get("x-max-priority"), Some(&AmqpValue::LongInt(5)));

        let consumer = to_consumer(
            &ConsumeOptions::with_prefetch(1).automatic().exclusive().argument("x-priority", 3),
        );
        assert!(consumer.no_ack && consumer.exclusive && !consumer.no_local);
        assert_eq!(consumer.arguments.len(), 1);
    }
}
