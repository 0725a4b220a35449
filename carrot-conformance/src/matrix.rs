use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{Case, Feature, Harness, Tier, cases};

/// What became of one case on one backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The backend behaves.
    Passed,
    /// It does not; the message of the panic.
    Failed(String),
    /// It was not tried, for want of this feature.
    Unsupported(Feature),
}

/// Cases against backends. Its `Display` is a table, followed by totals and by each failure in full.
#[derive(Debug, Clone)]
pub struct Matrix {
    backends: Vec<String>,
    rows: Vec<(&'static Case, Vec<Verdict>)>,
}

/// Tries every case of some tiers on every harness, one after the other.
///
/// A case that panics is noted and the rest goes on; the panic hook still prints it. See [`Matrix`] for the outcome.
pub fn matrix(harnesses: &[&dyn Harness], tiers: &[Tier]) -> Matrix {
    let rows = cases()
        .iter()
        .filter(|case| tiers.contains(&case.tier))
        .map(|case| (case, harnesses.iter().map(|harness| judge(case, *harness)).collect()))
        .collect();
    Matrix { backends: harnesses.iter().map(|harness| harness.name().to_string()).collect(), rows }
}

fn judge(case: &Case, harness: &dyn Harness) -> Verdict {
    if let Some(feature) = case.lacks(harness) {
        return Verdict::Unsupported(feature);
    }
    match catch_unwind(AssertUnwindSafe(|| case.run(harness))) {
        Ok(()) => Verdict::Passed,
        Err(panic) => Verdict::Failed(words(&*panic)),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
        (Some(text), _) => text.clone(),
        (None, Some(text)) => (*text).to_string(),
        (None, None) => "a panic without words".to_string(),
    }
}

impl Matrix {
    /// The names of the backends, in the order of the columns.
    pub fn backends(&self) -> &[String] {
        &self.backends
    }

    /// Every case with its verdicts, one a backend.
    pub fn rows(&self) -> impl Iterator<Item = (&'static Case, &[Verdict])> {
        self.rows.iter().map(|(case, verdicts)| (*case, verdicts.as_slice()))
    }

    /// Whether no case failed on any backend; unsupported ones do not count.
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
                if let Verdict::Failed(words) = verdict {
                    writeln!(
                        formatter,
                        "FAILED {name}: {}\n    {}",
                        title(case),
                        words.replace('\n', "\n    ")
                    )?;
                }
            }
        }
        Ok(())
    }
}
