use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::{Audit, Usage};

/// How a scenario went.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// The scenario's name.
    pub scenario: &'static str,
    /// What became of its messages and calls.
    pub audit: Audit,
    /// The most that this process used meanwhile.
    pub peak: Usage,
    /// How long it took.
    pub took: Duration,
    /// What was to hold and did not; empty if it passed.
    pub failures: Vec<String>,
    /// What is worth knowing in any case.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Whether everything held.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Takes note of a failure unless `condition` holds.
    pub fn expect(&mut self, condition: bool, failure: impl FnOnce() -> String) {
        if !condition {
            self.failures.push(failure());
        }
    }

    /// What has to hold wherever messages are sent: none that was confirmed is lost, none came that nobody sent, no call is late.
    pub fn expect_nothing_lost(&mut self) {
        let audit = self.audit.clone();
        self.expect(audit.missing.is_empty(), || {
            let first: Vec<_> = audit.missing.iter().zip(&audit.moments).take(10).collect();
            format!(
                "{} confirmed messages are lost; the first, when they were sent and confirmed, and by whom: {first:?}",
                audit.missing.len()
            )
        });
        self.expect(audit.strangers.is_empty(), || {
            format!("messages came that nobody sent: {:?}", audit.strangers)
        });
        self.expect(audit.pending == 0, || {
            format!("the fate of {} messages was never told", audit.pending)
        });
        self.expect_no_late_call();
    }

    /// That no call came back late, or not at all.
    pub fn expect_no_late_call(&mut self) {
        let overdue = self.audit.overdue.clone();
        for call in overdue.iter().take(5) {
            self.failures.push(format!(
                "{} took {:.1?} though its deadline was {:?}",
                call.name, call.took, call.deadline
            ));
        }
        if overdue.len() > 5 {
            self.failures.push(format!("and {} more calls were late", overdue.len() - 5));
        }
    }

    /// That nothing was consumed twice.
    pub fn expect_no_duplicate(&mut self) {
        let duplicates = self.audit.duplicates;
        self.expect(duplicates == 0, || {
            format!("{duplicates} messages were consumed twice, though no connection was lost")
        });
    }

    /// That no publisher was told of an error.
    pub fn expect_all_confirmed(&mut self) {
        let (failed, unknown) = (self.audit.failed, self.audit.unknown);
        self.expect(failed + unknown == 0, || {
            format!("{failed} messages failed and {unknown} are unknown, though the outage was shorter than their deadline")
        });
    }
}

/// Outcomes as a table, with what failed and what is worth knowing below.
#[derive(Debug, Clone, Copy)]
pub struct Table<'a>(pub &'a [Outcome]);

impl fmt::Display for Table<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "{:<20} {:>9} {:>9} {:>8} {:>6} {:>6} {:>18} {:>9} {:>8} {:>8}  verdict",
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
                let words = outcome.audit.words.get(error).map_or("", String::as_str);
                writeln!(formatter, "  {times} x {error}, first: {words}")?;
            }
        }
        Ok(())
    }
}

/// An error's words, and those of all that caused it.
pub(crate) fn with_sources(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
}
