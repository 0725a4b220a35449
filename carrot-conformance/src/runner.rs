use std::io::Write;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::case::{Case, Tier};
use crate::features::Feature;
use crate::harness::Harness;
use crate::list::CASES;

/// Returns all cases, by tier.
///
/// ```
/// let cases = carrot_conformance::cases();
/// assert!(cases.iter().any(|case| case.name == "a_requeued_message_comes_back_redelivered"));
/// ```
pub fn cases() -> &'static [Case] {
    CASES
}

/// Returns the cases of these tiers that the harness does not support, with their missing features.
fn unsupported(harness: &dyn Harness, tiers: &[Tier]) -> Vec<(&'static Case, Feature)> {
    cases()
        .iter()
        .filter(|case| tiers.contains(&case.tier))
        .filter_map(|case| Some((case, case.lacks(harness)?)))
        .collect()
}

/// Runs one case as a test.
///
/// Writes a case that the harness does not support to standard error, which the test runner does
/// not capture.
///
/// # Panics
/// If the backend does not show the behaviour, or the case does not exist.
pub fn run_as_test(harness: &dyn Harness, name: &str) {
    run_if_supported(harness, name);
}

/// Runs one case, or reports that the harness does not support the case. Returns whether it ran.
fn run_if_supported(harness: &dyn Harness, name: &str) -> bool {
    let case = cases()
        .iter()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("unknown case \"{name}\""));
    let lacking = case.lacks(harness);
    match lacking {
        Some(feature) => write_to_stderr(&format!(
            "unsupported: {}: {}::{} needs {feature}",
            harness.name(),
            case.tier,
            case.name
        )),
        None => case.run(harness),
    }
    lacking.is_none()
}

/// Writes the cases of these tiers that the harness does not support to standard error, with their
/// missing features. Returns the number of these cases.
pub fn report_unsupported(harness: &dyn Harness, tiers: &[Tier]) -> usize {
    let lacking = unsupported(harness, tiers);
    let count = cases().iter().filter(|case| tiers.contains(&case.tier)).count();
    write_to_stderr(&format!(
        "conformance of {}: {} of {count} cases are unsupported{}",
        harness.name(),
        lacking.len(),
        listed(&lacking)
    ));
    lacking.len()
}

fn listed(lacking: &[(&Case, Feature)]) -> String {
    lacking
        .iter()
        .map(|(case, feature)| {
            format!("\n  unsupported: {}::{} needs {feature}", case.tier, case.name)
        })
        .collect()
}

/// Counts the results of the tests that one [`conformance_tests!`](crate::conformance_tests)
/// generates. A test runner counts a case that did not run as passed.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct Tally {
    counts: Mutex<Counts>,
    changed: Condvar,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    running: usize,
    passed: usize,
    failed: usize,
}

/// The longest wait for the cases that other threads still run.
const OTHER_CASES: Duration = Duration::from_secs(120);

impl Tally {
    pub const fn new() -> Tally {
        let counts = Counts { running: 0, passed: 0, failed: 0 };
        Tally { counts: Mutex::new(counts), changed: Condvar::new() }
    }

    /// Runs one case as [`run_as_test`] does, and counts its result.
    pub fn run(&self, harness: &dyn Harness, name: &str) {
        self.lock().running += 1;
        let mut running = RunningCase { tally: self, ran: true };
        running.ran = run_if_supported(harness, name);
    }

    /// Writes the numbers of passed, failed and unsupported cases to standard error, with the list
    /// of the unsupported ones. Blocks while other threads run cases.
    pub fn report(&self, harness: &dyn Harness, tiers: &[Tier]) {
        let waited =
            self.changed.wait_timeout_while(self.lock(), OTHER_CASES, |counts| counts.running > 0);
        drop(waited);
        write_to_stderr(&self.summary(harness, tiers));
    }

    /// Returns the text that [`report`](Tally::report) writes.
    pub fn summary(&self, harness: &dyn Harness, tiers: &[Tier]) -> String {
        let Counts { passed, failed, .. } = *self.lock();
        let lacking = unsupported(harness, tiers);
        let count = cases().iter().filter(|case| tiers.contains(&case.tier)).count();
        let mut summary = format!(
            "conformance of {}: {passed} passed, {failed} failed, {} unsupported",
            harness.name(),
            lacking.len()
        );
        match count.saturating_sub(passed + failed + lacking.len()) {
            0 => {}
            rest => summary.push_str(&format!(", {rest} not run")),
        }
        summary.push_str(&listed(&lacking));
        summary
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts the result of a case when dropped, also while the case panics.
struct RunningCase<'a> {
    tally: &'a Tally,
    ran: bool,
}

impl Drop for RunningCase<'_> {
    fn drop(&mut self) {
        let mut counts = self.tally.lock();
        counts.running -= 1;
        match self.ran {
            _ if thread::panicking() => counts.failed += 1,
            true => counts.passed += 1,
            false => {}
        }
        self.tally.changed.notify_all();
    }
}

// The test runner captures the print macros. It does not capture writes to the stream.
fn write_to_stderr(report: &str) {
    let _ = writeln!(std::io::stderr(), "{report}");
}
