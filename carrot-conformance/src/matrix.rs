use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::case::{Case, Tier};
use crate::features::Feature;
use crate::harness::Harness;
use crate::runner::cases;

/// The result of one case on one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a case has no other result")]
pub enum Verdict {
    /// The backend shows the behaviour.
    Passed,
    /// The case panicked with this message.
    Failed(String),
    /// The case did not run because the backend lacks this feature.
    Unsupported(Feature),
}

/// The results of cases on several backends. Its `Display` is a table, followed by totals and by
/// the messages of all failures.
#[derive(Debug, Clone)]
pub struct Matrix {
    backends: Vec<String>,
    rows: Vec<(&'static Case, Vec<Verdict>)>,
}

/// Runs every case of these tiers on every harness, one after the other.
///
/// A panic of a case is a failure in the matrix, and the next case runs. The panic hook prints the
/// panic, too.
pub fn matrix(harnesses: &[&dyn Harness], tiers: &[Tier]) -> Matrix {
    let rows = cases()
        .iter()
        .filter(|case| tiers.contains(&case.tier))
        .map(|case| (case, harnesses.iter().map(|harness| run_case(case, *harness)).collect()))
        .collect();
    Matrix { backends: harnesses.iter().map(|harness| harness.name().to_string()).collect(), rows }
}

fn run_case(case: &Case, harness: &dyn Harness) -> Verdict {
    if let Some(feature) = case.lacks(harness) {
        return Verdict::Unsupported(feature);
    }
    match catch_unwind(AssertUnwindSafe(|| case.run(harness))) {
        Ok(()) => Verdict::Passed,
        Err(panic) => Verdict::Failed(panic_message(&*panic)),
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_string(),
        (None, None) => "panic without a message".to_string(),
    }
}

impl Matrix {
    /// Returns the names of the backends, in the order of the columns.
    pub fn backends(&self) -> &[String] {
        &self.backends
    }

    /// Returns every case with its results, one for each backend.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Case, &[Verdict])> {
        self.rows.iter().map(|(case, verdicts)| (*case, verdicts.as_slice()))
    }

    /// Returns whether no case failed on any backend. Unsupported cases are not failures.
    pub fn passed(&self) -> bool {
        self.rows()
            .flat_map(|(_, verdicts)| verdicts)
            .all(|verdict| !matches!(verdict, Verdict::Failed(_)))
    }

    fn totals(&self, column: usize) -> (usize, usize, usize) {
        self.rows.iter().fold((0, 0, 0), |(passed, failed, unsupported), (_, verdicts)| {
            match verdicts[column] {
                Verdict::Passed => (passed + 1, failed, unsupported),
                Verdict::Failed(_) => (passed, failed + 1, unsupported),
                Verdict::Unsupported(_) => (passed, failed, unsupported + 1),
            }
        })
    }
}

impl fmt::Display for Matrix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = |case: &Case| format!("{}::{}", case.tier, case.name);
        let first = self.rows.iter().map(|(case, _)| title(case).len()).max().unwrap_or(0);
        let widths: Vec<usize> =
            self.backends.iter().map(|name| name.len().max("unsupported".len())).collect();

        write!(formatter, "{:first$}", "case")?;
        for (name, &width) in self.backends.iter().zip(&widths) {
            write!(formatter, "  {name:width$}")?;
        }
        for (case, verdicts) in &self.rows {
            write!(formatter, "\n{:first$}", title(case))?;
            for (verdict, &width) in verdicts.iter().zip(&widths) {
                let word = match verdict {
                    Verdict::Passed => "ok",
                    Verdict::Failed(_) => "FAILED",
                    Verdict::Unsupported(_) => "unsupported",
                };
                write!(formatter, "  {word:width$}")?;
            }
        }
        writeln!(formatter)?;
        for (column, name) in self.backends.iter().enumerate() {
            let (passed, failed, unsupported) = self.totals(column);
            writeln!(
                formatter,
                "{name}: {passed} passed, {failed} failed, {unsupported} unsupported"
            )?;
        }
        for (case, verdicts) in &self.rows {
            for (verdict, name) in verdicts.iter().zip(&self.backends) {
                if let Verdict::Failed(message) = verdict {
                    writeln!(
                        formatter,
                        "FAILED {name}: {}\n    {}",
                        title(case),
                        message.replace('\n', "\n    ")
                    )?;
                }
            }
        }
        Ok(())
    }
}
