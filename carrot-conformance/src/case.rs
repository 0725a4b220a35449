use std::fmt;

use crate::features::Feature;
use crate::harness::Harness;

/// A group of cases, by the capabilities that a backend needs. A backend passes a tier when it
/// passes every case that its features allow.
///
/// The tiers build on each other. The cases of a later tier use verbs that an earlier tier tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// Declare a queue, publish through the default exchange, confirm, get, consume, acknowledge,
    /// requeue, cancel, close. The smallest useful backend. Needs no exchanges and no bindings.
    Basics,
    /// Delivery tags, settlement of several deliveries, order after a requeue, prefetch, several
    /// consumers, errors of a failed channel, properties of queues, conditions of their deletion.
    Settlement,
    /// Exchanges of every type, bindings, returns, and the life of queues and exchanges.
    Routing,
    /// Time-to-live, expiry, length limits, priorities, dead letters, large bodies and tables.
    Limits,
    /// Lost connections, blocked and restarted brokers.
    Failure,
}

impl Tier {
    /// All tiers, the smallest first.
    pub const ALL: [Tier; 5] =
        [Tier::Basics, Tier::Settlement, Tier::Routing, Tier::Limits, Tier::Failure];

    /// Returns the name in lower case, such as `basics`.
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

/// A test of one behaviour. Its function panics if the backend behaves differently.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Case {
    /// The behaviour as a sentence, such as `a_requeued_message_comes_back_redelivered`. Unique
    /// among all cases.
    pub name: &'static str,
    /// The tier.
    pub tier: Tier,
    /// The features that the case needs.
    pub needs: &'static [Feature],
    pub(crate) body: fn(&dyn Harness),
}

impl Case {
    /// Returns the first feature that the case needs and the harness lacks.
    pub fn lacks(&self, harness: &dyn Harness) -> Option<Feature> {
        self.needs.iter().copied().find(|feature| !harness.features().contains(*feature))
    }

    /// Runs the case, whether the harness has the features or not.
    ///
    /// Every wait is bounded if the backend keeps its deadlines.
    ///
    /// # Panics
    /// If the backend does not show the behaviour.
    pub fn run(&self, harness: &dyn Harness) {
        (self.body)(harness);
    }
}
