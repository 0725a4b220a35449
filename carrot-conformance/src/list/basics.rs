//! The cases of the tier *basics*.

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
