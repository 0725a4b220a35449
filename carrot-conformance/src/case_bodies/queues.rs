//! The queues of the smallest backend.

use crate::support::*;

pub(crate) fn a_new_queue_is_empty_and_has_no_consumers(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let name = fixture.queue_name();
    let declared = fixture.channel.declare_queue(&Queue::new(&name)).expect("declare");
    assert_eq!(declared, QueueInfo::new(name, 0, 0));
}

pub(crate) fn declaring_an_equal_queue_again_changes_nothing(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["kept"]);
    let declared = fixture.channel.declare_queue(&Queue::new(&queue)).expect("declare again");
    assert_eq!(declared.message_count, 1);
    fixture.channel.expect_messages(&queue, ["kept"]);
}

pub(crate) fn a_passive_declaration_returns_the_number_of_ready_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    assert_eq!(fixture.channel.find_queue(&queue).expect("find"), QueueInfo::new(queue, 3, 0));
}

pub(crate) fn a_passive_declaration_of_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(fixture.open().find_queue(&fixture.queue_name()), Error::NotFound { .. });
}

pub(crate) fn a_passive_declaration_does_not_create_the_queue(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_name();
    assert_error!(fixture.open().find_queue(&queue), Error::NotFound { .. });
    assert_error!(fixture.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_queue_is_seen_from_other_connections(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["shared"]);
    fixture.open_on_new_connection().expect_messages(&queue, ["shared"]);
}

pub(crate) fn queues_keep_their_messages_apart(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (left, right) = (fixture.queue(), fixture.queue());
    fixture.channel.enqueue(&left, ["to the left"]);
    fixture.channel.expect_empty(&right);
    fixture.channel.expect_messages(&left, ["to the left"]);
}

pub(crate) fn deleting_a_queue_returns_the_number_of_deleted_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b"]);
    assert_eq!(fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete"), 2);
}

pub(crate) fn a_deleted_queue_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    assert_error!(fixture.open().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn a_queue_declared_again_after_its_deletion_is_empty(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["lost"]);
    fixture.channel.delete_queue(&queue, DeleteIf::ALWAYS).expect("delete");
    assert_eq!(
        fixture.channel.declare_queue(&Queue::new(&queue)).expect("declare").message_count,
        0
    );
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn deleting_a_missing_queue_succeeds(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_eq!(
        fixture.channel.delete_queue(&fixture.queue_name(), DeleteIf::ALWAYS).expect("delete"),
        0
    );
}

pub(crate) fn purging_drops_and_counts_the_ready_messages(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    fixture.channel.enqueue(&queue, ["a", "b", "c"]);
    assert_eq!(fixture.channel.purge(&queue).expect("purge"), 3);
    fixture.channel.expect_empty(&queue);
}

pub(crate) fn purging_a_missing_queue_is_not_found(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    assert_error!(fixture.open().purge(&fixture.queue_name()), Error::NotFound { .. });
}

pub(crate) fn a_queue_name_may_have_255_bytes(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let start = unique("long");
    let name = format!("{start}{}", "q".repeat(255 - start.len()));
    let declared = fixture.channel.declare_queue(&Queue::new(&name)).expect("declare");
    assert_eq!(declared.name, name);
    fixture.channel.enqueue(&name, ["reached"]);
    fixture.channel.expect_messages(&name, ["reached"]);
    fixture.channel.delete_queue(&name, DeleteIf::ALWAYS).expect("delete");
}

pub(crate) fn a_queue_name_of_256_bytes_is_invalid_and_leaves_the_channel_open(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let name = "q".repeat(256);
    assert_error!(fixture.channel.declare_queue(&Queue::new(&name)), Error::Invalid { .. });
    assert_error!(fixture.channel.delete_queue(&name, DeleteIf::ALWAYS), Error::Invalid { .. });
    assert_error!(fixture.channel.purge(&name), Error::Invalid { .. });
    fixture.channel.round_trip(&queue);
}

pub(crate) fn a_queue_name_may_hold_any_characters(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let name = format!("{} Bücher/書籍 %2f #*.", unique("queue"));
    fixture.channel.declare_queue(&Queue::new(&name)).expect("declare");
    fixture.channel.enqueue(&name, ["reached"]);
    fixture.channel.expect_messages(&name, ["reached"]);
    fixture.channel.delete_queue(&name, DeleteIf::ALWAYS).expect("delete");
}

pub(crate) fn declarations_and_deletions_ignore_line_breaks_in_names(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (name, exchange) = (fixture.queue_name(), fixture.direct_exchange());
    let broken = |name: &str| format!("\n{name}\r\n");
    let channel = &fixture.channel;
    let declared = channel.declare_queue(&Queue::new(broken(&name))).expect("declare");
    assert_eq!(declared.name, name);
    assert_eq!(channel.find_queue(&broken(&name)).expect("find").name, name);
    channel.bind(&Binding::queue(broken(&exchange), broken(&name), "key")).expect("bind");
    channel.send(&exchange, "key", "x");
    channel.expect_messages(&name, ["x"]);
    assert_error!(
        fixture.open().get(&broken(&name), Acknowledgement::Manual, DEADLINE),
        Error::NotFound { .. }
    );
    channel.delete_queue(&broken(&name), DeleteIf::ALWAYS).expect("delete");
    assert_error!(fixture.open().find_queue(&name), Error::NotFound { .. });
}
