//! Connections that are lost while keys have messages in hand.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::Message;
use carrot::consume::Retry;

use super::{Observed, key_of, send};
use crate::support::{SOON, eventually, queue, ready};

/// Checks that no message was handled for the first time before an earlier one, and that a
/// redelivery begins at an earlier message and continues in order.
fn check_order(handled: &BTreeMap<u32, Vec<u32>>, of_each: u32) {
    for (key, numbers) in handled {
        let mut next = 0;
        for (index, number) in numbers.iter().enumerate() {
            assert!(*number <= next, "key {key}: {number} before {next}: {numbers:?}");
            if index > 0 && *number != numbers[index - 1] + 1 {
                assert!(*number <= numbers[index - 1], "key {key}: {numbers:?}");
            }
            next = next.max(*number + 1);
        }
        assert_eq!(next, of_each, "key {key}: {numbers:?}");
    }
}

on_both_breakable! {
    #[without_activemq("x-queue-type")]
    fn thousand_keys_with_failures_and_cuts_keep_order_of_each_key(broker: Breakable) {
        const OF_EACH: u32 = 5;
        // On others, the broker may deliver later messages before it has noticed a loss.
        let queue = queue().quorum().single_active_consumer();
        send(&broker.onlooker, &queue, 1000, OF_EACH);
        let retry = Retry::fixed(Duration::from_secs(1)).attempts(5);
        let consumer = broker
            .connection
            .consumer(queue.clone())
            .prefetch(500)
            .retry(retry)
            .discard_failed()
            .build()
            .unwrap();
        let observed = Arc::new(Observed::default());
        let seen = Arc::clone(&observed);
        let workers = consumer
            .workers(8)
            .ordered_by(key_of)
            .spawn(move |(key, number): (u32, u32), message: &Message| {
                seen.handle(key, || {
                    if key % 50 == 0 && number == 1 && message.attempt() <= 2 {
                        return Err("not yet");
                    }
                    // Slow enough for cuts in the middle.
                    std::thread::sleep(Duration::from_micros(500));
                    seen.note(key, number);
                    Ok(())
                })
            })
            .unwrap();
        for cut in 1..=4_usize {
            eventually("some are handled", || observed.count() >= cut * 700);
            broker.cut();
        }
        eventually("all are handled and settled", || {
            let handled = observed.all();
            handled.len() == 1000
                && handled.values().all(|numbers| numbers.contains(&(OF_EACH - 1)))
                && workers.report().acknowledged >= u64::from(1000 * OF_EACH)
        });
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.discarded, report.requeued_unhandled), (0, 0), "{report:?}");
        assert_eq!(ready(&broker.onlooker, &queue.name), 0);
        check_order(&observed.all(), OF_EACH);
    }

    #[differs_on_activemq(lost_connection_returns_messages_in_any_order)]
    fn key_of_running_handler_waits_for_it_after_a_loss(broker: Breakable) {
        let queue = queue();
        send(&broker.onlooker, &queue, 2, 3);
        let consumer = broker.connection.consumer(queue.clone()).build().unwrap();
        let observed = Arc::new(Observed::default());
        let seen = Arc::clone(&observed);
        let (started, starts) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let workers = consumer
            .workers(4)
            .ordered_by(key_of)
            .spawn(move |(key, number): (u32, u32), message: &Message| {
                seen.handle(key, || {
                    seen.note(key, number);
                    if (key, number, message.is_redelivered()) == (0, 1, false) {
                        started.send(()).unwrap();
                        let _ = gate.lock().unwrap().recv();
                    }
                });
            })
            .unwrap();
        starts.recv_timeout(SOON).unwrap();
        eventually("all others are settled", || workers.report().acknowledged == 4);
        // The acknowledgements reach the broker before the cut.
        std::thread::sleep(Duration::from_millis(100));
        let before = broker.connection.statistics().consuming.delivered;
        broker.cut();
        eventually("the messages of key 0 are redelivered", || {
            broker.connection.statistics().consuming.delivered == before + 2
        });
        assert_eq!(observed.of(0), [0, 1]);
        drop(go);
        eventually("key 0 is settled", || workers.report().acknowledged == 6);
        let report = workers.stop(SOON).unwrap();
        assert_eq!(report.stale, 1, "{report:?}");
        assert_eq!(observed.of(0), [0, 1, 1, 2]);
        assert_eq!(ready(&broker.onlooker, &queue.name), 0);
    }

    fn failure_of_running_handler_counts_after_a_loss(broker: Breakable) {
        for in_order in [false, true] {
            let queue = queue();
            send(&broker.onlooker, &queue, 1, 1);
            let retry = Retry::never().attempts(2);
            let definition = broker.connection.consumer(queue.clone()).retry(retry);
            let consumer = definition.discard_failed().build().unwrap();
            let (started, starts) = mpsc::channel();
            let (go, gate) = mpsc::channel::<()>();
            let gate = Mutex::new(gate);
            let handler = move |_: (u32, u32), message: &Message| {
                started.send(message.attempt()).unwrap();
                if !message.is_redelivered() {
                    let _ = gate.lock().unwrap().recv();
                }
                Err::<(), _>("never")
            };
            let workers = consumer.workers(1);
            let workers = match in_order {
                true => workers.ordered_by(key_of).spawn(handler),
                false => workers.spawn(handler),
            };
            let workers = workers.unwrap();
            assert_eq!(starts.recv_timeout(SOON), Ok(1));
            let losses = || broker.connection.statistics().connecting.consume.losses;
            let before = losses();
            broker.cut();
            eventually("the loss is known", || losses() > before);
            drop(go);
            assert_eq!(starts.recv_timeout(SOON), Ok(2));
            eventually("it is discarded", || workers.report().discarded == 1);
            let report = workers.stop(SOON).unwrap();
            assert_eq!((report.failed, report.stale), (2, 1), "{report:?}");
            assert_eq!(ready(&broker.onlooker, &queue.name), 0);
        }
    }

    #[differs_on_activemq(lost_connection_returns_messages_in_any_order)]
    fn failed_attempts_stay_counted_after_a_loss(broker: Breakable) {
        let queue = queue();
        send(&broker.onlooker, &queue, 1, 2);
        let consumer = broker
            .connection
            .consumer(queue.clone())
            .retry(Retry::fixed(Duration::from_secs(600)).attempts(3))
            .discard_failed()
            .build()
            .unwrap();
        let (sender, attempts) = mpsc::channel();
        let workers = consumer
            .workers(2)
            .ordered_by(key_of)
            .spawn(move |(_, number): (u32, u32), message: &Message| {
                sender.send((number, message.attempt())).unwrap();
                if number == 0 { Err("never") } else { Ok(()) }
            })
            .unwrap();
        for attempt in 1..=3 {
            // The loss ends the pause of ten minutes.
            assert_eq!(attempts.recv_timeout(SOON), Ok((0, attempt)));
            if attempt < 3 {
                let statistics = || broker.connection.statistics().consuming;
                eventually("it pauses", || statistics().paused_messages == 1);
                broker.cut();
            }
        }
        assert_eq!(attempts.recv_timeout(SOON), Ok((1, 1)));
        eventually("it is settled", || workers.report().acknowledged == 1);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.discarded, report.stale), (3, 1, 2), "{report:?}");
    }
}
