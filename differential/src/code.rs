//! Formats a program as readable code.

use crate::program::{
    DeliveryChoice, Program, ProgramAction, ProgramOperation, UNCONFIRMED, connection_of,
};
use crate::specs::{
    BindingSpec, BindingTargetSpec, ConsumeSpec, ExchangeName, ExchangeSpec, Key, PublishSpec,
    QueueName, QueueSpec, Table, TableValue,
};

/// Formats a program with one line for each operation.
pub fn program(program: &Program) -> String {
    let mut published = 0;
    let lines = program.operations.iter().enumerate().map(|(index, operation)| {
        published += u32::from(matches!(operation.action, ProgramAction::Publish(_)));
        format!("/* {index:2} */ {}\n", self::operation(operation, published))
    });
    lines.collect()
}

fn operation(operation: &ProgramOperation, published: u32) -> String {
    let slot = operation.channel;
    let channel = match (connection_of(slot), slot) {
        (0, UNCONFIRMED) => format!("unconfirmed{slot}"),
        (0, _) => format!("channel{slot}"),
        _ => format!("elsewhere{slot}"),
    };
    let call = match &operation.action {
        ProgramAction::DeclareExchange(spec) => format!("declare({})", exchange(spec)),
        ProgramAction::DeclareQueue(spec) => format!("declare({})", queue(spec)),
        ProgramAction::Bind(spec) => format!("declare({})", binding(spec)),
        ProgramAction::Unbind(spec) => format!("delete({})", binding(spec)),
        ProgramAction::DeleteExchange { name, if_unused } => {
            format!("delete_exchange({}{})", exchange_name(name), conditions(*if_unused, false))
        }
        ProgramAction::DeleteQueue { name, if_unused, if_empty } => {
            format!("delete_queue({}{})", queue_name(name), conditions(*if_unused, *if_empty))
        }
        ProgramAction::Purge(name) => format!("purge({})", queue_name(name)),
        ProgramAction::Publish(spec) => publication(spec, published),
        ProgramAction::Confirm => "confirm_all_owed()".into(),
        ProgramAction::Get { queue, automatic } => {
            format!(
                "get({}, {})",
                queue_name(queue),
                if *automatic { "Automatic" } else { "Manual" }
            )
        }
        ProgramAction::Consume(spec) => consume(spec),
        ProgramAction::Take { subscription, most } => {
            return format!("live_subscriptions[{subscription}].take({most});");
        }
        ProgramAction::Cancel { subscription } => {
            return format!("live_subscriptions[{subscription}].cancel();");
        }
        ProgramAction::DropSubscription { subscription } => {
            return format!("drop(live_subscriptions[{subscription}]);");
        }
        ProgramAction::Ack { delivery, multiple } => {
            format!("ack({}, {})", pick(*delivery), extent(*multiple))
        }
        ProgramAction::Reject { delivery, requeue, failed, multiple } => {
            format!(
                "reject({}, {}, {})",
                pick(*delivery),
                match (requeue, failed) {
                    (false, _) => "Discard",
                    (true, false) => "Requeue",
                    (true, true) => "RequeueFailed",
                },
                extent(*multiple)
            )
        }
        ProgramAction::CloseChannel => "close()".into(),
        ProgramAction::DropChannel => return format!("drop({channel});"),
        ProgramAction::CloseConnection => {
            return format!("connection{}.close();", connection_of(slot));
        }
        ProgramAction::Wait => return "wait();".into(),
    };
    let even_if_failed = if operation.even_if_failed { " // even if dead" } else { "" };
    format!("{channel}.{call};{even_if_failed}")
}

fn conditions(if_unused: bool, if_empty: bool) -> &'static str {
    match (if_unused, if_empty) {
        (false, false) => "",
        (true, false) => ", IF_UNUSED",
        (false, true) => ", IF_EMPTY",
        (true, true) => ", UNUSED_AND_EMPTY",
    }
}

fn extent(multiple: bool) -> &'static str {
    if multiple { "UpTo" } else { "One" }
}

fn pick(pick: DeliveryChoice) -> String {
    match pick {
        DeliveryChoice::Unsettled(number) => format!("unsettled[{number}]"),
        DeliveryChoice::Settled(number) => format!("settled[{number}]"),
        DeliveryChoice::Zero => "DeliveryTag(0)".into(),
        DeliveryChoice::Unknown => "DeliveryTag(1_000_000)".into(),
    }
}

fn queue_name(name: &QueueName) -> String {
    match name {
        QueueName::Slot(slot) => format!("\"q{slot}\""),
        QueueName::Known(number) => format!("known_queues[{number}]"),
        QueueName::Server(back) => format!("server_named[{back}]"),
        QueueName::Empty => "\"\"".into(),
        QueueName::Reserved => "\"amq.reserved\"".into(),
        QueueName::ReplyTo => "\"amq.rabbitmq.reply-to\"".into(),
        QueueName::TooLong => "TOO_LONG".into(),
    }
}

