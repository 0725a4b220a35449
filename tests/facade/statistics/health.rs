//! The state of a connection, for probes.

use std::time::Duration;

use carrot::memory::Broker;
use carrot::topology::DeleteIf;
use carrot::{Connection, Message, statistics::Health};

use crate::support::{eventually, queue};

on_both_backends! {
    fn role_that_was_never_needed_is_healthy(connection: &Connection) {
        let health = connection.health();
        assert!(health.is_ready(), "{health:?}");
        assert!(!health.publish.needed && !health.publish.connected, "{health:?}");
        assert!(health.consume.needed && health.consume.connected, "{health:?}");
        assert_eq!((health.last_confirm, health.workers.running), (None, 0));
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        assert!(connection.health().publish.needed);
        publisher.send("x").unwrap();
        let health = connection.health();
        assert!(health.is_ready() && health.publish.connected, "{health:?}");
        assert!(health.last_confirm.is_some_and(|ago| ago < Duration::from_secs(60)), "{health:?}");
    }

    fn workers_that_end_with_an_error_are_not_ready_until_they_are_dropped(
        connection: &Connection
    ) {
        let queue = queue();
        let consumer = connection.consumer(&queue).discard_failed().build().unwrap();
        let workers = consumer.workers(3).spawn(|_: String, _: &Message| ()).unwrap();
        assert_eq!(connection.health().workers.running, 3);
        assert!(connection.health().is_ready());
        connection.delete_queue(&queue.name, DeleteIf::default()).unwrap();
        eventually("the workers end", || workers.is_finished());
        let health = connection.health();
        assert_eq!((health.workers.running, health.workers.failed), (0, 3), "{health:?}");
        assert!(health.workers.last_error.as_ref().is_some_and(|error| error.contains(&queue.name)));
        assert!(!health.is_ready(), "{health:?}");
        assert!(workers.join().is_err());
        assert!(connection.health().is_ready(), "{:?}", connection.health());
    }

    fn closed_connection_is_not_ready(connection: &Connection) {
        connection.close().unwrap();
        let health = connection.health();
        assert!(health.closed && !health.is_ready(), "{health:?}");
    }
}

mod lost {
    use std::time::Duration;

    use crate::support::{eventually, queue};

    on_both_breakable! {
        fn broker_that_is_down_is_not_ready_until_it_is_back(broker: Breakable) {
            let connection = &broker.connection;
            let queue = queue();
            let publisher = connection.publisher().queue(&queue).build().unwrap();
            publisher.send("x").unwrap();
            assert!(connection.health().is_ready());
            broker.take_away();
            eventually("both losses are seen", || {
                let health = connection.health();
                !health.is_ready()
                    && [&health.publish, &health.consume].iter().all(|role| {
                        !role.connected
                            && role.disconnected_for.is_some()
                            && role.last_error.is_some()
                    })
            });
            let first = connection.health().publish.disconnected_for.unwrap();
            eventually("the time grows", || {
                let now = connection.health().publish.disconnected_for.unwrap();
                now > first + Duration::from_millis(20)
            });
            broker.bring_back();
            eventually("it is ready again", || connection.health().is_ready());
            let health = connection.health();
            assert_eq!(health.publish.disconnected_for, None, "{health:?}");
            assert!(health.publish.last_error.is_some(), "the last error stays: {health:?}");
        }
    }
}

#[test]
fn connection_that_was_never_used_is_ready_and_asks_no_broker() {
    let broker = Broker::new();
    broker.faults().refuse_connects(u32::MAX);
    let connection = Connection::new(broker.connector());
    let health: Health = connection.health();
    assert!(health.is_ready() && !health.consume.needed, "{health:?}");
    assert_eq!(broker.faults().outstanding(), 1);
    assert!(connection.open().is_err());
    let health = connection.health();
    assert!(!health.is_ready() && health.consume.needed, "{health:?}");
    assert!(health.consume.last_error.is_some_and(|error| error.contains("injected fault")));
}

#[test]
fn lazy_publisher_is_not_ready_before_its_first_connection() {
    let broker = Broker::new();
    broker.faults().refuse_connects(u32::MAX);
    let options = carrot::ConnectionOptions::memory();
    let connection = Connection::lazy(broker.connector(), &options);
    let _publisher = connection.publisher().routing_key("jobs").build().unwrap();
    assert!(!connection.health().is_ready());
    eventually("an attempt has failed", || connection.health().publish.last_error.is_some());
    broker.faults().clear();
    eventually("it is ready", || connection.health().is_ready());
    let health = connection.health();
    assert!(health.publish.last_error.is_some(), "the last error stays: {health:?}");
}
