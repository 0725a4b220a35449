//! The priority of a consumer among those of its queue.

use carrot_core::backend::ConsumeOptions;
use carrot_core::{Error, Result};

const ARGUMENT: &str = "x-priority";
/// The number of ranks of slots of the priority zero. Later slots have the last one.
const RANKS: i8 = 64;

/// The argument `x-priority` of a consumer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ConsumerPriority(i8);

impl ConsumerPriority {
    /// The lowest one. The broker has one octet, which also ranks slots.
    const LOWEST: i8 = -RANKS;

    /// Reads the argument. Defaults to 0.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`]: the argument is no integer.
    /// - [`Error::Invalid`]: the broker has no such priority.
    pub(crate) fn of(queue: &str, options: &ConsumeOptions) -> Result<ConsumerPriority> {
        let Some(value) = options.arguments.get(ARGUMENT) else {
            return Ok(ConsumerPriority::default());
        };
        let Some(number) = value.as_i64() else {
            let reason = format!(
                "PRECONDITION_FAILED - invalid arg '{ARGUMENT}' for a consumer of queue \
                 '{queue}': an integer is needed"
            );
            return Err(Error::PreconditionFailed { reason });
        };
        let known = i8::try_from(number).ok().filter(|number| *number >= Self::LOWEST);
        known
            .map(ConsumerPriority)
            .ok_or_else(|| Error::invalid(ARGUMENT, &number.to_string(), "-64 to 127 on ActiveMQ"))
    }

    /// Refuses a priority beside a single active consumer, which the broker would replace at once
    /// by one of a higher priority.
    ///
    /// # Errors
    /// - [`Error::Invalid`]: the priority is not 0.
    pub(crate) fn check_alone(self) -> Result<()> {
        match self.0 {
            0 => Ok(()),
            number => Err(Error::invalid(
                ARGUMENT,
                &number.to_string(),
                "0 on a queue with x-single-active-consumer",
            )),
        }
    }

    /// Returns the priority of a slot at the broker. Slots are numbered from 0.
    ///
    /// The broker fills slots of a higher priority first. Consumers of the priority zero receive in
    /// turn: the broker gives each of them a first message before any of them has a second one.
    pub(crate) fn of_slot(self, number: u16) -> i8 {
        const LAST: i8 = RANKS - 1;
        match self.0 {
            0 => -i8::try_from(number).unwrap_or(LAST).min(LAST),
            above @ 1.. => above,
            below => below - LAST,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn read(priority: i64) -> Result<ConsumerPriority> {
        let options = ConsumeOptions::default().argument(ARGUMENT, priority);
        ConsumerPriority::of("q", &options)
    }

    #[test]
    fn all_slots_of_a_higher_priority_are_before_those_of_a_lower_one() {
        let all: Vec<_> = (-64..=127).map(|priority| read(priority).unwrap()).collect();
        let numbers = || [0, 1, 62, 63, 64, 127, 128, 255, u16::MAX].into_iter();
        for pair in all.windows(2) {
            let [lower, higher] = pair else { continue };
            let most = numbers().map(|number| lower.of_slot(number)).max().unwrap();
            let least = numbers().map(|number| higher.of_slot(number)).min().unwrap();
            assert!(most < least, "{lower:?} {most} {higher:?} {least}");
        }
    }

    #[test]
    fn consumers_without_a_priority_receive_in_turn() {
        let none = ConsumerPriority::of("q", &ConsumeOptions::default()).unwrap();
        assert_eq!([0, 1, 63, 64, 255].map(|number| none.of_slot(number)), [0, -1, -63, -63, -63]);
    }

    #[test]
    fn priorities_that_the_broker_does_not_have_are_refused() {
        for priority in [-65, 128, i64::MIN, i64::MAX] {
            let text = read(priority).unwrap_err().to_string();
            assert!(text.contains(&format!("{priority}\": -64 to 127")), "{text}");
        }
    }
}
