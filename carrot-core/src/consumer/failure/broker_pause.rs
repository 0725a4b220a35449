use std::time::Duration;

use crate::backend::Capabilities;
use crate::consumer::failure::copy_channel::Target;
use crate::consumer::failure::retry_queues::{LONGEST, RetryStep};
use crate::model::Queue;

/// The way in which a broker keeps a copy for a pause.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BrokerPause {
    /// In a waiting queue, whose time the pause is rounded up to.
    InQueue(RetryStep, Box<Queue>),
    /// On its way to the queue of the message, for the exact pause, which has the same maximum.
    Delayed(Duration, Box<Queue>),
}

impl BrokerPause {
    /// Returns how a broker with these features keeps a copy of a message of `queue` for `pause`;
    /// `None` if it cannot.
    pub(super) fn of(
        pause: Duration,
        queue: &str,
        capabilities: Capabilities,
    ) -> Option<BrokerPause> {
        if capabilities.waiting_queues {
            let step = RetryStep::at_least(pause);
            return Some(BrokerPause::InQueue(step, Box::new(step.queue(queue, capabilities))));
        }
        let delayed = || BrokerPause::Delayed(pause.min(LONGEST), Box::new(Queue::existing(queue)));
        capabilities.delayed_publish.then(delayed)
    }

    /// Returns the length of the pause.
    pub(super) fn length(&self) -> Duration {
        match self {
            BrokerPause::InQueue(step, _) => step.pause(),
            BrokerPause::Delayed(pause, _) => *pause,
        }
    }

    /// Returns where the copy is sent.
    pub(super) fn target(&self) -> Target<'_> {
        match self {
            BrokerPause::InQueue(_, queue) => Target::Waiting(queue),
            BrokerPause::Delayed(pause, queue) => Target::Delayed(queue, *pause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_millis(1500);

    fn capabilities(waiting_queues: bool, delayed_publish: bool) -> Capabilities {
        Capabilities { waiting_queues, delayed_publish, ..Capabilities::default() }
    }

    fn shown(pause: Duration, capabilities: Capabilities) -> Option<(String, Duration)> {
        let pause = BrokerPause::of(pause, "orders", capabilities)?;
        Some((pause.target().queue().name.clone(), pause.length()))
    }

    #[test]
    fn waiting_queues_have_steps_and_a_delay_is_exact() {
        let step = Some(("orders.retry.v1.2s".into(), Duration::from_secs(2)));
        assert_eq!(shown(PAUSE, capabilities(true, false)), step);
        assert_eq!(shown(PAUSE, capabilities(true, true)), step);
        assert_eq!(shown(PAUSE, capabilities(false, true)), Some(("orders".into(), PAUSE)));
        assert_eq!(shown(PAUSE, capabilities(false, false)), None);
        let longest = shown(Duration::MAX, capabilities(false, true));
        assert_eq!(longest, Some(("orders".into(), LONGEST)));
    }
}
