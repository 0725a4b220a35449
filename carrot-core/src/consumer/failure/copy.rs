//! The contents of a copy of a failed message, while it waits and when it is parked; pure.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::backend::Content;
use crate::consumer::death::Death;
use crate::consumer::failure::retry_queues;
use crate::error::{Error, Result};
use crate::model::ShortString;
use crate::model::{Headers, Properties, Value};
use crate::waiting_queues::delay_chain::is_delay_queue;

/// The attempt number of the copy's delivery; missing on the first.
const ATTEMPT: &str = "carrot-attempt";
const EXCHANGE: &str = "carrot-exchange";
const ROUTING_KEY: &str = "carrot-routing-key";
const FIRST_FAILURE: &str = "carrot-first-failure";
/// The fields that a copy cannot carry in their old place.
const CC: &str = "carrot-cc";
const USER_ID: &str = "carrot-user-id";
const EXPIRATION: &str = "carrot-expiration";
const DEATHS: &str = "carrot-x-death";
/// The broker's records of the first and the last dead-lettering, which it may write again when the
/// pause ends.
const DEATH_RECORDS: [&str; 6] = [
    "x-first-death-queue",
    "x-first-death-reason",
    "x-first-death-exchange",
    "x-last-death-queue",
    "x-last-death-reason",
    "x-last-death-exchange",
];
/// Additional headers of a parked message.
const ERROR: &str = "carrot-error";
const ATTEMPTS: &str = "carrot-attempts";
const QUEUE: &str = "carrot-queue";

/// The headers that a broker writes, which a copy must not carry.
const OF_THE_BROKER: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// The headers of a copy about the original message. Any producer can write them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Original<'a>(&'a Properties);

impl<'a> Original<'a> {
    pub(crate) fn new(properties: &'a Properties) -> Original<'a> {
        Original(properties)
    }

    /// Returns the number of the attempt, from 1.
    pub(crate) fn attempt(self) -> u32 {
        let attempt = self.0.header(ATTEMPT).and_then(Value::as_i64).unwrap_or(1);
        u32::try_from(attempt.max(1)).unwrap_or(u32::MAX)
    }

    pub(crate) fn exchange(self) -> Option<&'a str> {
        self.0.header(EXCHANGE).and_then(Value::as_str)
    }

    pub(crate) fn routing_key(self) -> Option<&'a str> {
        self.0.header(ROUTING_KEY).and_then(Value::as_str)
    }
}

/// Returns the dead-letter records of a message, the latest first, without the ends of pauses and
/// of delays.
/// Includes those from before its first failure, which its copy carries.
pub(crate) fn deaths<'a>(
    properties: &'a Properties,
    queue: &'a str,
) -> impl Iterator<Item = &'a Headers> {
    let records = |name| {
        properties
            .header(name)
            .and_then(Value::as_array)
            .unwrap_or_default()
            .iter()
            .filter_map(Value::as_table)
    };
    records("x-death").filter(move |death| !is_pause(death, queue)).chain(records(DEATHS))
}

/// Returns whether a record is the end of a pause or of a delay in a waiting queue.
fn is_pause(death: &Headers, queue: &str) -> bool {
    death.get("queue").and_then(Value::as_str).is_some_and(|name| is_waiting_queue(name, queue))
}

/// Returns whether messages wait in the queue `name` before they reach `queue`.
fn is_waiting_queue(name: &str, queue: &str) -> bool {
    retry_queues::is_step_of(name, queue) || is_delay_queue(name)
}

/// Returns a copy that is sent to the queue `to`, and delivered to `queue` again as attempt number
/// `attempt`. Both are the same if the broker delays the copy on its way.
pub(super) fn waiting(content: &Content, queue: &str, to: &str, attempt: u32) -> Content {
    let (properties, mut headers) = copyable(content, queue);
    headers.insert(ATTEMPT, i64::from(attempt));
    sent_to(to, content, properties, headers)
}

