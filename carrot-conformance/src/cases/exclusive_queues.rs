//! Queues of one connection alone.

use crate::support::*;

fn exclusive(stage: &Stage<'_>) -> String {
    stage.queue_with(|queue| queue.transient().exclusive())
}

pub(crate) fn an_exclusive_queue_serves_every_channel_of_its_connection(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = exclusive(&stage);
    let channel = stage.open();
    channel.put(&queue, ["a", "b"]);
    channel.accept(&channel.take(&queue));
    channel.subscribe(&queue).expect("b");
}

pub(crate) fn an_exclusive_queue_is_locked_for_other_connections(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = exclusive(&stage);
    let connector = stage.connect();
    assert_error!(open(&*connector).find_queue(&queue), Error::ResourceLocked { .. });
    assert_error!(
        open(&*connector).declare_queue(&Queue::new(&queue).transient().exclusive()),
        Error::ResourceLocked { .. }
    );
    assert_error!(
        open(&*connector).get(&queue, Acknowledgement::Manual),
        Error::ResourceLocked { .. }
    );
    assert_error!(
        open(&*connector).consume(&queue, &ConsumeOptions::default()),
        Error::ResourceLocked { .. }
    );
    assert_error!(open(&*connector).purge(&queue), Error::ResourceLocked { .. });
    assert_error!(
        open(&*connector).delete_queue(&queue, DeleteIf::ALWAYS),
        Error::ResourceLocked { .. }
    );
    stage.channel.find_queue(&queue).expect("it is still there");
}

pub(crate) fn an_exclusive_queue_cannot_be_bound_by_other_connections(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let (exchange, queue) = (stage.fanout(), exclusive(&stage));
    let binding = Binding::queue(&exchange, &queue, "");
    assert_error!(stage.elsewhere().bind(&binding), Error::ResourceLocked { .. });
    stage.bind_as(&binding);
    assert_error!(
        stage.elsewhere().delete(Delete::Binding(&binding)),
        Error::ResourceLocked { .. }
    );
}

pub(crate) fn an_exclusive_queue_can_be_published_to_from_anywhere(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = exclusive(&stage);
    stage.elsewhere().put(&queue, ["from afar"]);
    stage.channel.drain(&queue, ["from afar"]);
}

pub(crate) fn an_exclusive_queue_goes_with_its_connection(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_name();
    let connector = stage.connect();
    open(&*connector).declare_queue(&Queue::new(&queue).transient().exclusive()).expect("declare");
    connector.close(DEADLINE).expect("close");
    eventually("the queue to go", || {
        matches!(stage.open().find_queue(&queue), Err(Error::NotFound { .. }))
    });
}

pub(crate) fn an_exclusive_queue_outlives_its_channel(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_name();
    let channel = stage.open();
    channel.declare_queue(&Queue::new(&queue).transient().exclusive()).expect("declare");
    channel.shut();
    stage.channel.put(&queue, ["x"]);
    stage.channel.drain(&queue, ["x"]);
}

pub(crate) fn a_shared_queue_cannot_be_declared_exclusive_again(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let mut exclusive = Queue::new(&queue);
    exclusive.exclusive = true;
    assert_error!(stage.open().declare_queue(&exclusive), Error::ResourceLocked { .. });
}

pub(crate) fn an_exclusive_queue_can_be_declared_again_by_its_connection(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = exclusive(&stage);
    stage.open().declare_queue(&Queue::new(&queue).transient().exclusive()).expect("declare again");
}
