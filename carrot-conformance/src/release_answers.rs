//! The table of the answers that depend on the release of RabbitMQ. A case reads its expectation
//! from here, and compares no release itself.

use crate::harness::Harness;
use crate::release::Release;

/// The releases that answer in one way: from the first one on, before the last one.
#[derive(Debug, Clone, Copy)]
struct Releases {
    from: Release,
    before: Option<Release>,
}

/// The releases 3.10 to 3.13.
const BEFORE_4_0: Releases =
    Releases { from: Release::new(0, 0), before: Some(Release::new(4, 0)) };
/// The releases 3.10 to 4.2, of which 4.0 to 4.2 count as one.
const BEFORE_4_3: Releases =
    Releases { from: Release::new(0, 0), before: Some(Release::new(4, 3)) };
/// The release 4.0 and all later ones.
const SINCE_4_0: Releases = Releases { from: Release::new(4, 0), before: None };
/// The release 4.3 and all later ones.
const SINCE_4_3: Releases = Releases { from: Release::new(4, 3), before: None };

impl Releases {
    fn contains(self, release: Release) -> bool {
        self.from <= release && self.before.is_none_or(|before| release < before)
    }
}

macro_rules! release_answers {
    ($($(#[$doc:meta])* $name:ident $releases:ident { $($case:ident)* })*) => {
        /// A behaviour that only some releases of RabbitMQ show.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum ReleaseAnswer {
            $($(#[$doc])* $name,)*
        }

        impl ReleaseAnswer {
            /// Returns the releases that show the behaviour.
            fn releases(self) -> Releases {
                match self {
                    $(ReleaseAnswer::$name => $releases,)*
                }
            }
        }

        /// Every behaviour, with the cases whose expectation depends on it.
        #[cfg(test)]
        const TABLE: &[(ReleaseAnswer, &[&str])] =
            &[$((ReleaseAnswer::$name, &[$(stringify!($case)),*]),)*];
    };
}

release_answers! {
    /// An exchange of an unknown type closes the connection (503). Otherwise, it closes the channel
    /// (406).
    UnknownExchangeTypesCloseTheConnection BEFORE_4_0 {
        an_unknown_exchange_type_is_refused
    }
    /// Numbers in headers match by value. Otherwise, integers match integers, floats match floats,
    /// and a timestamp in a message matches nothing.
    HeaderNumbersMatchByValue BEFORE_4_0 {
        header_integers_match_integers_of_their_value
        a_float_header_matches_floats_of_its_value
        a_timestamp_argument_matches_integers_of_its_value
    }
    /// The record of deaths that a client sends is counted on. Otherwise, it is dropped.
    DeathsSentByClientsCount BEFORE_4_0 {
        the_x_death_header_counts_equal_deaths
    }
    /// A dead letter has the headers `x-last-death-queue`, `-reason` and `-exchange`.
    LastDeathsAreNamed SINCE_4_0 {
        the_x_last_death_headers_record_the_last_death
    }
    /// A dead letter loses its `CC` header when its queue replaces its routing key.
    ReplacedKeysRemoveCopies BEFORE_4_0 {
        a_dead_letter_with_a_replaced_routing_key_is_not_copied_again
    }
    /// A dead letter is marked as redelivered if a delivery of it has failed.
    FailuresMarkDeadLetters SINCE_4_3 {
        a_failed_delivery_marks_the_dead_letter_as_redelivered_or_not
        a_lost_connection_marks_the_dead_letter_as_redelivered_or_not
    }
    /// A direct reply uses a delivery tag up. Otherwise, it has the tag of the next delivery.
    DirectRepliesUseTags SINCE_4_3 {
        a_reply_has_a_tag_that_is_not_settled
        acks_after_a_reply_settle_only_their_delivery
        a_dropped_reply_consumer_with_an_unread_reply_requeues_no_other_message
    }
    /// A mandatory reply is accepted, whether its requester is there or not. Otherwise, it is
    /// returned, also when it arrives.
    MandatoryRepliesAreAccepted SINCE_4_3 {
        a_mandatory_reply_to_a_closed_requester_is_answered
        a_mandatory_reply_that_arrives_is_answered
    }
    /// A message that a consumer returns to a quorum queue counts as a failed delivery.
    ReturnsCountAsFailures BEFORE_4_3 {
        a_returned_message_of_a_quorum_queue_counts_as_failed_or_not
    }
    /// A quorum queue that sets no delivery limit drops a message at its 21st failed delivery.
    DeliveriesAreLimitedByDefault SINCE_4_0 {
        a_quorum_queue_has_a_default_delivery_limit_of_twenty_or_none
    }
    /// A quorum queue delivers messages of higher priority first.
    QuorumQueuesHavePriorities SINCE_4_0 {
        a_quorum_queue_delivers_higher_priorities_first_or_not
    }
    /// The single active consumer of a quorum queue makes way for one of higher priority.
    ActiveConsumersYieldToPriority SINCE_4_0 {
        the_single_active_consumer_of_a_quorum_queue_yields_to_priority_or_not
    }
    /// A message of a quorum queue expires behind messages of other priorities.
    EachPriorityExpires SINCE_4_3 {
        a_message_expires_at_the_head_of_its_priority_or_of_its_queue
    }
    /// A quorum queue with `x-delayed-retry-type` delays failed messages.
    FailedMessagesAreDelayed SINCE_4_3 {
        a_failed_message_is_delayed_by_its_queue_or_not
    }
    /// A topic binding may have any number of `#`. Otherwise, it has at most two.
    TopicKeysMayHaveManyHashes BEFORE_4_3 {
        many_hashes_and_a_long_key_are_matched_within_five_seconds
        the_hashes_of_a_topic_binding_are_limited_or_not
    }
}

impl ReleaseAnswer {
    /// Returns whether the release that the harness expects shows the behaviour.
    pub(crate) fn is_expected(self, harness: &dyn Harness) -> bool {
        self.releases().contains(harness.release())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::cases;

    #[test]
    fn the_table_names_cases_that_exist() {
        for (answer, names) in TABLE {
            assert!(!names.is_empty(), "{answer:?}");
            for name in *names {
                assert!(cases().iter().any(|case| case.name == *name), "{answer:?}: {name}");
            }
        }
    }

    #[test]
    fn releases_between_and_after_the_known_ones_are_covered() {
        let old = [(3, 10), (3, 13)].map(|(major, minor)| Release::new(major, minor));
        let middle = [(4, 0), (4, 2)].map(|(major, minor)| Release::new(major, minor));
        let new = [(4, 3), (4, 9), (5, 0)].map(|(major, minor)| Release::new(major, minor));
        for (releases, expected) in [
            (BEFORE_4_0, [true, false, false]),
            (BEFORE_4_3, [true, true, false]),
            (SINCE_4_0, [false, true, true]),
            (SINCE_4_3, [false, false, true]),
        ] {
            let shown = |all: &[Release]| all.iter().map(|one| releases.contains(*one)).collect();
            let shown: [Vec<bool>; 3] = [shown(&old), shown(&middle), shown(&new)];
            for (shown, expected) in shown.iter().zip(expected) {
                assert!(shown.iter().all(|one| *one == expected), "{releases:?}: {shown:?}");
            }
        }
    }
}