/// Returns a copy for the parking queue, with headers for its reader. `brief` omits headers that
/// may be too long for a frame.
pub(super) fn parked(
    content: &Content,
    queue: &str,
    parking: &str,
    attempts: u32,
    error: &str,
    brief: bool,
) -> Content {
    let (properties, mut headers) = copyable(content, queue);
    for name in DEATH_RECORDS {
        if let Some(value) = headers.remove(&moved(name)) {
            headers.insert(name, value);
        }
    }
    if let Some(deaths) = headers.remove(DEATHS) {
        headers.insert("x-death", deaths);
    }
    headers.remove(ATTEMPT);
    headers.insert(ATTEMPTS, i64::from(attempts));
    headers.insert(QUEUE, queue);
    if brief {
        remove_all(&mut headers, &[CC, USER_ID, EXPIRATION, ERROR]);
    } else {
        headers.insert(ERROR, error);
    }
    sent_to(parking, content, properties, headers)
}

/// Returns a copy of a parked or dead-lettered message for the queue where it failed, with all
/// attempts ahead of it. The message was delivered from `parking`.
///
/// # Errors
/// [`Error::Invalid`]: the message does not name the queue where it failed.
pub(super) fn forwarded(content: &Content, parking: &str) -> Result<Content> {
    let mut headers = content.properties.headers().cloned().unwrap_or_default();
    let queue = match headers.remove(QUEUE) {
        Some(Value::String(queue)) if is_queue_name(&queue) => queue,
        Some(other) => {
            return Err(Error::invalid(
                QUEUE,
                &format!("{other:?}"),
                "the name of a queue, of 1 to 255 bytes",
            ));
        }
        None => return dead_letter_forwarded(content, parking),
    };
    remove_all(&mut headers, &[ERROR, ATTEMPTS, FIRST_FAILURE]);
    // Without the header, the next failure would replace the original exchange and routing key.
    headers.insert(ATTEMPT, 1_i64);
    remove_all(&mut headers, &OF_THE_BROKER);
    let properties = content.properties.clone().without_expiration().without_user_id();
    Ok(sent_to(&queue, content, properties, headers))
}

/// Returns a copy of a message that the broker has dead-lettered, for the queue of its latest
/// death.
fn dead_letter_forwarded(content: &Content, parking: &str) -> Result<Content> {
    let death = deaths(&content.properties, parking).next().and_then(Death::read);
    let death = death.filter(|death| is_queue_name(&death.queue)).ok_or_else(|| {
        Error::invalid(
            QUEUE,
            "",
            "a header that names the queue where the message failed; only parked messages have it, \
             and dead letters have \"x-death\" instead",
        )
    })?;
    let is_copy = content.properties.header(ATTEMPT).is_some();
    let (properties, mut headers) = copyable(content, parking);
    if !is_copy {
        headers.insert(EXCHANGE, &*death.exchange);
        headers.insert(ROUTING_KEY, death.routing_keys.first().map_or("", String::as_str));
    }
    headers.remove(FIRST_FAILURE);
    headers.insert(ATTEMPT, 1_i64);
    Ok(sent_to(&death.queue, content, properties, headers))
}

fn is_queue_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
}

fn remove_all(headers: &mut Headers, names: &[&str]) {
    for name in names {
        headers.remove(name);
    }
}

fn sent_to(queue: &str, content: &Content, properties: Properties, headers: Headers) -> Content {
    Content {
        exchange: ShortString::default(),
        routing_key: queue.into(),
        properties: properties.with_headers(headers),
        body: content.body.clone(),
    }
}

