//! Get, and the settlement of single deliveries.

use crate::support::*;

pub(crate) fn getting_from_an_empty_queue_returns_none(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    assert_eq!(fixture.channel.get(&queue, Acknowledgement::Manual, DEADLINE).expect("get"), None);
}

pub(crate) fn getting_from_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(
        fixture.open().get(&fixture.queue_name(), Acknowledgement::Manual, DEADLINE),
        Error::NotFound { .. }
    );
}

pub(crate) fn messages_are_got_in_fifo_order(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c", "d", "e"]);
    fixture.channel.expect_messages(&queue, ["a", "b", "c", "d", "e"]);
}

pub(crate) fn a_message_that_is_got_automatically_is_gone(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    assert_eq!(body(&channel.get_delivery_as(&queue, Acknowledgement::Automatic)), "x");
    channel.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn an_acknowledged_message_is_gone(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    channel.ack_one(&channel.get_delivery(&queue));
    channel.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn a_discarded_message_is_gone(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    channel.discard(&channel.get_delivery(&queue));
    channel.close_channel();
    fixture.channel.expect_stays_empty(&queue);
}

pub(crate) fn an_unsettled_message_is_not_delivered_again(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    assert_eq!(body(&fixture.channel.get_delivery(&queue)), "a");
    assert_eq!(body(&fixture.channel.get_delivery(&queue)), "b");
    fixture.channel.expect_empty(&queue);
    assert_eq!(fixture.channel.ready_count(&queue), 0);
}

pub(crate) fn a_first_delivery_is_not_redelivered(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    assert!(!fixture.channel.get_delivery(&queue).redelivered);
}

pub(crate) fn a_requeued_message_comes_back_redelivered(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    let again = fixture.channel.get_delivery(&queue);
    assert_eq!((body(&again).as_str(), again.redelivered), ("x", true));
}

pub(crate) fn a_requeued_message_keeps_its_content(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue_with(
        &queue,
        "x",
        Properties::new().with_message_id("one").with_header("attempt", 1),
    );
    let first = fixture.channel.get_delivery(&queue);
    fixture.channel.requeue(&first);
    assert_eq!(fixture.channel.get_delivery(&queue).content, first.content);
}

pub(crate) fn a_requeued_message_can_be_acknowledged_the_next_time(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.requeue(&fixture.channel.get_delivery(&queue));
    fixture.channel.ack_one(&fixture.channel.get_delivery(&queue));
    fixture.channel.close_channel();
    fixture.open().expect_stays_empty(&queue);
}

pub(crate) fn closing_a_channel_requeues_the_messages_it_got_and_did_not_settle(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["settled", "unsettled"]);
    let channel = fixture.open();
    channel.ack_one(&channel.get_delivery(&queue));
    channel.get_delivery(&queue);
    channel.close_channel();
    let back = fixture.channel.get_delivery(&queue);
    assert_eq!((body(&back).as_str(), back.redelivered), ("unsettled", true));
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn dropping_a_channel_requeues_its_unsettled_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let channel = fixture.open();
    channel.get_delivery(&queue);
    drop(channel);
    assert_eq!(body(&fixture.channel.get_delivery(&queue)), "x");
}

pub(crate) fn closing_a_connector_requeues_its_unsettled_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    let connector = fixture.connect();
    let channel = open(&*connector);
    channel.get_delivery(&queue);
    connector.close(DEADLINE).expect("close");
    assert_eq!(body(&fixture.channel.get_delivery(&queue)), "x");
}

pub(crate) fn get_from_a_quorum_queue_with_a_single_active_consumer_is_refused(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue =
        fixture.queue_with(|queue| queue.quorum().argument("x-single-active-consumer", true));
    assert_error!(
        fixture.open().get(&queue, Acknowledgement::Manual, DEADLINE),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn a_fetched_message_of_a_quorum_queue_counts_as_a_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::quorum);
    fixture.channel.enqueue(&queue, ["x"]);
    let delivery = fixture.channel.get_delivery(&queue);
    fixture.channel.expect_consumers(&queue, 1);
    fixture.channel.ack_one(&delivery);
    fixture.channel.expect_consumers(&queue, 0);
}
