//! Messages whose confirmations no thread waits for.

use std::time::Duration;

use carrot::{Connection, Error};

use crate::support::{SOON, eventually, queue, unique};

on_both_backends! {
    fn try_publish_alone_goes_on_after_a_full_window(connection: &Connection) {
        let queue = queue();
        let publisher = connection.publisher().queue(&queue).max_in_flight(10).build().unwrap();
        for number in 0..100_u32 {
            eventually("there is room again", || match publisher.try_publish(&number) {
                Ok(_confirmation) => true,
                Err(Error::Timeout { .. }) => false,
                Err(error) => panic!("{error}"),
            });
        }
        let publishing = || connection.statistics().publishing;
        eventually("all are confirmed", || publishing().confirmed == 100);
        assert_eq!(publishing().in_flight, 0);
        assert!(connection.health().last_confirm.is_some_and(|time| time < SOON));
    }

    fn try_publish_alone_goes_on_after_bytes_fill_the_window(connection: &Connection) {
        let queue = queue();
        let definition = connection.publisher().queue(&queue).max_bytes_in_flight(10);
        let publisher = definition.build().unwrap();
        for _ in 0..20 {
            eventually("there is room again", || {
                publisher.message().try_publish_bytes("12345678").is_ok()
            });
        }
        eventually("all are confirmed", || connection.statistics().publishing.confirmed == 20);
    }

    fn answers_become_known_to_a_thread_that_only_looks(connection: &Connection) {
        let publisher = connection.publisher().queue(queue()).build().unwrap();
        let confirmation = publisher.publish("x").unwrap();
        eventually("it is confirmed", || confirmation.is_resolved());
        confirmation.wait().unwrap();
        let publisher =
            connection.publisher().routing_key(unique("nowhere")).mandatory().build().unwrap();
        let confirmation = publisher.publish("x").unwrap();
        eventually("it is returned", || confirmation.is_resolved());
        assert!(matches!(confirmation.wait(), Err(Error::Unroutable { .. })));
    }

    fn returned_message_is_counted_without_a_wait(connection: &Connection) {
        let publisher =
            connection.publisher().routing_key(unique("nowhere")).mandatory().build().unwrap();
        let confirmation = publisher.publish("x").unwrap();
        eventually("it is counted", || connection.statistics().publishing.returned == 1);
        assert!(confirmation.is_resolved());
        assert!(matches!(confirmation.wait(), Err(Error::Unroutable { .. })));
    }
}

#[test]
fn try_publish_alone_goes_on_after_unanswered_messages() {
    let broker = carrot::memory::Broker::new();
    let connection = Connection::new(broker.connector());
    let publisher = connection
        .publisher()
        .queue("orders")
        .max_in_flight(2)
        .send_timeout(Duration::from_millis(100))
        .build()
        .unwrap();
    broker.faults().lose_confirms(2);
    for _ in 0..2 {
        drop(publisher.try_publish("x").unwrap());
    }
    let mut confirmation = None;
    eventually("the deadline of the first has passed", || {
        confirmation = publisher.message().timeout(SOON).try_publish("y").ok();
        confirmation.is_some()
    });
    confirmation.unwrap().wait().unwrap();
    eventually("both have failed", || connection.statistics().publishing.failed == 2);
}
