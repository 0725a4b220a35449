//! Dead-lettering, and the headers of dead letters.

use std::time::Duration;

use crate::support::*;

struct DeadLetterFixture<'harness> {
    fixture: CaseFixture<'harness>,
    /// The queue under test. Its dead-letter exchange is `exchange`.
    queue: String,
    exchange: String,
    /// A queue that is bound to the dead-letter exchange.
    dead: String,
}

fn fixture<'harness>(
    harness: &'harness dyn Harness,
    adjust: impl FnOnce(Queue) -> Queue,
) -> DeadLetterFixture<'harness> {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.fanout_exchange();
    let dead = fixture.bound_queue(&exchange, "");
    let queue = fixture.queue_with(|queue| adjust(queue.dead_letter_exchange(&*exchange)));
    DeadLetterFixture { fixture, queue, exchange, dead }
}

fn deaths(delivery: &Delivery) -> Vec<Headers> {
    let deaths =
        delivery.content.properties.header("x-death").and_then(Value::as_array).unwrap_or_default();
    deaths.iter().filter_map(Value::as_table).cloned().collect()
}

fn header<'delivery>(delivery: &'delivery Delivery, name: &str) -> Option<&'delivery str> {
    delivery.content.properties.header(name).and_then(Value::as_str)
}

fn entry<'death>(death: &'death Headers, name: &str) -> &'death str {
    death.get(name).and_then(Value::as_str).unwrap_or("(absent)")
}

pub(crate) fn a_discarded_message_is_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    fixture.channel.expect_messages(&dead, ["x"]);
}

pub(crate) fn an_expired_message_is_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.message_ttl(milliseconds(50)));
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.pass_ms(100);
    fixture.channel.expect_messages(&dead, ["a", "b"]);
}

pub(crate) fn a_message_dropped_from_a_full_queue_is_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.max_length(1));
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.channel.expect_messages(&dead, ["a"]);
    fixture.channel.expect_messages(&queue, ["b"]);
}

pub(crate) fn a_rejected_publication_is_dead_lettered_with_reject_publish_dlx(
    harness: &dyn Harness,
) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.max_length(1).overflow(Overflow::RejectPublishDeadLetter));
    fixture.channel.enqueue(&queue, ["a"]);
    let tag = fixture.channel.publish_content(Content::new("", &*queue, "b"));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Refused);
    fixture.channel.expect_messages(&dead, ["b"]);
    fixture.channel.expect_messages(&queue, ["a"]);
}

pub(crate) fn an_acknowledged_message_is_not_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.channel.ack_one(&fixture.channel.get_delivery(&queue));
    fixture.channel.get_delivery_as(&queue, Acknowledgement::Automatic);
    fixture.channel.expect_stays_empty(&dead);
}

pub(crate) fn a_requeued_message_is_not_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    fixture.channel.expect_stays_empty(&dead);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn purged_messages_are_not_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.purge(&queue).expect("purge");
    fixture.channel.expect_stays_empty(&dead);
}

pub(crate) fn messages_of_a_deleted_queue_are_not_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    fixture.channel.expect_stays_empty(&dead);
}

pub(crate) fn several_messages_discarded_at_once_are_all_dead_lettered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    let last = [
        fixture.channel.get_delivery(&queue),
        fixture.channel.get_delivery(&queue),
        fixture.channel.get_delivery(&queue),
    ]
    .map(|delivery| delivery.tag)[2];
    fixture.channel.reject(last, Rejection::Discard, Extent::UpTo).expect("discard");
    fixture.channel.expect_messages(&dead, ["a", "b", "c"]);
}

pub(crate) fn a_dead_letter_keeps_its_content(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    let properties = Properties::new()
        .with_content_type("text/plain")
        .with_message_id("one")
        .with_priority(3)
        .with_header("mine", 1);
    fixture.channel.enqueue_with(&queue, "x", properties.clone());
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    let letter = fixture.channel.get_delivery(&dead);
    assert_eq!(body(&letter), "x");
    assert_eq!(letter.content.properties.header("mine"), Some(&Value::I32(1)));
    assert_eq!(letter.content.properties.clone().without_headers(), properties.without_headers());
}

pub(crate) fn a_dead_letter_is_not_marked_as_redelivered(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    assert!(!fixture.channel.get_delivery(&dead).redelivered);
}

