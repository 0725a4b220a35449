//! Layers, while connections are lost.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use carrot::Message;
use carrot::config::Role;
use carrot::layers::{Deduplicate, MemoryIds};

use super::{Calls, Outcomes, Recorder};
use crate::support::{SOON, eventually, queue, ready};

on_both_breakable! {
    fn resent_messages_pass_their_layers_once(broker: Breakable) {
        const MESSAGES: u32 = 20;
        let (queue, outcomes) = (queue(), Outcomes::default());
        let publisher = broker.connection.publisher().queue(&queue).layer(outcomes.clone()).build().unwrap();
        broker.lose_confirms(MESSAGES);
        let confirmations: Vec<_> =
            (0..MESSAGES).map(|number| publisher.message().publish_bytes(number.to_string()).unwrap()).collect();
        assert_eq!(outcomes.known(), 0);
        let before = ready(&broker.onlooker, &queue.name);
        broker.take_away();
        broker.bring_back();
        eventually("they are sent again", || ready(&broker.onlooker, &queue.name) == before + MESSAGES);
        for confirmation in confirmations {
            confirmation.wait().unwrap();
        }
        publisher.flush().unwrap();
        let seen = outcomes.take();
        assert_eq!(seen.len(), MESSAGES as usize);
        assert!(seen.iter().all(|(_, outcome)| *outcome == "confirmed"), "{seen:?}");
    }

    fn settling_after_a_cut_is_stale(broker: Breakable) {
        let (queue, calls) = (queue(), Calls::default());
        let consumer = broker.connection.consumer(&queue).layer(Recorder("layer", calls.clone())).build().unwrap();
        let (sender, handling) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let workers = consumer.workers(1).spawn(move |_: u32, message: &Message| {
            sender.send(message.is_redelivered()).unwrap();
            gate.lock().unwrap().recv_timeout(SOON).unwrap();
        }).unwrap();
        broker.onlooker.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
        assert!(!handling.recv_timeout(SOON).unwrap());
        let (lost, is_lost) = mpsc::channel();
        let lost = Mutex::new(lost);
        broker.connection.on_disconnect(move |role, _| {
            if role == Role::Consume {
                let _ = lost.lock().unwrap().send(());
            }
        });
        broker.cut();
        is_lost.recv_timeout(SOON).unwrap();
        go.send(()).unwrap();
        assert!(handling.recv_timeout(SOON).unwrap());
        go.send(()).unwrap();
        eventually("it is acknowledged", || workers.report().acknowledged == 1);
        assert_eq!(workers.stop(SOON).unwrap().stale, 1);
        let expected = ["layer in", "layer out", "layer Stale", "layer in", "layer out", "layer Acknowledged"];
        assert_eq!(calls.take(), expected);
    }

    fn message_redelivered_while_it_is_handled_is_handled_once(broker: Breakable) {
        let queue = queue();
        let layer = Deduplicate::new(MemoryIds::new());
        let consumer = broker.connection.consumer(&queue).layer(layer).build().unwrap();
        let handled = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&handled);
        let (sender, handling) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let workers = consumer.workers(2).spawn(move |_: u32, _: &Message| {
            sender.send(()).unwrap();
            let _ = gate.lock().unwrap().recv_timeout(SOON);
            count.fetch_add(1, Ordering::SeqCst);
        }).unwrap();
        broker.onlooker.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
        handling.recv_timeout(SOON).unwrap();
        broker.cut();
        eventually("the second delivery is postponed", || workers.report().retried >= 1);
        assert_eq!((workers.report().acknowledged, handled.load(Ordering::SeqCst)), (0, 0));
        drop(go);
        eventually("the second delivery is acknowledged", || workers.report().acknowledged == 1);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.stale, report.failed, report.parked), (1, 0, 0), "{report:?}");
        assert_eq!(handled.load(Ordering::SeqCst), 1);
        eventually("the queue is empty", || ready(&broker.onlooker, &queue.name) == 0);
    }
}
