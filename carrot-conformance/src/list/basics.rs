//! The cases of the tier *basics*.

#[doc(hidden)]
#[macro_export]
macro_rules! __basics {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            queues {
                a_new_queue_is_empty_and_has_no_consumers;
                declaring_an_equal_queue_again_changes_nothing;
                a_passive_declaration_returns_the_number_of_ready_messages;
                a_passive_declaration_of_a_missing_queue_is_not_found;
                a_passive_declaration_does_not_create_the_queue;
                a_queue_is_seen_from_other_connections;
                queues_keep_their_messages_apart;
                deleting_a_queue_returns_the_number_of_deleted_messages;
                a_deleted_queue_is_not_found;
                a_queue_declared_again_after_its_deletion_is_empty;
                deleting_a_missing_queue_succeeds;
                purging_drops_and_counts_the_ready_messages;
                purging_a_missing_queue_is_not_found;
                a_queue_name_may_have_255_bytes;
                a_queue_name_of_256_bytes_is_invalid_and_leaves_the_channel_open;
                a_queue_name_may_hold_any_characters;
            }
            publishing {
                a_publication_is_confirmed;
                publish_tags_count_up_from_one;
                confirms_can_be_waited_for_in_any_order;
                threads_that_share_a_channel_each_receive_their_confirm;
                a_confirmed_message_is_ready_immediately;
                a_message_for_no_queue_is_accepted_and_dropped;
                a_channel_without_confirms_publishes;
                a_confirm_on_a_channel_without_confirms_is_invalid;
                every_verb_works_in_either_role;
                messages_published_before_a_close_arrive;
                a_routing_key_of_256_bytes_is_invalid_and_leaves_the_channel_open;
                an_invalid_publication_takes_no_tag;
            }
            contents {
                a_delivery_carries_exchange_routing_key_and_body;
                an_empty_body_survives;
                an_empty_body_is_delivered_unchanged;
                a_binary_body_survives;
                a_body_larger_than_a_frame_survives;
                properties_survive;
                properties_are_delivered_unchanged;
                properties_that_are_not_set_stay_unset;
                empty_strings_in_properties_stay_set;
                a_transient_message_stays_transient;
                headers_of_every_type_survive;
                a_string_of_more_than_255_bytes_in_a_property_is_invalid;
            }
            getting {
                getting_from_an_empty_queue_returns_none;
                getting_from_a_missing_queue_is_not_found;
                messages_are_got_in_fifo_order;
                a_message_that_is_got_automatically_is_gone;
                an_acknowledged_message_is_gone;
                a_discarded_message_is_gone;
                an_unsettled_message_is_not_delivered_again;
                a_first_delivery_is_not_redelivered;
                a_requeued_message_comes_back_redelivered;
                a_requeued_message_keeps_its_content;
                a_requeued_message_can_be_acknowledged_the_next_time;
                closing_a_channel_requeues_the_messages_it_got_and_did_not_settle;
                dropping_a_channel_requeues_its_unsettled_messages;
                closing_a_connector_requeues_its_unsettled_messages;
            }
            consuming {
                arrived_counts_the_deliveries_that_wait;
                a_consumer_receives_earlier_messages;
                a_consumer_receives_later_messages;
                a_message_wakes_a_waiting_consumer;
                consuming_from_a_missing_queue_is_not_found;
                consuming_with_an_invalid_argument_leaves_the_channel_open;
                next_without_a_delivery_in_time_returns_none;
                next_with_timeout_zero_returns_a_delivery_that_has_arrived;
                an_automatic_consumer_leaves_no_unsettled_message;
                a_consumed_message_that_is_requeued_is_redelivered;
                consumers_are_counted needs ConsumerCounts;
                next_on_a_cancelled_subscription_fails_with_cancelled;
                cancelling_twice_does_nothing;
                a_cancelled_consumer_gets_no_more;
                deliveries_before_a_cancel_can_be_received_and_settled_after_it;
                a_cancel_wakes_every_waiting_thread;
                each_delivery_is_returned_to_one_waiting_thread;
                a_dropped_subscription_requeues_the_deliveries_it_did_not_return needs ConsumerCounts;
                a_dropped_automatic_subscription_loses_the_deliveries_it_did_not_return;
                a_subscription_keeps_its_channel_alive;
                subscriptions_of_one_channel_are_independent;
                closing_a_channel_requeues_the_unsettled_messages_of_its_consumers;
            }
            closing {
                closing_a_channel_twice_does_nothing;
                every_verb_of_a_closed_channel_says_closed;
                a_delivery_of_a_closed_channel_is_stale;
                closing_a_channel_wakes_its_waiting_consumers;
                closing_one_channel_does_not_affect_others;
                a_closed_connector_opens_no_channel;
                closing_a_connector_twice_does_nothing;
                closing_a_connector_ends_its_channels_and_subscriptions;
                closing_a_connector_does_not_affect_others;
            }
        }
    };
}
