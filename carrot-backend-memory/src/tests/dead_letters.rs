use std::time::Duration;

use carrot_core::backend::{ConsumeOptions, Extent, Rejection};
use carrot_core::{
    Binding, Exchange, Headers, Overflow, Properties, Queue, RabbitMqRelease, Value,
};

use crate::tests::{BrokerFixture, SOON, arrived};

fn dying(queue: Queue, fixture: &BrokerFixture) {
    fixture.queue(&queue.dead_letter_exchange("").dead_letter_routing_key("dead"));
    fixture.queue(&Queue::new("dead"));
}

fn reject(fixture: &BrokerFixture, queue: &str) {
    let tag = fixture.get(queue).tag;
    fixture.channel.reject(tag, Rejection::Discard, Extent::One).unwrap();
}

fn deaths(fixture: &BrokerFixture, queue: &str) -> Vec<Headers> {
    let properties = &fixture.get(queue).content.properties;
    let deaths = properties.header("x-death").unwrap().as_array().unwrap();
    deaths.iter().map(|death| death.as_table().unwrap().clone()).collect()
}

#[test]
fn dead_letter_carries_a_death_record() {
    let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
    dying(Queue::new("q"), &fixture);
    let properties = Properties::new()
        .with_header("a", 1)
        .with_header("CC", vec![Value::from("copy")])
        .with_header("BCC", vec![Value::from("blind")])
        .with_expiration("50000")
        .with_priority(3);
    fixture.send_with("", "q", "m", properties);
    reject(&fixture, "q");
    let dead = fixture.get("dead");
    assert!(!dead.redelivered);
    assert_eq!((&*dead.content.exchange, &*dead.content.routing_key), ("", "dead"));
    let mut headers = dead.content.properties.headers().unwrap().clone();
    let Some(Value::Array(deaths)) = headers.remove("x-death") else { panic!("no x-death") };
    assert_eq!(
        headers,
        Headers::from([
            ("a", Value::I32(1)),
            ("x-first-death-exchange", "".into()),
            ("x-first-death-queue", "q".into()),
            ("x-first-death-reason", "rejected".into()),
        ])
    );
    let mut record = deaths[0].as_table().unwrap().clone();
    assert!(
        matches!(record.remove("time"), Some(Value::Timestamp(seconds)) if seconds > 1_600_000_000)
    );
    assert_eq!(
        record,
        Headers::from([
            ("count", Value::I64(1)),
            ("reason", "rejected".into()),
            ("queue", "q".into()),
            ("exchange", "".into()),
            ("routing-keys", vec![Value::from("q"), Value::from("copy")].into()),
            ("original-expiration", "50000".into()),
        ])
    );
    assert_eq!(
        (dead.content.properties.expiration(), dead.content.properties.priority()),
        (None, Some(3))
    );
}

#[test]
fn dead_letter_without_new_key_keeps_all_keys() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").dead_letter_exchange("graves"));
    fixture.exchange(&Exchange::direct("graves"));
    for key in ["q", "copy", "blind"] {
        fixture.queue(&Queue::new(format!("grave-{key}")));
        fixture.bind(&Binding::queue("graves", format!("grave-{key}"), key));
    }
    let keys = |key: &str| vec![Value::from(key)];
    fixture.send_with(
        "",
        "q",
        "m",
        Properties::new().with_header("CC", keys("copy")).with_header("BCC", keys("blind")),
    );
    reject(&fixture, "q");
    for key in ["q", "copy", "blind"] {
        let dead = fixture.get(&format!("grave-{key}"));
        assert_eq!((&*dead.content.exchange, &*dead.content.routing_key), ("graves", "q"));
        assert!(dead.content.properties.header("CC").is_some());
    }
}

#[test]
fn expired_and_overflowing_messages_are_dead_lettered_purged_are_not() {
    let fixture = BrokerFixture::new();
    dying(Queue::new("ttl").message_ttl(Duration::from_secs(1)), &fixture);
    dying(Queue::new("length").max_length(1), &fixture);
    dying(
        Queue::new("refusing").max_length(1).overflow(Overflow::RejectPublishDeadLetter),
        &fixture,
    );
    dying(Queue::new("gone").expires(Duration::from_secs(2)), &fixture);
    fixture.send("", "gone", "never dead");
    fixture.send("", "ttl", "of time");
    fixture.clock.advance(Duration::from_secs(1));
    for body in ["of length", "stays"] {
        fixture.send("", "length", body);
    }
    fixture.send("", "refusing", "stays");
    assert_eq!(fixture.send("", "refusing", "refused"), carrot_core::backend::Outcome::Refused);
    fixture.purge("length");
    fixture.clock.advance(Duration::from_secs(100));
    assert!(fixture.broker.queue("gone").is_none());
    assert_eq!(fixture.ready("dead"), ["of time", "of length", "refused"]);
    let reasons: Vec<Value> =
        (0..3).map(|_| deaths(&fixture, "dead")[0].get("reason").unwrap().clone()).collect();
    assert_eq!(reasons, [Value::from("expired"), Value::from("maxlen"), Value::from("maxlen")]);
}

#[test]
fn dead_letter_in_cycle_without_rejection_is_dropped() {
    let fixture = BrokerFixture::with_queue(
        &Queue::new("q").message_ttl(Duration::from_secs(1)).dead_letter_exchange(""),
    );
    fixture.send("", "q", "m");
    fixture.clock.advance(Duration::from_secs(10));
    assert_eq!(fixture.ready("q"), Vec::<String>::new());
}