/// Returns the properties and headers of a message that a copy may carry.
fn copyable(content: &Content, queue: &str) -> (Properties, Headers) {
    let properties = &content.properties;
    let mut headers = properties.headers().cloned().unwrap_or_default();
    let is_copy = headers.contains(ATTEMPT);
    if !is_copy {
        headers.insert(EXCHANGE, &*content.exchange);
        headers.insert(ROUTING_KEY, &*content.routing_key);
        remove_all(&mut headers, &[CC, USER_ID, EXPIRATION, FIRST_FAILURE, DEATHS]);
    }
    if !headers.contains(FIRST_FAILURE) {
        headers.insert(FIRST_FAILURE, now());
    }
    // The default exchange would route the copy by the header again.
    if let Some(cc) = headers.remove("CC") {
        headers.insert(CC, cc);
    }
    // A broker refuses the user id of another user.
    if let Some(user) = properties.user_id() {
        headers.insert(USER_ID, user);
    }
    // An expiration would end the pause. A message that failed once does not expire any more.
    if let Some(expiration) = properties.expiration() {
        headers.insert(EXPIRATION, expiration);
    }
    remove_all(&mut headers, &OF_THE_BROKER);
    move_deaths(&mut headers, properties, queue);
    (properties.clone().without_expiration().without_user_id(), headers)
}

/// Moves the broker's dead-letter records to headers that the broker ignores, and removes those of
/// pauses. RabbitMQ before 4.0 takes such a record for a cycle and drops the message. Later
/// releases replace the records.
fn move_deaths(headers: &mut Headers, properties: &Properties, queue: &str) {
    let mut kept: Vec<&Headers> = Vec::new();
    for death in deaths(properties, queue) {
        let same = |other: &&Headers| {
            ["queue", "reason"].iter().all(|field| other.get(field) == death.get(field))
        };
        if !kept.iter().any(same) {
            kept.push(death);
        }
    }
    let kept: Vec<Value> = kept.into_iter().cloned().map(Value::Table).collect();
    let as_it_is = headers.remove("x-death").filter(|value| !matches!(value, Value::Array(_)));
    match as_it_is {
        _ if !kept.is_empty() => drop(headers.insert(DEATHS, kept)),
        Some(value) => drop(headers.insert(DEATHS, value)),
        None => {}
    }
    for name in DEATH_RECORDS {
        let prefix = name.trim_end_matches(|letter| letter != '-');
        let of_queue = properties.header(&format!("{prefix}queue")).and_then(Value::as_str);
        let is_pause = of_queue.is_some_and(|name| is_waiting_queue(name, queue));
        if let Some(value) = headers.remove(name).filter(|_| !is_pause) {
            headers.insert(moved(name), value);
        }
    }
}

fn moved(name: &str) -> String {
    format!("carrot-{name}")
}

