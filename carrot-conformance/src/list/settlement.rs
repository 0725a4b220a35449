//! The cases of the tier *settlement*.

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
                a_requeue_up_to_tag_zero_with_nothing_unsettled_is_no_error;
                a_failed_delivery_is_requeued_like_any_other;
                failed_deliveries_up_to_a_tag_are_requeued_and_no_later_one;
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
                a_channel_says_whether_it_has_ended;
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
