//! Direct reply-to: replies without a reply queue.

use std::sync::Arc;

use crate::support::*;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// Opens a channel, sends a request, and receives the reply. Returns the channel, its reply
/// consumer and the reply.
fn request_reply(fixture: &CaseFixture<'_>) -> (Arc<dyn Backend>, Box<dyn Subscription>, Delivery) {
    let requests = fixture.queue();
    let requester = fixture.open();
    let replies = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    requester.enqueue_with(&requests, "request", Properties::new().with_reply_to(REPLY_TO));
    let request = fixture.channel.get_delivery_as(&requests, Acknowledgement::Automatic);
    fixture
        .channel
        .enqueue(request.content.properties.reply_to().expect("an address to reply to"), ["reply"]);
    let reply = replies.expect("reply");
    (requester, replies, reply)
}

/// Returns the tag of the first delivery after a reply.
fn tag_after(harness: &dyn Harness, reply: &Delivery) -> DeliveryTag {
    match ReleaseAnswer::DirectRepliesUseTags.is_expected(harness) {
        true => DeliveryTag(reply.tag.0 + 1),
        false => reply.tag,
    }
}

pub(crate) fn a_reply_reaches_the_requester_directly(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let requests = fixture.queue();
    let replies = fixture.channel.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    fixture.channel.enqueue_with(
        &requests,
        "request",
        Properties::new().with_reply_to(REPLY_TO).with_correlation_id("7"),
    );

    let server = fixture.open_on_new_connection();
    let request = server.get_delivery_as(&requests, Acknowledgement::Automatic);
    let address =
        request.content.properties.reply_to().expect("an address to reply to").to_string();
    assert_ne!(address, REPLY_TO);
    server.enqueue_with(&address, "reply", Properties::new().with_correlation_id("7"));

    let reply = replies.expect("reply");
    assert_eq!(reply.content.properties.correlation_id(), Some("7"));
}

pub(crate) fn a_direct_reply_consumer_must_be_automatic(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(
        fixture.open().consume(REPLY_TO, &ConsumeOptions::default(), DEADLINE),
        Error::PreconditionFailed { .. }
    );
}

pub(crate) fn a_channel_has_one_direct_reply_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let channel = fixture.open();
    let options = ConsumeOptions::default().automatic();
    let _first = channel.subscribe_as(REPLY_TO, &options);
    assert_error!(channel.consume(REPLY_TO, &options, DEADLINE), Error::PreconditionFailed { .. });
}

pub(crate) fn a_request_without_a_direct_reply_consumer_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let properties = Properties::new().with_reply_to(REPLY_TO);
    let error =
        fixture.open().publish_error(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::PreconditionFailed { .. }), "the confirm returned {error:?}");
}

