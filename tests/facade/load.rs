use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use carrot::Message;

use crate::support::{queue, ready};

const MESSAGES: usize = 100_000;
const PUBLISHERS: usize = 8;

on_both_backends! {
    fn eight_senders_and_eight_workers_lose_and_duplicate_no_message(connection: &Connection) {
        let queue = queue();
        let consumer = connection.consumer(&queue).prefetch(500).build().unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).transient().build().unwrap();
        let times: Arc<Vec<AtomicU8>> = Arc::new((0..MESSAGES).map(|_| AtomicU8::new(0)).collect());
        let left = Arc::new(AtomicUsize::new(MESSAGES));

        let handled = Arc::clone(&times);
        let stop = consumer.stop_handle();
        let workers = consumer.workers(8).spawn(move |number: usize, _message: &Message| {
            handled[number].fetch_add(1, Ordering::Relaxed);
            if left.fetch_sub(1, Ordering::Relaxed) == 1 {
                return stop.stop();
            }
            Ok(())
        }).unwrap();
        let threads: Vec<_> = (0..PUBLISHERS).map(|first| {
            let publisher = publisher.clone();
            thread::spawn(move || publisher.send_all((first..MESSAGES).step_by(PUBLISHERS)))
        }).collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        let (sender, ended) = std::sync::mpsc::channel();
        thread::spawn(move || sender.send(workers.join()));
        let report = ended.recv_timeout(Duration::from_secs(120)).expect("every message is handled in two minutes").unwrap();

        assert_eq!((report.acknowledged, report.failed, report.requeued_unhandled), (MESSAGES as u64, 0, 0));
        assert!(times.iter().all(|times| times.load(Ordering::Relaxed) == 1));
        assert_eq!(ready(connection, &queue.name), 0);
    }
}
