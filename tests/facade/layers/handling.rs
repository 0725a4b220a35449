use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use carrot::consume::Retry;
use carrot::layers::{HandleLayer, Handled, Next, SettledMessage};
use carrot::{Message, Settlement};

use super::{Calls, Recorder};
use crate::support::{SOON, eventually, queue, ready, unique};

/// Panics, or handles the message itself, as the body asks.
struct Faulty;

impl HandleLayer for Faulty {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        match message.text() {
            Some("panic before") => panic!("before the handler"),
            Some("panic behind") => {
                next.run(message);
                panic!("behind the handler")
            }
            Some("instead") => Handled::settled(Settlement::Reject),
            _ => next.run(message),
        }
    }

    fn after_settle(&self, message: &SettledMessage<'_>) {
        assert_ne!(message.content().body, b"panic after".as_slice());
    }
}

/// Blocks one message until the test continues.
struct Gate {
    reached: mpsc::Sender<()>,
    go: Mutex<mpsc::Receiver<()>>,
}

impl HandleLayer for Gate {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        if message.text() == Some("0") {
            self.reached.send(()).unwrap();
            self.go.lock().unwrap().recv_timeout(SOON).unwrap();
        }
        next.run(message)
    }
}

on_both_backends! {
    fn layers_of_connection_are_outside_those_of_consumer(connection: &Connection) {
        let (queue, calls) = (queue(), Calls::default());
        let recorder = |name| Recorder(name, calls.clone());
        let layered = connection.clone().with_handle_layer(recorder("1")).with_handle_layer(recorder("2"));
        let mut consumer = layered.consumer(&queue).layer(recorder("3")).layer(recorder("4")).build().unwrap();
        let handler = calls.clone();
        consumer.register_callback(move |_: u32, _: &Message| handler.push("handler".into()));
        connection.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
        consumer.handle_next(1).unwrap();
        let expected = [
            "1 in", "2 in", "3 in", "4 in", "handler", "4 out", "3 out", "2 out", "1 out",
            "4 Acknowledged", "3 Acknowledged", "2 Acknowledged", "1 Acknowledged",
        ];
        assert_eq!(calls.take(), expected);
    }

    fn layer_added_once_is_around_sending_and_handling(connection: &Connection) {
        let (queue, calls) = (queue(), Calls::default());
        let recorder = |name| Recorder(name, calls.clone());
        let layered = connection.clone().with_layer(recorder("1")).with_layer(recorder("2"));
        let mut consumer = layered.consumer(&queue).build().unwrap();
        consumer.register_callback(|_: u32, _: &Message| ());
        layered.publisher().queue(&queue).build().unwrap().send(&1).unwrap();
        assert_eq!(calls.take(), ["1 before", "2 before", "2 after: confirmed", "1 after: confirmed"]);
        consumer.handle_next(1).unwrap();
        assert_eq!(calls.take(), ["1 in", "2 in", "2 out", "1 out", "2 Acknowledged", "1 Acknowledged"]);
    }

    #[without_activemq("exclusive")]
    fn attempts_in_process_and_at_broker_call_layers_each_time(connection: &Connection) {
        // Failed messages of an exclusive queue pause in the process.
        let in_process = carrot::Queue::new(unique("exclusive")).exclusive();
        for queue in [in_process, queue()] {
            let calls = Calls::default();
            let mut consumer = connection.consumer(&queue).retry(Retry::fixed(Duration::from_secs(1)).attempts(3)).layer(Recorder("layer", calls.clone())).build().unwrap();
            consumer.register_callback(|_: u32, message: &Message| if message.attempt() < 2 { Err("failed") } else { Ok(()) });
            connection.publisher().routing_key(&*queue.name).build().unwrap().send(&1).unwrap();
            consumer.handle_next(if queue.exclusive { 1 } else { 2 }).unwrap();
            assert_eq!(calls.take(), ["layer in", "layer out", "layer Retried", "layer in", "layer out", "layer Acknowledged"]);
        }
    }

    fn panic_or_refusal_of_layer_costs_its_own_message(connection: &Connection) {
        let (queue, calls) = (queue(), Calls::default());
        let consumer = connection
            .consumer(&queue)
            .retry(Retry::never())
            .discard_failed()
            .layer(Recorder("outer", calls.clone()))
            .layer(Faulty)
            .build()
            .unwrap();
        let handled: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&handled);
        let workers = consumer.workers(1).spawn(move |body: String, _: &Message| seen.lock().unwrap().push(body)).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).codec(carrot::Codec::text()).build().unwrap();
        publisher.send_all(["one", "panic before", "two", "panic behind", "three", "panic after", "instead", "four"]).unwrap();
        eventually("all are settled", || {
            let report = workers.report();
            report.acknowledged + report.discarded + report.rejected == 8
        });
        let first = workers.first_failure().unwrap();
        assert!(first.contains("before the handler"), "{first}");
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.discarded, report.rejected), (5, 2, 1), "{report:?}");
        assert_eq!(*handled.lock().unwrap(), ["one", "two", "panic behind", "three", "panic after", "four"]);
        let settled = |what: &str| calls.0.lock().unwrap().iter().filter(|call| call.contains(what)).count();
        assert_eq!((settled("Acknowledged"), settled("Discarded"), settled("Rejected")), (5, 2, 1));
        assert_eq!(ready(connection, &queue.name), 0);
    }

    fn slow_layer_delays_only_its_own_message(connection: &Connection) {
        let queue = queue();
        let (reached, is_reached) = mpsc::channel();
        let (go, gate) = mpsc::channel();
        let consumer = connection.consumer(&queue).layer(Gate { reached, go: Mutex::new(gate) }).build().unwrap();
        let workers = consumer.workers(2).spawn(|_: u32, _: &Message| ()).unwrap();
        let publisher = connection.publisher().routing_key(&*queue.name).build().unwrap();
        publisher.send(&0).unwrap();
        is_reached.recv_timeout(SOON).unwrap();
        publisher.send_all(1..=50).unwrap();
        eventually("the others are handled", || workers.report().acknowledged == 50);
        go.send(()).unwrap();
        eventually("all are handled", || workers.report().acknowledged == 51);
        workers.stop(SOON).unwrap();
    }
}
