//! How queues come, what counts as declaring them alike, and how they go.

use crate::support::*;

pub(crate) fn declaring_a_queue_with_other_properties_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    for different in [Queue::new(&queue).transient(), Queue::new(&queue).auto_delete()] {
        assert_error!(stage.open().declare_queue(&different), Error::PreconditionFailed { .. });
    }
}

pub(crate) fn declaring_a_queue_with_other_arguments_is_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(10));
    for different in [
        Queue::new(&queue),
        Queue::new(&queue).max_length(11),
        Queue::new(&queue).max_length(10).max_length_bytes(10),
    ] {
        assert_error!(stage.open().declare_queue(&different), Error::PreconditionFailed { .. });
    }
}

pub(crate) fn arguments_of_another_integer_width_are_alike(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.argument("x-max-length", Value::I64(10)));
    for value in [Value::I32(10), Value::I16(10), Value::U8(10), Value::U32(10)] {
        stage
            .channel
            .declare_queue(&Queue::new(&queue).argument("x-max-length", value))
            .expect("declare again");
    }
}

pub(crate) fn unknown_queue_arguments_do_not_count(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.argument("x-note", "one"));
    stage.channel.declare_queue(&Queue::new(&queue).argument("x-note", 2)).expect("declare again");
    stage.channel.declare_queue(&Queue::new(&queue)).expect("declare again");
}

pub(crate) fn a_passive_declaration_does_not_compare(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.max_length(10));
    let mut different = Queue::existing(&queue).transient().max_length(5);
    different.auto_delete = true;
    stage.channel.declare_queue(&different).expect("find");
}

pub(crate) fn an_unnamed_queue_gets_a_name(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let first = stage.channel.declare_queue(&Queue::server_named()).expect("declare").name;
    let second = stage.channel.declare_queue(&Queue::server_named()).expect("declare").name;
    assert!(!first.is_empty() && !second.is_empty());
    assert_ne!(first, second);
    stage.channel.put(&first, ["x"]);
    stage.channel.drain(&first, ["x"]);
    stage.channel.empty(&second);
}

pub(crate) fn a_made_up_name_can_be_found_but_not_declared_again(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let mut queue = Queue::server_named();
    let name = stage.channel.declare_queue(&queue).expect("declare").name;
    queue.name.clone_from(&name);
    assert_eq!(stage.channel.find_queue(&name).expect("find").name, name);
    assert_error!(stage.open().declare_queue(&queue), Error::AccessRefused { .. });
}

pub(crate) fn reserved_queue_names_are_refused(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let name = format!("amq.{}", stage.queue_name());
    assert_error!(stage.open().declare_queue(&Queue::new(&name)), Error::AccessRefused { .. });
    assert_error!(stage.open().find_queue(&name), Error::NotFound { .. });
}

pub(crate) fn a_queue_in_use_is_not_deleted_if_that_was_asked(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let subscription = stage.channel.subscribe(&queue);
    assert_error!(
        stage.open().delete_queue(&queue, DeleteIf::IF_UNUSED),
        Error::PreconditionFailed { .. }
    );
    subscription.cancel().expect("cancel");
    stage.channel.delete_queue(&queue, DeleteIf::IF_UNUSED).expect("delete");
}

pub(crate) fn a_queue_that_is_not_empty_is_not_deleted_if_that_was_asked(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    assert_error!(
        stage.open().delete_queue(&queue, DeleteIf::IF_EMPTY),
        Error::PreconditionFailed { .. }
    );
    stage.channel.drain(&queue, ["x"]);
    stage.channel.delete_queue(&queue, DeleteIf::IF_UNUSED_AND_EMPTY).expect("delete");
    assert_error!(stage.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_queue_with_unsettled_messages_only_counts_as_empty(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["x"]);
    stage.channel.take(&queue);
    stage.channel.delete_queue(&queue, DeleteIf::IF_EMPTY).expect("delete");
}

pub(crate) fn a_missing_queue_is_deleted_on_any_condition(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    stage.channel.delete_queue(&stage.queue_name(), DeleteIf::IF_UNUSED_AND_EMPTY).expect("delete");
}

pub(crate) fn a_quorum_queue_is_not_deleted_on_a_condition(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(|queue| queue.argument("x-queue-type", "quorum"));
    for condition in [DeleteIf::IF_UNUSED, DeleteIf::IF_EMPTY] {
        let connector = stage.connect();
        let (channel, other) = (open(&*connector), open(&*connector));
        assert_error!(channel.delete_queue(&queue, condition), Error::HardError { code: 540, .. });
        assert_error!(channel.find_queue(&queue), Error::HardError { code: 540, .. });
        assert_error!(other.find_queue(&queue), Error::Disconnected { .. });
        open(&*connector).find_queue(&queue).expect("find it on the next connection");
    }
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
}

pub(crate) fn an_auto_delete_queue_goes_with_its_last_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::auto_delete);
    let (first, second) = (stage.channel.subscribe(&queue), stage.channel.subscribe(&queue));
    first.cancel().expect("cancel");
    stage.channel.find_queue(&queue).expect("one consumer is left");
    second.cancel().expect("cancel");
    let channel = stage.open();
    assert!(matches!(channel.death(&queue), Error::NotFound { .. }));
}

pub(crate) fn an_auto_delete_queue_goes_when_its_consumers_channel_closes(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::auto_delete);
    let channel = stage.open();
    let _subscription = channel.subscribe(&queue);
    channel.shut();
    assert!(matches!(stage.open().death(&queue), Error::NotFound { .. }));
}

pub(crate) fn an_auto_delete_queue_stays_until_it_had_a_consumer(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::auto_delete);
    stage.channel.put(&queue, ["x"]);
    stage.channel.take(&queue);
    stage.open().shut();
    stage.channel.find_queue(&queue).expect("it never had a consumer");
}

pub(crate) fn a_transient_queue_works_like_any_other(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::transient);
    stage.channel.put(&queue, ["a", "b"]);
    stage.channel.drain(&queue, ["a", "b"]);
}
