//! The cases of the tier *settlement*.

#[doc(hidden)]
#[macro_export]
macro_rules! __settlement {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            tags {
                delivery_tags_count_up_from_one;
                gets_and_consumers_of_a_channel_share_one_sequence_of_tags;
                automatic_deliveries_take_tags_too;
                each_channel_counts_its_own_tags;
                a_redelivery_has_a_new_tag;
                an_ack_up_to_a_tag_settles_all_before_it;
                an_ack_of_one_settles_no_other;
                an_ack_of_several_settles_no_other;
                an_ack_of_several_with_an_unknown_tag_closes_the_channel;
                deliveries_can_be_settled_in_any_order;
                an_ack_up_to_tag_zero_settles_everything;
                an_ack_up_to_tag_zero_without_unsettled_messages_succeeds;
                a_requeue_up_to_a_tag_covers_all_before_it;
                a_requeue_up_to_tag_zero_covers_everything;
                a_requeue_up_to_tag_zero_without_unsettled_messages_succeeds;
                a_requeue_of_a_failed_delivery_redelivers_it;
                failed_deliveries_up_to_a_tag_are_requeued_and_no_later_one;
                a_discard_up_to_a_tag_covers_all_before_it;
                an_ack_up_to_a_tag_skips_settled_deliveries;
                an_ack_up_to_a_tag_covers_every_queue_of_the_channel;
                an_ack_up_to_tag_zero_leaves_deliveries_not_received;
                an_ack_up_to_a_tag_leaves_earlier_deliveries_not_received;
                a_discard_up_to_tag_zero_leaves_deliveries_not_received;
                acknowledging_twice_closes_the_channel;
                a_wrong_ack_requeues_the_other_unsettled_messages;
                rejecting_an_acknowledged_delivery_closes_the_channel;
                an_unknown_tag_closes_the_channel;
                an_unknown_tag_in_a_rejection_closes_the_channel;
                an_ack_of_tag_zero_alone_closes_the_channel;
                an_automatic_delivery_cannot_be_acknowledged;
                a_tag_of_another_channel_is_unknown;
                a_delivery_can_be_settled_from_another_thread;
                a_delivery_can_be_settled_after_its_consumer_was_cancelled;
                settling_a_delivery_of_a_deleted_queue_succeeds;
            }
            order {
                a_requeued_message_returns_to_the_head;
                a_requeued_message_returns_to_its_old_place needs OldPlaceAfterRequeue;
                messages_requeued_out_of_order_are_redelivered_in_order needs OldPlaceAfterRequeue;
                messages_of_gets_are_requeued_individually_in_the_order_of_their_tags;
                messages_of_gets_are_requeued_before_messages_of_consumers;
                a_requeued_message_is_delivered_before_later_messages;
                only_delivered_messages_are_marked_as_redelivered;
                a_closed_channel_requeues_its_messages_in_order_and_marked_as_redelivered;
                two_closed_channels_requeue_their_messages_in_order needs OldPlaceAfterRequeue;
                a_cancel_requeues_no_message;
                unsettled_messages_are_not_counted_as_ready;
                a_purge_keeps_unsettled_messages;
                a_deletion_returns_the_number_of_ready_messages;
                a_thousand_messages_keep_their_order;
            }
            prefetch {
                a_consumer_holds_no_more_than_its_prefetch;
                an_ack_allows_the_next_delivery;
                an_ack_up_to_a_tag_allows_as_many_deliveries;
                a_discard_allows_the_next_delivery;
                a_requeue_is_redelivered_to_the_only_consumer;
                a_prefetch_of_zero_is_no_limit;
                each_consumer_of_a_channel_has_its_own_prefetch;
                gets_do_not_count_towards_the_prefetch;
                gets_receive_the_messages_beyond_the_prefetch;
                the_prefetch_does_not_limit_an_automatic_consumer;
                deliveries_before_next_count_towards_the_prefetch;
            }
            sharing {
                consumers_below_their_prefetch_receive_in_turn;
                consumers_on_different_connections_receive_in_turn;
                each_message_is_delivered_to_one_consumer;
                a_consumer_at_its_prefetch_is_skipped;
                a_consumer_that_was_skipped_is_served_after_later_ones;
                messages_of_a_cancelled_consumer_are_delivered_to_the_others;
                messages_of_a_dropped_subscription_are_delivered_to_the_others;
                messages_of_a_closed_channel_are_delivered_to_other_consumers;
                gets_and_a_consumer_share_a_queue;
                an_exclusive_consumer_excludes_others needs ExclusiveConsumers;
                a_consumer_cannot_be_exclusive_beside_others needs ExclusiveConsumers;
                a_get_beside_an_exclusive_consumer_is_allowed needs ExclusiveConsumers;
                a_cancelled_exclusive_consumer_allows_others needs ExclusiveConsumers;
                of_single_active_consumers_only_the_first_receives needs SingleActiveConsumer;
                a_single_active_consumer_receives_up_to_its_prefetch needs SingleActiveConsumer, SingleActivePrefetch;
                the_next_consumer_takes_over_from_a_single_active_one needs SingleActiveConsumer;
                a_single_active_consumer_at_its_prefetch_is_not_replaced needs SingleActiveConsumer;
                an_exclusive_consumer_of_a_single_active_queue_is_refused needs SingleActiveConsumer, ExclusiveConsumers;
                a_consumer_of_higher_priority_is_served_first needs ConsumerPriorities;
                a_consumer_of_lower_priority_is_served_when_the_higher_is_full needs ConsumerPriorities;
                a_consumer_priority_that_is_not_an_integer_is_refused needs ConsumerPriorities;
            }
            failed_channels {
                every_verb_of_a_failed_channel_returns_its_first_error;
                a_failed_channel_can_be_closed;
                check_fails_with_the_error_that_ended_the_channel;
                a_delivery_of_a_failed_channel_is_stale_with_the_first_error_as_cause;
                a_failed_channel_requeues_its_unsettled_messages;
                a_refused_operation_does_not_affect_other_channels;
                a_failed_channel_wakes_its_waiting_consumers_with_the_error;
                each_refused_operation_wakes_the_waiting_consumers_of_its_channel;
                messages_of_each_failed_channel_are_delivered_to_other_consumers;
                a_publication_to_a_missing_exchange_is_not_found;
                deliveries_of_a_failed_channel_are_not_returned;
                a_deleted_queue_cancels_its_consumers;
                deliveries_before_a_queue_deletion_are_returned;
                a_confirm_received_before_a_channel_failure_is_returned;
            }
            closing {
                a_confirm_received_before_a_close_is_returned;
            }
            queue_life {
                declaring_a_queue_with_other_properties_is_refused needs TransientQueues;
                a_queue_in_use_is_not_deleted_if_that_was_asked;
                a_queue_that_is_not_empty_is_not_deleted_if_empty_is_required;
                a_queue_with_only_unsettled_messages_is_empty;
                a_missing_queue_is_deleted_on_any_condition;
            }
        }
    };
}
