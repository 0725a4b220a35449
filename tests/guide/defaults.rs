//! The defaults that the guide names are those of the code.

use std::time::Duration;

use carrot::config::Credentials;
use carrot::consume::{ConsumerDefinition, Retry};
use carrot::memory::{Broker, ManualClock};
use carrot::message::DeliveryMode;
use carrot::publish::PublisherDefinition;
use carrot::{Connection, ConnectionOptions, Error, Message, Queue, topology::DeleteIf};
use serde_json::Value;

use crate::read;

/// Returns the rows of the table below a heading: the setting and its default.
fn rows(heading: &str) -> Vec<(String, String)> {
    let page = read("docs/guide/limits-and-defaults.md");
    let section = page
        .split("\n## ")
        .find(|section| section.starts_with(heading))
        .unwrap_or_else(|| panic!("no section {heading:?}"));
    let cells = |line: &str| {
        let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
        (cells.next().unwrap_or_default(), cells.next().unwrap_or_default())
    };
    section.lines().filter(|line| line.starts_with('|')).skip(2).map(cells).collect()
}

#[track_caller]
fn assert_rows(heading: &str, expected: &[(&str, String)]) {
    let expected: Vec<_> =
        expected.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    assert_eq!(rows(heading), expected, "{heading}");
}

fn seconds(duration: Duration) -> String {
    format!("{} s", duration.as_secs_f64())
}

fn bytes(number: u64) -> String {
    match number {
        _ if number.is_multiple_of(1 << 20) => format!("{} MiB", number >> 20),
        _ if number.is_multiple_of(1 << 10) => format!("{} KiB", number >> 10),
        _ => format!("{number} bytes"),
    }
}

fn number(json: &Value) -> u64 {
    json.as_u64().unwrap_or_else(|| panic!("not a number: {json}"))
}

fn code(text: impl std::fmt::Display) -> String {
    format!("`{text}`")
}

/// Returns the number of attempts, and the pauses between them, in seconds.
fn default_retry() -> (u64, Vec<u64>) {
    let retry = serde_json::to_value(Retry::default()).unwrap();
    assert_eq!(retry["jitter"], false);
    let (first, longest) = (retry["first"].as_f64().unwrap(), retry["longest"].as_f64().unwrap());
    let attempts = number(&retry["attempts"]);
    let pauses = (1..attempts)
        .scan(first, |pause, _| Some(std::mem::replace(pause, (*pause * 2.0).min(longest))))
        .map(|pause| pause as u64);
    (attempts, pauses.collect())
}

/// Returns the pauses as the pages write them: `1, 2, 4 and 8 s`.
fn default_pauses() -> String {
    let (_, pauses) = default_retry();
    let (last, others) = pauses.split_last().expect("the default has pauses");
    let others: Vec<_> = others.iter().map(u64::to_string).collect();
    format!("{} and {last} s", others.join(", "))
}

#[test]
fn guide_defaults_of_connection_are_those_of_options() {
    let options = ConnectionOptions::default();
    let Credentials::Plain { user, .. } = &options.credentials else {
        panic!("the default credentials are a user and a password")
    };
    assert_eq!(options.credentials, Credentials::plain("guest", "guest"));
    let (host, port) = options.addresses().next().expect("the default has an address");
    let url = format!("amqp://{user}:guest@{host}:{port}/%2F");
    assert_eq!(ConnectionOptions::try_from(url.as_str()).unwrap(), options.clone().port(port));
    let with_tls = ConnectionOptions::default().tls(Default::default());
    let port_of = |scheme: &str| {
        let options: ConnectionOptions = format!("{scheme}://h").parse().unwrap();
        options.addresses().next().unwrap().1
    };
    let imitated = Broker::new().release();
    assert_eq!((options.imitate, options.channel_max), (None, 0));
    assert_rows(
        "Defaults of a connection",
        &[
            ("URL", code(url)),
            ("port of `amqps`", with_tls.addresses().next().unwrap().1.to_string()),
            ("port of `zmq`, and of `zmqs`", format!("{}, {}", port_of("zmq"), port_of("zmqs"))),
            (
                "port of `activemq`, and of `activemq+ssl`",
                format!("{}, {}", port_of("activemq"), port_of("activemq+ssl")),
            ),
            ("`heartbeat`", seconds(options.heartbeat)),
            ("`connect_timeout`", seconds(options.connect_timeout)),
            ("`call_timeout`", seconds(options.call_timeout)),
            ("`channel_max`", "0, the limit of the broker".into()),
            ("`frame_max`", bytes(options.frame_max.into())),
            ("`max_message_size`", bytes(options.max_message_size)),
            ("`name`", code(&options.name)),
            ("`imitate`, for the memory broker", imitated.to_string()),
        ],
    );
}

