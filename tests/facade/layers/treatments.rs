//! The treatments of messages that layers see.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::consume::{ConsumerDefinition, HandlerError, Retry};
use carrot::layers::{HandleLayer, SettledMessage, Treatment};
use carrot::memory::{Broker, ManualClock, Operation};
use carrot::{Connection, Error, Message, Settlement};

use crate::support::{SOON, eventually, queue, ready, unique};

/// Records the treatments.
#[derive(Clone, Default)]
struct Treatments(Arc<Mutex<Vec<Treatment>>>);

impl Treatments {
    fn get(&self) -> Vec<Treatment> {
        self.0.lock().unwrap().clone()
    }
}

impl HandleLayer for Treatments {
    fn after_settle(&self, message: &SettledMessage<'_>) {
        assert!(message.queue().starts_with("carrot-test-queue") || message.queue() == "orders");
        self.0.lock().unwrap().push(message.treatment());
    }
}

type Definition = ConsumerDefinition<Connection>;

/// Handles one message once. Returns its treatment.
fn treatment(
    connection: &Connection,
    define: impl Fn(Definition) -> Definition,
    handler: fn() -> Result<Settlement, HandlerError>,
) -> Treatment {
    let (queue, seen) = (queue(), Treatments::default());
    let definition = define(connection.consumer(&queue).layer(seen.clone()));
    let mut consumer = definition.build().unwrap();
    consumer.register_callback(move |_: u32, _: &Message| handler());
    connection.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
    consumer.handle_next(1).unwrap();
    let seen = seen.get();
    assert_eq!(seen.len(), 1, "{seen:?}");
    seen[0]
}

on_both_backends! {
    fn each_treatment_of_one_attempt_is_seen(connection: &Connection) {
        let same = |definition: Definition| definition;
        let failed = || Err("failed".into());
        let postponed = || Ok(Settlement::RetryAfter(Duration::from_secs(64)));
        let parked = || Ok(Settlement::Park("a reason".into()));
        let permanent = || Err(HandlerError::permanent("failed"));
        for (seen, expected) in [
            (treatment(connection, same, || Ok(Settlement::Ack)), Treatment::Acknowledged),
            (treatment(connection, same, || Ok(Settlement::Reject)), Treatment::Rejected),
            (treatment(connection, same, || Ok(Settlement::Requeue)), Treatment::Requeued),
            (treatment(connection, same, failed), Treatment::Retried),
            (treatment(connection, same, postponed), Treatment::Retried),
            (treatment(connection, same, parked), Treatment::Parked),
            (treatment(connection, same, permanent), Treatment::Parked),
            (treatment(connection, |definition| definition.discard_failed(), permanent), Treatment::Discarded),
            (treatment(connection, |definition| definition.requeue_failed(), failed), Treatment::Requeued),
            (treatment(connection, |definition| definition.automatic_acknowledgement(), failed), Treatment::Lost),
        ] {
            assert_eq!(seen, expected);
        }
    }

    fn undecodable_message_passes_layers(connection: &Connection) {
        let (queue, seen) = (queue(), Treatments::default());
        let mut consumer = connection.consumer(&queue).retry(Retry::never()).discard_failed().layer(seen.clone()).build().unwrap();
        consumer.register_callback(|_: u32, _: &Message| ());
        connection.publisher().routing_key(&*queue.name).build().unwrap().send("no number").unwrap();
        consumer.handle_next(1).unwrap();
        assert_eq!(seen.get(), [Treatment::Discarded]);
    }

    fn message_that_pauses_in_process_at_a_stop_is_returned(connection: &Connection) {
        let seen = Treatments::default();
        // Failed messages of a single active consumer pause in the process.
        let queue = queue().single_active_consumer();
        let consumer = connection
            .consumer(&queue)
            .retry(Retry::fixed(Duration::from_secs(600)).attempts(3))
            .layer(seen.clone())
            .build()
            .unwrap();
        let (sender, failed) = mpsc::channel();
        let workers = consumer.workers(1).spawn(move |_: u32, _: &Message| {
            sender.send(()).unwrap();
            Err::<(), _>("failed")
        }).unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
        failed.recv_timeout(SOON).unwrap();
        eventually("it is counted", || workers.report().failed == 1);
        workers.stop(SOON).unwrap();
        assert_eq!(seen.get(), [Treatment::Returned]);
        eventually("the message is returned", || ready(connection, &queue.name) == 1);
    }
}

#[test]
fn message_that_can_be_neither_copied_nor_parked_is_paused() {
    let clock = ManualClock::new();
    let broker = Broker::with_clock(&clock);
    let connection = Connection::new(broker.connector());
    let seen = Treatments::default();
    let mut consumer = connection.consumer("orders").layer(seen.clone()).build().unwrap();
    consumer.register_callback(|_: u32, _: &Message| Err::<(), _>("failed"));
    connection.publisher().routing_key("orders").build().unwrap().send(&1).unwrap();
    let refused = Error::AccessRefused { reason: unique("refused") };
    for _ in 0..3 {
        broker.faults().fail_next(Operation::Declare, refused.clone());
    }
    consumer.handle_next(1).unwrap();
    assert_eq!(seen.get(), [Treatment::Paused]);
}
