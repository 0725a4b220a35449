//! The features of the backends, by harness. `docs/guarantees.md` shows them, which `tests/guide`
//! checks.

use carrot_conformance::{Feature, Features};

/// The AMQP driver on RabbitMQ.
pub(crate) fn rabbitmq() -> Features {
    Features::rabbitmq().with(Feature::CutConnection)
}

/// The memory broker in the process.
pub(crate) fn memory() -> Features {
    Features::rabbitmq()
        .with(Feature::ManualClock)
        .with(Feature::CutConnection)
        .with(Feature::BlockBroker)
}

/// The memory broker behind a server or a host.
pub(crate) fn hosted() -> Features {
    memory()
}
