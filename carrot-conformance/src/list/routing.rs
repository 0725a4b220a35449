//! The cases of the tier *routing*.

#[doc(hidden)]
#[macro_export]
macro_rules! __routing {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            direct_and_fanout {
                a_direct_exchange_routes_by_the_exact_key needs Exchanges;
                a_delivery_names_the_exchange_and_key_it_was_published_with needs Exchanges;
                a_direct_exchange_reaches_every_queue_bound_with_the_key needs Exchanges;
                a_queue_can_be_bound_with_several_keys needs Exchanges;
                the_empty_key_is_compared_as_any_key needs Exchanges;
                a_fanout_exchange_ignores_the_routing_key needs Exchanges;
                a_fanout_exchange_sends_one_copy_to_a_queue_bound_twice needs Exchanges;
                an_exchange_without_bindings_drops_the_message needs Exchanges;
                exchanges_keep_their_bindings_apart needs Exchanges;
                one_queue_can_be_bound_to_several_exchanges needs Exchanges;
                an_exchange_name_of_256_bytes_is_invalid_and_leaves_the_channel_open;
            }
            topic {
                a_pattern_without_wildcards_matches_its_own_key needs TopicExchange;
                a_star_matches_exactly_one_word needs TopicExchange;
                a_single_star_matches_every_single_word needs TopicExchange;
                a_star_matches_an_empty_word needs TopicExchange;
                a_hash_matches_zero_or_more_words needs TopicExchange;
                a_trailing_hash_matches_zero_words needs TopicExchange;
                a_leading_hash_matches_zero_words needs TopicExchange;
                a_single_hash_matches_every_key needs TopicExchange;
                the_empty_pattern_matches_the_empty_key_only needs TopicExchange;
                star_and_hash_work_together needs TopicExchange;
                a_hash_beside_a_star_matches_at_least_one_word needs TopicExchange;
                several_hashes_match_the_same_keys_as_one needs TopicExchange;
                wildcards_are_whole_words_only needs TopicExchange;
                wildcards_in_a_routing_key_are_plain_words needs TopicExchange;
                topic_words_are_compared_exactly needs TopicExchange;
                a_queue_bound_with_two_matching_patterns_receives_one_copy needs TopicExchange;
                unbinding_a_pattern_keeps_an_overlapping_one needs TopicExchange;
                many_hashes_and_a_long_key_are_matched_within_five_seconds needs TopicExchange;
                the_hashes_of_a_topic_binding_are_limited_or_not needs TopicExchange;
            }
            headers {
                x_match_all_requires_every_header needs HeadersExchange;
                x_match_any_requires_one_header needs HeadersExchange;
                a_binding_without_x_match_requires_every_header needs HeadersExchange;
                an_empty_all_binding_matches_everything needs HeadersExchange;
                an_empty_any_binding_matches_nothing needs HeadersExchange;
                a_message_without_a_header_table_has_no_headers needs HeadersExchange;
                a_void_argument_requires_the_header needs HeadersExchange;
                header_values_of_other_types_do_not_match needs HeadersExchange;
                header_integers_match_integers_of_their_value needs HeadersExchange;
                a_float_header_matches_floats_of_its_value needs HeadersExchange;
                a_timestamp_argument_matches_integers_of_its_value needs HeadersExchange;
                header_bytes_and_strings_are_equal needs HeadersExchange;
                header_lists_and_tables_are_compared_with_the_types_of_their_elements needs HeadersExchange;
                header_values_are_compared_exactly needs HeadersExchange;
                x_headers_are_not_compared needs HeadersExchange;
                x_match_all_with_x_compares_x_headers needs HeadersExchange;
                x_match_any_with_x_compares_x_headers needs HeadersExchange;
                an_unknown_x_match_is_refused needs HeadersExchange;
                a_headers_exchange_ignores_the_routing_key needs HeadersExchange;
                bindings_with_other_arguments_are_other_bindings needs HeadersExchange;
            }
            returns {
                a_mandatory_message_that_fits_no_queue_is_returned needs Exchanges, Returns;
                a_mandatory_message_for_a_missing_queue_is_returned needs Returns;
                a_mandatory_message_that_fits_a_queue_is_accepted needs Returns;
                returns_belong_to_the_right_messages needs Returns;
                equal_messages_are_returned_individually needs Returns;
                a_return_leaves_the_channel_open needs Returns;
                a_mandatory_message_to_a_missing_exchange_is_not_found needs Returns;
                a_large_mandatory_message_is_returned needs Returns;
            }
            bindings {
                binding_twice_creates_one_binding needs Exchanges;
                a_binding_with_other_arguments_is_another_binding needs Exchanges;
                an_unbound_queue_receives_no_more_messages needs Exchanges;
                unbinding_one_key_keeps_the_others needs Exchanges;
                unbinding_without_a_binding_succeeds needs Exchanges;
                unbinding_missing_entities_succeeds needs Exchanges;
                binding_a_missing_queue_is_not_found needs Exchanges;
                binding_to_a_missing_exchange_is_not_found needs Exchanges;
                the_default_exchange_cannot_be_bound needs Exchanges;
                the_default_exchange_cannot_be_unbound needs Exchanges;
                the_bindings_of_a_deleted_queue_are_gone needs Exchanges;
                the_bindings_of_a_deleted_exchange_are_gone needs Exchanges;
                an_exchange_can_be_bound_to_another needs ExchangeToExchange;
                a_message_through_exchanges_keeps_its_exchange_and_routing_key needs ExchangeToExchange, TopicExchange;
                chained_exchanges_each_filter needs ExchangeToExchange, TopicExchange;
                a_queue_reached_by_two_paths_receives_one_copy needs ExchangeToExchange;
                a_cycle_of_exchanges_delivers_once needs ExchangeToExchange;
                an_exchange_can_be_bound_to_itself needs ExchangeToExchange;
                an_exchange_can_be_unbound_from_another needs ExchangeToExchange;
                binding_missing_exchanges_is_not_found needs ExchangeToExchange;
                the_default_exchange_cannot_be_bound_to_an_exchange needs ExchangeToExchange;
                a_mandatory_message_through_exchanges_is_accepted needs ExchangeToExchange, Returns;
            }
            exchanges {
                declaring_an_equal_exchange_again_changes_nothing needs Exchanges;
                declaring_an_exchange_with_another_type_is_refused needs Exchanges;
                declaring_an_exchange_with_other_properties_is_refused needs Exchanges;
                declaring_an_exchange_with_another_alternate_is_refused needs AlternateExchange;
                unknown_exchange_arguments_are_not_compared needs Exchanges;
                a_passive_declaration_finds_an_exchange needs TopicExchange;
                a_passive_declaration_of_a_missing_exchange_is_not_found needs Exchanges;
                an_unknown_exchange_type_is_refused needs Exchanges;
                the_default_exchange_cannot_be_declared needs Exchanges;
                the_default_exchange_cannot_be_deleted needs Exchanges;
                reserved_exchange_names_are_refused needs Exchanges, ReservedNames;
                predeclared_exchanges_exist needs PredeclaredExchanges;
                predeclared_exchanges_route needs PredeclaredExchanges;
                predeclared_exchanges_cannot_be_deleted needs PredeclaredExchanges;
                deleting_a_missing_exchange_succeeds needs Exchanges;
                a_deleted_exchange_is_not_found needs Exchanges;
                an_exchange_in_use_is_not_deleted_if_unused_is_required needs Exchanges;
                an_unused_exchange_is_deleted_if_unused_is_required needs ExchangeToExchange;
                an_auto_delete_exchange_is_deleted_with_its_last_binding needs Exchanges, AutoDeleteExchanges;
                an_auto_delete_exchange_that_was_never_bound_is_kept needs Exchanges, AutoDeleteExchanges;
                an_auto_delete_exchange_is_deleted_with_its_last_queue needs Exchanges, AutoDeleteExchanges;
                auto_delete_exchanges_are_deleted_in_a_chain needs ExchangeToExchange, AutoDeleteExchanges;
                a_publication_to_an_internal_exchange_is_refused needs InternalExchange;
                an_internal_exchange_is_reached_from_another needs InternalExchange, ExchangeToExchange;
                an_alternate_exchange_routes_messages_without_a_binding needs AlternateExchange;
                a_message_routed_by_an_alternate_exchange_is_not_returned needs AlternateExchange, Returns;
                alternate_exchanges_form_chains needs AlternateExchange;
                a_cycle_of_alternate_exchanges_ends needs AlternateExchange, Returns;
                a_missing_alternate_exchange_drops_the_message needs AlternateExchange;
                an_alternate_exchange_that_is_not_a_name_is_refused needs AlternateExchange;
            }
            queue_life {
                declaring_a_queue_again_as_auto_delete_is_refused needs AutoDeleteQueues;
                declaring_a_queue_with_other_arguments_is_refused needs MessageTtl, SingleActiveConsumer;
                arguments_of_another_integer_width_are_equal needs MessageTtl;
                unknown_queue_arguments_are_not_compared;
                a_passive_declaration_does_not_compare_properties needs MessageTtl;
                a_queue_without_a_name_receives_a_name needs ServerNamedQueues;
                a_server_generated_name_can_be_found_and_not_declared_again needs ServerNamedQueues;
                reserved_queue_names_are_refused needs ReservedNames;
                a_quorum_queue_is_not_deleted_on_a_condition needs QuorumQueues;
                an_auto_delete_queue_is_deleted_with_its_last_consumer needs AutoDeleteQueues;
                an_auto_delete_queue_is_deleted_with_the_channel_of_its_consumer needs AutoDeleteQueues;
                an_auto_delete_queue_without_a_consumer_is_kept needs AutoDeleteQueues;
                a_transient_queue_delivers_its_messages needs TransientQueues;
            }
            queues {
                declarations_and_deletions_ignore_line_breaks_in_names needs Exchanges, ReservedNames;
            }
            getting {
                get_from_a_quorum_queue_with_a_single_active_consumer_is_refused needs QuorumQueues, SingleActiveConsumer;
                a_fetched_message_of_a_quorum_queue_counts_as_a_consumer needs QuorumQueues;
            }
            exclusive_queues {
                an_exclusive_queue_is_open_to_every_channel_of_its_connection needs ExclusiveQueues;
                an_exclusive_queue_is_locked_for_other_connections needs ExclusiveQueues;
                an_exclusive_queue_cannot_be_bound_by_other_connections needs Exchanges, ExclusiveQueues;
                an_exclusive_queue_receives_messages_of_other_connections needs ExclusiveQueues;
                an_exclusive_queue_is_deleted_with_its_connection needs ExclusiveQueues;
                an_exclusive_queue_is_kept_when_its_channel_closes needs ExclusiveQueues;
                a_shared_queue_cannot_be_declared_exclusive_again needs ExclusiveQueues;
                an_exclusive_queue_can_be_declared_again_by_its_connection needs ExclusiveQueues;
            }
            sender_selected {
                the_keys_in_cc_are_routed_too needs SenderSelectedRouting;
                the_keys_in_bcc_are_routed_and_removed needs SenderSelectedRouting;
                a_queue_named_in_cc_and_key_receives_one_copy needs SenderSelectedRouting;
                cc_works_on_topic_exchanges needs SenderSelectedRouting, TopicExchange;
                the_keys_in_bcc_still_route_after_two_waits_in_queues needs SenderSelectedRouting, Exchanges, TopicExchange, DeadLetters, ExpiredDeadLetters;
                a_mandatory_message_routed_only_by_cc_is_accepted needs SenderSelectedRouting, Returns;
                a_cc_that_is_not_a_list_is_refused needs SenderSelectedRouting;
                a_message_of_another_user_is_refused needs UserIdCheck;
            }
        }
    };
}
