use carrot_conformance::{Feature, Features};

/// The features of the backend, with the faults that the tests cause. `docs/guarantees.md` shows
/// them, which `tests/guide` checks.
pub(crate) fn features() -> Features {
    [
        Feature::Exchanges,
        Feature::TopicExchange,
        Feature::HeadersExchange,
        Feature::ExchangeToExchange,
        Feature::AlternateExchange,
        Feature::AutoDeleteExchanges,
        Feature::InternalExchange,
        Feature::SenderSelectedRouting,
        Feature::PredeclaredExchanges,
        Feature::ReservedNames,
        Feature::Returns,
        Feature::ServerNamedQueues,
        Feature::SingleActiveConsumer,
        Feature::ConsumerPriorities,
        Feature::MessageTtl,
        Feature::DeadLetters,
        Feature::LargeBodies,
        Feature::DelayedPublish,
        Feature::CutConnection,
        Feature::RestartBroker,
    ]
    .into_iter()
    .fold(Features::none(), Features::with)
}