pub(crate) fn a_dead_letter_without_a_failed_delivery_is_not_marked_as_redelivered(
    harness: &dyn Harness,
) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.message_ttl(milliseconds(1000)));
    fixture.channel.enqueue(&queue, ["never delivered"]);
    fixture.pass_ms(1300);
    assert!(!fixture.channel.get_delivery_as(&dead, Acknowledgement::Automatic).redelivered);
    fixture.channel.enqueue(&queue, ["given back"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    fixture.pass_ms(1300);
    assert!(!fixture.channel.get_delivery(&dead).redelivered);
}

pub(crate) fn a_failed_delivery_marks_the_dead_letter_as_redelivered_or_not(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.message_ttl(milliseconds(1000)));
    let marked = ReleaseAnswer::FailuresMarkDeadLetters.is_expected(harness);
    fixture.channel.enqueue(&queue, ["failed"]);
    let delivery = fixture.channel.get_delivery(&queue);
    fixture
        .channel
        .reject(delivery.tag, Rejection::RequeueFailed, Extent::One)
        .expect("requeue as failed");
    fixture.pass_ms(1300);
    let letter = fixture.channel.get_delivery_as(&dead, Acknowledgement::Automatic);
    assert_eq!((&*body(&letter), letter.redelivered), ("failed", marked));

    fixture.channel.enqueue(&queue, ["given back"]);
    let closed = fixture.open();
    closed.get_delivery(&queue);
    closed.close_channel();
    fixture.pass_ms(1300);
    let letter = fixture.channel.get_delivery(&dead);
    assert_eq!((&*body(&letter), letter.redelivered), ("given back", false));
}

pub(crate) fn a_lost_connection_marks_the_dead_letter_as_redelivered_or_not(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.message_ttl(milliseconds(2000)));
    let breakable = harness.breakable().expect("a harness with this feature has a breakable");
    let lost = open(&*breakable.connector);
    fixture.channel.enqueue(&queue, ["lost"]);
    lost.get_delivery(&queue);
    (breakable.cut)();
    fixture.channel.expect_ready(&queue, 1);
    fixture.pass_ms(2100);
    let marked = ReleaseAnswer::FailuresMarkDeadLetters.is_expected(harness);
    let letter = fixture.channel.get_delivery(&dead);
    assert_eq!((&*body(&letter), letter.redelivered), ("lost", marked));
}

pub(crate) fn a_dead_letter_keeps_its_routing_key(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, exchange, dead } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    let letter = fixture.channel.get_delivery(&dead);
    assert_eq!(
        (&*letter.content.exchange, &*letter.content.routing_key),
        (exchange.as_str(), queue.as_str())
    );
}

pub(crate) fn a_dead_letter_has_the_dead_letter_routing_key_of_its_queue(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.dead_letter_routing_key("failed"));
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    assert_eq!(&*fixture.channel.get_delivery(&dead).content.routing_key, "failed");
}

pub(crate) fn the_default_exchange_routes_dead_letters(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let dead = fixture.queue();
    let queue =
        fixture.queue_with(|queue| queue.dead_letter_exchange("").dead_letter_routing_key(&*dead));
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    fixture.channel.expect_messages(&dead, ["x"]);
}

pub(crate) fn a_missing_dead_letter_exchange_drops_the_message(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let missing = fixture.exchange_name();
    let queue = fixture.queue_with(|queue| queue.dead_letter_exchange(missing));
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    fixture.channel.round_trip(&queue);
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn the_x_death_header_records_a_rejection(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (source, exchange) = (fixture.topic_exchange(), fixture.fanout_exchange());
    let dead = fixture.bound_queue(&exchange, "");
    let queue = fixture.queue_with(|queue| queue.dead_letter_exchange(&*exchange));
    fixture.bind(&source, &queue, "a.#");
    fixture.channel.send(&source, "a.b", "x");
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    let deaths = deaths(&fixture.channel.get_delivery(&dead));
    assert_eq!(deaths.len(), 1, "one death: {deaths:?}");
    let death = &deaths[0];
    assert_eq!(entry(death, "reason"), "rejected");
    assert_eq!(entry(death, "queue"), queue);
    assert_eq!(entry(death, "exchange"), source);
    assert_eq!(death.get("count").and_then(Value::as_i64), Some(1));
    assert_eq!(death.get("routing-keys"), Some(&Value::from(vec![Value::from("a.b")])));
    assert!(matches!(death.get("time"), Some(Value::Timestamp(_))), "the time of death: {death:?}");
}

pub(crate) fn the_x_first_death_headers_record_the_first_death(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    let letter = fixture.channel.get_delivery(&dead);
    assert_eq!(header(&letter, "x-first-death-reason"), Some("rejected"));
    assert_eq!(header(&letter, "x-first-death-queue"), Some(&*queue));
    assert_eq!(header(&letter, "x-first-death-exchange"), Some(""));
}

pub(crate) fn the_x_last_death_headers_record_the_last_death(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let last = fixture.queue();
    let second = fixture.queue_with(|queue| {
        queue.dead_letter_exchange("").dead_letter_routing_key(&*last).max_length(0)
    });
    let first = fixture
        .queue_with(|queue| queue.dead_letter_exchange("").dead_letter_routing_key(&*second));
    fixture.channel.enqueue(&first, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&first));
    let letter = fixture.channel.get_delivery(&last);
    let named = ReleaseAnswer::LastDeathsAreNamed.is_expected(harness);
    for (name, expected) in [
        ("x-last-death-queue", &*second),
        ("x-last-death-reason", "maxlen"),
        ("x-last-death-exchange", ""),
    ] {
        assert_eq!(header(&letter, name), named.then_some(expected), "{name}");
    }
}

