//! Where messages go that nobody could use.

use std::time::Duration;

use crate::support::*;

struct Fixture<'harness> {
    stage: Stage<'harness>,
    /// The queue under test; its dead letters go to `exchange`.
    queue: String,
    exchange: String,
    /// Bound to the dead-letter exchange.
    dead: String,
}

fn fixture<'harness>(
    harness: &'harness dyn Harness,
    adjust: impl FnOnce(Queue) -> Queue,
) -> Fixture<'harness> {
    let stage = Stage::new(harness);
    let exchange = stage.fanout();
    let dead = stage.bound(&exchange, "");
    let queue = stage.queue_with(|queue| adjust(queue.dead_letter_exchange(&*exchange)));
    Fixture { stage, queue, exchange, dead }
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

pub(crate) fn a_discarded_message_goes_to_the_dead_letter_exchange(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    stage.channel.drain(&dead, ["x"]);
}

pub(crate) fn an_expired_message_goes_to_the_dead_letter_exchange(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } =
        fixture(harness, |queue| queue.message_ttl(milliseconds(50)));
    stage.channel.put(&queue, ["a", "b"]);
    stage.pass_ms(100);
    stage.channel.drain(&dead, ["a", "b"]);
}

pub(crate) fn a_message_dropped_from_a_full_queue_goes_to_the_dead_letter_exchange(
    harness: &dyn Harness,
) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue.max_length(1));
    stage.channel.put(&queue, ["a", "b"]);
    stage.channel.drain(&dead, ["a"]);
    stage.channel.drain(&queue, ["b"]);
}

pub(crate) fn a_rejected_publication_goes_to_the_dead_letter_exchange_if_asked(
    harness: &dyn Harness,
) {
    let Fixture { stage, queue, dead, .. } =
        fixture(harness, |queue| queue.max_length(1).overflow(Overflow::RejectPublishDeadLetter));
    stage.channel.put(&queue, ["a"]);
    let tag = stage.channel.post(Content::new("", &*queue, "b"));
    assert_eq!(stage.channel.outcome(tag), Outcome::Refused);
    stage.channel.drain(&dead, ["b"]);
    stage.channel.drain(&queue, ["a"]);
}

pub(crate) fn an_acknowledged_message_is_no_dead_letter(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["a", "b"]);
    stage.channel.accept(&stage.channel.take(&queue));
    stage.channel.take_as(&queue, Acknowledgement::Automatic);
    stage.channel.stays_empty(&dead);
}

pub(crate) fn a_requeued_message_is_no_dead_letter(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.requeue(&stage.channel.take(&queue));
    stage.channel.stays_empty(&dead);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn purged_messages_are_no_dead_letters(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.purge(&queue).expect("purge");
    stage.channel.stays_empty(&dead);
}

pub(crate) fn messages_of_a_deleted_queue_are_no_dead_letters(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    stage.channel.stays_empty(&dead);
}

pub(crate) fn several_discarded_at_once_are_all_dead_letters(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["a", "b", "c"]);
    let last = [stage.channel.take(&queue), stage.channel.take(&queue), stage.channel.take(&queue)]
        .map(|delivery| delivery.tag)[2];
    stage.channel.reject(last, Rejection::Discard, Extent::UpTo).expect("discard");
    stage.channel.drain(&dead, ["a", "b", "c"]);
}

pub(crate) fn a_dead_letter_keeps_its_content(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    let properties = Properties::new()
        .with_content_type("text/plain")
        .with_message_id("one")
        .with_priority(3)
        .with_header("mine", 1);
    stage.channel.put_with(&queue, "x", properties.clone());
    stage.channel.discard(&stage.channel.take(&queue));
    let letter = stage.channel.take(&dead);
    assert_eq!(body(&letter), "x");
    assert_eq!(letter.content.properties.header("mine"), Some(&Value::I32(1)));
    assert_eq!(letter.content.properties.clone().without_headers(), properties.without_headers());
}

pub(crate) fn a_dead_letter_is_no_redelivery(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    assert!(!stage.channel.take(&dead).redelivered);
}

pub(crate) fn a_dead_letter_is_published_to_the_dead_letter_exchange_with_its_old_key(
    harness: &dyn Harness,
) {
    let Fixture { stage, queue, exchange, dead } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    let letter = stage.channel.take(&dead);
    assert_eq!(
        (&*letter.content.exchange, &*letter.content.routing_key),
        (exchange.as_str(), queue.as_str())
    );
}

