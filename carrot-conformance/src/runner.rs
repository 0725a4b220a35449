use std::io::Write;

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

/// Runs one case as a test. The tests of [`conformance_tests!`](crate::conformance_tests) call this
/// function.
///
/// Writes a case that the harness does not support to standard error, which the test runner does
/// not capture.
///
/// # Panics
/// If the backend does not show the behaviour, or the case does not exist.
pub fn run_as_test(harness: &dyn Harness, name: &str) {
    let case = cases()
        .iter()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("unknown case \"{name}\""));
    match case.lacks(harness) {
        Some(feature) => write_to_stderr(&format!(
            "unsupported: {}: {}::{} needs {feature}",
            harness.name(),
            case.tier,
            case.name
        )),
        None => case.run(harness),
    }
}

/// Writes the cases of these tiers that the harness does not support to standard error, with their
/// missing features. Returns the number of these cases.
pub fn report_unsupported(harness: &dyn Harness, tiers: &[Tier]) -> usize {
    let cases: Vec<&Case> = cases().iter().filter(|case| tiers.contains(&case.tier)).collect();
    let lacking: Vec<(&Case, Feature)> =
        cases.iter().filter_map(|case| Some((*case, case.lacks(harness)?))).collect();
    let mut report = format!(
        "conformance of {}: {} of {} cases are unsupported",
        harness.name(),
        lacking.len(),
        cases.len()
    );
    for (case, feature) in &lacking {
        report.push_str(&format!("\n  unsupported: {}::{} needs {feature}", case.tier, case.name));
    }
    write_to_stderr(&report);
    lacking.len()
}

// The test runner captures the print macros. It does not capture writes to the stream.
fn write_to_stderr(report: &str) {
    let _ = writeln!(std::io::stderr(), "{report}");
}