pub(crate) fn the_x_death_header_records_an_expiry(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.message_ttl(milliseconds(50)));
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.pass_ms(100);
    let letter = fixture.channel.get_delivery(&dead);
    assert_eq!(entry(&deaths(&letter)[0], "reason"), "expired");
    assert_eq!(deaths(&letter)[0].get("original-expiration"), None);
}

pub(crate) fn the_x_death_header_records_a_full_queue(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.max_length(1));
    fixture.channel.enqueue(&queue, ["a", "b"]);
    assert_eq!(entry(&deaths(&fixture.channel.get_delivery(&dead))[0], "reason"), "maxlen");
}

pub(crate) fn a_dead_letter_has_its_expiration_in_the_x_death_header_only(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue_with(&queue, "x", Properties::new().with_expiration("50"));
    fixture.pass_ms(100);
    let letter = fixture.channel.get_delivery(&dead);
    assert_eq!(letter.content.properties.expiration(), None);
    assert_eq!(entry(&deaths(&letter)[0], "original-expiration"), "50");
}

pub(crate) fn the_x_death_header_counts_equal_deaths(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } = fixture(harness, |queue| queue);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    let letter = fixture.channel.get_delivery_as(&dead, Acknowledgement::Automatic);
    fixture.channel.enqueue_with(&queue, "x", letter.content.properties.clone());
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    let deaths = deaths(&fixture.channel.get_delivery(&dead));
    assert_eq!(deaths.len(), 1, "one record: {deaths:?}");
    let counted = ReleaseAnswer::DeathsSentByClientsCount.is_expected(harness);
    let count = if counted { 2 } else { 1 };
    assert_eq!(deaths[0].get("count").and_then(Value::as_i64), Some(count));
}

pub(crate) fn the_x_death_header_starts_with_the_latest_death(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let last = fixture.queue();
    let second = fixture.queue_with(|queue| {
        queue.dead_letter_exchange("").dead_letter_routing_key(&*last).max_length(0)
    });
    let first = fixture
        .queue_with(|queue| queue.dead_letter_exchange("").dead_letter_routing_key(&*second));
    fixture.channel.enqueue(&first, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&first));
    let letter = fixture.channel.get_delivery(&last);
    let reasons: Vec<(String, String)> = deaths(&letter)
        .iter()
        .map(|death| (entry(death, "queue").to_string(), entry(death, "reason").to_string()))
        .collect();
    assert_eq!(reasons, [(second, "maxlen".to_string()), (first.clone(), "rejected".to_string())]);
    assert_eq!(header(&letter, "x-first-death-queue"), Some(&*first));
}

pub(crate) fn a_dead_letter_cycle_without_a_rejection_drops_the_message(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let name = fixture.queue_name();
    let queue = Queue::new(&name)
        .message_ttl(milliseconds(50))
        .dead_letter_exchange("")
        .dead_letter_routing_key(&*name);
    fixture.channel.declare_queue(&queue).expect("declare");
    fixture.channel.enqueue(&name, ["x"]);
    fixture.pass_ms(150);
    fixture.channel.expect_ready(&name, 0);
    fixture.pass_ms(150);
    fixture.channel.expect_stays_empty(&name);
}

