//! The cases of the tier *failure*.

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
                a_loss_is_told_with_its_role_and_the_next_connection_after_it needs CutConnection;
                a_connector_tells_where_it_connects_to;
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
