//! Declaration and deletion of queues, and the comparison of declarations.

use std::time::Duration;

use crate::support::*;

pub(crate) fn declaring_a_queue_with_other_properties_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let different = Queue::new(&queue).transient();
    assert_error!(fixture.open().declare_queue(&different), Error::PreconditionFailed { .. });
}

pub(crate) fn declaring_a_queue_again_as_auto_delete_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let different = Queue::new(&queue).auto_delete();
    assert_error!(fixture.open().declare_queue(&different), Error::PreconditionFailed { .. });
}

pub(crate) fn declaring_a_queue_with_other_arguments_is_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (ttl, longer) = (Duration::from_secs(60), Duration::from_secs(61));
    let queue = fixture.queue_with(|queue| queue.message_ttl(ttl));
    for different in [
        Queue::new(&queue),
        Queue::new(&queue).message_ttl(longer),
        Queue::new(&queue).message_ttl(ttl).single_active_consumer(),
    ] {
        assert_error!(fixture.open().declare_queue(&different), Error::PreconditionFailed { .. });
    }
}

pub(crate) fn arguments_of_another_integer_width_are_equal(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.argument("x-message-ttl", Value::I64(100)));
    for value in [Value::I32(100), Value::I16(100), Value::U8(100), Value::U32(100)] {
        fixture
            .channel
            .declare_queue(&Queue::new(&queue).argument("x-message-ttl", value))
            .expect("declare again");
    }
}

pub(crate) fn unknown_queue_arguments_are_not_compared(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.argument("x-note", "one"));
    fixture
        .channel
        .declare_queue(&Queue::new(&queue).argument("x-note", 2))
        .expect("declare again");
    fixture.channel.declare_queue(&Queue::new(&queue)).expect("declare again");
}

pub(crate) fn a_passive_declaration_does_not_compare_properties(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.message_ttl(Duration::from_secs(60)));
    let shorter = Duration::from_secs(5);
    let mut different = Queue::existing(&queue).transient().message_ttl(shorter);
    different.auto_delete = true;
    fixture.channel.declare_queue(&different).expect("find");
}

pub(crate) fn a_queue_without_a_name_receives_a_name(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let first = fixture.channel.declare_queue(&Queue::server_named()).expect("declare").name;
    let second = fixture.channel.declare_queue(&Queue::server_named()).expect("declare").name;
    assert!(!first.is_empty() && !second.is_empty());
    assert_ne!(first, second);
    fixture.channel.enqueue(&first, ["x"]);
    fixture.channel.expect_messages(&first, ["x"]);
    fixture.channel.expect_empty(&second);
}

pub(crate) fn a_server_generated_name_can_be_found_and_not_declared_again(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let mut queue = Queue::server_named();
    let name = fixture.channel.declare_queue(&queue).expect("declare").name;
    queue.name.clone_from(&name);
    assert_eq!(fixture.channel.find_queue(&name).expect("find").name, name);
    assert_error!(fixture.open().declare_queue(&queue), Error::AccessRefused { .. });
}

pub(crate) fn reserved_queue_names_are_refused(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let name = format!("amq.{}", fixture.queue_name());
    assert_error!(fixture.open().declare_queue(&Queue::new(&name)), Error::AccessRefused { .. });
    assert_error!(fixture.open().find_queue(&name), Error::NotFound { .. });
}

pub(crate) fn a_queue_in_use_is_not_deleted_if_that_was_asked(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let subscription = fixture.channel.subscribe(&queue);
    assert_error!(
        fixture.open().delete_queue(&queue, DeleteIf::UNUSED),
        Error::PreconditionFailed { .. }
    );
    subscription.cancel(DEADLINE).expect("cancel");
    fixture.channel.delete_queue(&queue, DeleteIf::UNUSED).expect("delete");
}

pub(crate) fn a_queue_that_is_not_empty_is_not_deleted_if_empty_is_required(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    assert_error!(
        fixture.open().delete_queue(&queue, DeleteIf::EMPTY),
        Error::PreconditionFailed { .. }
    );
    fixture.channel.expect_messages(&queue, ["x"]);
    fixture.channel.delete_queue(&queue, DeleteIf::UNUSED_AND_EMPTY).expect("delete");
    assert_error!(fixture.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_queue_with_only_unsettled_messages_is_empty(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.get_delivery(&queue);
    fixture.channel.delete_queue(&queue, DeleteIf::EMPTY).expect("delete");
}

pub(crate) fn a_missing_queue_is_deleted_on_any_condition(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    fixture
        .channel
        .delete_queue(&fixture.queue_name(), DeleteIf::UNUSED_AND_EMPTY)
        .expect("delete");
}

pub(crate) fn a_quorum_queue_is_not_deleted_on_a_condition(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(|queue| queue.argument("x-queue-type", "quorum"));
    for condition in [DeleteIf::UNUSED, DeleteIf::EMPTY] {
        let connector = fixture.connect();
        let (channel, other) = (open(&*connector), open(&*connector));
        assert_error!(channel.delete_queue(&queue, condition), Error::HardError { code: 540, .. });
        assert_error!(channel.find_queue(&queue), Error::HardError { code: 540, .. });
        assert_error!(other.find_queue(&queue), Error::Disconnected { .. });
        open(&*connector).find_queue(&queue).expect("find the queue on the next connection");
    }
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
}

pub(crate) fn an_auto_delete_queue_is_deleted_with_its_last_consumer(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::auto_delete);
    let (first, second) = (fixture.channel.subscribe(&queue), fixture.channel.subscribe(&queue));
    first.cancel(DEADLINE).expect("cancel");
    fixture.channel.find_queue(&queue).expect("one consumer is left");
    second.cancel(DEADLINE).expect("cancel");
    let channel = fixture.open();
    assert!(matches!(channel.channel_error(&queue), Error::NotFound { .. }));
}

pub(crate) fn an_auto_delete_queue_is_deleted_with_the_channel_of_its_consumer(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::auto_delete);
    let channel = fixture.open();
    let _subscription = channel.subscribe(&queue);
    channel.close_channel();
    assert!(matches!(fixture.open().channel_error(&queue), Error::NotFound { .. }));
}

pub(crate) fn an_auto_delete_queue_without_a_consumer_is_kept(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::auto_delete);
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.get_delivery(&queue);
    fixture.open().close_channel();
    fixture.channel.find_queue(&queue).expect("the queue never had a consumer");
}

pub(crate) fn a_transient_queue_delivers_its_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::transient);
    fixture.channel.enqueue(&queue, ["a", "b"]);
    fixture.channel.expect_messages(&queue, ["a", "b"]);
}
