//! Mandatory publications.

use crate::support::*;

pub(crate) fn a_mandatory_message_that_fits_no_queue_is_returned(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.direct();
    let tag = stage.channel.post_mandatory(Content::new(&*exchange, "nowhere", "x"));
    let outcome = stage.channel.outcome(tag);
    assert!(
        matches!(outcome, Outcome::Returned { code: 312, .. }),
        "the broker's answer was {outcome:?}"
    );
}

pub(crate) fn a_mandatory_message_for_a_missing_queue_is_returned(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let tag = stage.channel.post_mandatory(Content::new("", stage.queue_name(), "x"));
    assert!(matches!(stage.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
}

pub(crate) fn a_mandatory_message_that_fits_a_queue_is_accepted(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let tag = stage.channel.post_mandatory(Content::new("", &*queue, "x"));
    assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn returns_are_told_of_the_message_that_they_belong_to(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let nowhere = stage.queue_name();
    let tags: Vec<PublishTag> = (0..30)
        .map(|number| {
            stage.channel.post_mandatory(Content::new(
                "",
                if number % 3 == 0 { &*nowhere } else { &*queue },
                "x",
            ))
        })
        .collect();
    for (number, tag) in tags.into_iter().enumerate() {
        let outcome = stage.channel.outcome(tag);
        assert_eq!(
            matches!(outcome, Outcome::Returned { .. }),
            number % 3 == 0,
            "message {number}: {outcome:?}"
        );
    }
}

pub(crate) fn equal_messages_are_returned_each_for_itself(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let nowhere = stage.queue_name();
    let content = Content::new("", &*nowhere, "same")
        .with_properties(Properties::new().with_message_id("same"));
    let tags = [
        stage.channel.post_mandatory(content.clone()),
        stage.channel.post(content.clone()),
        stage.channel.post_mandatory(content.clone()),
    ];
    let [first, second, third] = tags.map(|tag| stage.channel.outcome(tag));
    assert!(matches!(first, Outcome::Returned { .. }), "the first was {first:?}");
    assert_eq!(second, Outcome::Accepted);
    assert!(matches!(third, Outcome::Returned { .. }), "the third was {third:?}");
}

pub(crate) fn a_return_leaves_the_channel_alive(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let tag = stage.channel.post_mandatory(Content::new("", stage.queue_name(), "x"));
    stage.channel.outcome(tag);
    stage.channel.put(&queue, ["next"]);
    stage.channel.drain(&queue, ["next"]);
}

pub(crate) fn a_mandatory_message_to_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let channel = stage.open();
    let tag = channel.post_mandatory(Content::new(stage.exchange_name(), "key", "x"));
    assert_error!(channel.confirm(tag, DEADLINE), Error::NotFound { .. });
}

pub(crate) fn a_large_mandatory_message_is_returned_too(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let tag = stage.channel.post_mandatory(Content::new("", stage.queue_name(), vec![7; 300_000]));
    assert!(matches!(stage.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
    let tag = stage.channel.post_mandatory(Content::new("", stage.queue_name(), ""));
    assert!(matches!(stage.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
}
