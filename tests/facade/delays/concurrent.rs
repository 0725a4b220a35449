//! Delayed messages that several threads send at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot::Error;

use crate::support::{SOON, queue, unique};

const DELAY: Duration = Duration::from_secs(1);
const SENDERS: usize = 3;
const QUEUES: usize = 3;

on_both_backends! {
    fn missing_queue_of_one_thread_fails_no_delayed_message_of_another(connection: &Connection) {
        let publisher = connection.publisher().routing_key("unused").build().unwrap();
        let (missing, known) = (unique("missing"), queue());
        connection.declare_queue(&known).unwrap();
        publisher.message().routing_key(&known.name).delay(DELAY).send("x").unwrap();
        let queues: Vec<_> = (0..SENDERS * QUEUES).map(|_| queue()).collect();
        let sending = AtomicUsize::new(SENDERS);
        let deadline = Instant::now() + 3 * SOON;
        thread::scope(|scope| {
            for queues in queues.chunks(QUEUES) {
                let sending = &sending;
                let publisher = &publisher;
                scope.spawn(move || {
                    for queue in queues {
                        connection.declare_queue(queue).unwrap();
                        let message = publisher.message().routing_key(&queue.name);
                        let sent = message.delay(DELAY).send("x");
                        sending.fetch_sub(usize::from(sent.is_err()), Ordering::Relaxed);
                        sent.unwrap();
                    }
                    sending.fetch_sub(1, Ordering::Relaxed);
                });
            }
            for _ in 0..2 {
                scope.spawn(|| {
                    while sending.load(Ordering::Relaxed) > 0 && Instant::now() < deadline {
                        let sent = publisher.message().routing_key(&missing).delay(DELAY).send("x");
                        assert!(matches!(sent, Err(Error::Unroutable { .. })), "{sent:?}");
                    }
                });
            }
        });
    }
}
