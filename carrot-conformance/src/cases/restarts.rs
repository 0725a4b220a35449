//! What outlives the broker.

use crate::support::*;

fn restart(stage: &Stage<'_>) {
    assert!(stage.harness.restart(), "a harness with RestartBroker restarts");
}

pub(crate) fn a_persistent_message_in_a_durable_queue_outlives_the_broker(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue();
    let persistent = Properties::new().with_delivery_mode(DeliveryMode::Persistent);
    stage.channel.put_with(&queue, "persistent", persistent);
    stage.channel.put_with(
        &queue,
        "transient",
        Properties::new().with_delivery_mode(DeliveryMode::Transient),
    );
    restart(&stage);
    stage.elsewhere().drain(&queue, ["persistent"]);
}

pub(crate) fn a_transient_queue_goes_with_the_broker(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let queue = stage.queue_with(Queue::transient);
    restart(&stage);
    assert_error!(stage.elsewhere().find_queue(&queue), Error::NotFound { .. });
}

pub(crate) fn durable_exchanges_and_bindings_outlive_the_broker(harness: &dyn Harness) {
    let stage = Stage::new(harness);
    let durable = stage.direct();
    let transient = stage.exchange_with(|name| Exchange::direct(name).transient());
    let queue = stage.bound(&durable, "key");
    restart(&stage);
    let channel = stage.elsewhere();
    channel.send(&durable, "key", "x");
    channel.drain(&queue, ["x"]);
    assert_error!(channel.find_exchange(&transient), Error::NotFound { .. });
}
