//! Lost connections: prefetched messages have not failed, and reports stay correct.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use carrot::{Message, consume::Retry};

use super::{SHORTEST, with_parking};
use crate::support::{SOON, eventually, ready};

on_both_breakable! {
    fn connection_cut_counts_no_attempt(broker: Breakable) {
        const MESSAGES: u32 = 30;
        let broker = Arc::new(broker);
        let (connection, onlooker) = (broker.connection.clone(), broker.onlooker.clone());
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).retry(Retry::fixed(SHORTEST).attempts(2)).build().unwrap();
        onlooker.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..MESSAGES).unwrap();
        // The first message is being handled when the connection is cut; after that, each message
        // fails once.
        let handled: Arc<Mutex<BTreeMap<u32, Vec<u32>>>> = Arc::default();
        let (attempts, breaking) = (Arc::clone(&handled), Arc::clone(&broker));
        let workers = consumer.workers(2).spawn(move |number: u32, message: &Message| {
            let first_of_all = {
                let mut attempts = attempts.lock().unwrap();
                let first_of_all = attempts.is_empty();
                attempts.entry(number).or_default().push(message.attempt());
                first_of_all
            };
            if first_of_all {
                breaking.cut();
                eventually("the loss is known", || message.is_redelivered() || cut_is_known(message));
                return Ok(());
            }
            if message.attempt() == 1 { Err("fails once") } else { Ok(()) }
        }).unwrap();
        eventually("each message was handled at its second attempt", || {
            let handled = handled.lock().unwrap();
            handled.len() == MESSAGES as usize && handled.values().all(|attempts| attempts.last() == Some(&2))
        });
        eventually("nothing is left", || ready(&onlooker, &queue.name) == 0);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.parked, ready(&onlooker, &parking), ready(&onlooker, &queue.name)), (0, 0, 0), "{report:?}");
        // A cut between a copy and its acknowledgement duplicates a message, and never loses it.
        assert!(report.acknowledged >= u64::from(MESSAGES) && report.stale >= 1, "{report:?}");
    }
}

/// Time for the client to notice the cut. Later settlements of a handler do not reach the broker.
fn cut_is_known(_message: &Message) -> bool {
    std::thread::sleep(std::time::Duration::from_millis(100));
    true
}
