//! Entities and messages after a restart of the broker.

use crate::support::*;

fn restart(fixture: &CaseFixture<'_>) {
    assert!(
        fixture.harness.restart(),
        "the harness has the feature RestartBroker and did not restart the broker"
    );
}

pub(crate) fn a_persistent_message_in_a_durable_queue_is_kept_over_a_restart(
    harness: &dyn Harness,
) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue();
    let persistent = Properties::new().with_delivery_mode(DeliveryMode::Persistent);
    fixture.channel.enqueue_with(&queue, "persistent", persistent);
    fixture.channel.enqueue_with(
        &queue,
        "transient",
        Properties::new().with_delivery_mode(DeliveryMode::Transient),
    );
    restart(&fixture);
    fixture.open_on_new_connection().expect_messages(&queue, ["persistent"]);
}

pub(crate) fn a_transient_queue_is_deleted_by_a_restart(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let queue = fixture.queue_with(Queue::transient);
    restart(&fixture);
    assert_error!(fixture.open_on_new_connection().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn durable_exchanges_and_bindings_are_kept_over_a_restart(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let durable = fixture.direct_exchange();
    let queue = fixture.bound_queue(&durable, "key");
    restart(&fixture);
    let channel = fixture.open_on_new_connection();
    channel.send(&durable, "key", "x");
    channel.expect_messages(&queue, ["x"]);
}

pub(crate) fn a_transient_exchange_is_deleted_by_a_restart(harness: &dyn Harness) {
    let fixture = CaseFixture::new(harness);
    let exchange = fixture.exchange_with(|name| Exchange::direct(name).transient());
    restart(&fixture);
    assert_error!(
        fixture.open_on_new_connection().find_exchange(&exchange),
        Error::NotFound { .. }
    );
}
