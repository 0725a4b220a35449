//! Brokers that are killed and started again.

use carrot::{Error, Queue};
use carrot_faults::unique;

use crate::process::{OwnBroker, SOON};
use crate::traffic::{Order, PREFETCH, PUBLISHERS, Traffic, WINDOW};

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn killed_broker_loses_no_confirmed_message() {
    let is_full = std::env::var_os("CARROT_TEST_FULL").is_some();
    let (kills, each) = if is_full { (5, 6_700) } else { (1, 700) };
    let broker = OwnBroker::start(&[]);
    let traffic = Traffic::start(&broker.options(), each);
    for kill in 1..=kills {
        traffic.wait_for(kill, kills + 1);
        broker.kill();
        traffic.note_fault();
        broker.restart();
        traffic.wait_for_connection(true);
    }
    let outcome = traffic.finish(Order::OfSending);
    println!("{} messages, {kills} kills, {outcome:?}", each * PUBLISHERS);
    // The consumer had one part, and the publishers had sent the other.
    let most = kills as usize * (usize::from(PREFETCH) + PUBLISHERS as usize * WINDOW);
    assert!(outcome.duplicates <= most, "{} of {most}", outcome.duplicates);
    assert!(outcome.resent > 0);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn queue_that_was_only_declared_is_declared_again_by_its_users() {
    let broker = OwnBroker::start(&[]);
    let connection = carrot::connect(broker.options()).unwrap();
    let (used, declared) = (unique("used"), unique("declared"));
    let consumer = connection.consumer(&*used).build().unwrap();
    let publisher = connection.publisher().queue(&*used).build().unwrap();
    connection.declare_queue(&*declared).unwrap();
    broker.kill();
    broker.restart();
    publisher.message().timeout(SOON).send("x").unwrap();
    let message = consumer.messages().unwrap().timeout(SOON).next().unwrap().unwrap();
    assert_eq!(message.decode::<String>().unwrap(), "x");
    message.ack().unwrap();
    let existing = connection.declare_queue(Queue::existing(&*declared));
    println!("declared only: {existing:?}");
    // Nothing but a message or a consumer makes the broker write a queue.
    let unused = connection.publisher().routing_key(&*declared).build().unwrap();
    match existing {
        Ok(_) => unused.send("y").unwrap(),
        Err(error) => {
            assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
            let error = unused.send("y").unwrap_err();
            assert!(matches!(error, Error::Unroutable { .. }), "{error:?}");
        }
    }
}
