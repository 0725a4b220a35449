//! Refuses what the broker does not have, by name and with the reason.

use carrot_core::backend::ConsumeOptions;
use carrot_core::{Error, Headers, Queue, Result, Value};

/// The arguments of queues that RabbitMQ knows, and ActiveMQ does not have by queue.
const OF_QUEUES: [(&str, &str); 10] = [
    ("x-expires", "no expiry of queues; the broker deletes unused queues by its own policy"),
    ("x-max-length", "no length limit; the broker limits queues by its own policy"),
    ("x-max-length-bytes", "no length limit; the broker limits queues by its own policy"),
    ("x-overflow", "no length limit; the broker limits queues by its own policy"),
    (
        "x-dead-letter-strategy",
        "no strategies; a discarded message and its dead letter change in one transaction",
    ),
    ("x-max-priority", "no priorities of a queue; the broker has them by its own policy"),
    ("x-delivery-limit", "no delivery limit of a queue"),
    ("x-max-age", "no streams"),
    ("x-consumer-timeout", "no timeout of consumers"),
    ("x-delayed-retry-type", "no delayed retries"),
];

/// The arguments of consumers that RabbitMQ knows.
const OF_CONSUMERS: [(&str, &str); 2] =
    [("x-stream-offset", "no streams"), ("x-cancel-on-ha-failover", "no mirrored queues")];

/// Refuses a queue that the broker would treat otherwise than the program expects.
///
/// # Errors
/// - [`Error::Invalid`]: names the property or the argument.
pub(crate) fn check_queue(queue: &Queue) -> Result<()> {
    if queue.name.is_empty() {
        return check_temporary(queue);
    }
    if queue.passive {
        return Ok(());
    }
    if queue.exclusive {
        return Err(refused(
            "exclusive",
            "true",
            "false, because ActiveMQ shares every named queue",
        ));
    }
    if queue.auto_delete {
        let limit = "false, because ActiveMQ deletes no queue with its last consumer";
        return Err(refused("auto_delete", "true", limit));
    }
    if !queue.durable {
        return Err(refused(
            "durable",
            "false",
            "true, because ActiveMQ keeps every queue on disk",
        ));
    }
    if let Some(kind) = queue.arguments.get("x-queue-type")
        && *kind != Value::from("classic")
    {
        let limit = "classic, because ActiveMQ has neither quorum queues nor streams";
        return Err(refused("x-queue-type", &shown(kind), limit));
    }
    check_arguments(&queue.arguments, &OF_QUEUES)
}

/// Refuses a queue without a name that is no temporary queue of its connection.
fn check_temporary(queue: &Queue) -> Result<()> {
    if queue.passive || !queue.exclusive {
        let limit = "a name, because ActiveMQ names only exclusive queues, its temporary ones";
        return Err(refused("queue", "\"\"", limit));
    }
    for name in queue.arguments.iter().map(|(name, _)| name.as_str()) {
        if name != "x-queue-type" && name.starts_with("x-") {
            let limit = "no arguments, because a queue named by ActiveMQ is a temporary one";
            return Err(refused("argument", name, limit));
        }
    }
    Ok(())
}

/// Refuses a consumer that the broker would treat otherwise than the program expects.
///
/// # Errors
/// - [`Error::Invalid`]: names the option or the argument.
pub(crate) fn check_consumer(options: &ConsumeOptions) -> Result<()> {
    if options.exclusive {
        let limit = "false, because ActiveMQ refuses no second consumer of a queue; \
                     x-single-active-consumer lets one consumer receive";
        return Err(refused("exclusive", "true", limit));
    }
    check_arguments(&options.arguments, &OF_CONSUMERS)
}

fn check_arguments(
    arguments: &Headers,
    refused_ones: &[(&'static str, &'static str)],
) -> Result<()> {
    for (name, limit) in refused_ones {
        if let Some(value) = arguments.get(name) {
            return Err(refused(name, &shown(value), limit));
        }
    }
    Ok(())
}

/// Returns a number or a text as a program writes it.
fn shown(value: &Value) -> String {
    match (value.as_i64(), value.as_str()) {
        (Some(number), _) => number.to_string(),
        (_, Some(text)) => text.to_string(),
        _ => format!("{value:?}"),
    }
}

fn refused(field: &'static str, value: &str, limit: &'static str) -> Error {
    Error::invalid(field, value, limit)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn refusals_name_the_argument_and_the_reason() {
        let queue = Queue::new("q").argument("x-max-length", 5);
        let text = check_queue(&queue).unwrap_err().to_string();
        assert!(text.contains("x-max-length") && text.contains("policy"), "{text}");
        let consumer = ConsumeOptions::default().argument("x-stream-offset", "first");
        assert!(check_consumer(&consumer).unwrap_err().to_string().contains("x-stream-offset"));
        let text = check_consumer(&ConsumeOptions::default().exclusive()).unwrap_err().to_string();
        assert!(text.contains("ActiveMQ refuses no second consumer"), "{text}");
        for queue in [Queue::new("q").exclusive(), Queue::new("q").transient(), Queue::new("")] {
            assert!(check_queue(&queue).is_err(), "{queue:?}");
        }
    }

    #[test]
    fn arguments_that_nobody_knows_have_no_effect() {
        check_queue(&Queue::new("q").argument("x-note", "mine").classic()).unwrap();
        check_consumer(&ConsumeOptions::default().argument("x-note", "mine")).unwrap();
    }
}
