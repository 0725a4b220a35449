//! Get, and the settlement of one delivery at a time.

use crate::support::*;

pub(crate) fn getting_from_an_empty_queue_gives_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    assert_eq!(stage.channel.get(&queue, Acknowledgement::Manual).expect("get"), None);
}

pub(crate) fn getting_from_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(
        stage.open().get(&stage.queue_name(), Acknowledgement::Manual),
        Error::NotFound { .. }
    );
}

pub(crate) fn messages_are_got_in_the_order_they_were_published(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c", "d", "e"]);
    stage.channel.drain(&queue, ["a", "b", "c", "d", "e"]);
}

pub(crate) fn a_message_that_is_got_automatically_is_gone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    assert_eq!(body(&channel.take_as(&queue, Acknowledgement::Automatic)), "x");
    channel.shut();
    stage.channel.stays_empty(&queue);
}

pub(crate) fn an_acknowledged_message_is_gone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    channel.accept(&channel.take(&queue));
    channel.shut();
    stage.channel.stays_empty(&queue);
}

pub(crate) fn a_discarded_message_is_gone(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    channel.discard(&channel.take(&queue));
    channel.shut();
    stage.channel.stays_empty(&queue);
}

pub(crate) fn an_unsettled_message_is_not_got_again(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    assert_eq!(body(&stage.channel.take(&queue)), "a");
    assert_eq!(body(&stage.channel.take(&queue)), "b");
    stage.channel.empty(&queue);
    assert_eq!(stage.channel.ready(&queue), 0);
}

pub(crate) fn a_first_delivery_is_not_redelivered(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    assert!(!stage.channel.take(&queue).redelivered);
}

pub(crate) fn a_requeued_message_comes_back_redelivered(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    stage.channel.requeue(&stage.channel.take(&queue));
    let again = stage.channel.take(&queue);
    assert_eq!((body(&again).as_str(), again.redelivered), ("x", true));
}

pub(crate) fn a_requeued_message_keeps_its_content(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put_with(
        &queue,
        "x",
        Properties::new().with_message_id("one").with_header("attempt", 1),
    );
    let first = stage.channel.take(&queue);
    stage.channel.requeue(&first);
    assert_eq!(stage.channel.take(&queue).content, first.content);
}

pub(crate) fn a_requeued_message_can_be_acknowledged_the_next_time(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    stage.channel.requeue(&stage.channel.take(&queue));
    stage.channel.accept(&stage.channel.take(&queue));
    stage.channel.shut();
    stage.open().stays_empty(&queue);
}

pub(crate) fn closing_a_channel_gives_back_what_it_got_and_did_not_settle(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["settled", "unsettled"]);
    let channel = stage.open();
    channel.accept(&channel.take(&queue));
    channel.take(&queue);
    channel.shut();
    let back = stage.channel.take(&queue);
    assert_eq!((body(&back).as_str(), back.redelivered), ("unsettled", true));
    stage.channel.empty(&queue);
}

pub(crate) fn dropping_a_channel_gives_back_what_it_did_not_settle(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let channel = stage.open();
    channel.take(&queue);
    drop(channel);
    assert_eq!(body(&stage.channel.take(&queue)), "x");
}

pub(crate) fn closing_a_connector_gives_back_what_its_channels_did_not_settle(
    harness: &dyn Harness,
) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    let connector = stage.connect();
    let channel = open(&*connector);
    channel.take(&queue);
    connector.close(DEADLINE).expect("close");
    assert_eq!(body(&stage.channel.take(&queue)), "x");
}
