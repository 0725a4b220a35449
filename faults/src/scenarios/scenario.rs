use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::PoisonError;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::context::Context;
use crate::error::{Result, with_sources};
use crate::outcome::ScenarioOutcome;

const SMALL_LIMIT: Duration = Duration::from_secs(180);

/// A fault with the expectations of its outcome.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// The name, in one word.
    pub name: &'static str,
    /// A description of the fault.
    pub about: &'static str,
    /// The time limit at full size. The limit at small size is three minutes.
    pub(super) limit: Duration,
    pub(super) run: fn(&mut Context) -> Result<ScenarioOutcome>,
}

impl Scenario {
    /// Runs the scenario.
    ///
    /// An error of the harness, a panic and an exceeded time limit are failures of the outcome.
    pub fn run(&self, context: &mut Context) -> ScenarioOutcome {
        let started = Instant::now();
        let limit = context.pick(self.limit, SMALL_LIMIT);
        let mut lent = context.lend();
        let (done, result) = channel();
        let run = self.run;
        let start = thread::Builder::new().name(self.name.into()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut lent)))
                .unwrap_or_else(|_| Err("panic".into()));
            let _ = done.send((outcome, lent.node.take()));
        });
        let failure = match start.map(|_| result.recv_timeout(limit)) {
            Ok(Ok((outcome, node))) => {
                context.node = node;
                match outcome {
                    Ok(outcome) => {
                        return ScenarioOutcome {
                            scenario: self.name,
                            took: started.elapsed(),
                            ..outcome
                        };
                    }
                    Err(error) => format!("the scenario failed early: {}", with_sources(&*error)),
                }
            }
            Ok(Err(_)) => format!("the scenario did not end within {limit:?}"),
            Err(error) => format!("cannot start a thread: {error}"),
        };
        let accounting = context.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        let failures = vec![failure];
        let mut outcome = ScenarioOutcome {
            scenario: self.name,
            took: started.elapsed(),
            failures,
            ..ScenarioOutcome::default()
        };
        if let Some(accounting) = accounting {
            outcome.audit = accounting.audit();
            outcome.expect_no_overdue_call();
            outcome.notes.push(
                "the remaining messages were not consumed, so missing messages are not failures"
                    .into(),
            );
        }
        outcome
    }
}
