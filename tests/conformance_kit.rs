//! The conformance kit itself: each case named here fails on a broker with the fault that the case
//! tests for.

#[path = "conformance_kit/wrong_broker.rs"]
mod wrong_broker;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use carrot_backend_memory::{Broker, ManualClock};
use carrot_conformance::{Feature, Features, Harness, Tally, Tier, Verdict, cases, matrix};
use carrot_core::backend::Connector;

use wrong_broker::{Fault, Wrong, WrongBroker};

fn fails(name: &str, fault: Fault) -> bool {
    let case = cases()
        .iter()
        .find(|case| case.name == name)
        .unwrap_or_else(|| panic!("there is no case {name}"));
    catch_unwind(AssertUnwindSafe(|| case.run(&WrongBroker { fault, broker: Broker::new() })))
        .is_err()
}

macro_rules! caught {
    ($($test:ident: $fault:ident by $case:ident;)*) => {$(
        #[test]
        fn $test() {
            assert!(!fails(stringify!($case), Fault::None), "the case fails without a fault");
            assert!(fails(stringify!($case), Fault::$fault), "the case passes in spite of the fault");
        }
    )*};
}

caught! {
    ack_without_effect_is_caught: AckDoesNothing by an_acknowledged_message_is_gone;
    ack_of_too_few_deliveries_is_caught: AckCoversOneOnly by an_ack_up_to_a_tag_settles_all_before_it;
    requeue_that_discards_is_caught: RequeueDiscards by a_requeued_message_returns_to_its_old_place;
    discard_that_requeues_is_caught: DiscardRequeues by a_discarded_message_is_gone;
    missing_redelivered_flag_is_caught: NeverRedelivered by a_requeued_message_comes_back_redelivered;
    ignored_prefetch_is_caught: PrefetchIgnored by a_consumer_holds_no_more_than_its_prefetch;
    ignored_mandatory_flag_is_caught: MandatoryIgnored by a_mandatory_message_that_fits_no_queue_is_returned;
    hidden_refusal_is_caught: RefusalsHidden by a_full_queue_that_rejects_refuses_new_messages;
    shortened_body_is_caught: BodyShortened by a_body_larger_than_a_frame_survives;
    lost_properties_are_caught: PropertiesLost by properties_survive;
    unreadable_message_is_caught: HeadersUnreadable by headers_of_every_type_survive;
    purge_without_effect_is_caught: PurgeDoesNothing by purging_drops_and_counts_the_ready_messages;
    passive_declaration_that_creates_is_caught: PassiveDeclarationCreates by a_passive_declaration_of_a_missing_queue_is_not_found;
    ignored_conditions_are_caught: ConditionsIgnored by a_queue_in_use_is_not_deleted_if_that_was_asked;
    ignored_arguments_are_caught: ArgumentsIgnored by a_full_queue_drops_its_oldest_messages;
    wrong_kind_of_error_is_caught: WrongErrorKind by getting_from_a_missing_queue_is_not_found;
    close_without_effect_is_caught: CloseDoesNothing by every_verb_of_a_closed_channel_says_closed;
    wrong_tags_are_caught: TagsFromZero by delivery_tags_count_up_from_one;
    ignored_delay_is_caught: DelayIgnored by a_delayed_message_is_confirmed_and_arrives_after_its_delay;
    ignored_order_of_delays_is_caught: DelayIgnored by delayed_messages_arrive_in_the_order_of_their_delays;
    ignored_consumer_arguments_are_caught: ConsumerArgumentsIgnored by consuming_with_an_invalid_argument_leaves_the_channel_open;
    refusal_reported_by_publish_is_caught: PublishReportsRefusal by a_publication_to_a_missing_exchange_is_not_found;
    automatic_deliveries_that_are_requeued_are_caught: AutomaticIsManual by a_dropped_automatic_subscription_loses_the_deliveries_it_did_not_return;
    ignored_queue_properties_are_caught: QueuePropertiesIgnored by declaring_a_queue_with_other_properties_is_refused;
    ignored_auto_delete_is_caught: QueuePropertiesIgnored by declaring_a_queue_again_as_auto_delete_is_refused;
    ignored_condition_of_emptiness_is_caught: ConditionsIgnored by a_queue_that_is_not_empty_is_not_deleted_if_empty_is_required;
    confirm_forgotten_at_a_failure_is_caught: FailureForgetsConfirms by a_confirm_received_before_a_channel_failure_is_returned;
    confirm_forgotten_at_a_close_is_caught: FailureForgetsConfirms by a_confirm_received_before_a_close_is_returned;
    cancel_without_effect_is_caught: CancelDoesNothing by a_cancelled_consumer_gets_no_more;
}

/// A broker with queues and the default exchange only.
struct QueuesOnly {
    clock: ManualClock,
    broker: Broker,
}

impl Harness for QueuesOnly {
    fn name(&self) -> &str {
        "queues only"
    }

