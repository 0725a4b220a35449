use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use carrot::layers::RateLimit;
use carrot::{Error, Message};

use crate::support::{SOON, eventually, memory, queue, ready};

const HOUR: Duration = Duration::from_secs(3600);

on_both_backends! {
    fn threads_share_a_limit_of_sending(connection: &Connection) {
        const THREADS: u32 = 4;
        const EACH: u32 = 5;
        let interval = Duration::from_millis(10);
        let queue = queue();
        let limit = Arc::new(RateLimit::new(100, Duration::from_secs(1)).unwrap().burst(5).unwrap());
        let layered = connection.clone().with_publish_layer(limit);
        let publishers = [layered.publisher().queue(&queue).build().unwrap(), layered.publisher().queue(&queue).build().unwrap()];
        let start = Instant::now();
        thread::scope(|scope| {
            for number in 0..THREADS {
                let publisher = &publishers[number as usize % 2];
                scope.spawn(move || (0..EACH).for_each(|number| publisher.send(&number).unwrap()));
            }
        });
        assert!(start.elapsed() >= interval * (THREADS * EACH - 5), "{:?}", start.elapsed());
        assert_eq!(ready(connection, &queue.name), THREADS * EACH);
    }

    fn turn_after_the_deadline_fails_at_once(connection: &Connection) {
        let limit = RateLimit::new(1, HOUR).unwrap().burst(2).unwrap();
        let publisher = connection.publisher().queue(queue()).layer(limit).build().unwrap();
        publisher.try_publish("in time").unwrap().wait().unwrap();
        publisher.send("in time").unwrap();
        let start = Instant::now();
        for refused in [publisher.send("late"), publisher.try_publish("late").map(drop)] {
            assert!(matches!(&refused, Err(Error::Layer { reason, .. }) if reason.contains("rate limit of 1 message")), "{refused:?}");
        }
        assert!(start.elapsed() < SOON, "the send timeout is 30 s");
    }

    fn workers_share_a_limit_of_handling(connection: &Connection) {
        const MESSAGES: u32 = 20;
        let queue = queue();
        let limit = RateLimit::new(50, Duration::from_secs(1)).unwrap();
        let consumer = connection.consumer(&queue).layer(limit).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..MESSAGES).unwrap();
        let start = Instant::now();
        let workers = consumer.workers(4).spawn(|_: u32, _: &Message| ()).unwrap();
        eventually("all are handled", || workers.report().acknowledged == u64::from(MESSAGES));
        assert!(start.elapsed() >= Duration::from_millis(20) * (MESSAGES - 1), "{:?}", start.elapsed());
        workers.stop(SOON).unwrap();
    }

    #[differs_on_activemq(postponed_messages_wait_in_no_queue)]
    fn turn_after_ten_minutes_postpones_the_message(connection: &Connection) {
        let queue = queue();
        let limit = RateLimit::new(1, HOUR).unwrap();
        let mut consumer = connection.consumer(&queue).layer(limit).build().unwrap();
        consumer.register_callback(|_: u32, _: &Message| ());
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..2).unwrap();
        let report = consumer.handle_next(2).unwrap();
        assert_eq!((report.acknowledged, report.retried, report.failed), (1, 1, 0), "{report:?}");
        // An hour is rounded up to a power of two of seconds.
        let waiting = format!("{}.retry.v1.4096s", queue.name);
        assert_eq!(ready(connection, &waiting), 1);
        connection.delete_queue(&waiting, carrot::topology::DeleteIf::ALWAYS).unwrap();
    }
}

#[test]
fn stopped_consumer_ends_the_wait_and_requeues() {
    let connection = memory();
    let queue = queue();
    let limit = RateLimit::new(1, Duration::from_secs(300)).unwrap();
    let consumer = connection.consumer(&queue).layer(limit).build().unwrap();
    let publisher = connection.publisher().routing_key(&queue.name).build().unwrap();
    publisher.send_all(["first", "second"]).unwrap();
    let workers = consumer.workers(1).spawn(|_: String, _: &Message| {}).unwrap();
    eventually("the first message", || workers.report().acknowledged == 1);

    let started = Instant::now();
    let report = workers.stop(Duration::from_secs(60)).unwrap();
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!((report.acknowledged, report.unfinished), (1, 0), "{report:?}");
    eventually("the message is returned", || ready(&connection, &queue.name) == 1);
}
