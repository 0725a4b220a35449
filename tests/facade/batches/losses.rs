//! Connections that are lost while a batch is collected or handled.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrot::{Error, Message};

use super::{LONG, send};
use crate::support::{SOON, eventually, queue, ready};

on_both_breakable! {
    #[differs_on_activemq(lost_connection_returns_messages_in_any_order)]
    fn batch_that_was_begun_before_a_loss_has_each_message_once(broker: Breakable) {
        let queue = queue();
        send(&broker.onlooker, &queue, 3);
        let consumer = broker.connection.consumer(&queue).build().unwrap();
        let mut batches = consumer.batches(5, LONG).unwrap();
        std::thread::scope(|scope| {
            let collecting = scope.spawn(|| batches.next().unwrap().unwrap());
            let delivered = || broker.connection.statistics().consuming.delivered;
            eventually("three are taken", || delivered() == 3);
            broker.cut();
            eventually("they are redelivered", || delivered() == 6);
            broker.onlooker.publisher().routing_key(&*queue.name).build().unwrap().send_all([3, 4]).unwrap();
            let batch = collecting.join().unwrap();
            assert_eq!(batch.decode().map(Result::unwrap).collect::<Vec<u32>>(), [0, 1, 2, 3, 4]);
            batch.ack().unwrap();
        });
        consumer.close().unwrap();
        assert_eq!(ready(&broker.onlooker, &queue.name), 0);
    }

    #[differs_on_activemq(lost_connection_returns_messages_in_any_order)]
    fn batch_of_a_lost_connection_is_stale_and_redelivered(broker: Breakable) {
        let queue = queue();
        send(&broker.onlooker, &queue, 2);
        let consumer = broker.connection.consumer(&queue).build().unwrap();
        let mut batches = consumer.batches(2, LONG).unwrap();
        let batch = batches.next().unwrap().unwrap();
        broker.cut();
        let again = batches.next().unwrap().unwrap();
        let error = batch.ack().unwrap_err();
        assert!(matches!(error, Error::Stale { .. }), "{error}");
        assert_eq!(again.decode().map(Result::unwrap).collect::<Vec<u32>>(), [0, 1]);
        again.ack().unwrap();
        consumer.close().unwrap();
        assert_eq!(ready(&broker.onlooker, &queue.name), 0);
    }

    fn workers_of_batches_lose_no_message_to_cuts(broker: Breakable) {
        const MESSAGES: u32 = 3000;
        let queue = queue();
        send(&broker.onlooker, &queue, MESSAGES);
        let consumer = broker.connection.consumer(&queue).build().unwrap();
        let handled = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
        let seen = Arc::clone(&handled);
        let wait = Duration::from_millis(100);
        let handler = move |numbers: Vec<u32>, _: &[Message]| {
            std::thread::sleep(Duration::from_millis(1));
            seen.lock().unwrap().extend(numbers);
        };
        let workers = consumer.workers(3).batches(20, wait).spawn(handler).unwrap();
        for cut in 1..=4 {
            eventually("some are handled", || handled.lock().unwrap().len() >= cut * 500);
            broker.cut();
        }
        eventually("all are handled", || handled.lock().unwrap().len() == MESSAGES as usize);
        // A batch counts as stale as a whole if its channel is lost while it is acknowledged, and
        // the broker may have a part of it.
        eventually("all are settled", || {
            let report = workers.report();
            report.acknowledged + report.stale >= u64::from(MESSAGES)
        });
        workers.stop(SOON).unwrap();
        assert_eq!(ready(&broker.onlooker, &queue.name), 0);
    }
}