    fn features(&self) -> Features {
        Features::rabbitmq()
            .with(Feature::ManualClock)
            .without(Feature::Exchanges)
            .without(Feature::TopicExchange)
            .without(Feature::HeadersExchange)
            .without(Feature::ExchangeToExchange)
            .without(Feature::AlternateExchange)
            .without(Feature::AutoDeleteExchanges)
            .without(Feature::InternalExchange)
            .without(Feature::PredeclaredExchanges)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        Arc::new(Wrong::new(Fault::ExchangesRefused, self.broker.connector()))
    }

    fn pass(&self, duration: Duration) {
        self.clock.advance(duration);
    }
}

#[test]
fn backend_without_exchanges_passes_the_cases_of_its_features() {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let matrix = matrix(&[&QueuesOnly { clock, broker }], &Tier::ALL);
    assert!(matrix.passed(), "{matrix}");
}

/// Faults whose cases wait for an event that does not happen, and those cases.
const SLOWLY_CAUGHT: [(Fault, &str); 9] = [
    (Fault::UpToCoversUnreceived, "an_ack_up_to_tag_zero_leaves_deliveries_not_received"),
    (Fault::UpToCoversUnreceived, "an_ack_up_to_a_tag_leaves_earlier_deliveries_not_received"),
    (Fault::UpToCoversUnreceived, "a_discard_up_to_tag_zero_leaves_deliveries_not_received"),
    (Fault::WakesNoThread, "each_refused_operation_wakes_the_waiting_consumers_of_its_channel"),
    (Fault::WakesNoThread, "a_cancel_wakes_every_waiting_thread"),
    (
        Fault::FailureKeepsMessages,
        "messages_of_each_failed_channel_are_delivered_to_other_consumers",
    ),
    (Fault::DropDoesNothing, "a_dropped_subscription_requeues_the_deliveries_it_did_not_return"),
    (Fault::DropDoesNothing, "messages_of_a_dropped_subscription_are_delivered_to_the_others"),
    (Fault::WakesNoThread, "a_message_wakes_a_waiting_consumer"),
];

#[test]
fn faults_that_keep_cases_waiting_are_caught() {
    thread::scope(|scope| {
        for (fault, case) in SLOWLY_CAUGHT {
            scope.spawn(move || {
                assert!(!fails(case, Fault::None), "{case} fails without a fault");
                assert!(fails(case, fault), "{case} passes in spite of {fault:?}");
            });
        }
    });
}

#[test]
fn case_names_are_unique() {
    let mut names: Vec<_> = cases().iter().map(|case| case.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), cases().len());
}

#[test]
fn tally_counts_passed_failed_and_unsupported_cases() {
    let tally = Tally::new();
    let good = WrongBroker { fault: Fault::None, broker: Broker::new() };
    tally.run(&good, "an_acknowledged_message_is_gone");
    let failed = catch_unwind(AssertUnwindSafe(|| tally.run(&Dead, "a_publication_is_confirmed")));
    assert!(failed.is_err());
    tally.run(&Dead, "a_star_matches_exactly_one_word");
    let summary = tally.summary(&good, &[Tier::Failure]);
    let of_tier = || cases().iter().filter(|case| case.tier == Tier::Failure);
    let lacking = of_tier().filter(|case| case.lacks(&good).is_some()).count();
    let not_run = of_tier().count() - lacking - 2;
    let counts = format!(
        "conformance of wrong: 1 passed, 1 failed, {lacking} unsupported, {not_run} not run\n"
    );
    assert!(summary.starts_with(&counts), "{summary}");
    assert!(summary.contains("unsupported: failure::a_lost_connector_can_be_closed needs cutting"));
    let summary = tally.summary(&good, &[Tier::Basics]);
    let basics = cases().iter().filter(|case| case.tier == Tier::Basics).count();
    assert!(summary.ends_with(&format!("0 unsupported, {} not run", basics - 2)), "{summary}");
}

/// A harness that cannot connect, with one feature.
struct Dead;

impl Harness for Dead {
    fn name(&self) -> &str {
        "dead"
    }

    fn features(&self) -> Features {
        Features::none().with(Feature::Returns)
    }

    fn connect(&self) -> Arc<dyn Connector> {
        panic!("no broker");
    }

    fn pass(&self, _: Duration) {}
}

#[test]
fn matrix_separates_passed_failed_and_unsupported() {
    let good = WrongBroker { fault: Fault::None, broker: Broker::new() };
    let matrix = matrix(&[&good, &Dead], &[Tier::Failure, Tier::Basics]);
    assert!(!matrix.passed());
    for (case, verdicts) in matrix.rows() {
        match case.lacks(&Dead) {
            Some(feature) => assert_eq!(verdicts[1], Verdict::Unsupported(feature)),
            None => assert_eq!(
                verdicts,
                [Verdict::Passed, Verdict::Failed("no broker".into())],
                "{}",
                case.name
            ),
        }
    }
    let table = matrix.to_string();
    assert!(
        table.contains("FAILED dead: basics::a_publication_is_confirmed\n    no broker"),
        "{table}"
    );
    assert!(table.contains("\nwrong: "), "{table}");
}
