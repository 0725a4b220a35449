//! Declares waiting queues.

use std::thread;
use std::time::{Duration, Instant};

use crate::backend::Declare;
use crate::error::{Error, Result};
use crate::recovery::serial_channel::SerialChannel;

/// The maximum number of declarations of a queue that is being deleted.
const DECLARATIONS: u32 = 5;
/// The time between two declarations of a queue that is being deleted.
const DELETION_PAUSE: Duration = Duration::from_millis(200);

/// Declares an entity. RabbitMQ may report a missing queue while a quorum queue of the name is
/// being deleted.
pub(crate) fn declare(
    channel: &SerialChannel,
    entity: Declare<'_>,
    deadline: impl Fn() -> Instant,
) -> Result<()> {
    for _ in 0..DECLARATIONS {
        match channel.declare_before(entity, deadline()) {
            Err(Error::NotFound { .. }) if matches!(entity, Declare::Queue(_)) => {
                thread::sleep(DELETION_PAUSE);
            }
            declared => return declared.map(drop),
        }
    }
    channel.declare_before(entity, deadline()).map(drop)
}
