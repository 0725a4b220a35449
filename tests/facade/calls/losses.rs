//! Calls and servers whose connection or broker is lost.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use carrot::config::Role;
use carrot::memory::Broker;
use carrot::{Connection, Error};

use super::{caller, serve_increments};
use crate::support::{SOON, eventually, queue, ready};

on_both_breakable! {
    fn request_of_a_lost_server_is_answered_by_another(broker: Breakable) {
        let queue = queue();
        let (started, has_started) = channel();
        let (release, released) = channel::<()>();
        let (started, released) = (Mutex::new(started), Mutex::new(released));
        let stuck = move |number: u64| {
            let _ = started.lock().unwrap().send(());
            let _ = released.lock().unwrap().recv_timeout(SOON);
            Ok::<_, Error>(number + 1000)
        };
        let lost = broker.connection.consumer(queue.clone()).prefetch(1).build().unwrap();
        let lost = lost.serve(1, stuck).unwrap();
        let caller = caller(&broker.onlooker, &queue);
        let call = thread::spawn(move || caller.call::<_, u64>(&1, SOON));
        has_started.recv_timeout(SOON).unwrap();
        let server = serve_increments(&broker.onlooker, &queue);
        broker.take_away();
        assert_eq!(call.join().unwrap().unwrap(), 2);
        assert_eq!(server.stop(SOON).unwrap().acknowledged, 1);
        release.send(()).unwrap();
        drop(lost);
    }

    fn call_that_waits_while_its_connection_is_lost_fails_and_the_next_succeeds(
        broker: Breakable
    ) {
        let queue = queue();
        broker.onlooker.declare_queue(queue.clone()).unwrap();
        let caller = caller(&broker.connection, &queue);
        let waiting = caller.clone();
        let call = thread::spawn(move || waiting.call::<_, u64>(&1, Duration::from_secs(60)));
        eventually("the request", || ready(&broker.onlooker, &queue.name) == 1);
        broker.cut();
        let error = call.join().unwrap().unwrap_err();
        assert!(matches!(error, Error::Disconnected { .. }), "{error:?}");
        assert!(error.to_string().contains("may have been handled"), "{error}");
        // The request is not sent again.
        assert_eq!(ready(&broker.onlooker, &queue.name), 1);
        let _server = serve_increments(&broker.onlooker, &queue);
        assert_eq!(caller.call::<_, u64>(&7, SOON).unwrap(), 8);
    }

    fn idle_caller_survives_a_lost_connection(broker: Breakable) {
        let queue = queue();
        let _server = serve_increments(&broker.onlooker, &queue);
        let caller = caller(&broker.connection, &queue);
        let (lost, losses) = channel();
        broker.connection.on_disconnect(move |role, _| {
            if role == Role::Publish {
                let _ = lost.send(());
            }
        });
        for number in 0..5 {
            assert_eq!(caller.call::<_, u64>(&number, SOON).unwrap(), number + 1);
            broker.cut();
            losses.recv_timeout(SOON).unwrap();
        }
    }

    fn call_without_a_broker_ends_at_its_deadline(broker: Breakable) {
        let queue = queue();
        let caller = caller(&broker.connection, &queue);
        broker.take_away();
        let started = Instant::now();
        let error = caller.call::<_, u64>(&1, Duration::from_millis(700)).unwrap_err();
        let took = started.elapsed();
        assert!(matches!(error, Error::Connect { .. } | Error::Disconnected { .. }), "{error:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
        broker.bring_back();
        let _server = serve_increments(&broker.onlooker, &queue);
        assert_eq!(caller.call::<_, u64>(&1, SOON).unwrap(), 2);
    }

    fn calls_survive_servers_that_stop(broker: Breakable) {
        let queue = queue();
        let caller = caller(&broker.onlooker, &queue);
        let mut server = serve_increments(&broker.connection, &queue);
        let caller = &caller;
        thread::scope(|scope| {
            let threads: Vec<_> = (0..4_u64)
                .map(|thread| {
                    scope.spawn(move || {
                        for number in (0..50).map(|call| thread * 100 + call) {
                            assert_eq!(caller.call::<_, u64>(&number, SOON).unwrap(), number + 1);
                        }
                    })
                })
                .collect();
            while !threads.iter().all(|thread| thread.is_finished()) {
                let next = serve_increments(&broker.connection, &queue);
                drop(std::mem::replace(&mut server, next));
            }
        });
    }

    fn answer_in_flight_survives_the_loss_of_the_servers_connection(broker: Breakable) {
        let queue = queue();
        let server = serve_increments(&broker.connection, &queue);
        let caller = caller(&broker.onlooker, &queue);
        assert_eq!(caller.call::<_, u64>(&0, SOON).unwrap(), 1);
        thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=50_u64 {
                    assert_eq!(caller.call::<_, u64>(&number, SOON).unwrap(), number + 1);
                }
            });
            for _ in 0..3 {
                let before = server.report().acknowledged;
                eventually("more answers", || {
                    let report = server.report();
                    report.acknowledged >= (before + 5).min(50)
                });
                broker.cut();
            }
        });
    }
}

#[test]
fn call_under_an_alarm_ends_at_its_deadline() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let queue = queue();
    let _server = serve_increments(&connection, &queue);
    let caller = caller(&connection, &queue);
    broker.faults().block_publishers("low on memory");
    let error = caller.call::<_, u64>(&1, Duration::from_millis(300)).unwrap_err();
    assert!(matches!(error, Error::Blocked { .. }), "{error:?}");
    broker.faults().unblock_publishers();
    assert_eq!(caller.call::<_, u64>(&1, SOON).unwrap(), 2);
}

#[test]
fn call_to_a_dead_port_ends_at_its_own_deadline() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let connection = carrot::connect_lazily(format!("amqp://127.0.0.1:{port}")).unwrap();
    let caller = connection.caller("rates").build().unwrap();
    let started = Instant::now();
    let error = caller.call::<_, u64>(&1, Duration::from_millis(500)).unwrap_err();
    let took = started.elapsed();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains(&port.to_string()), "{error}");
    assert!((450..2500).contains(&took.as_millis()), "{took:?}");
}
