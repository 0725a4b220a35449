//! The `CC` and `BCC` headers: further routing keys that the sender chooses.

use crate::support::*;

fn keys(keys: &[&str]) -> Value {
    Value::Array(keys.iter().map(|key| Value::from(*key)).collect())
}

pub(crate) fn the_keys_in_cc_are_routed_too(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let [to, copy, another] = [stage.queue(), stage.queue(), stage.queue()];
    stage.channel.put_with(&to, "x", Properties::new().with_header("CC", keys(&[&copy, &another])));
    for queue in [&to, &copy, &another] {
        let delivery = stage.channel.take(queue);
        assert_eq!(delivery.content.properties.header("CC"), Some(&keys(&[&copy, &another])));
        assert_eq!(&*delivery.content.routing_key, to);
    }
}

pub(crate) fn the_keys_in_bcc_are_routed_and_not_shown(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let [to, copy] = [stage.queue(), stage.queue()];
    stage.channel.put_with(
        &to,
        "x",
        Properties::new().with_header("BCC", keys(&[&copy])).with_header("kept", 1),
    );
    for queue in [&to, &copy] {
        let delivery = stage.channel.take(queue);
        assert_eq!(delivery.content.properties.headers(), Some(&Headers::from([("kept", 1)])));
    }
}

pub(crate) fn a_queue_named_in_cc_and_key_gets_one_copy(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put_with(
        &queue,
        "once",
        Properties::new().with_header("CC", keys(&[&queue])).with_header("BCC", keys(&[&queue])),
    );
    stage.channel.drain(&queue, ["once"]);
}

pub(crate) fn cc_works_on_topic_exchanges(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let exchange = stage.topic();
    let queue = stage.bound(&exchange, "a.*");
    let properties = Properties::new().with_header("CC", keys(&["a.b"]));
    stage
        .channel
        .send_content(Content::new(&*exchange, "x.y", "copied").with_properties(properties));
    stage.channel.drain(&queue, ["copied"]);
}

pub(crate) fn a_mandatory_message_that_only_its_cc_routes_is_accepted(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let properties = Properties::new().with_header("CC", keys(&[&queue]));
    let tag = stage
        .channel
        .post_mandatory(Content::new("", stage.queue_name(), "x").with_properties(properties));
    assert_eq!(stage.channel.outcome(tag), Outcome::Accepted);
}

pub(crate) fn a_cc_that_is_no_list_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let properties = Properties::new().with_header("CC", "a string");
    let error = stage
        .open()
        .refused_publication(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::PreconditionFailed { .. }), "the confirm gave {error:?}");
}

pub(crate) fn a_message_of_another_user_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let properties = Properties::new().with_user_id("carrot-conformance-nobody");
    let error = stage
        .open()
        .refused_publication(Content::new("", &*queue, "x").with_properties(properties));
    assert!(matches!(error, Error::PreconditionFailed { .. }), "the confirm gave {error:?}");
    stage.channel.stays_empty(&queue);
}
