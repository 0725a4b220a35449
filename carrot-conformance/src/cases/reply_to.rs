//! Direct reply-to: answers without a queue of one's own.

use std::sync::Arc;

use crate::support::*;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

/// A channel of its own that has asked for one answer and got it; and the answer.
fn answered(stage: &Stage<'_>) -> (Arc<dyn Backend>, Box<dyn Subscription>, Delivery) {
    let requests = stage.queue();
    let requester = stage.open();
    let answers = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    requester.put_with(&requests, "question", Properties::new().with_reply_to(REPLY_TO));
    let request = stage.channel.take_as(&requests, Acknowledgement::Automatic);
    stage
        .channel
        .put(request.content.properties.reply_to().expect("an address to reply to"), ["answer"]);
    let answer = answers.expect("answer");
    (requester, answers, answer)
}

pub(crate) fn an_answer_reaches_the_requester_directly(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let requests = stage.queue();
    let answers = stage.channel.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    stage.channel.put_with(
        &requests,
        "question",
        Properties::new().with_reply_to(REPLY_TO).with_correlation_id("7"),
    );

    let server = stage.elsewhere();
    let request = server.take_as(&requests, Acknowledgement::Automatic);
    let address =
        request.content.properties.reply_to().expect("an address to reply to").to_string();
    assert_ne!(address, REPLY_TO);
    server.put_with(&address, "answer", Properties::new().with_correlation_id("7"));

    let answer = answers.expect("answer");
    assert_eq!(answer.content.properties.correlation_id(), Some("7"));
}

pub(crate) fn a_direct_reply_consumer_must_be_automatic(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(
        stage.open().consume(REPLY_TO, &ConsumeOptions::default()),
        Error::PreconditionFailed { .. }
    );
}

pub(crate) fn a_channel_has_one_direct_reply_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let channel = stage.open();
    let options = ConsumeOptions::default().automatic();
    let _first = channel.subscribe_as(REPLY_TO, &options);
    assert_error!(channel.consume(REPLY_TO, &options), Error::PreconditionFailed { .. });
}

pub(crate) fn a_request_without_a_direct_reply_consumer_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let properties = Properties::new().with_reply_to(REPLY_TO);
    let error = stage
        .open()
        .refused_publication(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::PreconditionFailed { .. }), "the confirm gave {error:?}");
}

pub(crate) fn an_answer_to_a_requester_that_left_is_returned(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let requests = stage.queue();
    let requester = stage.open();
    let answers = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    requester.put_with(&requests, "question", Properties::new().with_reply_to(REPLY_TO));
    let request = stage.channel.take_as(&requests, Acknowledgement::Automatic);
    let address =
        request.content.properties.reply_to().expect("an address to reply to").to_string();
    requester.shut();
    drop(answers);
    let tag = stage.channel.post_mandatory(Content::new("", &*address, "answer"));
    assert!(matches!(stage.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
}

pub(crate) fn other_reply_addresses_are_left_alone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put_with(&queue, "x", Properties::new().with_reply_to("my-answers"));
    assert_eq!(stage.channel.take(&queue).content.properties.reply_to(), Some("my-answers"));
}

pub(crate) fn an_answer_has_the_tag_of_the_delivery_that_comes_next(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let (requester, _answers, answer) = answered(&stage);
    requester.put(&queue, ["x"]);
    let next = requester.take(&queue);
    assert_eq!(answer.tag, next.tag);
    requester.accept(&next);
    requester.round_trip(&queue);
}

pub(crate) fn acks_beside_an_answer_settle_only_what_they_name(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let (requester, _answers, answer) = answered(&stage);
    (0..20).for_each(|number| stage.channel.put(&queue, [&*number.to_string()]));
    let subscription = requester.subscribe(&queue);
    let deliveries: Vec<_> =
        (0..10).map(|number| subscription.expect(&number.to_string())).collect();
    assert_eq!(deliveries[0].tag, answer.tag);
    deliveries[1..].iter().for_each(|delivery| requester.accept(delivery));
    requester.shut();
    stage.channel.drain(&queue, ["0", "10", "11", "12", "13", "14", "15", "16", "17", "18", "19"]);
}

pub(crate) fn a_reply_consumer_that_leaves_an_answer_gives_nothing_else_back(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let (requester, answers, answer) = answered(&stage);
    requester.put(&queue, ["x"]);
    let request = stage.queue();
    requester.put_with(&request, "question", Properties::new().with_reply_to(REPLY_TO));
    let address = stage
        .channel
        .take_as(&request, Acknowledgement::Automatic)
        .content
        .properties
        .reply_to()
        .map(str::to_string);
    stage.channel.put(&address.expect("an address to reply to"), ["unread"]);
    let next = requester.take(&queue);
    assert_eq!(next.tag, answer.tag);
    drop(answers);
    requester.round_trip(&queue);
    requester.accept(&next);
    requester.shut();
    stage.channel.stays_empty(&queue);
}
