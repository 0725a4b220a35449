use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use carrot::consume::HandlerError;
use carrot::layers::{Claim, Deduplicate, IdStore, MemoryIds, OutgoingMessage, PublishLayer};
use carrot::message::Properties;
use carrot::{Connection, Message, Publisher, Queue, Settlement};

use crate::support::{SOON, eventually, queue, ready};

fn publisher(connection: &Connection, queue: &Queue) -> Publisher {
    connection.publisher().queue(queue).build().unwrap()
}

/// Sends one message for each id.
fn send(publisher: &Publisher, ids: &[&str]) {
    for id in ids {
        publisher.message().message_id(*id).send(id).unwrap();
    }
}

/// How often each message was handled.
#[derive(Clone, Default)]
struct HandledIds(Arc<Mutex<BTreeMap<String, u32>>>);

impl HandledIds {
    /// Returns how often this message was handled before.
    fn add(&self, id: &str) -> u32 {
        let mut counts = self.0.lock().unwrap();
        let count = counts.entry(id.into()).or_default();
        *count += 1;
        *count - 1
    }

    fn get(&self) -> Vec<(String, u32)> {
        self.0.lock().unwrap().iter().map(|(id, count)| (id.clone(), *count)).collect()
    }
}

/// Sends messages without message ids.
struct WithoutProperties;

impl PublishLayer for WithoutProperties {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> carrot::Result<()> {
        message.change_properties(|_| Properties::default());
        Ok(())
    }
}

/// A store that fails or panics at chosen calls.
#[derive(Default)]
struct Faulty {
    ids: MemoryIds,
    begun: AtomicU32,
    finished: AtomicU32,
    released: AtomicU32,
}

impl IdStore for Faulty {
    fn begin(&self, queue: &str, id: &str) -> Result<Claim, HandlerError> {
        match self.begun.fetch_add(1, Ordering::SeqCst) {
            0 => Err("the database is away".into()),
            _ => self.ids.begin(queue, id),
        }
    }

    fn finish(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
        match self.finished.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("the database panics"),
            _ => self.ids.finish(queue, id),
        }
    }

    fn release(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
        self.ids.release(queue, id)?;
        match self.released.fetch_add(1, Ordering::SeqCst) {
            0 => panic!("the database panics again"),
            _ => Err("the database is away again".into()),
        }
    }
}

