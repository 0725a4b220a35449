//! Threads, file descriptors and queues return to where they were, on the memory broker; the AMQP
//! backend has a test of its own.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use carrot::memory::Broker;
use carrot::{Connection, ConnectionOptions, Message, Queue};

const ROUNDS: usize = 3000;
const SOON: Duration = Duration::from_secs(60);

/// One test, because the threads of the test harness are counted too, and each test has one.
#[test]
fn close_and_drop_leave_no_resources() {
    connections();
    consumers_and_workers();
    callers_and_servers();
}

/// Threads, file descriptors, queues, and exchanges.
fn count(broker: &Broker) -> [usize; 4] {
    let entries = |directory| fs::read_dir(directory).unwrap().count();
    [
        entries("/proc/self/task"),
        entries("/proc/self/fd"),
        broker.queues().len(),
        broker.exchanges().len(),
    ]
}

/// Runs `work` a few times, and then thousands of times. Checks that the latter leave no resources.
fn leaves_nothing(broker: &Broker, mut work: impl FnMut(usize)) {
    (0..3).for_each(&mut work);
    let calm = Instant::now() + Duration::from_secs(1);
    let mut before = count(broker);
    while Instant::now() < calm {
        before = least(before, count(broker));
        thread::park_timeout(Duration::from_millis(5));
    }
    (0..ROUNDS).for_each(&mut work);
    let deadline = Instant::now() + SOON;
    let mut after = count(broker);
    while after.iter().zip(before).any(|(after, before)| *after > before) {
        assert!(
            Instant::now() < deadline,
            "(threads, descriptors, queues, exchanges) before {before:?}, after {after:?}"
        );
        thread::park_timeout(Duration::from_millis(5));
        after = least(after, count(broker));
    }
}

fn least(one: [usize; 4], other: [usize; 4]) -> [usize; 4] {
    std::array::from_fn(|index| one[index].min(other[index]))
}

fn connections() {
    let broker = Broker::named("leaks");
    leaves_nothing(&broker, |round| {
        let connection = carrot::connect(ConnectionOptions::memory_named("leaks")).unwrap();
        connection.on_disconnect(|_, _| ());
        let consumer = connection.consumer(Queue::server_named()).build().unwrap();
        let publisher =
            connection.publisher().routing_key(consumer.queue().unwrap()).build().unwrap();
        publisher.send(&round).unwrap();
        consumer.fetch().unwrap().unwrap().ack().unwrap();
        match round % 3 {
            0 => connection.close().unwrap(),
            1 => drop(connection),
            _ => {
                broker.faults().drop_connections();
            }
        }
    });
}

fn consumers_and_workers() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let publisher = connection.publisher().routing_key("jobs").build().unwrap();
    connection.declare_queue("jobs").unwrap();
    leaves_nothing(&broker, |round| {
        publisher.send(&round).unwrap();
        let consumer = connection.consumer("jobs").build().unwrap();
        match round % 4 {
            0 => drop(consumer.messages().unwrap().timeout(SOON).next().unwrap().unwrap().ack()),
            1 => drop(consumer.workers(2).spawn(|_: usize, _message: &Message| ()).unwrap()),
            2 => drop(
                consumer
                    .workers(2)
                    .spawn(|_: usize, _message: &Message| ())
                    .unwrap()
                    .stop(SOON)
                    .unwrap(),
            ),
            _ => consumer.close().unwrap(),
        }
        if round % 100 == 0 {
            connection.purge_queue("jobs").unwrap();
        }
    });
    assert!(broker.queue("jobs").unwrap().consumers.is_empty());
}

fn callers_and_servers() {
    let broker = Broker::named("calls");
    let connect = || carrot::connect(ConnectionOptions::memory_named("calls")).unwrap();
    leaves_nothing(&broker, |round| {
        let connection = connect();
        // The queue of the last round may be deleted only now.
        let queue = Queue::new(format!("requests {round}")).auto_delete();
        let consumer = connection.consumer(&queue).build().unwrap();
        let server = consumer.serve(1, Ok::<usize, String>).unwrap();
        let caller = connection.caller(&*queue.name).build().unwrap();
        assert_eq!(caller.call::<_, usize>(&round, SOON).unwrap(), round);
        match round % 3 {
            0 => caller.close().unwrap(),
            1 => drop(caller),
            _ => connection.close().unwrap(),
        }
        drop(server);
    });
}