#[test]
fn guide_defaults_of_publisher_are_those_of_definition() {
    let definition = serde_json::to_value(PublisherDefinition::new()).unwrap();
    assert_eq!(definition["without_confirms"], false);
    for setting in ["exchange", "compress", "properties"] {
        assert_eq!(definition.get(setting), None, "{setting} is not written by default");
    }
    assert_rows(
        "Defaults of a publisher",
        &[
            ("`exchange`", "the default exchange".into()),
            ("`codec`", code(definition["codec"].as_str().unwrap())),
            ("`compress`", "no compression".into()),
            ("confirms", "on".into()),
            ("messages", "persistent".into()),
            ("`mandatory`", "on for the default exchange with confirms, else off".into()),
            (
                "`send_timeout`",
                seconds(Duration::from_secs_f64(definition["send_timeout"].as_f64().unwrap())),
            ),
            ("`max_in_flight`", format!("{} messages", definition["max_in_flight"])),
            ("`max_bytes_in_flight`", bytes(number(&definition["max_bytes_in_flight"]))),
        ],
    );
}

#[test]
fn publisher_with_defaults_sends_persistent_and_mandatory_messages() {
    let connection = carrot::connect("memory://").unwrap();
    let publisher = connection.publisher().routing_key("missing").build().unwrap();
    let sent = publisher.send("a message");
    assert!(matches!(sent, Err(Error::Unroutable { .. })), "{sent:?}");
    connection.publisher().exchange("no-listener").build().unwrap().send("a message").unwrap();

    connection.publisher().queue("orders").build().unwrap().send("a message").unwrap();
    let message = connection.consumer("orders").build().unwrap().fetch().unwrap().unwrap();
    assert_eq!(message.properties().delivery_mode(), Some(DeliveryMode::Persistent));
}

