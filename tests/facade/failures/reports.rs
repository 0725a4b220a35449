//! A report counts settlements that reached the broker.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::memory::Broker;
use carrot::{Connection, Message};

use super::with_parking;
use crate::support::{SOON, eventually, queue, ready};

#[test]
fn late_acknowledgement_is_not_counted() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let consumer = connection.consumer("orders").build().unwrap();
    let cutting = broker.clone();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
        if !message.is_redelivered() {
            cutting.faults().drop_connections();
        }
        sender.send(()).unwrap();
    });
    let workers = workers.unwrap();
    connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    handled.recv_timeout(SOON).unwrap();
    handled.recv_timeout(SOON).unwrap();
    eventually("both attempts are counted", || {
        workers.report().acknowledged + workers.report().stale == 2
    });
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.acknowledged, report.stale), (1, 1));
}

#[test]
fn failure_on_lost_channel_sends_no_copy() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    let consumer = connection.consumer("orders").build().unwrap();
    // Confirmed before the cut, or it would be sent again.
    connection.publisher().routing_key("orders").build().unwrap().send("x").unwrap();
    let cutting = broker.clone();
    let (sender, handled) = mpsc::channel();
    let workers = consumer.workers(1).spawn(move |_: String, message: &Message| {
        sender.send(message.attempt()).unwrap();
        if message.is_redelivered() {
            return Ok(());
        }
        cutting.faults().drop_connections();
        Err("cut")
    });
    let workers = workers.unwrap();
    assert_eq!((handled.recv_timeout(SOON), handled.recv_timeout(SOON)), (Ok(1), Ok(2)));
    eventually("the second is acknowledged", || workers.report().acknowledged == 1);
    let report = workers.stop(SOON).unwrap();
    assert_eq!((report.failed, report.stale, report.retried), (1, 1, 0));
    assert!(broker.queue("orders.retry.v1.1s").is_none());
}

on_both_backends! {
    fn requeued_message_is_counted_once(connection: &Connection) {
        const MESSAGES: u32 = 12;
        let queue = queue();
        let consumer = connection.consumer(&queue).prefetch(MESSAGES as u16).build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..MESSAGES).unwrap();
        let (started_sender, started) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let workers = consumer.workers(3).spawn(move |_: u32, _message: &Message| {
            started_sender.send(()).unwrap();
            let _ = gate.lock().unwrap().recv();
        }).unwrap();
        (0..3).for_each(|_| started.recv_timeout(SOON).unwrap());
        // All of them have arrived once none is ready.
        eventually("all have arrived", || ready(connection, &queue.name) == 0);
        let stop = workers.stop_handle();
        let stopping = std::thread::spawn(move || workers.stop(SOON).unwrap());
        eventually("the stop is known", || stop.is_stopped());
        eventually("what nobody handles is back before the handlers have finished", || ready(connection, &queue.name) == MESSAGES - 3);
        drop(go);
        let report = stopping.join().unwrap();
        assert_eq!((report.acknowledged, report.requeued_unhandled, report.lost), (3, u64::from(MESSAGES) - 3, 0));
        assert_eq!(ready(connection, &queue.name), MESSAGES - 3);
    }

    fn automatic_acknowledgement_counts_lost_messages(connection: &Connection) {
        const MESSAGES: u32 = 20;
        let (queue, parking) = with_parking();
        let consumer = connection.consumer(&queue).automatic_acknowledgement().build().unwrap();
        connection.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..MESSAGES).unwrap();
        let (started_sender, started) = mpsc::channel();
        let (go, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let workers = consumer.workers(1).spawn(move |number: u32, _message: &Message| {
            started_sender.send(()).unwrap();
            if number == 0 {
                return Err("the first fails");
            }
            let _ = gate.lock().unwrap().recv_timeout(SOON);
            Ok(())
        }).unwrap();
        (0..2).for_each(|_| started.recv_timeout(SOON).unwrap());
        let stop = workers.stop_handle();
        let stopping = std::thread::spawn(move || workers.stop(SOON).unwrap());
        eventually("the stop is known", || stop.is_stopped());
        std::thread::sleep(Duration::from_millis(1));
        drop(go);
        let report = stopping.join().unwrap();
        assert_eq!((report.acknowledged, report.failed, report.requeued_unhandled), (1, 1, 0));
        assert_eq!(report.lost, u64::from(MESSAGES) - 1, "the one that failed, and those that nobody handled");
        assert!(connection.declare_queue(carrot::Queue::existing(&*parking)).is_err());
    }
}
