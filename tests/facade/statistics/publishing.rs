//! The figures of publishers and of connections.

use carrot::memory::Broker;
use carrot::topology::Overflow;
use carrot::{Connection, Error, Queue};

use super::publishing;
use crate::support::{eventually, queue, unique};

on_both_backends! {
    #[without_activemq("x-max-length")]
    fn publisher_outcomes_are_counted_once_each(connection: &Connection) {
        let queue = queue().max_length(1).overflow(Overflow::RejectPublish);
        let publisher = connection.publisher().queue(&queue).build().unwrap();
        publisher.send("fits").unwrap();
        assert!(matches!(publisher.send("too many"), Err(Error::Refused)));
        let returned = publisher.message().routing_key(unique("nowhere")).mandatory().send("x");
        assert!(matches!(returned, Err(Error::Unroutable { .. })));
        assert!(publisher.message().routing_key("k".repeat(300)).send("x").is_err());
        let figures = publishing(connection);
        assert_eq!((figures.published, figures.confirmed), (3, 1), "{figures:?}");
        assert_eq!((figures.refused, figures.returned, figures.failed), (1, 1, 0), "{figures:?}");
        assert_eq!((figures.in_flight, figures.bytes_in_flight), (0, 0), "{figures:?}");
    }

    fn publisher_without_confirms_is_counted(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).without_confirms().build().unwrap();
        publisher.send("x").unwrap();
        let _sent = publisher.try_publish("y").unwrap();
        publisher.message().send("z").unwrap();
        let figures = publishing(connection);
        assert_eq!((figures.without_confirm, figures.confirmed), (3, 0), "{figures:?}");
    }

    fn clones_share_the_figures(connection: &Connection) {
        let queue = queue();
        let clone = connection.clone();
        connection.publisher().queue(&queue).build().unwrap().send("x").unwrap();
        clone.publisher().queue(&queue).build().unwrap().send("x").unwrap();
        assert_eq!(publishing(connection).confirmed, 2);
        assert_eq!(clone.statistics().publishing, connection.statistics().publishing);
    }
}

mod lost {
    use crate::support::{eventually, queue};

    on_both_breakable! {
        fn loss_and_reconnect_are_counted_for_each_role(broker: Breakable) {
            let queue = queue();
            let connection = &broker.connection;
            let publisher = connection.publisher().queue(&queue).build().unwrap();
            let _consumer = connection.consumer(&queue).build().unwrap();
            publisher.send("before").unwrap();
            let before = connection.statistics().connecting;
            assert_eq!((before.publish.losses, before.consume.reconnects), (0, 0));
            broker.cut();
            publisher.send("after").unwrap();
            eventually("both roles are counted", || {
                let now = connection.statistics().connecting;
                [now.publish, now.consume].map(|role| (role.losses, role.reconnects))
                    == [(1, 1), (1, 1)]
            });
            assert_eq!(connection.statistics().publishing.confirmed, 2);
        }

        fn unconfirmed_message_is_counted_as_resent_after_a_loss(broker: Breakable) {
            let queue = queue();
            let publisher = broker.connection.publisher().queue(&queue).build().unwrap();
            publisher.send("connects").unwrap();
            broker.lose_confirms(1);
            let confirmation = publisher.publish("x").unwrap();
            broker.take_away();
            broker.bring_back();
            confirmation.wait().unwrap();
            let figures = super::publishing(&broker.connection);
            assert_eq!((figures.confirmed, figures.published), (2, 2), "{figures:?}");
            assert!(figures.resent >= 1, "{figures:?}");
        }
    }
}

#[test]
fn thousand_dropped_publishers_keep_counting() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    connection.declare_queue("jobs").unwrap();
    for _ in 0..1_000 {
        connection.publisher().routing_key("jobs").build().unwrap().send("x").unwrap();
    }
    let figures = publishing(&connection);
    assert_eq!((figures.published, figures.confirmed), (1_000, 1_000), "{figures:?}");
    assert_eq!(broker.queue("jobs").unwrap().ready.len(), 1_000);
}

#[test]
fn alarm_is_seen_while_it_lasts() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    connection.declare_queue(Queue::new("jobs")).unwrap();
    let publisher = connection.publisher().routing_key("jobs").build().unwrap();
    broker.faults().block_publishers("low on memory\n");
    let confirmation = publisher.publish("x").unwrap();
    eventually("the alarm is seen", || connection.statistics().connecting.publish.blocked);
    let health = connection.health();
    assert_eq!(health.publish.blocked.as_deref(), Some("low on memory\\n"), "escaped");
    assert!(!health.is_ready() && health.publish.connected && health.in_flight == 1);
    broker.faults().unblock_publishers();
    confirmation.wait().unwrap();
    assert!(!connection.statistics().connecting.publish.blocked);
    assert!(connection.health().is_ready());
}

#[test]
fn debug_output_of_a_connection_does_not_grow_with_its_messages() {
    let connection = Connection::new(Broker::new().connector());
    let publisher = connection.publisher().queue("jobs").build().unwrap();
    let shown = || [format!("{connection:?}"), format!("{publisher:?}")];
    let before = shown();
    let _sent: Vec<_> = (0..1_000)
        .map(|number| publisher.message().header("token", "secret").publish(&number).unwrap())
        .collect();
    for (before, after) in before.into_iter().zip(shown()) {
        assert!(!after.contains("secret"), "{after:.2000}");
        assert!(after.len() < before.len() + 200, "{} bytes: {after:.2000}", after.len());
    }
}

#[test]
fn message_in_flight_is_counted_with_its_bytes_until_its_confirm() {
    let broker = carrot::memory::Broker::new();
    let connection = Connection::new(broker.connector());
    let publisher = connection.publisher().queue("orders").build().unwrap();
    broker.faults().lose_confirms(1);
    let _confirmation = publisher.message().publish_bytes("12345678").unwrap();
    let figures = publishing(&connection);
    assert_eq!((figures.in_flight, figures.bytes_in_flight), (1, 8), "{figures:?}");
    let confirmation = publisher.message().publish_bytes("1234").unwrap();
    confirmation.wait().unwrap();
    let figures = publishing(&connection);
    assert_eq!((figures.in_flight, figures.bytes_in_flight), (1, 8), "{figures:?}");
    assert_eq!((figures.published, figures.confirmed), (2, 1), "{figures:?}");
    // The message is sent again, and confirmed.
    broker.faults().drop_connections();
    eventually("both are confirmed", || publishing(&connection).confirmed == 2);
}