#[test]
fn dead_letter_in_cycle_with_rejection_is_counted() {
    let fixture = BrokerFixture::new();
    let second = Duration::from_secs(1);
    fixture.queue(
        &Queue::new("waits")
            .message_ttl(second)
            .dead_letter_exchange("")
            .dead_letter_routing_key("works"),
    );
    fixture.queue(&Queue::new("works").dead_letter_exchange("").dead_letter_routing_key("waits"));
    fixture.send("", "waits", "m");
    for _ in 0..2 {
        fixture.clock.advance(second);
        reject(&fixture, "works");
    }
    fixture.clock.advance(second);
    let deaths: Vec<(i64, String)> = deaths(&fixture, "works")
        .iter()
        .map(|death| {
            (
                death.get("count").unwrap().as_i64().unwrap(),
                death.get("queue").unwrap().as_str().unwrap().into(),
            )
        })
        .collect();
    assert_eq!(deaths, [(3, "waits".to_string()), (2, "works".to_string())]);
}

#[test]
fn dead_letter_to_missing_exchange_is_lost() {
    let fixture = BrokerFixture::with_queue(&Queue::new("q").dead_letter_exchange("missing"));
    fixture.send("", "q", "m");
    reject(&fixture, "q");
    fixture.broker.wait_until_idle(SOON).unwrap();
}

#[test]
fn dead_letter_reaches_a_waiting_consumer() {
    let fixture = BrokerFixture::new();
    dying(Queue::new("q").message_ttl(Duration::from_secs(1)), &fixture);
    let subscription = fixture.consume("dead", &ConsumeOptions::default());
    fixture.send("", "q", "m");
    fixture.clock.advance(Duration::from_millis(999));
    assert_eq!(arrived(&*subscription), Vec::<String>::new());
    fixture.clock.advance(Duration::from_millis(1));
    assert_eq!(arrived(&*subscription), ["m"]);
}

#[test]
fn foreign_death_records_are_handled_as_on_rabbitmq() {
    let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
    dying(Queue::new("q"), &fixture);
    let record = |count: Option<i64>| {
        let mut record = Headers::from([("queue", "q"), ("reason", "rejected")]);
        count.map(|count| record.insert("count", count));
        Value::from(vec![Value::from(record)])
    };
    for (header, count, first) in [
        (("x-death", Value::from("nonsense")), 1, None),
        (("x-death", Value::from(Vec::<Value>::new())), 1, None),
        (("x-death", record(None)), 1, None),
        (("x-death", record(Some(7))), 8, None),
        (("x-first-death-reason", Value::from("mine")), 1, Some("rejected")),
    ] {
        fixture.send_with("", "q", "m", Properties::new().with_header(header.0, header.1.clone()));
        reject(&fixture, "q");
        let properties = fixture.get("dead").content.properties.clone();
        let deaths = properties.header("x-death").unwrap().as_array().unwrap();
        assert_eq!(
            deaths[0].as_table().unwrap().get("count"),
            Some(&Value::I64(count)),
            "{header:?}"
        );
        assert_eq!(
            properties.header("x-first-death-reason").and_then(Value::as_str),
            first,
            "{header:?}"
        );
    }
}

#[test]
fn foreign_death_records_without_counts_are_merged_as_on_rabbitmq() {
    let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
    dying(Queue::new("q"), &fixture);
    let record =
        |queue: &str| Value::from(Headers::from([("queue", queue), ("reason", "expired")]));
    let records = ["other", "third", "other", "other"].map(record).to_vec();
    fixture.send_with("", "q", "m", Properties::new().with_header("x-death", records));
    reject(&fixture, "q");
    let properties = fixture.get("dead").content.properties.clone();
    let deaths = properties.header("x-death").unwrap().as_array().unwrap();
    let field = |death: &Value, name: &str| death.as_table().unwrap().get(name).cloned();
    let merged: Vec<_> =
        deaths.iter().map(|death| (field(death, "queue"), field(death, "count"))).collect();
    let expected = [("q", 1), ("third", 1), ("other", 3)];
    assert_eq!(
        merged,
        expected.map(|(queue, count)| (Some(Value::from(queue)), Some(Value::I64(count))))
    );
}

#[test]
fn foreign_death_records_with_counts_or_without_fields_are_merged_too() {
    let fixture = BrokerFixture::imitating(RabbitMqRelease::V3_10);
    dying(Queue::new("q"), &fixture);
    let counted = Headers::from([("queue", Value::from("other")), ("count", Value::I64(5))]);
    let nameless = Headers::from([("reason", "expired")]);
    let records: Vec<Value> =
        [&counted, &nameless, &counted, &nameless].map(|record| record.clone().into()).to_vec();
    fixture.send_with("", "q", "m", Properties::new().with_header("x-death", records));
    reject(&fixture, "q");
    let properties = fixture.get("dead").content.properties.clone();
    let deaths = properties.header("x-death").unwrap().as_array().unwrap();
    let counts: Vec<_> =
        deaths.iter().map(|death| death.as_table().unwrap().get("count").cloned()).collect();
    assert_eq!(counts, [1, 2, 5].map(|count| Some(Value::I64(count))));
}

#[test]
fn messages_rejected_together_are_dead_lettered_in_order() {
    let fixture = BrokerFixture::new();
    dying(Queue::new("q"), &fixture);
    for body in ["a", "b", "c"] {
        fixture.send("", "q", body);
        fixture.get("q");
    }
    fixture
        .channel
        .reject(carrot_core::backend::DeliveryTag(0), Rejection::Discard, Extent::UpTo)
        .unwrap();
    assert_eq!(fixture.ready("dead"), ["a", "b", "c"]);
}
