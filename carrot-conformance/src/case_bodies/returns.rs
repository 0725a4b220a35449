//! Mandatory messages.

use crate::support::*;

pub(crate) fn a_mandatory_message_that_fits_no_queue_is_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.direct_exchange();
    let tag = fixture.channel.publish_mandatory(Content::new(&*exchange, "nowhere", "x"));
    let outcome = fixture.channel.outcome(tag);
    assert!(matches!(outcome, Outcome::Returned { code: 312, .. }), "the outcome was {outcome:?}");
}

pub(crate) fn a_mandatory_message_for_a_missing_queue_is_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let tag = fixture.channel.publish_mandatory(Content::new("", fixture.queue_name(), "x"));
    assert!(matches!(fixture.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
}

pub(crate) fn a_mandatory_message_that_fits_a_queue_is_accepted(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let tag = fixture.channel.publish_mandatory(Content::new("", &*queue, "x"));
    assert_eq!(fixture.channel.outcome(tag), Outcome::Accepted);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn returns_belong_to_the_right_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let nowhere = fixture.queue_name();
    let tags: Vec<PublishTag> = (0..30)
        .map(|number| {
            fixture.channel.publish_mandatory(Content::new(
                "",
                if number % 3 == 0 { &*nowhere } else { &*queue },
                "x",
            ))
        })
        .collect();
    for (number, tag) in tags.into_iter().enumerate() {
        let outcome = fixture.channel.outcome(tag);
        assert_eq!(
            matches!(outcome, Outcome::Returned { .. }),
            number % 3 == 0,
            "message {number}: {outcome:?}"
        );
    }
}

pub(crate) fn equal_messages_are_returned_individually(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let nowhere = fixture.queue_name();
    let content = Content::new("", &*nowhere, "same")
        .with_properties(Properties::new().with_message_id("same"));
    let tags = [
        fixture.channel.publish_mandatory(content.clone()),
        fixture.channel.publish_content(content.clone()),
        fixture.channel.publish_mandatory(content.clone()),
    ];
    let [first, second, third] = tags.map(|tag| fixture.channel.outcome(tag));
    assert!(matches!(first, Outcome::Returned { .. }), "the first was {first:?}");
    assert_eq!(second, Outcome::Accepted);
    assert!(matches!(third, Outcome::Returned { .. }), "the third was {third:?}");
}

pub(crate) fn a_return_leaves_the_channel_open(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let tag = fixture.channel.publish_mandatory(Content::new("", fixture.queue_name(), "x"));
    fixture.channel.outcome(tag);
    fixture.channel.enqueue(&queue, ["next"]);
    fixture.channel.expect_messages(&queue, ["next"]);
}

pub(crate) fn a_mandatory_message_to_a_missing_exchange_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let channel = fixture.open();
    let tag = channel.publish_mandatory(Content::new(fixture.exchange_name(), "key", "x"));
    assert_error!(channel.confirm(tag, DEADLINE), Error::NotFound { .. });
}

pub(crate) fn a_large_mandatory_message_is_returned(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let tag =
        fixture.channel.publish_mandatory(Content::new("", fixture.queue_name(), vec![7; 300_000]));
    assert!(matches!(fixture.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
    let tag = fixture.channel.publish_mandatory(Content::new("", fixture.queue_name(), ""));
    assert!(matches!(fixture.channel.outcome(tag), Outcome::Returned { code: 312, .. }));
}
