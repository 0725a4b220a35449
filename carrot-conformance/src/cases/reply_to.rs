//! Direct reply-to: answers without a queue of one's own.

use crate::support::*;

const REPLY_TO: &str = "amq.rabbitmq.reply-to";

pub(crate) fn an_answer_reaches_the_requester_directly(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let requests = stage.queue();
    let answers = stage.channel.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    stage.channel.put_with(&requests, "question", Properties::new().with_reply_to(REPLY_TO).with_correlation_id("7"));

    let server = stage.elsewhere();
    let request = server.take_as(&requests, Acknowledgement::Automatic);
    let address = request.content.properties.reply_to().expect("an address to reply to").to_string();
    assert_ne!(address, REPLY_TO);
    server.put_with(&address, "answer", Properties::new().with_correlation_id("7"));

    let answer = answers.expect("answer");
    assert_eq!(answer.content.properties.correlation_id(), Some("7"));
}

pub(crate) fn a_direct_reply_consumer_must_be_automatic(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(stage.open().consume(REPLY_TO, &ConsumeOptions::default()), Error::Precondition { .. });
}

pub(crate) fn a_channel_has_one_direct_reply_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let channel = stage.open();
    let options = ConsumeOptions::default().automatic();
    let _first = channel.subscribe_as(REPLY_TO, &options);
    assert_error!(channel.consume(REPLY_TO, &options), Error::Precondition { .. });
}

pub(crate) fn a_request_without_a_direct_reply_consumer_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let properties = Properties::new().with_reply_to(REPLY_TO);
    let error = stage.open().refused_publication(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::Precondition { .. }), "the confirm gave {error:?}");
}

pub(crate) fn an_answer_to_a_requester_that_left_is_returned(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let requests = stage.queue();
    let requester = stage.open();
    let answers = requester.subscribe_as(REPLY_TO, &ConsumeOptions::default().automatic());
    requester.put_with(&requests, "question", Properties::new().with_reply_to(REPLY_TO));
    let request = stage.channel.take_as(&requests, Acknowledgement::Automatic);
    let address = request.content.properties.reply_to().expect("an address to reply to").to_string();
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
