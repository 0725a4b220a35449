//! The cases of the tier *limits*.

#[doc(hidden)]
#[macro_export]
macro_rules! __limits {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            time_to_live {
                a_queue_drops_messages_older_than_its_ttl needs MessageTtl, PromptExpiry;
                a_message_within_its_ttl_is_kept needs MessageTtl;
                a_message_is_dropped_after_its_own_expiration needs MessageTtl;
                an_expiration_shorter_than_the_queue_ttl_applies needs MessageTtl, PromptExpiry;
                a_queue_ttl_shorter_than_the_expiration_applies needs MessageTtl, PromptExpiry;
                a_message_expires_only_at_the_head_of_its_queue needs MessageTtl;
                an_expiration_of_zero_drops_a_message_without_a_waiting_consumer needs MessageTtl;
                an_expiration_of_zero_reaches_a_waiting_consumer needs MessageTtl, PromptExpiry;
                a_queue_ttl_of_zero_serves_waiting_consumers_only needs MessageTtl, PromptExpiry;
                an_expiration_that_is_not_a_number_is_refused needs MessageTtl;
                an_unsettled_message_does_not_expire needs MessageTtl;
                a_requeue_does_not_extend_the_ttl needs MessageTtl, PromptExpiry;
                the_expiration_is_delivered_as_it_was_published needs MessageTtl;
                messages_of_one_ttl_expire_one_after_the_other needs MessageTtl;
                an_unused_queue_expires needs QueueExpiry;
                a_queue_with_a_consumer_does_not_expire needs QueueExpiry;
                a_queue_expires_after_the_cancel_of_its_last_consumer needs QueueExpiry;
                publishing_does_not_postpone_the_expiry_of_a_queue needs QueueExpiry;
                a_get_postpones_the_expiry_of_a_queue needs QueueExpiry;
                half_an_hour_on_a_manual_clock_passes_immediately needs MessageTtl, ManualClock;
            }
            delayed_publish {
                a_delay_without_the_capability_is_invalid_and_leaves_the_channel_open;
                a_delayed_mandatory_message_is_invalid;
                a_delayed_message_is_confirmed_and_arrives_after_its_delay needs DelayedPublish;
                delayed_messages_arrive_in_the_order_of_their_delays needs DelayedPublish;
            }
            lengths {
                a_full_queue_drops_its_oldest_messages needs LengthLimits;
                unsettled_messages_do_not_fill_a_queue needs LengthLimits;
                a_requeue_into_a_full_queue_drops_from_the_head needs LengthLimits;
                a_queue_limited_in_bytes_counts_bodies needs LengthLimits;
                headers_and_properties_are_not_counted_in_bytes needs LengthLimits;
                a_message_larger_than_the_limit_is_not_kept needs LengthLimits;
                the_tighter_of_two_limits_applies needs LengthLimits;
                a_queue_of_length_zero_keeps_nothing needs LengthLimits;
                a_full_queue_that_rejects_refuses_new_messages needs RejectPublish;
                a_queue_that_rejects_accepts_again_below_its_limit needs RejectPublish;
                a_message_rejected_by_one_queue_reaches_the_others needs Exchanges, RejectPublish;
                refusals_and_acceptances_belong_to_the_right_messages needs RejectPublish;
                a_mandatory_message_that_its_queue_rejects_is_refused_and_not_returned needs RejectPublish, Returns;
            }
            priorities {
                a_message_of_higher_priority_is_delivered_first needs MessagePriorities;
                messages_of_one_priority_keep_their_order needs MessagePriorities;
                a_message_without_priority_has_the_lowest_priority needs MessagePriorities;
                a_priority_above_the_maximum_is_treated_as_the_maximum needs MessagePriorities;
                a_plain_queue_ignores_priorities;
                a_requeued_message_keeps_its_position_within_its_priority needs MessagePriorities;
                a_full_priority_queue_drops_the_message_of_highest_priority needs MessagePriorities, LengthLimits;
            }
            dead_letters {
                a_discarded_message_is_dead_lettered needs Exchanges, DeadLetters;
                an_expired_message_is_dead_lettered needs Exchanges, DeadLetters, ExpiredDeadLetters;
                a_message_dropped_from_a_full_queue_is_dead_lettered needs Exchanges, DeadLetters, LengthLimits;
                a_rejected_publication_is_dead_lettered_with_reject_publish_dlx needs Exchanges, DeadLetters, RejectPublish;
                an_acknowledged_message_is_not_dead_lettered needs Exchanges, DeadLetters;
                a_requeued_message_is_not_dead_lettered needs Exchanges, DeadLetters;
                purged_messages_are_not_dead_lettered needs Exchanges, DeadLetters;
                messages_of_a_deleted_queue_are_not_dead_lettered needs Exchanges, DeadLetters;
                several_messages_discarded_at_once_are_all_dead_lettered needs Exchanges, DeadLetters;
                a_dead_letter_keeps_its_content needs Exchanges, DeadLetters;
                a_dead_letter_is_not_marked_as_redelivered needs Exchanges, DeadLetters;
                a_dead_letter_without_a_failed_delivery_is_not_marked_as_redelivered needs Exchanges, DeadLetters, ExpiredDeadLetters;
                a_failed_delivery_marks_the_dead_letter_as_redelivered_or_not needs Exchanges, DeadLetters, ExpiredDeadLetters;
                a_dead_letter_keeps_its_routing_key needs Exchanges, DeadLetters;
                a_dead_letter_has_the_dead_letter_routing_key_of_its_queue needs Exchanges, DeadLetters;
                the_default_exchange_routes_dead_letters needs DeadLetters;
                a_missing_dead_letter_exchange_drops_the_message needs DeadLetters;
                a_retry_queue_dead_letters_its_messages_without_the_redelivered_flag needs DeadLetters, ExpiredDeadLetters;
                a_retry_queue_of_the_quorum_type_dead_letters_its_messages needs QuorumQueues;
                the_x_death_header_records_a_rejection needs DeadLetters, TopicExchange;
                the_x_first_death_headers_record_the_first_death needs Exchanges, DeadLetters;
                the_x_last_death_headers_record_the_last_death needs DeadLetters, LengthLimits;
                the_x_death_header_records_an_expiry needs Exchanges, DeadLetters, ExpiredDeadLetters;
                the_x_death_header_records_a_full_queue needs Exchanges, DeadLetters, LengthLimits;
                a_dead_letter_has_its_expiration_in_the_x_death_header_only needs Exchanges, DeadLetters, ExpiredDeadLetters;
                the_x_death_header_counts_equal_deaths needs Exchanges, DeadLetters;
                the_x_death_header_starts_with_the_latest_death needs DeadLetters, LengthLimits;
                a_dead_letter_cycle_without_a_rejection_drops_the_message needs DeadLetters, ExpiredDeadLetters;
                a_dead_letter_cycle_with_a_rejection_continues needs DeadLetters;
                a_dead_letter_with_a_replaced_routing_key_is_not_copied_again needs Exchanges, DeadLetters, SenderSelectedRouting;
            }
            quorum_queues {
                a_failed_delivery_beyond_the_limit_is_dead_lettered needs QuorumQueues, DeadLetters;
                a_redelivery_of_a_quorum_queue_has_the_number_of_failed_deliveries needs QuorumQueues;
                a_lost_connection_counts_as_a_failed_delivery needs QuorumQueues, DeadLetters, CutConnection;
                a_returned_message_of_a_quorum_queue_counts_as_failed_or_not needs QuorumQueues, DeadLetters;
                a_quorum_queue_has_a_default_delivery_limit_of_twenty_or_none needs QuorumQueues;
                a_quorum_queue_delivers_higher_priorities_first_or_not needs QuorumQueues;
                a_failed_message_is_delayed_by_its_queue_or_not needs QuorumQueues;
                a_returned_message_is_not_delayed_as_a_failed_one needs QuorumQueues;
                a_quorum_queue_has_no_exclusive_consumers needs QuorumQueues;
                a_quorum_queue_counts_only_the_active_of_single_active_consumers needs QuorumQueues, SingleActiveConsumer;
                a_cancelled_consumer_of_a_quorum_queue_counts_until_it_holds_nothing needs QuorumQueues;
                a_quorum_queue_without_a_name_is_refused needs QuorumQueues, ServerNamedQueues;
                a_failed_message_of_a_full_quorum_queue_returns_to_its_consumer needs QuorumQueues, LengthLimits;
                the_single_active_consumer_of_a_quorum_queue_yields_to_priority_or_not needs QuorumQueues, SingleActiveConsumer, ConsumerPriorities;
                a_message_expires_at_the_head_of_its_priority_or_of_its_queue needs QuorumQueues, MessageTtl;
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
                a_reply_reaches_the_requester_directly needs DirectReplyTo;
                a_direct_reply_consumer_must_be_automatic needs DirectReplyTo;
                a_channel_has_one_direct_reply_consumer needs DirectReplyTo;
                a_request_without_a_direct_reply_consumer_is_refused needs DirectReplyTo;
                a_mandatory_reply_to_a_closed_requester_is_answered needs DirectReplyTo, Returns;
                other_reply_addresses_are_not_changed;
                a_reply_has_a_tag_that_is_not_settled needs DirectReplyTo;
                acks_after_a_reply_settle_only_their_delivery needs DirectReplyTo;
                a_dropped_reply_consumer_with_an_unread_reply_requeues_no_other_message needs DirectReplyTo;
                one_channel_sends_requests_and_receives_their_replies needs DirectReplyTo;
                replies_beyond_the_prefetch_arrive_without_acknowledgement needs DirectReplyTo;
                a_reply_keeps_its_properties_and_headers needs DirectReplyTo;
                a_mandatory_reply_that_arrives_is_answered needs DirectReplyTo, Returns;
                a_mandatory_request_without_a_queue_is_returned needs DirectReplyTo, Returns;
                a_request_after_its_reply_consumer_was_cancelled_is_refused needs DirectReplyTo;
            }
            arguments {
                a_message_ttl_that_is_not_a_natural_number_is_refused needs MessageTtl;
                a_queue_expiry_that_is_not_positive_is_refused needs QueueExpiry;
                a_length_limit_that_is_not_a_natural_number_is_refused needs LengthLimits;
                an_unknown_overflow_is_refused needs RejectPublish;
                a_dead_letter_exchange_that_is_not_a_name_is_refused needs DeadLetters;
                a_dead_letter_routing_key_without_an_exchange_is_refused needs DeadLetters;
                a_highest_priority_out_of_range_is_refused needs MessagePriorities;
                a_single_active_consumer_that_is_not_a_boolean_is_refused needs SingleActiveConsumer;
                an_unknown_queue_type_is_refused;
                an_argument_that_is_not_finite_is_invalid;
            }
        }
    };
}
