use carrot_conformance::{Feature, Features, Tier};

/// The tiers of the conformance kit that are run.
#[allow(dead_code, reason = "the page shows them")]
pub(crate) const TIERS: [Tier; 4] = [Tier::Basics, Tier::Settlement, Tier::Routing, Tier::Limits];

/// The features of the backend. `docs/guarantees.md` shows them, which `tests/guide` checks.
pub(crate) fn features() -> Features {
    [
        Feature::Exchanges,
        Feature::TopicExchange,
        Feature::HeadersExchange,
        Feature::ExchangeToExchange,
        Feature::AlternateExchange,
        Feature::InternalExchange,
        Feature::SenderSelectedRouting,
        Feature::PredeclaredExchanges,
        Feature::ReservedNames,
        Feature::Returns,
        Feature::ServerNamedQueues,
        Feature::MessageTtl,
        Feature::DeadLetters,
    ]
    .into_iter()
    .fold(Features::none(), Features::with)
}
