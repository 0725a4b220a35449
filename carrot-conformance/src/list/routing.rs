//! The cases of the tier *routing*.

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
                an_unknown_exchange_type_is_refused;
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
                a_quorum_queue_is_not_deleted_on_a_condition needs QuorumQueues;
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
