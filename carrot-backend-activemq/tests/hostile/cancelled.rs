//! Brokers that remove consumers.

use std::io::Write;
use std::sync::mpsc;
use std::time::Instant;

use carrot_core::Error;
use carrot_core::backend::{Acknowledgement, ConsumeOptions};

use crate::scripted::{CONSUMER_INFO, QUEUE, advisory, broker_answering_pulls, consumer_removal};
use crate::support::{FakeBroker, SOON};

const REMOVE_INFO: u8 = 12;
const SLOTS: u16 = 3;

#[test]
fn get_whose_consumer_is_removed_fails_at_once() {
    let broker = broker_answering_pulls(consumer_removal);
    let channel = broker.open().unwrap();
    let started = Instant::now();
    let error = channel.get(QUEUE, Acknowledgement::Manual, SOON).unwrap_err();
    assert!(matches!(&error, Error::Cancelled { queue, .. } if queue == QUEUE), "{error:?}");
    assert!(started.elapsed() < SOON / 2, "{:?}", started.elapsed());
    channel.check().unwrap();
}

#[test]
fn subscription_with_a_removed_slot_gives_up_its_others() {
    let (removed, removals) = mpsc::channel();
    let mut slots = Vec::new();
    let broker = FakeBroker::answering(move |socket, client| {
        match client.kind {
            CONSUMER_INFO if client.consumer().0 == -1 => {
                let _ = socket.write_all(&advisory(QUEUE));
            }
            CONSUMER_INFO if client.consumer().0 > 0 => slots.push(client.consumer()),
            REMOVE_INFO => removed.send(client.consumer()).unwrap_or_default(),
            _ => {}
        }
        // The answer to the last one follows the removal of the first.
        if slots.len() == usize::from(SLOTS) && client.kind == CONSUMER_INFO {
            let (session, consumer) = slots[0];
            let _ = socket.write_all(&consumer_removal(session, consumer));
        }
        true
    });
    let channel = broker.open().unwrap();
    let subscription = channel.consume(QUEUE, &ConsumeOptions::with_prefetch(SLOTS), SOON).unwrap();
    let error = subscription.next(SOON).unwrap_err();
    assert!(matches!(&error, Error::Cancelled { queue, .. } if queue == QUEUE), "{error:?}");
    let mut left: Vec<_> = (1..SLOTS).map(|_| removals.recv_timeout(SOON).unwrap()).collect();
    left.dedup();
    assert_eq!(left.len(), usize::from(SLOTS) - 1, "{left:?}");
    channel.check().unwrap();
}
