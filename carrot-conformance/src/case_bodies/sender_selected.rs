//! The `CC` and `BCC` headers, which contain additional routing keys.

use crate::support::*;

fn keys(keys: &[&str]) -> Value {
    Value::Array(keys.iter().map(|key| Value::from(*key)).collect())
}

pub(crate) fn the_keys_in_cc_are_routed_too(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let [to, copy, another] = [fixture.queue(), fixture.queue(), fixture.queue()];
    fixture.channel.enqueue_with(
        &to,
        "x",
        Properties::new().with_header("CC", keys(&[&copy, &another])),
    );
    for queue in [&to, &copy, &another] {
        let delivery = fixture.channel.get_delivery(queue);
        assert_eq!(delivery.content.properties.header("CC"), Some(&keys(&[&copy, &another])));
        assert_eq!(&*delivery.content.routing_key, to);
    }
}

pub(crate) fn the_keys_in_bcc_are_routed_and_removed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let [to, copy] = [fixture.queue(), fixture.queue()];
    fixture.channel.enqueue_with(
        &to,
        "x",
        Properties::new().with_header("BCC", keys(&[&copy])).with_header("kept", 1),
    );
    for queue in [&to, &copy] {
        let delivery = fixture.channel.get_delivery(queue);
        assert_eq!(delivery.content.properties.headers(), Some(&Headers::from([("kept", 1)])));
    }
}

pub(crate) fn a_queue_named_in_cc_and_key_receives_one_copy(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue_with(
        &queue,
        "once",
        Properties::new().with_header("CC", keys(&[&queue])).with_header("BCC", keys(&[&queue])),
    );
    fixture.channel.expect_messages(&queue, ["once"]);
}

pub(crate) fn cc_works_on_topic_exchanges(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.topic_exchange();
    let queue = fixture.bound_queue(&exchange, "a.*");
    let properties = Properties::new().with_header("CC", keys(&["a.b"]));
    fixture
        .channel
        .send_content(Content::new(&*exchange, "x.y", "copied").with_properties(properties));
    fixture.channel.expect_messages(&queue, ["copied"]);
}

pub(crate) fn the_keys_in_bcc_still_route_after_two_waits_in_queues(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let [first, second] = [fixture.topic_exchange(), fixture.topic_exchange()];
    let end = fixture.direct_exchange();
    let waiting = |from: &str, to: &str, pattern: &str| {
        let queue = fixture
            .queue_with(|queue| queue.message_ttl(milliseconds(100)).dead_letter_exchange(to));
        fixture.bind(from, &queue, pattern);
    };
    waiting(&first, &second, "way.1.#");
    waiting(&second, &end, "way.*.1");
    let queue = fixture.bound_queue(&end, "own.key");
    let properties =
        Properties::new().with_header("BCC", keys(&["way.1.1"])).with_header("kept", 1);
    let content = Content::new(&*first, "own.key", "x").with_properties(properties);
    assert_eq!(
        fixture.channel.outcome(fixture.channel.publish_mandatory(content)),
        Outcome::Accepted
    );
    fixture.pass_ms(400);
    fixture.channel.expect_ready(&queue, 1);
    let delivery = fixture.channel.get_delivery(&queue);
    assert_eq!((&*delivery.content.exchange, &*delivery.content.routing_key), (&*end, "own.key"));
    assert_eq!(delivery.content.properties.header("BCC"), None);
    assert_eq!(delivery.content.properties.header("kept"), Some(&1.into()));
}

pub(crate) fn a_mandatory_message_routed_only_by_cc_is_accepted(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let properties = Properties::new().with_header("CC", keys(&[&queue]));
    let tag = fixture
        .channel
        .publish_mandatory(Content::new("", fixture.queue_name(), "x").with_properties(properties));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
}

pub(crate) fn a_cc_that_is_not_a_list_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let properties = Properties::new().with_header("CC", "a string");
    let error =
        fixture.open().publish_error(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::PreconditionFailed { .. }), "the confirm returned {error:?}");
}

pub(crate) fn a_message_of_another_user_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let properties = Properties::new().with_user_id("carrot-conformance-nobody");
    let error =
        fixture.open().publish_error(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::PreconditionFailed { .. }), "the confirm returned {error:?}");
    fixture.channel.expect_stays_empty(&queue);
}