pub(crate) fn a_mandatory_reply_to_a_closed_requester_is_answered(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let requests = fixture.queue();
    let requester = fixture.open();
    let replies = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    requester.enqueue_with(&requests, "request", Properties::new().with_reply_to(REPLY_TO));
    let request = fixture.channel.get_delivery_as(&requests, Acknowledgement::Automatic);
    let address =
        request.content.properties.reply_to().expect("an address to reply to").to_string();
    requester.close_channel();
    drop(replies);
    let tag = fixture.channel.publish_mandatory(Content::new("", &*address, "reply"));
    match ReleaseAnswer::MandatoryRepliesAreAccepted.is_expected(harness) {
        true => assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted),
        false => {
            assert!(matches!(fixture.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
        }
    }
    let nowhere = Content::new("", "amq.rabbitmq.reply-to.nobody", "reply");
    let tag = fixture.channel.publish_mandatory(nowhere);
    assert!(matches!(fixture.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
}

pub(crate) fn other_reply_addresses_are_not_changed(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue_with(&queue, "x", Properties::new().with_reply_to("my-replies"));
    assert_eq!(
        fixture.channel.get_delivery(&queue).content.properties.reply_to(),
        Some("my-replies")
    );
}

pub(crate) fn a_reply_has_a_tag_that_is_not_settled(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let (requester, _replies, reply) = request_reply(&fixture);
    requester.enqueue(&queue, ["x"]);
    let next = requester.get_delivery(&queue);
    assert_eq!(next.tag, tag_after(harness, &reply));
    requester.ack_one(&next);
    requester.round_trip(&queue);
}

pub(crate) fn acks_after_a_reply_settle_only_their_delivery(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let (requester, _replies, reply) = request_reply(&fixture);
    (0..20).for_each(|number| fixture.channel.enqueue(&queue, [&*number.to_string()]));
    let subscription = requester.subscribe(&queue);
    let deliveries: Vec<_> =
        (0..10).map(|number| subscription.expect(&number.to_string())).collect();
    assert_eq!(deliveries[0].tag, tag_after(harness, &reply));
    deliveries[1..].iter().for_each(|delivery| requester.ack_one(delivery));
    requester.close_channel();
    fixture
        .channel
        .expect_messages(&queue, ["0", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"]);
}

pub(crate) fn a_dropped_reply_consumer_with_an_unread_reply_requeues_no_other_message(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let (requester, replies, reply) = request_reply(&fixture);
    requester.enqueue(&queue, ["x"]);
    let request = fixture.queue();
    requester.enqueue_with(&request, "request", Properties::new().with_reply_to(REPLY_TO));
    let address = fixture
        .channel
        .get_delivery_as(&request, Acknowledgement::Automatic)
        .content
        .properties
        .reply_to()
        .map(str::to_string);
    fixture.channel.enqueue(&address.expect("an address to reply to"), ["unread"]);
    let next = requester.get_delivery(&queue);
    let unread_replies = match ReleaseAnswer::DirectRepliesUseTags.is_expected(harness) {
        true => 1,
        false => 0,
    };
    assert_eq!(next.tag.0, tag_after(harness, &reply).0 + unread_replies);
    drop(replies);
    requester.round_trip(&queue);
    requester.ack_one(&next);
    requester.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn one_channel_sends_requests_and_receives_their_replies(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let requests = fixture.queue();
    let requester = fixture.open();
    let replies = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    let server = fixture.open_on_new_connection();
    let addresses = ["a", "b", "c"].map(|body| {
        requester.enqueue_with(&requests, body, Properties::new().with_reply_to(REPLY_TO));
        let request = server.get_delivery_as(&requests, Acknowledgement::Automatic);
        request.content.properties.reply_to().expect("an address to reply to").to_string()
    });
    assert!(addresses.iter().all(|address| *address == addresses[0]), "{addresses:?}");
    server.enqueue(&addresses[0], ["c", "a", "b"]);
    replies.expect_all(["c", "a", "b"]);
}

pub(crate) fn replies_beyond_the_prefetch_arrive_without_acknowledgement(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let requests = fixture.queue();
    let requester = fixture.open();
    let options = ConsumeOptions::with_prefetch(1).automatic();
    let replies = requester.subscribe_as(REPLY_TO, &options);
    requester.enqueue_with(&requests, "request", Properties::new().with_reply_to(REPLY_TO));
    let request = fixture.channel.get_delivery_as(&requests, Acknowledgement::Automatic);
    let address = request.content.properties.reply_to().expect("an address to reply to");
    (0..50).for_each(|number| fixture.channel.enqueue(address, [&*number.to_string()]));
    (0..50).for_each(|number| drop(replies.expect(&number.to_string())));
    replies.expect_nothing();
}

pub(crate) fn a_reply_keeps_its_properties_and_headers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let requests = fixture.queue();
    let requester = fixture.open();
    let replies = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    requester.enqueue_with(&requests, "request", Properties::new().with_reply_to(REPLY_TO));
    let request = fixture.channel.get_delivery_as(&requests, Acknowledgement::Automatic);
    let address = request.content.properties.reply_to().expect("an address to reply to");
    let properties = Properties::new()
        .with_content_type("text/plain")
        .with_correlation_id("7")
        .with_message_id("m")
        .with_header("carrot-error-kind", "handler");
    fixture.channel.enqueue_with(address, "reply", properties.clone());
    let reply = replies.expect("reply");
    assert_eq!(reply.content.properties, properties);
    assert!(!reply.redelivered);
}

pub(crate) fn a_mandatory_reply_that_arrives_is_answered(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let requests = fixture.queue();
    let requester = fixture.open();
    let replies = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    requester.enqueue_with(&requests, "request", Properties::new().with_reply_to(REPLY_TO));
    let request = fixture.channel.get_delivery_as(&requests, Acknowledgement::Automatic);
    let address = request.content.properties.reply_to().expect("an address to reply to");
    let tag = fixture.channel.publish_mandatory(Content::new("", address, "reply"));
    match ReleaseAnswer::MandatoryRepliesAreAccepted.is_expected(harness) {
        true => assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted),
        false => {
            assert!(matches!(fixture.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
        }
    }
    replies.expect("reply");
}

pub(crate) fn a_mandatory_request_without_a_queue_is_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let requester = fixture.open();
    let replies = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    let properties = Properties::new().with_reply_to(REPLY_TO);
    let nowhere = Content::new("", fixture.queue_name(), "x").with_properties(properties);
    let tag = requester.publish_mandatory(nowhere);
    assert!(matches!(requester.outcome(tag), Outcome::Returned { code: 312, .. }));
    replies.expect_nothing();
}

pub(crate) fn a_request_after_its_reply_consumer_was_cancelled_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let requester = fixture.open();
    let replies = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    replies.cancel(DEADLINE).expect("an answer to the cancel");
    let properties = Properties::new().with_reply_to(REPLY_TO);
    let error = requester.publish_error(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::PreconditionFailed { .. }), "the confirm returned {error:?}");
}
