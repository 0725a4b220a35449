use std::fmt;
use std::time::Duration;

use crate::audit::Audit;
use crate::monitor::ResourceUsage;

/// The result of a scenario.
#[derive(Debug, Clone, Default)]
pub struct ScenarioOutcome {
    /// The name of the scenario.
    pub scenario: &'static str,
    /// The accounting of messages and calls.
    pub audit: Audit,
    /// The maximum of each resource that this process used.
    pub peak: ResourceUsage,
    /// The duration of the scenario.
    pub took: Duration,
    /// The expectations that were not met. Empty if the scenario passed.
    pub failures: Vec<String>,
    /// Facts for the reader, whether the scenario passed or not.
    pub notes: Vec<String>,
}

impl ScenarioOutcome {
    /// Returns whether all expectations were met.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Adds a failure unless `condition` is true.
    pub fn expect(&mut self, condition: bool, failure: impl FnOnce() -> String) {
        if !condition {
            self.failures.push(failure());
        }
    }

    /// Checks the expectations of every scenario with messages: every confirmed message was
    /// consumed, every consumed message was sent, every send has an outcome, and no call exceeded
    /// its deadline.
    pub fn expect_nothing_lost(&mut self) {
        let audit = self.audit.clone();
        self.expect(audit.missing.is_empty(), || {
            let first: Vec<_> = audit.missing.iter().zip(&audit.missing_times).take(10).collect();
            format!(
                "{} confirmed messages are lost; the first, with the times of send and confirm, and the thread: {first:?}",
                audit.missing.len()
            )
        });
        self.expect(audit.unsent.is_empty(), || {
            format!("messages were consumed that were not sent: {:?}", audit.unsent)
        });
        self.expect(audit.pending == 0, || format!("{} messages have no outcome", audit.pending));
        self.expect_no_overdue_call();
    }

    /// Checks that no call exceeded its deadline.
    pub fn expect_no_overdue_call(&mut self) {
        let overdue = self.audit.overdue.clone();
        for call in overdue.iter().take(5) {
            self.failures.push(format!(
                "{} took {:.1?}, and its deadline was {:?}",
                call.name, call.took, call.deadline
            ));
        }
        if overdue.len() > 5 {
            self.failures
                .push(format!("and {} more calls exceeded their deadlines", overdue.len() - 5));
        }
    }

    /// Checks that no message was consumed twice.
    pub fn expect_no_duplicate(&mut self) {
        let duplicates = self.audit.duplicates;
        self.expect(duplicates == 0, || {
            format!("{duplicates} messages were consumed twice, and no connection was lost")
        });
    }

    /// Checks that every send was confirmed.
    pub fn expect_all_confirmed(&mut self) {
        let (failed, unknown) = (self.audit.failed, self.audit.unknown);
        self.expect(failed + unknown == 0, || {
            format!("{failed} messages failed and {unknown} are unknown, and the outage was shorter than their deadline")
        });
    }
}

/// Formats outcomes as a table, with the failures, notes and errors below.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeTable<'a>(pub &'a [ScenarioOutcome]);

impl fmt::Display for OutcomeTable<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<20} {:>9} {:>9} {:>8} {:>6} {:>6} {:>18} {:>9} {:>8} {:>8}  result",
            "scenario",
            "messages",
            "confirmed",
            "unknown",
            "lost",
            "twice",
            "slowest call",
            "memory",
            "threads",
            "took"
        )?;
        for outcome in self.0 {
            let audit = &outcome.audit;
            let slowest = audit.slowest.map_or("-".into(), |call| {
                format!("{} {:.1} s", call.name, call.took.as_secs_f64())
            });
            writeln!(
                formatter,
                "{:<20} {:>9} {:>9} {:>8} {:>6} {:>6} {:>18} {:>5} MiB {:>8} {:>6.0} s  {}",
                outcome.scenario,
                audit.sent,
                audit.confirmed,
                audit.unknown,
                audit.missing.len(),
                audit.duplicates,
                slowest,
                outcome.peak.memory / (1024 * 1024),
                outcome.peak.threads,
                outcome.took.as_secs_f64(),
                if outcome.passed() { "passed" } else { "FAILED" }
            )?;
        }
        for outcome in self.0 {
            if !(outcome.failures.is_empty()
                && outcome.notes.is_empty()
                && outcome.audit.errors.is_empty())
            {
                writeln!(formatter, "\n{}", outcome.scenario)?;
            }
            outcome
                .failures
                .iter()
                .try_for_each(|failure| writeln!(formatter, "  FAILED {failure}"))?;
            outcome.notes.iter().try_for_each(|note| writeln!(formatter, "  {note}"))?;
            for (error, times) in &outcome.audit.errors {
                let first = outcome.audit.first_errors.get(error).map_or("", String::as_str);
                writeln!(formatter, "  {times} x {error}, first: {first}")?;
            }
        }
        Ok(())
    }
}
