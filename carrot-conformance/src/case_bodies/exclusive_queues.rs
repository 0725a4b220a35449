//! Queues that only one connection can use.

use crate::support::*;

fn exclusive(fixture: &CaseFixture<'_>) -> String {
    fixture.queue_with(|queue| queue.transient().exclusive())
}

pub(crate) fn an_exclusive_queue_is_open_to_every_channel_of_its_connection(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = exclusive(&fixture);
    let channel = fixture.open();
    channel.enqueue(&queue, ["a", "b"]);
    channel.ack_one(&channel.get_delivery(&queue));
    channel.subscribe(&queue).expect("b");
}

pub(crate) fn an_exclusive_queue_is_locked_for_other_connections(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = exclusive(&fixture);
    let connector = fixture.connect();
    assert_error!(open(&*connector).find_queue(&queue), Error::ResourceLocked { .. });
    assert_error!(
        open(&*connector).declare_queue(&Queue::new(&queue).transient().exclusive()),
        Error::ResourceLocked { .. }
    );
    assert_error!(
        open(&*connector).get(&queue, Acknowledgement::Manual, DEADLINE),
        Error::ResourceLocked { .. }
    );
    assert_error!(
        open(&*connector).consume(&queue, &ConsumeOptions::default(), DEADLINE),
        Error::ResourceLocked { .. }
    );
    assert_error!(open(&*connector).purge(&queue), Error::ResourceLocked { .. });
    assert_error!(
        open(&*connector).delete_queue(&queue, DeleteIf::ALWAYS),
        Error::ResourceLocked { .. }
    );
    fixture.channel.find_queue(&queue).expect("the queue exists");
}

pub(crate) fn an_exclusive_queue_cannot_be_bound_by_other_connections(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let (exchange, queue) = (fixture.fanout_exchange(), exclusive(&fixture));
    let binding = Binding::queue(&exchange, &queue, "");
    assert_error!(fixture.open_on_new_connection().bind(&binding), Error::ResourceLocked { .. });
    fixture.bind_as(&binding);
    assert_error!(
        fixture.open_on_new_connection().delete(Delete::Binding(&binding), DEADLINE),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn an_exclusive_queue_receives_messages_of_other_connections(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = exclusive(&fixture);
    fixture.open_on_new_connection().enqueue(&queue, ["from another connection"]);
    fixture.channel.expect_messages(&queue, ["from another connection"]);
}

pub(crate) fn an_exclusive_queue_is_deleted_with_its_connection(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_name();
    let connector = fixture.connect();
    open(&*connector).declare_queue(&Queue::new(&queue).transient().exclusive()).expect("declare");
    connector.close(DEADLINE).expect("close");
    eventually("the queue is deleted", || {
        matches!(fixture.open().find_queue(&queue), Err(Error::NotFound { .. }))
    });
}

pub(crate) fn an_exclusive_queue_is_kept_when_its_channel_closes(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_name();
    let channel = fixture.open();
    channel.declare_queue(&Queue::new(&queue).transient().exclusive()).expect("declare");
    channel.close_channel();
    fixture.channel.enqueue(&queue, ["x"]);
    fixture.channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn a_shared_queue_cannot_be_declared_exclusive_again(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let mut exclusive = Queue::new(&queue);
    exclusive.exclusive = true;
    assert_error!(fixture.open().declare_queue(&exclusive), Error::ResourceLocked { .. });
}

pub(crate) fn an_exclusive_queue_can_be_declared_again_by_its_connection(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = exclusive(&fixture);
    fixture
        .open()
        .declare_queue(&Queue::new(&queue).transient().exclusive())
        .expect("declare again");
}
