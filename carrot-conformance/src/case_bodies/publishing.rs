//! Publishing through the default exchange, and confirms.

use std::sync::Arc;

use crate::support::*;

pub(crate) fn a_publication_is_confirmed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let tag = fixture.channel.publish_content(Content::new("", &*queue, "hello"));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
}

pub(crate) fn publish_tags_count_up_from_one(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    let tags: Vec<u64> =
        (0..3).map(|_| channel.publish_content(Content::new("", &*queue, "x")).0).collect();
    assert_eq!(tags, [1, 2, 3]);
    assert_eq!(fixture.open().publish_content(Content::new("", &*queue, "x")), PublishTag(1));
}

pub(crate) fn confirms_can_be_waited_for_in_any_order(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let tags: Vec<PublishTag> =
        (0..20).map(|_| fixture.channel.publish_content(Content::new("", &*queue, "x"))).collect();
    for tag in tags.into_iter().rev() {
        assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
    }
    assert_eq!(fixture.channel.ready_count(&queue), 20);
}

pub(crate) fn threads_that_share_a_channel_each_receive_their_confirm(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = &*fixture.channel;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| channel.enqueue(&queue, ["x"])));
        }
    });
    assert_eq!(channel.ready_count(&queue), 100);
}

pub(crate) fn a_confirmed_message_is_ready_immediately(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    for _ in 0..20 {
        fixture.channel.enqueue(&queue, ["x"]);
        let got = fixture.channel.get(&queue, Acknowledgement::Automatic, DEADLINE).expect("get");
        assert!(got.is_some(), "a confirmed message was not ready");
    }
}

pub(crate) fn a_message_for_no_queue_is_accepted_and_dropped(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_name();
    fixture.channel.enqueue(&queue, ["not routed"]);
    fixture.channel.declare_queue(&Queue::new(&queue)).expect("declare");
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn a_channel_without_confirms_publishes(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture
        .connector
        .open(&ChannelOptions::publish().without_confirms(), DEADLINE)
        .expect("open");
    channel.publish_content(Content::new("", &*queue, "unconfirmed"));
    fixture.channel.expect_messages(&queue, ["unconfirmed"]);
}

pub(crate) fn a_confirm_on_a_channel_without_confirms_is_invalid(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture
        .connector
        .open(&ChannelOptions::publish().without_confirms(), DEADLINE)
        .expect("open");
    let tag = channel.publish_content(Content::new("", &*queue, "unconfirmed"));
    assert_error!(channel.confirm(tag, DEADLINE), Error::Invalid { .. });
    channel.round_trip(&queue);
}

pub(crate) fn every_verb_works_in_either_role(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    for options in [ChannelOptions::publish(), ChannelOptions::consume().with_confirms()] {
        let queue = fixture.queue();
        let channel = fixture.connector.open(&options, DEADLINE).expect("open");
        channel.enqueue(&queue, ["got", "consumed"]);
        channel.ack_one(&channel.get_delivery(&queue));
        let subscription = channel.subscribe(&queue);
        channel.discard(&subscription.expect("consumed"));
        subscription.cancel(DEADLINE).expect("cancel");
        assert_eq!(channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete"), 0);
    }
}

pub(crate) fn messages_published_before_a_close_arrive(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let channel = fixture.open();
    channel.publish_content(Content::new("", &*queue, "first"));
    channel.publish_content(Content::new("", &*queue, "second"));
    channel.close_channel();
    fixture.channel.expect_messages(&queue, ["first", "second"]);
}

pub(crate) fn a_routing_key_of_256_bytes_is_invalid_and_leaves_the_channel_open(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let content = Arc::new(Content::new("", "k".repeat(256), "x"));
    assert_error!(
        fixture.channel.publish(&Publication::new(&content), DEADLINE),
        Error::Invalid { .. }
    );
    fixture.channel.enqueue(&queue, ["still fine"]);
    fixture.channel.expect_messages(&queue, ["still fine"]);
}

pub(crate) fn an_invalid_publication_takes_no_tag(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let content = Arc::new(
        Content::new("", &*queue, "x")
            .with_properties(Properties::new().with_message_id("m".repeat(256))),
    );
    assert_error!(
        fixture.channel.publish(&Publication::new(&content), DEADLINE),
        Error::Invalid { .. }
    );
    assert_eq!(fixture.channel.publish_content(Content::new("", &*queue, "x")), PublishTag(1));
    assert_eq!(fixture.channel.outcome(PublishTag(1)), Outcome::Accepted);
}
