//! Queues, as far as the smallest backend has them.

use crate::support::*;

pub(crate) fn a_new_queue_is_empty_and_has_no_consumers(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let name = stage.queue_name();
    let declared = stage.channel.declare_queue(&Queue::new(&name)).expect("declare");
    assert_eq!(declared, QueueInfo::new(name, 0, 0));
}

pub(crate) fn declaring_a_queue_again_alike_changes_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["kept"]);
    let declared = stage.channel.declare_queue(&Queue::new(&queue)).expect("declare again");
    assert_eq!(declared.message_count, 1);
    stage.channel.drain(&queue, ["kept"]);
}

pub(crate) fn a_passive_declaration_tells_how_many_messages_are_ready(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    assert_eq!(stage.channel.find_queue(&queue).expect("find"), QueueInfo::new(queue, 3, 0));
}

pub(crate) fn a_passive_declaration_of_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(stage.open().find_queue(&stage.queue_name()), Error::NotFound { .. });
}

pub(crate) fn a_passive_declaration_does_not_create_the_queue(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_name();
    assert_error!(stage.open().find_queue(&queue), Error::NotFound { .. });
    assert_error!(stage.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_queue_is_seen_from_other_connections(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["shared"]);
    stage.elsewhere().drain(&queue, ["shared"]);
}

pub(crate) fn queues_keep_their_messages_apart(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (left, right) = (stage.queue(), stage.queue());
    stage.channel.put(&left, ["to the left"]);
    stage.channel.empty(&right);
    stage.channel.drain(&left, ["to the left"]);
}

pub(crate) fn deleting_a_queue_tells_how_many_messages_went_with_it(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b"]);
    assert_eq!(stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete"), 2);
}

pub(crate) fn a_deleted_queue_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    assert_error!(stage.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_queue_declared_anew_after_its_deletion_is_empty(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["lost"]);
    stage.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    assert_eq!(stage.channel.declare_queue(&Queue::new(&queue)).expect("declare").message_count, 0);
    stage.channel.empty(&queue);
}

pub(crate) fn deleting_a_missing_queue_is_no_error(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_eq!(
        stage.channel.delete_queue(&stage.queue_name(), DeleteIf::ALWAYS).expect("delete"),
        0
    );
}

pub(crate) fn purging_drops_and_counts_the_ready_messages(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    stage.channel.put(&queue, ["a", "b", "c"]);
    assert_eq!(stage.channel.purge(&queue).expect("purge"), 3);
    stage.channel.empty(&queue);
}

pub(crate) fn purging_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    assert_error!(stage.open().purge(&stage.queue_name()), Error::NotFound { .. });
}

pub(crate) fn a_queue_name_may_have_255_bytes(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let start = unique("long");
    let name = format!("{start}{}", "q".repeat(255 - start.len()));
    let declared = stage.channel.declare_queue(&Queue::new(&name)).expect("declare");
    assert_eq!(declared.name, name);
    stage.channel.put(&name, ["reached"]);
    stage.channel.drain(&name, ["reached"]);
    stage.channel.delete_queue(&name, DeleteIf::ALWAYS).expect("delete");
}

pub(crate) fn a_queue_name_of_256_bytes_is_invalid_and_harms_nothing(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let name = "q".repeat(256);
    assert_error!(stage.channel.declare_queue(&Queue::new(&name)), Error::Invalid { .. });
    assert_error!(stage.channel.delete_queue(&name, DeleteIf::ALWAYS), Error::Invalid { .. });
    assert_error!(stage.channel.purge(&name), Error::Invalid { .. });
    stage.channel.round_trip(&queue);
}

pub(crate) fn a_queue_name_may_hold_any_characters(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let name = format!("{} Bücher/書籍 %2f #*.", unique("queue"));
    stage.channel.declare_queue(&Queue::new(&name)).expect("declare");
    stage.channel.put(&name, ["reached"]);
    stage.channel.drain(&name, ["reached"]);
    stage.channel.delete_queue(&name, DeleteIf::ALWAYS).expect("delete");
}
