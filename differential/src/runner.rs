//! Runs a program on one broker, and records its observations.

mod actions;
mod entities;
mod log;
mod observe;
mod result;
mod settlement;
mod state;
mod subscriptions;

use std::time::Duration;

use carrot_core::backend::Acknowledgement;

pub use self::log::{CreatedEntities, RunLog, StepLog};
use self::state::{KnownQueue, Runner};
use crate::broker::TestBroker;
use crate::program::{Program, ProgramOperation};
use crate::text;

/// Marks the lines at the end that show the messages of a queue.
const HOLDS: &str = " holds ";
/// Marks the lines at the end about queues that cannot be read.
const UNREADABLE: &str = " cannot be read: ";

/// Runs a program.
///
/// `expected` contains the expected steps, and the time in which the broker has to show each of
/// them. The run stops at the first step that differs.
pub fn run(
    program: &Program,
    broker: &dyn TestBroker,
    prefix: &str,
    expected: Option<(&[StepLog], Duration)>,
) -> RunLog {
    let mut runner = Runner::new(broker, prefix);
    let expected = expected.map(|(steps, patience)| {
        runner.patience = patience;
        steps
    });
    for (index, operation) in program.operations.iter().enumerate() {
        let expected_step = expected.map(|steps| steps.get(index).map_or(&[][..], Vec::as_slice));
        let step = runner.step(index, operation, expected_step);
        let differs = expected_step.is_some_and(|expected| expected != step);
        runner.log.steps.push(step);
        runner.log.slow |= program.is_timed() && runner.timing.is_slow();
        if differs {
            return runner.finish();
        }
    }
    let last = program.operations.len();
    let step =
        runner.end(last, expected.map(|steps| steps.get(last).map_or(&[][..], Vec::as_slice)));
    runner.log.steps.push(step);
    runner.finish()
}

/// Runs a program without expected steps. Waits for `patience` after each operation, because its
/// effects may be late.
pub fn record(
    program: &Program,
    broker: &dyn TestBroker,
    prefix: &str,
    patience: Duration,
) -> RunLog {
    let mut runner = Runner::new(broker, prefix);
    runner.patience = patience;
    for (index, operation) in program.operations.iter().enumerate() {
        let step = runner.step(index, operation, None);
        runner.log.steps.push(step);
    }
    let step = runner.end(program.operations.len(), None);
    runner.log.steps.push(step);
    runner.finish()
}

impl Runner<'_> {
    fn step(
        &mut self,
        index: usize,
        operation: &ProgramOperation,
        expected: Option<&[String]>,
    ) -> StepLog {
        self.index = index;
        let result = self.perform(operation);
        let mut lines: Vec<String> =
            result.lines.iter().map(|line| self.names.symbolic(line)).collect();
        if result.may_move_messages {
            self.observe(&mut lines, result.receive, expected, false);
        }
        lines
    }

    /// Receives all deliveries that are left, and records the messages of each queue.
    fn end(&mut self, index: usize, expected: Option<&[String]>) -> StepLog {
        self.index = index;
        self.subscribers.iter_mut().for_each(|subscriber| subscriber.lazy = false);
        let mut lines = vec!["end".to_string()];
        let is_read = |line: &String| line.contains(HOLDS) || line.contains(UNREADABLE);
        let before_reading = expected.map(|expected| {
            &expected[..expected.iter().position(is_read).unwrap_or(expected.len())]
        });
        self.observe(&mut lines, None, before_reading, true);
        for index in 0..self.queues.len() {
            let KnownQueue { name, owner } = &self.queues[index];
            let (name, owner) = (name.clone(), *owner);
            loop {
                let got = self.call_observer(owner, |channel| {
                    channel.get(&name, Acknowledgement::Automatic, state::DEADLINE)
                });
                let line = match got {
                    Ok(Some(delivery)) => {
                        self.names.learn_reply_address(delivery.content.properties.reply_to());
                        format!(
                            "{name}{HOLDS}{} redelivered={}",
                            text::content(&delivery.content),
                            delivery.redelivered
                        )
                    }
                    Ok(None) => break,
                    Err(error) => format!("{name}{UNREADABLE}{}", text::error(&error)),
                };
                let failed = line.contains(UNREADABLE);
                lines.push(self.names.symbolic(&line));
                if failed {
                    break;
                }
            }
        }
        lines
    }
}