on_both_backends! {
    fn duplicate_in_progress_is_postponed_until_the_first_succeeds_or_fails(connection: &Connection) {
        for fails in [false, true] {
            let (queue, handled) = (queue(), HandledIds::default());
            let consumer = connection.consumer(&queue).layer(Deduplicate::new(MemoryIds::new())).build().unwrap();
            let count = handled.clone();
            let (sender, handling) = mpsc::channel();
            let (go, gate) = mpsc::channel::<()>();
            let gate = Mutex::new(gate);
            let workers = consumer.workers(2).spawn(move |id: String, _: &Message| {
                let _ = sender.send(());
                let _ = gate.lock().unwrap().recv_timeout(SOON);
                if count.add(&id) == 0 && fails { Err("the first fails") } else { Ok(()) }
            }).unwrap();
            send(&publisher(connection, &queue), &["id", "id"]);
            handling.recv_timeout(SOON).unwrap();
            eventually("the second is postponed", || workers.report().retried == 1);
            assert_eq!((workers.report().acknowledged, workers.report().failed), (0, 0));
            drop(go);
            eventually("both are acknowledged", || workers.report().acknowledged == 2);
            let report = workers.stop(SOON).unwrap();
            assert_eq!((report.failed, report.parked), (u64::from(fails), 0), "{report:?}");
            assert_eq!(handled.get(), [("id".to_string(), 1 + u32::from(fails))]);
        }
    }

    fn eight_workers_handle_each_id_once(connection: &Connection) {
        const IDS: u32 = 50;
        const COPIES: u32 = 4;
        let (queue, handled) = (queue(), HandledIds::default());
        let consumer = connection.consumer(&queue).layer(Deduplicate::new(MemoryIds::new())).build().unwrap();
        let count = handled.clone();
        let workers = consumer.workers(8).spawn(move |id: String, _: &Message| {
            let before = count.add(&id);
            std::thread::yield_now();
            // Every fifth message fails at first, and is no duplicate then.
            if before == 0 && id.ends_with('5') { panic!("the first attempt") }
        }).unwrap();
        let publisher = publisher(connection, &queue);
        let ids: Vec<String> = (0..IDS).map(|number| number.to_string()).collect();
        for _ in 0..COPIES {
            send(&publisher, &ids.iter().map(String::as_str).collect::<Vec<_>>());
        }
        eventually("all are acknowledged", || workers.report().acknowledged == u64::from(IDS * COPIES));
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.parked), (u64::from(IDS / 10), 0), "{report:?}");
        let handled = handled.get();
        assert_eq!(handled.len(), IDS as usize);
        for (id, count) in handled {
            assert_eq!(count, 1 + u32::from(id.ends_with('5')), "{id}");
        }
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn only_acknowledged_messages_are_remembered(connection: &Connection) {
        let (queue, handled) = (queue(), HandledIds::default());
        let consumer = connection.consumer(&queue).layer(Deduplicate::new(MemoryIds::new())).build().unwrap();
        let count = handled.clone();
        let workers = consumer.workers(1).spawn(move |id: String, _: &Message| {
            match count.add(&id) {
                0 => Settlement::Reject,
                1 => Settlement::Requeue,
                _ => Settlement::Ack,
            }
        }).unwrap();
        send(&publisher(connection, &queue), &["id", "id", "id"]);
        // Rejected, requeued, acknowledged, and a duplicate.
        eventually("two are acknowledged", || workers.report().acknowledged == 2);
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.rejected, report.requeued, report.retried), (1, 1, 0), "{report:?}");
        assert_eq!(handled.get(), [("id".to_string(), 3)]);
    }

    fn messages_without_id_pass(connection: &Connection) {
        let (queue, handled) = (queue(), HandledIds::default());
        let mut consumer = connection.consumer(&queue).layer(Deduplicate::new(MemoryIds::new())).build().unwrap();
        let count = handled.clone();
        consumer.register_callback(move |id: String, message: &Message| {
            count.add(&format!("{id:?} {:?}", message.id()));
        });
        send(&publisher(connection, &queue), &["", "", "id", "id"]);
        let without = connection.publisher().queue(&queue).layer(WithoutProperties).build().unwrap();
        without.send_all(["none", "none"]).unwrap();
        assert_eq!(consumer.handle_next(6).unwrap().acknowledged, 6);
        let handled: Vec<u32> = handled.get().into_iter().map(|(_, count)| count).collect();
        assert_eq!(handled, [2, 1, 2]);
    }

    fn same_id_in_two_queues_is_handled_for_each(connection: &Connection) {
        let (ids, handled) = (Arc::new(MemoryIds::new()), HandledIds::default());
        for queue in [queue(), queue()] {
            let mut consumer = connection.consumer(&queue).layer(Deduplicate::new(Arc::clone(&ids))).build().unwrap();
            let count = handled.clone();
            consumer.register_callback(move |id: String, _: &Message| {
 count.add(&id);
 });
            send(&publisher(connection, &queue), &["id", "id"]);
            consumer.handle_next(2).unwrap();
        }
        assert_eq!((handled.get(), ids.len()), (vec![("id".to_string(), 2)], 2));
    }

    fn failure_of_store_fails_the_message_and_loses_none(connection: &Connection) {
        let (queue, handled) = (queue(), HandledIds::default());
        let consumer = connection.consumer(&queue).layer(Deduplicate::new(Faulty::default())).build().unwrap();
        let count = handled.clone();
        let workers = consumer.workers(1).spawn(move |id: String, _: &Message| {
            count.add(&id);
        }).unwrap();
        send(&publisher(connection, &queue), &["id"]);
        // The attempts: `begin` fails, `finish` fails, success.
        eventually("it is acknowledged", || workers.report().acknowledged == 1);
        assert_eq!(workers.first_failure().unwrap(), "the database is away");
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.failed, report.retried, report.parked), (2, 2, 0), "{report:?}");
        assert_eq!(handled.get(), [("id".to_string(), 2)]);
    }
}
