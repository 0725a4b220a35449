//! Messages that the broker holds for a time before it routes them.

use std::sync::Arc;

use crate::support::*;

fn content(queue: &str, body: &str) -> Arc<Content> {
    Arc::new(Content::new("", queue, body))
}

fn publish_delayed(fixture: &CaseFixture<'_>, queue: &str, body: &str, delay: u64) {
    let content = content(queue, body);
    let publication = Publication::new(&content).with_delay(milliseconds(delay));
    let tag = fixture.channel.publish(&publication, DEADLINE).expect("publish");
    assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted, "the outcome of a publication");
}

pub(crate) fn a_delay_without_the_capability_is_invalid_and_leaves_the_channel_open(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let content = content(&queue, "x");
    if !fixture.connector.capabilities().delayed_publish {
        let publication = Publication::new(&content).with_delay(milliseconds(1));
        assert_error!(fixture.channel.publish(&publication, DEADLINE), Error::Invalid { .. });
    }
    assert_eq!(fixture.channel.publish_content(Content::clone(&content)), PublishTag(1));
    assert_eq!(fixture.channel.outcome(PublishTag(1)), Outcome::Accepted);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn a_delayed_mandatory_message_is_invalid(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let content = content(&queue, "x");
    let publication = Publication::new(&content).with_mandatory(true).with_delay(milliseconds(1));
    assert_error!(fixture.channel.publish(&publication, DEADLINE), Error::Invalid { .. });
    fixture.channel.enqueue(&queue, ["still fine"]);
    fixture.channel.expect_messages(&queue, ["still fine"]);
}

pub(crate) fn a_delayed_message_is_confirmed_and_arrives_after_its_delay(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    publish_delayed(&fixture, &queue, "late", 300);
    fixture.channel.enqueue(&queue, ["early"]);
    fixture.channel.expect_messages(&queue, ["early"]);
    fixture.pass_ms(600);
    fixture.channel.expect_ready(&queue, 1);
    fixture.channel.expect_messages(&queue, ["late"]);
}

pub(crate) fn delayed_messages_arrive_in_the_order_of_their_delays(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    // A scheduler may wake twice a second only.
    publish_delayed(&fixture, &queue, "second", 1200);
    publish_delayed(&fixture, &queue, "first", 200);
    fixture.pass_ms(1500);
    fixture.channel.expect_ready(&queue, 2);
    fixture.channel.expect_messages(&queue, ["first", "second"]);
}
