//! The memory of a consumer with automatic acknowledgement that is slower than its queue. The
//! process has no other test, because its memory is measured.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use carrot::{Connection, Message, Queue};

const MESSAGES: u32 = 300;
const MEGABYTE: usize = 1_000_000;
const BOUND: u64 = 32 << 20;
/// For the buffers of the system's allocator and of the socket.
const SLACK: u64 = 32 << 20;
const DEADLINE: Duration = Duration::from_secs(120);

fn connect() -> Connection {
    let url = std::env::var("CARROT_TEST_AMQP_URL")
        .expect("CARROT_TEST_AMQP_URL has to name a broker; ./scripts/test starts one");
    carrot::connect(url).unwrap()
}

fn queue(name: &str) -> Queue {
    let name = format!("carrot-test-automatic-{name}-{}", std::process::id());
    Queue::new(name).expires(Duration::from_secs(300))
}

/// Returns a number of bytes from `/proc/self/status`.
fn status(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    let kilobytes: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kilobytes << 10
}

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen in {DEADLINE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
#[cfg(target_os = "linux")]
fn slow_consumer_holds_a_bounded_number_of_bytes_and_slows_no_other() {
    let connection = connect();
    let (large, small) = (queue("large"), queue("small"));
    let publisher = connection.publisher().queue(&large).build().unwrap();
    let mut body = vec![7; MEGABYTE];
    for number in 0..MESSAGES {
        body[..4].copy_from_slice(&number.to_be_bytes());
        publisher.message().send_bytes(body.clone()).unwrap();
    }
    let publisher = connection.publisher().queue(&small).build().unwrap();
    publisher.send_all(0..10_000).unwrap();
    // Resets the peak.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = status("VmRSS");

    let slow = connection
        .consumer(&large)
        .automatic_acknowledgement()
        .max_held_bytes(BOUND)
        .build()
        .unwrap();
    let arrived = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&arrived);
    let slow_workers = slow
        .workers(1)
        .spawn_raw(move |message: Message| {
            let number = u32::from_be_bytes(message.body()[..4].try_into().unwrap());
            // Counts only what arrives in order.
            let _ =
                counted.compare_exchange(number, number + 1, Ordering::Relaxed, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(10));
        })
        .unwrap();
    let quick = connection.consumer(&small).prefetch(100).build().unwrap();
    let handled = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&handled);
    let quick_workers = quick
        .workers(1)
        .spawn(move |_: u32, _: &Message| {
            counted.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
    eventually("the other consumer is done", || handled.load(Ordering::Relaxed) == 10_000);
    assert!(arrived.load(Ordering::Relaxed) < MESSAGES, "the slow consumer slowed the other");
    eventually("all arrive in order", || arrived.load(Ordering::Relaxed) == MESSAGES);
    let peak = status("VmHWM").saturating_sub(before);
    assert!(peak < BOUND + SLACK, "{} MiB", peak >> 20);
    println!("peak: {} MiB", peak >> 20);
    slow_workers.stop(DEADLINE).unwrap();
    quick_workers.stop(DEADLINE).unwrap();
    connection.close().unwrap();
}