/// Returns the time of the client's clock, for people to read.
fn now() -> Value {
    Value::Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

    use super::*;

    fn header<'a>(content: &'a Content, name: &str) -> Option<&'a Value> {
        content.properties.header(name)
    }

    fn message() -> Content {
        let headers = Headers::from([
            ("CC", Value::Array(vec!["other".into()])),
            ("tenant", Value::from("acme")),
            ("x-delivery-count", Value::from(3)),
        ]);
        let properties = Properties::new()
            .with_message_id("id")
            .with_content_type("text/plain")
            .with_priority(3)
            .with_user_id("guest")
            .with_expiration("5000")
            .with_headers(headers);
        Content::new("shop", "orders.new", "body").with_properties(properties)
    }

    #[test]
    fn a_waiting_copy_keeps_the_message_and_moves_fields_that_brokers_read() {
        let copy = waiting(&message(), "orders", "orders.retry.v1.1s", 2);
        assert_eq!((&*copy.exchange, &*copy.routing_key), ("", "orders.retry.v1.1s"));
        assert_eq!(copy.body, b"body");
        let properties = &copy.properties;
        assert_eq!(
            (properties.message_id(), properties.content_type(), properties.priority()),
            (Some("id"), Some("text/plain"), Some(3))
        );
        assert_eq!((properties.user_id(), properties.expiration()), (None, None));
        assert_eq!(header(&copy, "tenant"), Some(&"acme".into()));
        assert_eq!(header(&copy, "carrot-cc"), Some(&Value::Array(vec!["other".into()])));
        assert_eq!(header(&copy, "carrot-user-id"), Some(&"guest".into()));
        assert_eq!(header(&copy, "carrot-expiration"), Some(&"5000".into()));
        assert_eq!((header(&copy, "CC"), header(&copy, "x-delivery-count")), (None, None));
        let original = Original::new(&copy.properties);
        assert_eq!(
            (original.attempt(), original.exchange(), original.routing_key()),
            (2, Some("shop"), Some("orders.new"))
        );
    }

    #[test]
    fn a_second_copy_keeps_the_first_failure_and_the_original_exchange() {
        let first = waiting(&message(), "orders", "orders.retry.v1.1s", 2);
        let mut came_back = Content { routing_key: "orders".into(), ..first.clone() };
        let mut headers = came_back.properties.headers().cloned().unwrap();
        let death = |queue: &str| {
            Value::Table(Headers::from([
                ("queue", Value::from(queue)),
                ("reason", Value::from("expired")),
            ]))
        };
        headers.insert("x-death", vec![death("orders.retry.v1.1s"), death("elsewhere")]);
        headers.insert("x-first-death-queue", "elsewhere");
        headers.insert("x-last-death-queue", "orders.retry.v1.1s");
        headers.insert("x-last-death-reason", "expired");
        came_back.properties = came_back.properties.with_headers(headers);

        let second = waiting(&came_back, "orders", "orders.retry.v1.2s", 3);
        let original = Original::new(&second.properties);
        assert_eq!(
            (original.attempt(), original.exchange(), original.routing_key()),
            (3, Some("shop"), Some("orders.new"))
        );
        for name in ["carrot-first-failure", "carrot-cc", "carrot-user-id", "carrot-expiration"] {
            assert_eq!(header(&second, name), header(&first, name), "{name}");
        }
        assert_eq!(
            header(&second, "carrot-x-death"),
            Some(&Value::Array(vec![death("elsewhere")]))
        );
        assert_eq!(header(&second, "carrot-x-first-death-queue"), Some(&"elsewhere".into()));
        for name in [
            "x-death",
            "x-first-death-queue",
            "x-last-death-queue",
            "x-last-death-reason",
            "carrot-x-last-death-queue",
        ] {
            assert_eq!(header(&second, name), None, "{name}");
        }
        let third = waiting(&second, "orders", "orders.retry.v1.4s", 4);
        assert_eq!(header(&third, "carrot-x-death"), header(&second, "carrot-x-death"));
        assert_eq!(deaths(&third.properties, "orders").count(), 1);

        let parked = parked(&third, "orders", "orders.failed", 5, "error", false);
        assert_eq!(header(&parked, "x-death"), Some(&Value::Array(vec![death("elsewhere")])));
        assert_eq!(header(&parked, "x-first-death-queue"), Some(&"elsewhere".into()));
        assert!(
            parked
                .properties
                .headers()
                .unwrap()
                .iter()
                .all(|(name, _)| !name.starts_with("carrot-x-"))
        );
    }

    #[test]
    fn a_parked_message_carries_its_error_and_can_be_forwarded() {
        let parked = parked(&message(), "orders", "orders.failed", 5, "out of stock", false);
        assert_eq!(&*parked.routing_key, "orders.failed");
        assert_eq!(header(&parked, "carrot-error"), Some(&"out of stock".into()));
        assert_eq!(header(&parked, "carrot-attempts"), Some(&5_i64.into()));
        assert_eq!(header(&parked, "carrot-queue"), Some(&"orders".into()));
        assert!(matches!(header(&parked, "carrot-first-failure"), Some(Value::Timestamp(_))));

        let back = forwarded(&parked, "orders.failed").unwrap();
        assert_eq!((&*back.exchange, &*back.routing_key), ("", "orders"));
        let original = Original::new(&back.properties);
        assert_eq!((original.attempt(), original.exchange()), (1, Some("shop")));
        assert_eq!((header(&back, "carrot-error"), header(&back, "carrot-queue")), (None, None));
        let error = forwarded(&message(), "orders.failed").unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }

    #[test]
    fn a_dead_letter_is_forwarded_to_the_queue_of_its_latest_death() {
        let death = |queue: &str, reason: &str| {
            Value::Table(Headers::from([
                ("queue", Value::from(queue)),
                ("reason", Value::from(reason)),
                ("exchange", Value::from("shop")),
                ("routing-keys", Value::Array(vec!["orders.new".into()])),
            ]))
        };
        let deaths = vec![death("orders", "rejected"), death("inbox", "expired")];
        let mut headers = message().properties.headers().cloned().unwrap();
        headers.insert("x-death", deaths.clone());
        headers.insert("x-first-death-queue", "inbox");
        let properties = message().properties.with_headers(headers);
        let dead = Content::new("dead", "orders", "body").with_properties(properties);

        let back = forwarded(&dead, "orders.dead").unwrap();
        assert_eq!((&*back.exchange, &*back.routing_key), ("", "orders"));
        let original = Original::new(&back.properties);
        assert_eq!(
            (original.attempt(), original.exchange(), original.routing_key()),
            (1, Some("shop"), Some("orders.new"))
        );
        // The broker must neither route by the one nor find a cycle by the others.
        for name in ["CC", "x-death", "x-first-death-queue", "x-delivery-count"] {
            assert_eq!(header(&back, name), None, "{name}");
        }
        assert_eq!(header(&back, "carrot-first-failure"), None);
        assert_eq!(header(&back, "carrot-x-death"), Some(&Value::Array(deaths)));

        // A message that was retried keeps what its first copy has noted.
        let retried = waiting(&message(), "orders", "orders.retry.v1.1s", 2);
        let mut headers = retried.properties.headers().cloned().unwrap();
        headers.insert("x-death", vec![death("orders", "rejected")]);
        headers.insert(EXCHANGE, "earlier");
        let dead = Content {
            exchange: "dead".into(),
            properties: retried.properties.clone().with_headers(headers),
            ..retried
        };
        let back = forwarded(&dead, "orders.dead").unwrap();
        assert_eq!(&*back.routing_key, "orders");
        let original = Original::new(&back.properties);
        assert_eq!((original.attempt(), original.exchange()), (1, Some("earlier")));

        for queue in ["", &*"q".repeat(256)] {
            let properties =
                Properties::new().with_header("x-death", vec![death(queue, "rejected")]);
            let dead = Content::new("dead", "orders", "body").with_properties(properties);
            assert!(matches!(forwarded(&dead, "orders.dead"), Err(Error::Invalid { .. })));
        }
    }

    #[test]
    fn a_malformed_death_record_is_moved_to_another_header() {
        for record in [
            Value::from("text"),
            Value::Array(vec!["a".into()]),
            Value::Array(vec![Value::Table(Headers::new())]),
        ] {
            let content = Content::new("", "orders", "x")
                .with_properties(Properties::new().with_header("x-death", record.clone()));
            let copy = waiting(&content, "orders", "orders.retry.v1.1s", 2);
            assert_eq!(header(&copy, "x-death"), None);
            let again = waiting(&copy, "orders", "orders.retry.v1.1s", 3);
            assert_eq!(header(&again, "carrot-x-death"), header(&copy, "carrot-x-death"));
            if record == Value::from("text") {
                assert_eq!(header(&copy, "carrot-x-death"), Some(&record));
            }
        }
    }

    #[test]
    fn an_invalid_attempt_header_is_read_as_the_first_attempt() {
        for value in
            [Value::from(0), Value::from(-7), Value::from("3"), Value::Void, Value::from(i64::MIN)]
        {
            assert_eq!(Original::new(&Properties::new().with_header(ATTEMPT, value)).attempt(), 1);
        }
        assert_eq!(
            Original::new(&Properties::new().with_header(ATTEMPT, i64::MAX)).attempt(),
            u32::MAX
        );
        assert_eq!(Original::new(&Properties::new().with_header(ATTEMPT, 3_i8)).attempt(), 3);
    }
}
