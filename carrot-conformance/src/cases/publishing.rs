//! Publishing through the default exchange, and confirms.

use std::sync::Arc;

use crate::support::*;

pub(crate) fn a_publication_is_confirmed(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let tag = stage.channel.post(Content::new("", &*queue, "hello"));
    assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
}

pub(crate) fn publish_tags_count_up_from_one(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    let tags: Vec<u64> = (0..3).map(|_| channel.post(Content::new("", &*queue, "x")).0).collect();
    assert_eq!(tags, [1, 2, 3]);
    assert_eq!(stage.open().post(Content::new("", &*queue, "x")), PublishTag(1));
}

pub(crate) fn confirms_can_be_waited_for_in_any_order(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let tags: Vec<PublishTag> =
        (0..20).map(|_| stage.channel.post(Content::new("", &*queue, "x"))).collect();
    for tag in tags.into_iter().rev() {
        assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
    }
    assert_eq!(stage.channel.ready(&queue), 20);
}

pub(crate) fn threads_that_share_a_channel_each_get_their_confirm(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = &*stage.channel;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| channel.put(&queue, ["x"])));
        }
    });
    assert_eq!(channel.ready(&queue), 100);
}

pub(crate) fn a_confirmed_message_can_be_got_at_once(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    for _ in 0..20 {
        stage.channel.put(&queue, ["x"]);
        let got = stage.channel.get(&queue, Acknowledgement::Automatic).expect("get");
        assert!(got.is_some(), "a confirmed message was not there");
    }
}

pub(crate) fn a_message_for_no_queue_is_accepted_and_dropped(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_name();
    stage.channel.put(&queue, ["for nobody"]);
    stage.channel.declare_queue(&Queue::new(&queue)).expect("declare");
    stage.channel.empty(&queue);
}

pub(crate) fn a_channel_without_confirms_publishes(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage
        .connector
        .open(&ChannelOptions::publish().without_confirms(), DEADLINE)
        .expect("open");
    channel.post(Content::new("", &*queue, "unconfirmed"));
    stage.channel.drain(&queue, ["unconfirmed"]);
}

pub(crate) fn a_confirm_on_a_channel_without_confirms_is_invalid(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage
        .connector
        .open(&ChannelOptions::publish().without_confirms(), DEADLINE)
        .expect("open");
    let tag = channel.post(Content::new("", &*queue, "unconfirmed"));
    assert_error!(channel.confirm(tag, DEADLINE), Error::Invalid { .. });
    channel.round_trip(&queue);
}

pub(crate) fn every_verb_works_in_either_role(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    for options in [ChannelOptions::publish(), ChannelOptions::consume().with_confirms()] {
        let queue = stage.queue();
        let channel = stage.connector.open(&options, DEADLINE).expect("open");
        channel.put(&queue, ["got", "consumed"]);
        channel.accept(&channel.take(&queue));
        let subscription = channel.subscribe(&queue);
        channel.discard(&subscription.expect("consumed"));
        subscription.cancel().expect("cancel");
        assert_eq!(channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete"), 0);
    }
}

pub(crate) fn what_is_published_before_a_close_arrives(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let channel = stage.open();
    channel.post(Content::new("", &*queue, "first"));
    channel.post(Content::new("", &*queue, "second"));
    channel.shut();
    stage.channel.drain(&queue, ["first", "second"]);
}

pub(crate) fn a_routing_key_of_256_bytes_is_invalid_and_harms_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let content = Arc::new(Content::new("", "k".repeat(256), "x"));
    assert_error!(
        stage.channel.publish(&Publication { content: &content, mandatory: false }, DEADLINE),
        Error::Invalid { .. }
    );
    stage.channel.put(&queue, ["still fine"]);
    stage.channel.drain(&queue, ["still fine"]);
}

pub(crate) fn an_invalid_publication_takes_no_tag(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let content = Arc::new(
        Content::new("", &*queue, "x")
            .with_properties(Properties::new().with_message_id("m".repeat(256))),
    );
    assert_error!(
        stage.channel.publish(&Publication { content: &content, mandatory: false }, DEADLINE),
        Error::Invalid { .. }
    );
    assert_eq!(stage.channel.post(Content::new("", &*queue, "x")), PublishTag(1));
    assert_eq!(stage.channel.outcome(PublishTag(1)), Outcome::Accepted);
}
