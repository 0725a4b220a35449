//! The cases of the tier *failure*.

#[doc(hidden)]
#[macro_export]
macro_rules! __failure {
    ($callback:ident $($arguments:tt)*) => {
        $crate::$callback! { $($arguments)*;
            connections {
                every_verb_of_a_lost_connection_fails_with_disconnected needs CutConnection;
                a_delivery_of_a_lost_connection_is_stale needs CutConnection;
                a_lost_connection_requeues_its_unsettled_messages needs CutConnection;
                the_messages_of_a_lost_connection_return_to_their_old_places needs CutConnection, OldPlaceAfterRequeue;
                a_lost_connection_wakes_waiting_consumers needs CutConnection;
                every_channel_of_a_lost_connection_fails needs CutConnection;
                a_lost_connection_does_not_affect_others needs CutConnection;
                a_lost_connector_can_be_opened_again needs CutConnection;
                observers_receive_each_loss_and_the_next_connection_with_their_role needs CutConnection;
                a_connector_returns_its_endpoint_until_closed;
                an_old_delivery_cannot_be_settled_on_a_new_channel needs CutConnection;
                a_channel_of_a_lost_connection_can_be_closed needs CutConnection;
                a_lost_connector_can_be_closed needs CutConnection;
                an_exclusive_queue_is_deleted_with_a_lost_connection needs CutConnection, ExclusiveQueues;
                a_confirm_received_before_the_loss_is_returned needs CutConnection;
                a_secret_update_without_the_capability_is_invalid_and_keeps_the_connection;
                a_secret_update_keeps_channels_and_unsettled_deliveries needs SecretUpdates;
                a_secret_update_without_a_connection_does_nothing needs SecretUpdates;
                a_secret_update_of_a_closed_connector_fails needs SecretUpdates;
            }
            dead_letters {
                a_lost_connection_marks_the_dead_letter_as_redelivered_or_not needs CutConnection, Exchanges, DeadLetters, ExpiredDeadLetters;
            }
            alarms {
                a_confirm_of_a_blocked_broker_is_late needs BlockBroker;
                a_blocked_publisher_times_out_and_publishes_again_after_the_alarm needs BlockBroker;
                a_blocked_broker_still_serves_consumers needs BlockBroker;
            }
            restarts {
                a_persistent_message_in_a_durable_queue_is_kept_over_a_restart needs RestartBroker;
                a_transient_queue_is_deleted_by_a_restart needs RestartBroker, TransientQueues;
                durable_exchanges_and_bindings_are_kept_over_a_restart needs RestartBroker, Exchanges;
                a_transient_exchange_is_deleted_by_a_restart needs RestartBroker, TransientExchanges;
            }
        }
    };
}