fn exchange_name(name: &ExchangeName) -> String {
    match name {
        ExchangeName::Slot(slot) => format!("\"x{slot}\""),
        ExchangeName::Known(number) => format!("known_exchanges[{number}]"),
        ExchangeName::Default => "\"\"".into(),
        ExchangeName::Amq(kind) => format!("\"amq.{kind}\""),
        ExchangeName::TooLong => "TOO_LONG".into(),
    }
}

fn key(key: &Key) -> String {
    match key {
        Key::Words(words) => format!("{words:?}"),
        Key::Queue(name) => queue_name(name),
        Key::ReplyAddress => "last_answer_address".into(),
        Key::TooLong => "TOO_LONG".into(),
    }
}

fn value(value: &TableValue) -> String {
    match value {
        TableValue::QueueName(name) => queue_name(name),
        TableValue::ExchangeName(name) => exchange_name(name),
        TableValue::String(text) => format!("{text:?}"),
        TableValue::Array(values) => {
            format!("[{}]", values.iter().map(self::value).collect::<Vec<_>>().join(", "))
        }
        TableValue::Table(pairs) => {
            format!(
                "{{{}}}",
                pairs
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", self::value(value)))
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        other => format!("{other:?}"),
    }
}

fn arguments(table: &Table) -> String {
    table
        .iter()
        .map(|(name, value)| format!(".argument({name:?}, {})", self::value(value)))
        .collect()
}

fn flags(flags: &[(&str, bool)]) -> String {
    flags.iter().filter(|(_, set)| *set).map(|(name, _)| format!(".{name}()")).collect()
}

fn exchange(spec: &ExchangeSpec) -> String {
    format!(
        "Exchange::new({}, {:?}){}{}",
        exchange_name(&spec.name),
        spec.kind,
        flags(&[
            ("transient", spec.transient),
            ("auto_delete", spec.auto_delete),
            ("internal", spec.internal),
            ("passive", spec.passive)
        ]),
        arguments(&spec.arguments)
    )
}

fn queue(spec: &QueueSpec) -> String {
    format!(
        "Queue::new({}){}{}",
        queue_name(&spec.name),
        flags(&[
            ("transient", spec.transient),
            ("exclusive_only", spec.exclusive),
            ("auto_delete", spec.auto_delete),
            ("passive", spec.passive)
        ]),
        arguments(&spec.arguments)
    )
}

fn binding(spec: &BindingSpec) -> String {
    let (kind, to) = match &spec.to {
        BindingTargetSpec::Queue(name) => ("queue", queue_name(name)),
        BindingTargetSpec::Exchange(name) => ("exchange", exchange_name(name)),
    };
    format!(
        "Binding::{kind}({}, {to}, {}){}",
        exchange_name(&spec.from),
        key(&spec.key),
        arguments(&spec.arguments)
    )
}

fn publication(spec: &PublishSpec, number: u32) -> String {
    let properties = &spec.properties;
    let mut text =
        format!("publish({}, {}, \"m{number}\"", exchange_name(&spec.exchange), key(&spec.key));
    if spec.padding > 0 {
        text += &format!(" + {} bytes", spec.padding);
    }
    text += ")";
    if spec.mandatory {
        text += ".mandatory()";
    }
    if spec.confirm_later {
        text += ".confirm_later()";
    }
    if let Some(expiration) = &properties.expiration {
        text += &format!(".expiration({expiration:?})");
    }
    if let Some(priority) = properties.priority {
        text += &format!(".priority({priority})");
    }
    if let Some(mode) = properties.delivery_mode {
        text += &format!(".delivery_mode({mode})");
    }
    if let Some(user) = &properties.user_id {
        text += &format!(".user_id({user:?})");
    }
    if properties.descriptive {
        text += ".descriptive_properties()";
    }
    if properties.reply_here {
        text += ".reply_to(\"amq.rabbitmq.reply-to\")";
    }
    match properties.headers.as_deref() {
        None => {}
        Some([]) => text += ".empty_headers()",
        Some(headers) => text.extend(
            headers
                .iter()
                .map(|(name, value)| format!(".header({name:?}, {})", self::value(value))),
        ),
    }
    text
}

fn consume(spec: &ConsumeSpec) -> String {
    format!(
        "consume({}, prefetch({}){}{})",
        queue_name(&spec.queue),
        spec.prefetch,
        flags(&[
            ("automatic", spec.automatic),
            ("exclusive", spec.exclusive),
            ("lazily", spec.lazy)
        ]),
        arguments(&spec.arguments)
    )
}
