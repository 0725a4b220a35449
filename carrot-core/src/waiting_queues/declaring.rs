//! Declares waiting queues.

use std::thread;
use std::time::{Duration, Instant};

use crate::backend::Declare;
use crate::deadline;
use crate::error::{Error, Result};
use crate::recovery::serial_channel::SerialChannel;

/// The maximum number of declarations of a queue that is being deleted.
const DECLARATIONS: u32 = 6;
/// The time between two declarations of a queue that is being deleted.
const DELETION_PAUSE: Duration = Duration::from_millis(200);

/// Declares an entity. RabbitMQ may report a missing queue while a quorum queue of the name is
/// being deleted. `deadline` returns the deadline of the next declaration, and of the pause before
/// it.
pub(crate) fn declare(
    channel: &SerialChannel,
    entity: Declare<'_>,
    deadline: impl Fn() -> Instant,
) -> Result<()> {
    let is_queue = matches!(entity, Declare::Queue(_));
    repeat_if_missing(is_queue, deadline, |until| channel.declare_before(entity, until).map(drop))
}

fn repeat_if_missing(
    is_queue: bool,
    deadline: impl Fn() -> Instant,
    mut declare: impl FnMut(Instant) -> Result<()>,
) -> Result<()> {
    for _ in 1..DECLARATIONS {
        let declared = declare(deadline());
        let is_being_deleted = is_queue && matches!(declared, Err(Error::NotFound { .. }));
        if !is_being_deleted || deadline::left(deadline()) <= DELETION_PAUSE {
            return declared;
        }
        thread::sleep(DELETION_PAUSE);
    }
    declare(deadline())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(declarations: &mut u32) -> Result<()> {
        *declarations += 1;
        Err(Error::NotFound { reason: "no queue".into() })
    }

    #[test]
    fn queue_that_is_being_deleted_is_declared_again_within_the_deadline() {
        let mut declarations = 0;
        let until = Instant::now() + DELETION_PAUSE + DELETION_PAUSE / 2;
        let declared = repeat_if_missing(true, || until, |_| missing(&mut declarations));
        assert!(matches!(declared, Err(Error::NotFound { .. })));
        // A slow machine has no time for the second.
        assert!((1..=2).contains(&declarations), "{declarations}");
        let late = || Instant::now() + 100 * DELETION_PAUSE;
        let mut left = 2;
        let declared = repeat_if_missing(true, late, |_| {
            left -= 1;
            if left > 0 { missing(&mut declarations) } else { Ok(()) }
        });
        assert!(declared.is_ok() && left == 0);
    }

    #[test]
    fn missing_queue_is_not_awaited_beyond_the_deadline() {
        let mut declarations = 0;
        let until = Instant::now() + DELETION_PAUSE / 2;
        let _ = repeat_if_missing(true, || until, |_| missing(&mut declarations));
        assert_eq!(declarations, 1);
        let late = || Instant::now() + 100 * DELETION_PAUSE;
        // An exchange is not being deleted.
        let _ = repeat_if_missing(false, late, |_| missing(&mut declarations));
        assert_eq!(declarations, 2);
    }
}
