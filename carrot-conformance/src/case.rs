use std::fmt;
use std::io::Write;

use crate::{Feature, Harness};

/// How much of a broker a case asks for. A backend passes a tier when it passes every case of it that its features allow.
///
/// The tiers build on each other: what a later one tries, it tries with the verbs that an earlier one has shown to work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Declare a queue, publish to it through the default exchange, confirm, get, consume, acknowledge, requeue, cancel, close. No
    /// exchange is declared, no binding made. The least that is of use.
    Basics,
    /// Delivery tags, several at once, order after a requeue, prefetch, several consumers, what a dead channel says.
    Settlement,
    /// Exchanges of every type, bindings, returns, and the life of queues and exchanges: who may declare, delete and see them.
    Routing,
    /// Time-to-live, expiry, length limits, priorities, dead letters, large bodies and tables.
    Limits,
    /// Lost connections, blocked and restarted brokers.
    Failure,
}

impl Tier {
    /// Every tier, the smallest first.
    pub const ALL: [Tier; 5] =
        [Tier::Basics, Tier::Settlement, Tier::Routing, Tier::Limits, Tier::Failure];

    /// Its name in small letters, such as `basics`.
    pub fn as_str(self) -> &'static str {
        match self {
            Tier::Basics => "basics",
            Tier::Settlement => "settlement",
            Tier::Routing => "routing",
            Tier::Limits => "limits",
            Tier::Failure => "failure",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// One behaviour, as a function that panics if the backend does not show it.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// The behaviour as a sentence, such as `a_requeued_message_comes_back_redelivered`. Unique among all cases.
    pub name: &'static str,
    /// Its tier.
    pub tier: Tier,
    /// The features without which it makes no sense.
    pub needs: &'static [Feature],
    pub(crate) body: fn(&dyn Harness),
}

impl Case {
    /// The first feature that the case needs and the harness lacks, if there is one.
    pub fn lacks(&self, harness: &dyn Harness) -> Option<Feature> {
        self.needs.iter().copied().find(|feature| !harness.features().contains(*feature))
    }

    /// Tries it, whatever the harness supports.
    ///
    /// Every wait in it is bounded, provided that the backend keeps its own deadlines.
    ///
    /// # Panics
    /// If the backend does not behave.
    pub fn run(&self, harness: &dyn Harness) {
        (self.body)(harness);
    }
}

/// Every case, by tier.
///
/// ```
/// let cases = carrot_conformance::cases();
/// assert!(cases.iter().any(|case| case.name == "a_requeued_message_comes_back_redelivered"));
/// ```
pub fn cases() -> &'static [Case] {
    crate::list::CASES
}

/// Tries one case as a test: the body of what [`conformance_tests!`](crate::conformance_tests) makes.
///
/// A case that the harness does not support is told on standard error, past the capture of the test runner.
///
/// # Panics
/// If the backend does not behave, or if there is no such case.
pub fn run_as_test(harness: &dyn Harness, name: &str) {
    let case = cases()
        .iter()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("there is no case {name}"));
    match case.lacks(harness) {
        Some(feature) => tell(&format!(
            "unsupported: {}: {}::{} needs {feature}",
            harness.name(),
            case.tier,
            case.name
        )),
        None => case.run(harness),
    }
}

/// Counts the cases of some tiers that the harness does not support, and tells them on standard error by name and missing feature; gives
/// back how many they are.
pub fn tell_unsupported(harness: &dyn Harness, tiers: &[Tier]) -> usize {
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
    tell(&report);
    lacking.len()
}

// The print macros are captured by the test runner; a write to the stream is not.
fn tell(report: &str) {
    let _ = writeln!(std::io::stderr(), "{report}");
}