#[test]
fn guide_defaults_of_consumer_are_those_of_definition() {
    let definition = serde_json::to_value(ConsumerDefinition::new("orders")).unwrap();
    for setting in [
        "automatic_acknowledgement",
        "give_up_after",
        "max_held_bytes",
        "pause_after_failures",
        "park",
        "retry",
        "exclusive",
    ] {
        assert_eq!(definition.get(setting), None, "{setting} is not written by default");
    }
    let queue = Queue::new("orders");
    assert!(queue.durable && queue.arguments.is_empty());
    let (optional, codecs): (Vec<_>, Vec<_>) = definition["codecs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| code(name.as_str().unwrap()))
        .partition(|name| name == "`message_pack`");
    let codecs = format!("{}; with its feature {}", codecs.join(", "), optional.join(", "));
    let (attempts, _) = default_retry();
    let shown = format!("{:?}", ConsumerDefinition::new("orders"));
    let inflated = shown.split("max_inflated_bytes: ").nth(1).expect("the setting is shown");
    let inflated = inflated.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap();
    assert_rows(
        "Defaults of a consumer",
        &[
            ("queue", "durable, with the default type of the broker".into()),
            ("acknowledgement", "manual".into()),
            ("`prefetch`", format!("{} messages", definition["prefetch"])),
            ("`codecs`", codecs),
            ("`max_inflated_bytes`, for compressed bodies", bytes(inflated)),
            ("`retry`", format!("{attempts} attempts, after pauses of {}", default_pauses())),
            ("`park`", "`<queue>.failed`".into()),
            ("`give_up_after`", "never".into()),
            ("`max_held_bytes`", "no bound but the prefetch".into()),
            ("`pause_after_failures`", "never".into()),
        ],
    );
}

#[test]
fn failed_message_with_defaults_is_retried_and_parked_as_the_guide_says() {
    let clock = ManualClock::new();
    let connection = Connection::new(Broker::with_clock(&clock).connector());
    let mut consumer = connection.consumer("orders").build().unwrap();
    consumer.register_callback(|_: String, _: &Message| Err::<(), _>("always"));
    connection.publisher().queue("orders").build().unwrap().send("an order").unwrap();

    let (attempts, pauses) = default_retry();
    for attempt in 0..attempts {
        let elapsed = pauses.iter().take(attempt as usize).sum();
        assert_eq!(clock.elapsed(), Duration::from_secs(elapsed), "attempt {}", attempt + 1);
        consumer.handle_next(1).unwrap();
        clock.advance_to_next();
    }
    assert_eq!(connection.delete_queue("orders.failed", DeleteIf::ALWAYS).unwrap(), 1);
}

#[test]
fn pages_name_the_defaults_of_the_code() {
    let consumer = serde_json::to_value(ConsumerDefinition::new("orders")).unwrap();
    let publisher = serde_json::to_value(PublisherDefinition::new()).unwrap();
    let options = ConnectionOptions::default();
    let (attempts, _) = default_retry();
    assert_eq!(attempts, 5, "the pages write the number as a word");
    let prefetch = number(&consumer["prefetch"]);
    let connect = seconds(options.connect_timeout);
    let send = seconds(Duration::from_secs_f64(publisher["send_timeout"].as_f64().unwrap()));
    let silent = seconds(options.heartbeat * 2);
    for (page, phrase) in [
        ("docs/guide/first-message.md", format!("`Error::Connect`, after at most {connect}")),
        ("docs/guide/first-message.md", format!("`Error::Timeout` from `send`, after {send}")),
        ("docs/guide/work-queues.md", format!("The default is {prefetch}.")),
        ("docs/guide/retries-and-dead-letters.md", "is tried five times in all".into()),
        ("docs/guide/retries-and-dead-letters.md", format!("pauses of {}", default_pauses())),
        ("docs/guide/losing-the-broker.md", format!("for the send timeout: {send} by default")),
        ("docs/guide/losing-the-broker.md", format!("for {connect}, once")),
        ("docs/guide/losing-the-broker.md", format!("two heartbeats, {silent} by default")),
        ("docs/guide/production-checklist.md", format!("The default is {send}.")),
        ("docs/guide/coming-from-pika.md", format!("the send timeout, {send} by default")),
        ("docs/guide/coming-from-pika.md", format!("`.prefetch(8)`; {prefetch} by default")),
        ("docs/guide/coming-from-kombu.md", format!("`.prefetch(8)`; {prefetch} by default")),
        ("docs/guide/coming-from-kombu.md", format!("`prefetch` {prefetch}, for all threads")),
        ("docs/guide/coming-from-bunny.md", format!("`.prefetch(8)`; {prefetch} by default")),
        ("docs/guide/coming-from-lapin.md", format!("`.prefetch(8)`; {prefetch} by default")),
        ("docs/guarantees.md", format!("after {}. After the fifth failure", default_pauses())),
        ("docs/guarantees.md", format!("send timeout of the message passes: {send} by default")),
        ("src/lib.rs", format!("the connect timeout of the options ({connect} by default)")),
    ] {
        let text = read(page).replace("///", " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(&phrase), "{page} does not say {phrase:?}");
    }
}