pub(crate) fn a_dead_letter_takes_the_routing_key_of_its_queue(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } =
        fixture(harness, |queue| queue.dead_letter_routing_key("failed"));
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    assert_eq!(&*stage.channel.take(&dead).content.routing_key, "failed");
}

pub(crate) fn the_default_exchange_can_take_dead_letters(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let dead = stage.queue();
    let queue =
        stage.queue_with(|queue| queue.dead_letter_exchange("").dead_letter_routing_key(&*dead));
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    stage.channel.drain(&dead, ["x"]);
}

pub(crate) fn a_missing_dead_letter_exchange_drops(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let missing = stage.exchange_name();
    let queue = stage.queue_with(|queue| queue.dead_letter_exchange(missing));
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    stage.channel.round_trip(&queue);
    stage.channel.stays_empty(&queue);
}

pub(crate) fn the_death_record_tells_of_a_rejection(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (source, exchange) = (stage.topic(), stage.fanout());
    let dead = stage.bound(&exchange, "");
    let queue = stage.queue_with(|queue| queue.dead_letter_exchange(&*exchange));
    stage.bind(&source, &queue, "a.#");
    stage.channel.send(&source, "a.b", "x");
    stage.channel.discard(&stage.channel.take(&queue));
    let deaths = deaths(&stage.channel.take(&dead));
    assert_eq!(deaths.len(), 1, "one death: {deaths:?}");
    let death = &deaths[0];
    assert_eq!(entry(death, "reason"), "rejected");
    assert_eq!(entry(death, "queue"), queue);
    assert_eq!(entry(death, "exchange"), source);
    assert_eq!(death.get("count").and_then(Value::as_i64), Some(1));
    assert_eq!(death.get("routing-keys"), Some(&Value::from(vec![Value::from("a.b")])));
    assert!(matches!(death.get("time"), Some(Value::Timestamp(_))), "the time of death: {death:?}");
}

pub(crate) fn the_first_death_is_noted_apart(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    let letter = stage.channel.take(&dead);
    assert_eq!(header(&letter, "x-first-death-reason"), Some("rejected"));
    assert_eq!(header(&letter, "x-first-death-queue"), Some(&*queue));
    assert_eq!(header(&letter, "x-first-death-exchange"), Some(""));
}

pub(crate) fn the_death_record_tells_of_an_expiry(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } =
        fixture(harness, |queue| queue.message_ttl(milliseconds(50)));
    stage.channel.put(&queue, ["x"]);
    stage.pass_ms(100);
    let letter = stage.channel.take(&dead);
    assert_eq!(entry(&deaths(&letter)[0], "reason"), "expired");
    assert_eq!(deaths(&letter)[0].get("original-expiration"), None);
}

pub(crate) fn the_death_record_tells_of_a_full_queue(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue.max_length(1));
    stage.channel.put(&queue, ["a", "b"]);
    assert_eq!(entry(&deaths(&stage.channel.take(&dead))[0], "reason"), "maxlen");
}

pub(crate) fn a_dead_letter_loses_its_expiration_and_the_record_keeps_it(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put_with(&queue, "x", Properties::new().with_expiration("50"));
    stage.pass_ms(100);
    let letter = stage.channel.take(&dead);
    assert_eq!(letter.content.properties.expiration(), None);
    assert_eq!(entry(&deaths(&letter)[0], "original-expiration"), "50");
}

pub(crate) fn a_second_death_for_the_same_reason_in_the_same_queue_is_counted(
    harness: &dyn Harness,
) {
    let Fixture { stage, queue, dead, .. } = fixture(harness, |queue| queue);
    stage.channel.put(&queue, ["x"]);
    stage.channel.discard(&stage.channel.take(&queue));
    let letter = stage.channel.take_as(&dead, Acknowledgement::Automatic);
    stage.channel.put_with(&queue, "x", letter.content.properties.clone());
    stage.channel.discard(&stage.channel.take(&queue));
    let deaths = deaths(&stage.channel.take(&dead));
    assert_eq!(deaths.len(), 1, "one record: {deaths:?}");
    assert_eq!(deaths[0].get("count").and_then(Value::as_i64), Some(2));
}

