//! The cases of the tier *limits*.

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
                a_message_waits_in_a_queue_and_returns_to_another_unmarked needs DeadLetters, MessageTtl;
                a_waiting_queue_of_the_quorum_type_returns_its_messages_too needs QuorumQueues;
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
                a_header_that_is_not_finite_is_invalid;
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
                an_argument_that_is_not_finite_is_invalid;
            }
        }
    };
}