pub(crate) fn a_dead_letter_cycle_with_a_rejection_continues(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let name = fixture.queue_name();
    let queue = Queue::new(&name).dead_letter_exchange("").dead_letter_routing_key(&*name);
    fixture.channel.declare_queue(&queue).expect("declare");
    fixture.channel.enqueue(&name, ["x"]);
    for _ in 0..3 {
        fixture.channel.discard(&fixture.channel.get_delivery(&name));
    }
    let letter = fixture.channel.get_delivery(&name);
    assert_eq!(deaths(&letter)[0].get("count").and_then(Value::as_i64), Some(3));
}

pub(crate) fn a_dead_letter_with_a_replaced_routing_key_is_not_copied_again(harness: &dyn Harness) {
    let DeadLetterFixture { fixture, queue, dead, .. } =
        fixture(harness, |queue| queue.dead_letter_routing_key("failed"));
    let elsewhere = fixture.queue();
    let copies = Value::from(vec![Value::from(&*elsewhere)]);
    fixture.channel.enqueue_with(&queue, "x", Properties::new().with_header("CC", copies));
    fixture.channel.expect_messages(&elsewhere, ["x"]);
    fixture.channel.discard(&fixture.channel.get_delivery(&queue));
    let letter = fixture.channel.get_delivery(&dead);
    let removed = ReleaseAnswer::ReplacedKeysRemoveCopies.is_expected(harness);
    let expected = (!removed).then(|| Value::from(vec![Value::from(&*elsewhere)]));
    assert_eq!(letter.content.properties.header("CC"), expected.as_ref());
    // The keys of a replaced one are not routed again.
    let [target, copied] = [fixture.queue(), fixture.queue()];
    let source = fixture
        .queue_with(|queue| queue.dead_letter_exchange("").dead_letter_routing_key(&*target));
    let copies = Value::from(vec![Value::from(&*copied)]);
    fixture.channel.enqueue_with(&source, "y", Properties::new().with_header("CC", copies));
    fixture.channel.discard(&fixture.channel.get_delivery(&source));
    fixture.channel.expect_messages(&target, ["y"]);
    fixture.channel.expect_messages(&copied, ["y"]);
    let keys = Value::from(vec![Value::from(&*queue), Value::from(&*elsewhere)]);
    assert_eq!(deaths(&letter)[0].get("routing-keys"), Some(&keys));
    fixture.channel.expect_stays_empty(&copied);
}

/// Publishes a message to a retry queue with a TTL of one second, and asserts that the broker
/// dead-letters the message to the target queue.
fn expect_retry(fixture: &CaseFixture<'_>, adjust: impl FnOnce(Queue) -> Queue) {
    let target = fixture.queue();
    let retry = fixture.queue_with(|queue| {
        adjust(
            queue
                .message_ttl(Duration::from_secs(1))
                .dead_letter_exchange("")
                .dead_letter_routing_key(&*target),
        )
    });
    fixture.channel.enqueue_with(
        &retry,
        "later",
        Properties::new().with_message_id("id").with_header("tenant", "acme"),
    );
    fixture.pass_ms(500);
    fixture.channel.expect_empty(&target);
    fixture.pass_ms(600);
    let delivery = fixture.channel.get_delivery(&target);
    assert!(!delivery.redelivered, "{delivery:?}");
    let content = &delivery.content;
    assert_eq!(
        (&*content.exchange, &*content.routing_key, content.properties.message_id()),
        ("", &*target, Some("id"))
    );
    assert_eq!(content.properties.header("tenant").and_then(Value::as_str), Some("acme"));
    fixture.channel.ack(delivery.tag, Extent::One).expect("ack");
    fixture.channel.expect_ready(&retry, 0);
}

pub(crate) fn a_retry_queue_dead_letters_its_messages_without_the_redelivered_flag(
    harness: &dyn Harness,
) {
    expect_retry(&CaseFixture::new(harness), |queue| queue);
}

pub(crate) fn a_retry_queue_of_the_quorum_type_dead_letters_its_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert!(
        fixture.connector.capabilities().quorum_queues,
        "the capabilities of the backend lack quorum queues"
    );
    expect_retry(&fixture, |queue| {
        queue
            .quorum()
            .argument("x-dead-letter-strategy", "at-least-once")
            .argument("x-overflow", "reject-publish")
    });
}
