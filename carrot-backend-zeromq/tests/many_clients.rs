//! Many clients at once, and many one after another. The tests run one after another, because they
//! count the threads, the files and the memory of the process.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fs;
use std::net::TcpStream;
use std::sync::{Barrier, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use carrot::Message;
use carrot::memory::Broker;
use carrot::zeromq::BrokerHost;

use support::{RawClient, SOON, eventually, greeting, host, message, start};

/// Long enough for the work of hundreds of clients on a busy machine.
const LONG: Duration = Duration::from_secs(120);

fn alone() -> MutexGuard<'static, ()> {
    static RUNNING: Mutex<()> = Mutex::new(());
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The resources of the process. Zeros where the system has no /proc.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// The threads of hosts and of their clients.
    threads: usize,
    files: usize,
    resident_bytes: usize,
}

impl Held {
    fn now() -> Held {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = resident.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Held {
            threads: names.filter(|name| name.starts_with("carrot-")).count(),
            files: fs::read_dir("/proc/self/fd").map_or(0, Iterator::count),
            resident_bytes: kib.unwrap_or(0) << 10,
        }
    }
}

#[test]
fn two_hundred_connections_publish_and_consume_at_once() {
    // Each has one connection to publish, and one to consume.
    const CLIENTS: usize = 100;
    const MESSAGES: usize = 50;
    let _alone = alone();
    let before = Held::now();
    let (broker, host) = host();
    let all_are_open = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (host, all_are_open) = (&host, &all_are_open);
            scope.spawn(move || {
                let connection = carrot::connect(host.url()).unwrap();
                let (own, next) = (format!("q{client}"), format!("q{}", (client + 1) % CLIENTS));
                let consumer = connection.consumer(&*own).prefetch(10).build().unwrap();
                let publisher = connection.publisher().queue(&*next).build().unwrap();
                all_are_open.wait();
                let count = host.connection_count();
                // None ends before all have counted.
                all_are_open.wait();
                assert_eq!(count, 2 * CLIENTS);
                publisher.send_all(0..MESSAGES).unwrap();
                let mut messages = consumer.messages().unwrap().timeout(LONG);
                for number in 0..MESSAGES {
                    let message: Message = messages.next().unwrap().unwrap();
                    assert_eq!(message.decode::<usize>().unwrap(), number);
                    message.ack().unwrap();
                }
            });
        }
    });
    eventually("all connections end", || host.connection_count() == 0);
    for client in 0..CLIENTS {
        let queue = broker.queue(&format!("q{client}")).unwrap();
        assert_eq!((queue.ready.len(), queue.unacked.len(), queue.consumers.len()), (0, 0, 0));
    }
    host.stop(SOON).unwrap();
    eventually("all threads end", || Held::now().threads <= before.threads);
    eventually("all sockets are closed", || Held::now().files <= before.files);
}

/// Connects once in one of five ways, and drops the connection.
fn come_and_go(broker: &Broker, host: &BrokerHost, number: usize) {
    match number % 5 {
        0 => drop(TcpStream::connect(host.address().unwrap()).unwrap()),
        1 => RawClient::new(host).send(&greeting()),
        2 => drop(RawClient::welcomed(host)),
        3 => {
            // Leaves a consumer with an unacknowledged message, and half a call.
            let mut client = RawClient::welcomed(host);
            let consume = [start(14, 1, 1), vec![0, 0, 0, 1, 0, 0, 1, 1, b'q', 0, 0, 0, 0]];
            client.send(&message(&[start(2, 1, 1), vec![0; 9]].concat()));
            client.send(&message(&consume.concat()));
            eventually("a delivery", || {
                broker.queue("q").is_some_and(|queue| queue.unacked.len() == 1)
            });
            client.send(&[1, 20, 12]);
            drop(client);
            eventually("the requeue", || {
                broker.queue("q").is_some_and(|queue| queue.unacked.is_empty())
            });
        }
        _ => {
            let connection = carrot::connect(host.url()).unwrap();
            connection.publisher().queue("q").build().unwrap().send(&[7_u8; 1000][..]).unwrap();
            let consumer = connection.consumer("q").build().unwrap();
            consumer.fetch().unwrap().unwrap().ack().unwrap();
            drop(consumer.fetch().unwrap().unwrap());
        }
    }
}

#[test]
fn two_thousand_connects_and_drops_leave_no_thread_no_file_and_no_memory() {
    const WARM_UP: usize = 200;
    const CONNECTS: usize = 2000;
    let _alone = alone();
    let (broker, host) = host();
    let connection = carrot::connect(host.url()).unwrap();
    connection.publisher().queue("q").build().unwrap().send_all(["a", "b", "c"]).unwrap();
    drop(connection);
    let churn = |count: usize| {
        for number in 0..count {
            come_and_go(&broker, &host, number);
            // The host refuses more than 256 handshakes at once.
            eventually("there is room", || host.connection_count() < 100);
        }
        eventually("all connections end", || host.connection_count() == 0);
        // The threads of the host that accept remain.
        eventually("the threads of connections end", || Held::now().threads <= 4);
    };
    churn(WARM_UP);
    let before = Held::now();
    churn(CONNECTS);
    eventually("all sockets are closed", || Held::now().files <= before.files);
    let after = Held::now();
    assert!(after.threads <= before.threads.max(4), "{before:?}, {after:?}");
    // A buffer of 64 KiB for each connection would be 125 MiB.
    let grown = after.resident_bytes.saturating_sub(before.resident_bytes);
    assert!(grown < 32 << 20, "{before:?}, {after:?}");
    let queue = broker.queue("q").unwrap();
    assert_eq!((queue.ready.len(), queue.unacked.len(), queue.consumers.len()), (3, 0, 0));
    assert_eq!(broker.queues().len(), 1);
    host.stop(SOON).unwrap();
}