pub(crate) fn the_latest_death_comes_first_in_the_record(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let last = stage.queue();
    let second = stage.queue_with(|queue| {
        queue.dead_letter_exchange("").dead_letter_routing_key(&*last).max_length(0)
    });
    let first =
        stage.queue_with(|queue| queue.dead_letter_exchange("").dead_letter_routing_key(&*second));
    stage.channel.put(&first, ["x"]);
    stage.channel.discard(&stage.channel.take(&first));
    let letter = stage.channel.take(&last);
    let reasons: Vec<(String, String)> = deaths(&letter)
        .iter()
        .map(|death| (entry(death, "queue").to_string(), entry(death, "reason").to_string()))
        .collect();
    assert_eq!(reasons, [(second, "maxlen".to_string()), (first.clone(), "rejected".to_string())]);
    assert_eq!(header(&letter, "x-first-death-queue"), Some(&*first));
}

pub(crate) fn a_message_that_dies_in_a_cycle_without_a_rejection_is_dropped(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let name = stage.queue_name();
    let queue = Queue::new(&name)
        .message_ttl(milliseconds(50))
        .dead_letter_exchange("")
        .dead_letter_routing_key(&*name);
    stage.channel.declare_queue(&queue).expect("declare");
    stage.channel.put(&name, ["x"]);
    stage.pass_ms(150);
    stage.channel.expect_ready(&name, 0);
    stage.pass_ms(150);
    stage.channel.stays_empty(&name);
}

pub(crate) fn a_cycle_with_a_rejection_goes_on(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let name = stage.queue_name();
    let queue = Queue::new(&name).dead_letter_exchange("").dead_letter_routing_key(&*name);
    stage.channel.declare_queue(&queue).expect("declare");
    stage.channel.put(&name, ["x"]);
    for _ in 0..3 {
        stage.channel.discard(&stage.channel.take(&name));
    }
    let letter = stage.channel.take(&name);
    assert_eq!(deaths(&letter)[0].get("count").and_then(Value::as_i64), Some(3));
}

pub(crate) fn a_dead_letter_loses_its_cc_when_its_key_is_replaced(harness: &dyn Harness) {
    let Fixture { stage, queue, dead, .. } =
        fixture(harness, |queue| queue.dead_letter_routing_key("failed"));
    let copies = Value::from(vec![Value::from("elsewhere")]);
    stage.channel.put_with(&queue, "x", Properties::new().with_header("CC", copies));
    stage.channel.discard(&stage.channel.take(&queue));
    let letter = stage.channel.take(&dead);
    assert_eq!(letter.content.properties.header("CC"), None);
    let keys = Value::from(vec![Value::from(&*queue), Value::from("elsewhere")]);
    assert_eq!(deaths(&letter)[0].get("routing-keys"), Some(&keys));
}

/// Puts a message into a queue where it waits for a second, and expects it in the queue to which it returns.
fn returns_from(stage: &Stage<'_>, waiting: impl FnOnce(Queue) -> Queue) {
    let target = stage.queue();
    let waiting = stage.queue_with(|queue| {
        waiting(
            queue
                .message_ttl(Duration::from_secs(1))
                .dead_letter_exchange("")
                .dead_letter_routing_key(&*target),
        )
    });
    stage.channel.put_with(
        &waiting,
        "later",
        Properties::new().with_message_id("id").with_header("tenant", "acme"),
    );
    stage.pass_ms(500);
    stage.channel.empty(&target);
    stage.pass_ms(600);
    let returned = stage.channel.take(&target);
    assert!(!returned.redelivered, "{returned:?}");
    let content = &returned.content;
    assert_eq!(
        (&*content.exchange, &*content.routing_key, content.properties.message_id()),
        ("", &*target, Some("id"))
    );
    assert_eq!(content.properties.header("tenant").and_then(Value::as_str), Some("acme"));
    stage.channel.ack(returned.tag, Extent::One).expect("ack");
    stage.channel.expect_ready(&waiting, 0);
}

pub(crate) fn a_message_waits_in_a_queue_and_returns_to_another_unmarked(harness: &dyn Harness) {
    returns_from(&Stage::new(harness), |queue| queue);
}

pub(crate) fn a_waiting_queue_of_the_quorum_type_returns_its_messages_too(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert!(
        stage.connector.capabilities().quorum_queues,
        "the driver does not know that the broker has quorum queues"
    );
    returns_from(&stage, |queue| {
        queue
            .quorum()
            .argument("x-dead-letter-strategy", "at-least-once")
            .argument("x-overflow", "reject-publish")
    });
}
