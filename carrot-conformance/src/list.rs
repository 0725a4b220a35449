//! The list of all cases: the one place where a case gets its tier and the features that it needs.
//!
//! Each tier is a macro that hands its part of the list to another macro, so that the registry and the tests are made from the same
//! lines. A case that is missing here is an unused function, which the compiler tells.

use crate::{Case, Feature, Tier};

#[doc(hidden)]
#[macro_export]
macro_rules! __basics {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            queues {
                a_new_queue_is_empty_and_has_no_consumers;
                declaring_a_queue_again_alike_changes_nothing;
                a_passive_declaration_tells_how_many_messages_are_ready;
                a_passive_declaration_of_a_missing_queue_is_not_found;
                a_passive_declaration_does_not_create_the_queue;
                a_queue_is_seen_from_other_connections;
                queues_keep_their_messages_apart;
                deleting_a_queue_tells_how_many_messages_went_with_it;
                a_deleted_queue_is_not_found;
                a_queue_declared_anew_after_its_deletion_is_empty;
                deleting_a_missing_queue_is_no_error;
                purging_drops_and_counts_the_ready_messages;
                purging_a_missing_queue_is_not_found;
                a_queue_name_may_have_255_bytes;
                a_queue_name_of_256_bytes_is_invalid_and_harms_nothing;
                a_queue_name_may_hold_any_characters;
            }
            publishing {
                a_publication_is_confirmed;
                publish_tags_count_up_from_one;
                confirms_can_be_waited_for_in_any_order;
                threads_that_share_a_channel_each_get_their_confirm;
                a_confirmed_message_can_be_got_at_once;
                a_message_for_no_queue_is_accepted_and_dropped;
                a_channel_without_confirms_publishes;
                a_confirm_on_a_channel_without_confirms_is_invalid;
                every_verb_works_in_either_role;
                what_is_published_before_a_close_arrives;
                a_routing_key_of_256_bytes_is_invalid_and_harms_nothing;
                an_invalid_publication_takes_no_tag;
            }
            contents {
                a_delivery_carries_exchange_routing_key_and_body;
                an_empty_body_survives;
                an_empty_body_survives_on_its_way_to_a_consumer;
                a_binary_body_survives;
                a_body_larger_than_a_frame_survives;
                properties_survive;
                properties_survive_on_their_way_to_a_consumer;
                properties_that_are_not_set_stay_unset;
                empty_strings_in_properties_stay_set;
                a_transient_message_stays_transient;
                headers_of_every_type_survive;
                a_string_of_more_than_255_bytes_in_a_property_is_invalid;
            }
            getting {
                getting_from_an_empty_queue_gives_nothing;
                getting_from_a_missing_queue_is_not_found;
                messages_are_got_in_the_order_they_were_published;
                a_message_that_is_got_automatically_is_gone;
                an_acknowledged_message_is_gone;
                a_discarded_message_is_gone;
                an_unsettled_message_is_not_got_again;
                a_first_delivery_is_not_redelivered;
                a_requeued_message_comes_back_redelivered;
                a_requeued_message_keeps_its_content;
                a_requeued_message_can_be_acknowledged_the_next_time;
                closing_a_channel_gives_back_what_it_got_and_did_not_settle;
                dropping_a_channel_gives_back_what_it_did_not_settle;
                closing_a_connector_gives_back_what_its_channels_did_not_settle;
            }
            consuming {
                a_consumer_receives_what_was_there_before;
                a_consumer_receives_what_comes_later;
                a_message_wakes_a_waiting_consumer;
                consuming_from_a_missing_queue_is_not_found;
                next_gives_nothing_when_nothing_comes_in_time;
                next_without_patience_takes_what_has_arrived;
                an_automatic_consumer_leaves_nothing_behind;
                a_consumed_message_that_is_requeued_comes_again;
                consumers_are_counted;
                a_cancelled_subscription_says_so;
                cancelling_twice_does_nothing;
                a_cancelled_consumer_gets_no_more;
                what_arrived_before_a_cancel_can_be_taken_and_settled_after_it;
                a_cancel_wakes_every_waiting_thread;
                each_delivery_goes_to_one_of_the_waiting_threads;
                a_dropped_subscription_returns_what_it_had_not_handed_out;
                a_subscription_keeps_its_channel_alive;
                subscriptions_of_one_channel_are_independent;
                closing_a_channel_gives_back_what_its_consumers_did_not_settle;
            }
            closing {
                closing_a_channel_twice_does_nothing;
                every_verb_of_a_closed_channel_says_closed;
                a_delivery_of_a_closed_channel_is_stale;
                closing_a_channel_wakes_its_waiting_consumers;
                closing_one_channel_leaves_the_others_alone;
                a_closed_connector_opens_no_channel;
                closing_a_connector_twice_does_nothing;
                closing_a_connector_ends_its_channels_and_subscriptions;
                closing_a_connector_leaves_the_others_alone;
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __settlement {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            tags {
                delivery_tags_count_up_from_one;
                gets_and_consumers_of_a_channel_share_one_count_of_tags;
                automatic_deliveries_take_tags_too;
                each_channel_counts_its_own_tags;
                a_redelivery_has_a_new_tag;
                an_ack_up_to_a_tag_settles_all_before_it;
                an_ack_of_one_settles_no_other;
                deliveries_can_be_settled_in_any_order;
                an_ack_up_to_tag_zero_settles_everything;
                an_ack_up_to_tag_zero_with_nothing_unsettled_is_no_error;
                a_requeue_up_to_a_tag_covers_all_before_it;
                a_requeue_up_to_tag_zero_covers_everything;
                a_discard_up_to_a_tag_covers_all_before_it;
                an_ack_up_to_a_tag_passes_over_what_is_settled;
                an_ack_up_to_a_tag_covers_every_queue_of_the_channel;
                acknowledging_twice_closes_the_channel;
                a_wrong_ack_gives_back_what_else_was_unsettled;
                rejecting_what_is_acknowledged_closes_the_channel;
                an_unknown_tag_closes_the_channel;
                an_unknown_tag_in_a_rejection_closes_the_channel;
                tag_zero_alone_is_unknown;
                an_automatic_delivery_cannot_be_acknowledged;
                a_tag_of_another_channel_is_unknown;
                a_delivery_can_be_settled_from_another_thread;
                a_delivery_can_be_settled_after_its_consumer_was_cancelled;
                settling_a_delivery_of_a_deleted_queue_is_no_error;
            }
            order {
                a_requeued_message_returns_to_the_head;
                a_requeued_message_returns_to_its_old_place;
                messages_requeued_out_of_order_come_back_in_order;
                messages_that_were_got_are_requeued_one_by_one_in_the_order_of_their_tags;
                what_was_got_is_requeued_before_what_was_consumed;
                a_requeued_message_comes_before_what_was_published_since;
                only_what_was_delivered_is_marked_as_redelivered;
                a_closed_channel_gives_back_its_messages_in_order_and_redelivered;
                two_closed_channels_give_back_their_messages_in_order;
                a_cancel_gives_nothing_back;
                unsettled_messages_are_not_counted_as_ready;
                a_purge_leaves_unsettled_messages_which_a_requeue_brings_back;
                a_deletion_counts_ready_messages_only;
                a_thousand_messages_keep_their_order;
            }
            prefetch {
                a_consumer_holds_no_more_than_its_prefetch;
                an_ack_makes_room_for_the_next_delivery;
                an_ack_up_to_a_tag_makes_room_for_as_many;
                a_discard_makes_room_too;
                a_requeue_comes_straight_back_to_the_only_consumer;
                a_prefetch_of_zero_is_no_limit;
                each_consumer_of_a_channel_has_its_own_prefetch;
                gets_do_not_count_towards_the_prefetch;
                a_full_consumer_leaves_the_rest_to_gets;
                the_prefetch_does_not_limit_an_automatic_consumer;
                what_waits_to_be_taken_counts_towards_the_prefetch;
            }
            sharing {
                consumers_with_room_take_turns;
                consumers_on_different_connections_take_turns;
                each_message_goes_to_one_consumer_only;
                a_consumer_without_room_is_passed_over;
                a_consumer_that_had_no_room_for_a_message_stands_behind_later_ones;
                a_cancelled_consumer_leaves_its_share_to_the_others;
                what_a_closed_channel_held_goes_to_the_other_consumers;
                a_queue_may_be_got_from_and_consumed_at_once;
                an_exclusive_consumer_keeps_others_out needs ExclusiveConsumers;
                a_consumer_cannot_be_exclusive_beside_others needs ExclusiveConsumers;
                a_get_beside_an_exclusive_consumer_is_allowed needs ExclusiveConsumers;
                a_cancelled_exclusive_consumer_lets_others_in needs ExclusiveConsumers;
                of_single_active_consumers_only_the_first_receives needs SingleActiveConsumer;
                the_next_consumer_takes_over_from_a_single_active_one needs SingleActiveConsumer;
                a_full_single_active_consumer_is_not_helped_by_the_others needs SingleActiveConsumer;
                an_exclusive_consumer_of_a_single_active_queue_is_refused needs SingleActiveConsumer, ExclusiveConsumers;
                a_consumer_of_higher_priority_is_served_first needs ConsumerPriorities;
                a_consumer_of_lower_priority_is_served_when_the_higher_is_full needs ConsumerPriorities;
                a_consumer_priority_that_is_no_integer_is_refused needs ConsumerPriorities;
            }
            dead_channels {
                every_verb_of_a_dead_channel_gives_its_first_error;
                a_dead_channel_can_be_closed;
                a_delivery_of_a_dead_channel_is_stale_with_the_first_error_as_cause;
                a_dead_channel_gives_back_what_it_held;
                a_refused_operation_leaves_other_channels_alone;
                a_dead_channel_tells_its_waiting_consumers;
                what_had_arrived_on_a_dead_channel_is_not_handed_out;
                a_deleted_queue_cancels_its_consumers;
                what_arrived_before_its_queue_was_deleted_is_handed_out;
                an_answer_that_was_known_is_told_after_the_channel_has_died;
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __routing {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            direct_and_fanout {
                a_direct_exchange_routes_by_the_exact_key;
                a_delivery_names_the_exchange_and_key_it_was_published_with;
                a_direct_exchange_reaches_every_queue_bound_with_the_key;
                a_queue_can_be_bound_with_several_keys;
                the_empty_key_is_a_key_like_any_other;
                a_fanout_exchange_ignores_the_routing_key;
                a_fanout_exchange_gives_one_copy_to_a_queue_bound_twice;
                an_exchange_without_bindings_accepts_and_drops;
                exchanges_keep_their_bindings_apart;
                one_queue_can_be_bound_to_several_exchanges;
                a_publication_to_a_missing_exchange_is_not_found;
                an_exchange_name_of_256_bytes_is_invalid_and_harms_nothing;
            }
            topic {
                a_pattern_without_wildcards_matches_its_own_key needs TopicExchange;
                a_star_matches_exactly_one_word needs TopicExchange;
                a_lonely_star_matches_every_single_word needs TopicExchange;
                a_star_matches_an_empty_word needs TopicExchange;
                a_hash_matches_zero_or_more_words needs TopicExchange;
                a_trailing_hash_matches_the_words_before_it_alone needs TopicExchange;
                a_leading_hash_matches_the_words_after_it_alone needs TopicExchange;
                a_lonely_hash_matches_everything needs TopicExchange;
                the_empty_pattern_matches_the_empty_key_only needs TopicExchange;
                star_and_hash_work_together needs TopicExchange;
                a_hash_beside_a_star_wants_at_least_one_word needs TopicExchange;
                several_hashes_match_what_one_does needs TopicExchange;
                wildcards_are_whole_words_only needs TopicExchange;
                wildcards_in_a_routing_key_are_plain_words needs TopicExchange;
                topic_words_are_compared_exactly needs TopicExchange;
                a_queue_whose_patterns_both_match_gets_one_copy needs TopicExchange;
                an_unbound_pattern_leaves_the_overlapping_one needs TopicExchange;
                many_hashes_against_a_long_key_do_not_take_for_ever needs TopicExchange;
            }
            headers {
                x_match_all_wants_every_header needs HeadersExchange;
                x_match_any_wants_one_header needs HeadersExchange;
                without_x_match_all_headers_are_wanted needs HeadersExchange;
                an_empty_all_binding_matches_everything needs HeadersExchange;
                an_empty_any_binding_matches_nothing needs HeadersExchange;
                a_message_without_a_header_table_has_no_headers needs HeadersExchange;
                a_void_argument_wants_the_header_to_be_present needs HeadersExchange;
                header_types_matter needs HeadersExchange;
                header_numbers_are_compared_by_value needs HeadersExchange;
                a_header_that_is_a_fraction_matches_integers_of_its_value needs HeadersExchange;
                header_bytes_and_strings_are_alike needs HeadersExchange;
                header_lists_and_tables_are_compared_with_the_types_of_their_elements needs HeadersExchange;
                header_values_are_compared_exactly needs HeadersExchange;
                x_headers_do_not_count needs HeadersExchange;
                x_match_all_with_x_counts_x_headers needs HeadersExchange;
                x_match_any_with_x_counts_x_headers needs HeadersExchange;
                an_unknown_x_match_is_refused needs HeadersExchange;
                a_headers_exchange_ignores_the_routing_key needs HeadersExchange;
                bindings_with_other_arguments_are_other_bindings needs HeadersExchange;
            }
            returns {
                a_mandatory_message_that_fits_no_queue_is_returned needs Returns;
                a_mandatory_message_for_a_missing_queue_is_returned needs Returns;
                a_mandatory_message_that_fits_a_queue_is_accepted needs Returns;
                returns_are_told_of_the_message_that_they_belong_to needs Returns;
                equal_messages_are_returned_each_for_itself needs Returns;
                a_return_leaves_the_channel_alive needs Returns;
                a_mandatory_message_to_a_missing_exchange_is_not_found needs Returns;
                a_large_mandatory_message_is_returned_too needs Returns;
            }
            bindings {
                binding_twice_alike_is_one_binding;
                a_binding_with_other_arguments_is_another_binding;
                an_unbound_queue_gets_no_more;
                unbinding_one_key_leaves_the_others;
                unbinding_what_is_not_bound_is_no_error;
                unbinding_between_missing_ends_is_no_error;
                binding_a_missing_queue_is_not_found;
                binding_to_a_missing_exchange_is_not_found;
                the_default_exchange_cannot_be_bound;
                the_default_exchange_cannot_be_unbound;
                the_bindings_of_a_deleted_queue_are_gone;
                the_bindings_of_a_deleted_exchange_are_gone;
                an_exchange_can_be_bound_to_another needs ExchangeToExchange;
                a_message_through_exchanges_keeps_where_it_was_published_to needs ExchangeToExchange, TopicExchange;
                chained_exchanges_each_filter needs ExchangeToExchange, TopicExchange;
                a_queue_reached_by_two_ways_gets_one_copy needs ExchangeToExchange;
                a_cycle_of_exchanges_delivers_once needs ExchangeToExchange;
                an_exchange_can_be_bound_to_itself needs ExchangeToExchange;
                an_exchange_can_be_unbound_from_another needs ExchangeToExchange;
                binding_missing_exchanges_is_not_found needs ExchangeToExchange;
                the_default_exchange_cannot_be_bound_to_an_exchange needs ExchangeToExchange;
                a_mandatory_message_through_exchanges_is_accepted needs ExchangeToExchange, Returns;
            }
            exchanges {
                declaring_an_exchange_again_alike_changes_nothing;
                declaring_an_exchange_with_another_type_is_refused;
                declaring_an_exchange_with_other_properties_is_refused;
                declaring_an_exchange_with_another_alternate_is_refused needs AlternateExchange;
                unknown_exchange_arguments_do_not_count;
                a_passive_declaration_finds_an_exchange needs TopicExchange;
                a_passive_declaration_of_a_missing_exchange_is_not_found;
                an_unknown_exchange_type_loses_the_connection;
                the_default_exchange_cannot_be_declared;
                the_default_exchange_cannot_be_deleted;
                reserved_exchange_names_are_refused needs ReservedNames;
                predeclared_exchanges_are_there needs PredeclaredExchanges;
                predeclared_exchanges_route needs PredeclaredExchanges;
                predeclared_exchanges_cannot_be_deleted needs PredeclaredExchanges;
                deleting_a_missing_exchange_is_no_error;
                a_deleted_exchange_is_not_found;
                an_exchange_in_use_is_not_deleted_if_that_was_asked;
                an_unused_exchange_is_deleted_if_that_was_asked needs ExchangeToExchange;
                an_auto_delete_exchange_goes_with_its_last_binding needs AutoDelete;
                an_auto_delete_exchange_stays_until_it_was_bound needs AutoDelete;
                an_auto_delete_exchange_goes_with_its_last_queue needs AutoDelete;
                auto_delete_exchanges_go_one_after_the_other needs AutoDelete, ExchangeToExchange;
                a_publication_to_an_internal_exchange_is_refused needs InternalExchange;
                an_internal_exchange_is_reached_from_another needs InternalExchange, ExchangeToExchange;
                an_alternate_exchange_takes_what_fits_no_binding needs AlternateExchange;
                a_message_that_an_alternate_exchange_takes_is_not_returned needs AlternateExchange, Returns;
                alternate_exchanges_form_chains needs AlternateExchange;
                a_cycle_of_alternate_exchanges_ends needs AlternateExchange, Returns;
                a_missing_alternate_exchange_drops needs AlternateExchange;
                an_alternate_exchange_that_is_no_name_is_refused needs AlternateExchange;
            }
            queue_life {
                declaring_a_queue_with_other_properties_is_refused;
                declaring_a_queue_with_other_arguments_is_refused needs LengthLimits;
                arguments_of_another_integer_width_are_alike needs LengthLimits;
                unknown_queue_arguments_do_not_count;
                a_passive_declaration_does_not_compare needs LengthLimits;
                an_unnamed_queue_gets_a_name needs ServerNamedQueues;
                a_made_up_name_can_be_found_but_not_declared_again needs ServerNamedQueues;
                reserved_queue_names_are_refused needs ReservedNames;
                a_queue_in_use_is_not_deleted_if_that_was_asked;
                a_queue_that_is_not_empty_is_not_deleted_if_that_was_asked;
                a_queue_with_unsettled_messages_only_counts_as_empty;
                a_missing_queue_is_deleted_on_any_condition;
                an_auto_delete_queue_goes_with_its_last_consumer needs AutoDelete;
                an_auto_delete_queue_goes_when_its_consumers_channel_closes needs AutoDelete;
                an_auto_delete_queue_stays_until_it_had_a_consumer needs AutoDelete;
                a_transient_queue_works_like_any_other;
            }
            exclusive_queues {
                an_exclusive_queue_serves_every_channel_of_its_connection needs ExclusiveQueues;
                an_exclusive_queue_is_locked_for_other_connections needs ExclusiveQueues;
                an_exclusive_queue_cannot_be_bound_by_other_connections needs ExclusiveQueues;
                an_exclusive_queue_can_be_published_to_from_anywhere needs ExclusiveQueues;
                an_exclusive_queue_goes_with_its_connection needs ExclusiveQueues;
                an_exclusive_queue_outlives_its_channel needs ExclusiveQueues;
                a_shared_queue_cannot_be_declared_exclusive_again needs ExclusiveQueues;
                an_exclusive_queue_can_be_declared_again_by_its_connection needs ExclusiveQueues;
            }
            sender_selected {
                the_keys_in_cc_are_routed_too needs SenderSelectedRouting;
                the_keys_in_bcc_are_routed_and_not_shown needs SenderSelectedRouting;
                a_queue_named_in_cc_and_key_gets_one_copy needs SenderSelectedRouting;
                cc_works_on_topic_exchanges needs SenderSelectedRouting, TopicExchange;
                a_mandatory_message_that_only_its_cc_routes_is_accepted needs SenderSelectedRouting, Returns;
                a_cc_that_is_no_list_is_refused needs SenderSelectedRouting;
                a_message_of_another_user_is_refused needs UserIdCheck;
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __limits {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            time_to_live {
                a_queue_drops_messages_older_than_its_ttl needs MessageTtl;
                a_message_lives_within_its_ttl needs MessageTtl;
                a_message_is_dropped_after_its_own_expiration needs MessageTtl;
                a_shorter_expiration_wins_over_the_queues_ttl needs MessageTtl;
                a_shorter_queue_ttl_wins_over_the_expiration needs MessageTtl;
                a_message_expires_only_at_the_head_of_its_queue needs MessageTtl;
                an_expiration_of_zero_drops_what_nobody_waits_for needs MessageTtl;
                an_expiration_of_zero_reaches_a_waiting_consumer needs MessageTtl;
                a_queue_ttl_of_zero_serves_waiting_consumers_only needs MessageTtl;
                an_expiration_that_is_no_number_is_refused needs MessageTtl;
                an_unsettled_message_does_not_expire needs MessageTtl;
                a_requeue_does_not_turn_back_the_clock needs MessageTtl;
                the_expiration_is_delivered_as_it_was_published needs MessageTtl;
                messages_of_one_ttl_expire_one_after_the_other needs MessageTtl;
                an_unused_queue_expires needs QueueExpiry;
                a_queue_with_a_consumer_does_not_expire needs QueueExpiry;
                a_queue_expires_some_time_after_its_last_consumer_left needs QueueExpiry;
                publishing_is_no_use_of_a_queue needs QueueExpiry;
                a_get_is_a_use_of_a_queue needs QueueExpiry;
                half_an_hour_passes_in_no_time needs MessageTtl, ManualClock;
            }
            lengths {
                a_full_queue_drops_its_oldest_messages needs LengthLimits;
                unsettled_messages_do_not_fill_a_queue needs LengthLimits;
                a_requeue_into_a_full_queue_drops_from_the_head needs LengthLimits;
                a_queue_limited_in_bytes_counts_bodies needs LengthLimits;
                headers_and_properties_are_not_counted_in_bytes needs LengthLimits;
                a_message_larger_than_the_limit_is_not_kept needs LengthLimits;
                the_tighter_of_two_limits_counts needs LengthLimits;
                a_queue_of_length_zero_keeps_nothing needs LengthLimits;
                a_full_queue_that_rejects_refuses_new_messages needs RejectPublish;
                a_queue_that_rejects_accepts_again_once_there_is_room needs RejectPublish;
                a_message_that_one_queue_rejects_still_reaches_the_others needs RejectPublish;
                refusals_and_acceptances_are_told_of_the_right_messages needs RejectPublish;
                a_mandatory_message_that_its_queue_rejects_is_refused_and_not_returned needs RejectPublish, Returns;
            }
            priorities {
                a_message_of_higher_priority_comes_first needs MessagePriorities;
                messages_of_one_priority_keep_their_order needs MessagePriorities;
                a_message_without_priority_has_the_lowest needs MessagePriorities;
                a_priority_beyond_the_highest_counts_as_the_highest needs MessagePriorities;
                a_plain_queue_ignores_priorities;
                a_requeued_message_keeps_its_place_within_its_priority needs MessagePriorities;
                a_full_priority_queue_drops_from_its_head_the_most_important needs MessagePriorities, LengthLimits;
            }
            dead_letters {
                a_discarded_message_goes_to_the_dead_letter_exchange needs DeadLetters;
                an_expired_message_goes_to_the_dead_letter_exchange needs DeadLetters, MessageTtl;
                a_message_dropped_from_a_full_queue_goes_to_the_dead_letter_exchange needs DeadLetters, LengthLimits;
                a_rejected_publication_goes_to_the_dead_letter_exchange_if_asked needs DeadLetters, RejectPublish;
                an_acknowledged_message_is_no_dead_letter needs DeadLetters;
                a_requeued_message_is_no_dead_letter needs DeadLetters;
                purged_messages_are_no_dead_letters needs DeadLetters;
                messages_of_a_deleted_queue_are_no_dead_letters needs DeadLetters;
                several_discarded_at_once_are_all_dead_letters needs DeadLetters;
                a_dead_letter_keeps_its_content needs DeadLetters;
                a_dead_letter_is_no_redelivery needs DeadLetters;
                a_dead_letter_is_published_to_the_dead_letter_exchange_with_its_old_key needs DeadLetters;
                a_dead_letter_takes_the_routing_key_of_its_queue needs DeadLetters;
                the_default_exchange_can_take_dead_letters needs DeadLetters;
                a_missing_dead_letter_exchange_drops needs DeadLetters;
                the_death_record_tells_of_a_rejection needs DeadLetters, TopicExchange;
                the_first_death_is_noted_apart needs DeadLetters;
                the_death_record_tells_of_an_expiry needs DeadLetters, MessageTtl;
                the_death_record_tells_of_a_full_queue needs DeadLetters, LengthLimits;
                a_dead_letter_loses_its_expiration_and_the_record_keeps_it needs DeadLetters, MessageTtl;
                a_second_death_for_the_same_reason_in_the_same_queue_is_counted needs DeadLetters;
                the_latest_death_comes_first_in_the_record needs DeadLetters, LengthLimits;
                a_message_that_dies_in_a_cycle_without_a_rejection_is_dropped needs DeadLetters, MessageTtl;
                a_cycle_with_a_rejection_goes_on needs DeadLetters;
                a_dead_letter_loses_its_cc_when_its_key_is_replaced needs DeadLetters, SenderSelectedRouting;
            }
            large {
                a_body_of_sixteen_mebibytes_survives needs LargeBodies;
                a_header_table_larger_than_a_frame_is_refused_as_invalid_or_delivered;
                a_header_table_nested_too_deep_is_invalid;
                a_header_table_of_a_thousand_entries_survives;
                bodies_of_every_size_around_a_frame_survive;
            }
            reply_to {
                an_answer_reaches_the_requester_directly needs DirectReplyTo;
                a_direct_reply_consumer_must_be_automatic needs DirectReplyTo;
                a_channel_has_one_direct_reply_consumer needs DirectReplyTo;
                a_request_without_a_direct_reply_consumer_is_refused needs DirectReplyTo;
                an_answer_to_a_requester_that_left_is_returned needs DirectReplyTo, Returns;
                other_reply_addresses_are_left_alone needs DirectReplyTo;
                an_answer_has_the_tag_of_the_delivery_that_comes_next needs DirectReplyTo;
                acks_beside_an_answer_settle_only_what_they_name needs DirectReplyTo;
                a_reply_consumer_that_leaves_an_answer_gives_nothing_else_back needs DirectReplyTo;
            }
            arguments {
                a_message_ttl_that_is_no_natural_number_is_refused needs MessageTtl;
                a_queue_expiry_that_is_not_positive_is_refused needs QueueExpiry;
                a_length_limit_that_is_no_natural_number_is_refused needs LengthLimits;
                an_unknown_overflow_is_refused needs RejectPublish;
                a_dead_letter_exchange_that_is_no_name_is_refused needs DeadLetters;
                a_dead_letter_routing_key_without_an_exchange_is_refused needs DeadLetters;
                a_highest_priority_out_of_range_is_refused needs MessagePriorities;
                a_single_active_consumer_that_is_no_boolean_is_refused needs SingleActiveConsumer;
                an_unknown_queue_type_is_refused;
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __failure {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            connections {
                a_lost_connection_is_told_by_every_verb needs CutConnection;
                a_delivery_of_a_lost_connection_is_stale needs CutConnection;
                a_lost_connection_gives_back_what_it_held needs CutConnection;
                a_lost_connection_wakes_waiting_consumers needs CutConnection;
                every_channel_of_a_lost_connection_is_dead needs CutConnection;
                a_lost_connection_leaves_the_others_alone needs CutConnection;
                a_lost_connector_can_be_opened_again needs CutConnection;
                an_old_delivery_cannot_be_settled_on_a_new_channel needs CutConnection;
                a_channel_of_a_lost_connection_can_be_closed needs CutConnection;
                a_lost_connector_can_be_closed needs CutConnection;
                an_exclusive_queue_goes_with_a_lost_connection needs CutConnection, ExclusiveQueues;
                a_confirm_that_was_known_before_the_loss_is_told needs CutConnection;
            }
            alarms {
                a_confirm_is_late_while_the_broker_is_blocked needs BlockBroker;
                a_blocked_publisher_is_stopped_within_bounds_and_goes_on_afterwards needs BlockBroker;
                a_blocked_broker_still_serves_consumers needs BlockBroker;
            }
            restarts {
                a_persistent_message_in_a_durable_queue_outlives_the_broker needs RestartBroker;
                a_transient_queue_goes_with_the_broker needs RestartBroker;
                durable_exchanges_and_bindings_outlive_the_broker needs RestartBroker;
            }
        }
    };
}

macro_rules! __registry {
    ($tier:ident; $($file:ident { $($name:ident $(needs $($feature:ident),+)?;)* })*) => {
        &[$($(Case {
            name: stringify!($name),
            tier: Tier::$tier,
            needs: &[$($(Feature::$feature),+)?],
            body: $crate::cases::$file::$name,
        },)*)*]
    };
}
pub(crate) use __registry;

const TIERS: [&[Case]; 5] = [
    __basics!(__registry Basics),
    __settlement!(__registry Settlement),
    __routing!(__registry Routing),
    __limits!(__registry Limits),
    __failure!(__registry Failure),
];

const COUNT: usize = TIERS[0].len() + TIERS[1].len() + TIERS[2].len() + TIERS[3].len() + TIERS[4].len();

pub(crate) static CASES: &[Case] = &{
    let mut cases = [TIERS[0][0]; COUNT];
    let (mut tier, mut next) = (0, 0);
    while tier < TIERS.len() {
        let mut index = 0;
        while index < TIERS[tier].len() {
            cases[next] = TIERS[tier][index];
            next += 1;
            index += 1;
        }
        tier += 1;
    }
    cases
};
