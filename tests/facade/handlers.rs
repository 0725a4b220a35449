use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use carrot::{
    Connection, ConnectionOptions, Consumer, Error, Message, Publisher, Queue, Workers,
    consume::Report,
};

use crate::support::{SOON, eventually, queue, rabbitmq_url, unique};

const THREADS: usize = 4;

/// Turns each function into a test on a named in-process broker, one on Carrot's server, one on a
/// ZeroMQ host, one on RabbitMQ and one on ActiveMQ. The attributes have the meaning of
/// [`on_both_backends`]. The function opens connections of its own.
macro_rules! on_both_urls {
    ($(
        $(#[without_activemq($lack:literal)])?
        $(#[differs_on_activemq($difference:ident)])?
        fn $name:ident($options:ident: &ConnectionOptions) $body:block
    )*) => {
        $(fn $name($options: &ConnectionOptions) $body)*

        mod memory {
            $(#[test]
            fn $name() {
                super::$name(&super::ConnectionOptions::memory_named(super::unique("broker")));
            })*
        }

        mod server {
            $(#[test]
            fn $name() {
                let broker = crate::remote_broker::RemoteBroker::on_server();
                super::$name(&broker.options());
            })*
        }

        mod zeromq {
            $(#[test]
            fn $name() {
                let broker = crate::remote_broker::RemoteBroker::on_host();
                super::$name(&broker.options());
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::$name(&super::rabbitmq_url().parse().unwrap());
            })*
        }

        mod activemq {
            $(#[test]
            #[ignore = "needs ActiveMQ: run ./scripts/test"]
            fn $name() {
                crate::on_activemq::on_activemq(expected!($($lack)? $($difference)?), || {
                    super::$name(&crate::on_activemq::activemq_url().parse().unwrap());
                });
            })*
        }
    };
}

/// The smallest frames: RabbitMQ accepts no smaller ones since 4.1.
fn smallest(options: &ConnectionOptions) -> ConnectionOptions {
    options.clone().frame_max(8192).call_timeout(SOON)
}

/// Returns the result of `work`, which must return within `SOON`.
#[track_caller]
fn soon<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, done) = mpsc::channel();
    thread::spawn(move || sender.send(work()));
    done.recv_timeout(SOON).unwrap_or_else(|_| panic!("{what} is not done in {SOON:?}"))
}

fn join(workers: Workers) -> carrot::Result<Report> {
    soon("joining the workers", || workers.join())
}

on_both_urls! {
    fn publish_from_all_workers_with_smallest_buffers_does_not_deadlock(options: &ConnectionOptions) {
        const HOPS: u32 = 25;
        const MESSAGES: u32 = 8;
        let connection = carrot::connect(smallest(options)).unwrap();
        let queue = queue();
        let consumer = connection.consumer(&queue).prefetch(1).build().unwrap();
        let publisher =
            connection.publisher().routing_key(&*queue.name).max_in_flight(1).max_bytes_in_flight(1).send_timeout(SOON).build().unwrap();
        let (sender, arrived) = mpsc::channel();
        let again = publisher.clone();
        // Each message circulates, with a body of several frames, through the queue of its worker.
        let workers = consumer.workers(THREADS).spawn(move |(hops, padding): (u32, String), _message: &Message| {
            if hops == 0 { sender.send(()).map_err(|error| error.to_string()) } else { again.send(&(hops - 1, padding)).map_err(|error| error.to_string()) }
        }).unwrap();
        for _ in 0..MESSAGES {
            publisher.send(&(HOPS, "x".repeat(10_000))).unwrap();
        }
        for _ in 0..MESSAGES {
            arrived.recv_timeout(SOON).unwrap();
        }
        let report = workers.stop(SOON).unwrap();
        assert_eq!((report.acknowledged, report.failed), (u64::from(MESSAGES * (HOPS + 1)), 0));
    }

    fn confirmations_from_all_workers_with_smallest_window_do_not_deadlock(options: &ConnectionOptions) {
        let connection = carrot::connect(smallest(options)).unwrap();
        let (from, to) = (queue(), queue());
        connection.declare_queue(&to).unwrap();
        let consumer = connection.consumer(&from).prefetch(1).build().unwrap();
        let publisher = connection.publisher().routing_key(&*to.name).max_in_flight(1).max_bytes_in_flight(1).send_timeout(SOON).build().unwrap();
        let held = Arc::new(Mutex::new(Vec::new()));
        let receipts = Arc::clone(&held);
        let (sender, handled) = mpsc::channel();
        let workers = consumer.workers(THREADS).spawn(move |number: u32, _message: &Message| {
            let receipt = publisher.publish(&number).unwrap();
            receipts.lock().unwrap().push(receipt);
            publisher.flush().unwrap();
            sender.send(()).unwrap();
        }).unwrap();
        connection.publisher().routing_key(&*from.name).build().unwrap().send_all(0..100).unwrap();
        for _ in 0..100 {
            handled.recv_timeout(SOON).unwrap();
        }
        for receipt in held.lock().unwrap().drain(..) {
            receipt.wait().unwrap();
        }
        assert_eq!(workers.stop(SOON).unwrap().acknowledged, 100);
    }

    fn connection_close_from_all_handlers_does_not_deadlock(options: &ConnectionOptions) {
        let outer = carrot::connect(options.clone()).unwrap();
        let queue = queue();
        outer.declare_queue(&queue).unwrap();
        outer.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..20).unwrap();
        let connection = carrot::connect(smallest(options)).unwrap();
        let consumer = connection.consumer(&queue).prefetch(1).build().unwrap();
        let publisher = connection.publisher().routing_key("nobody").max_in_flight(1).build().unwrap();
        let (sender, closed) = mpsc::channel();
        let closing = connection.clone();
        let workers = consumer.workers(THREADS).spawn(move |_number: u32, _message: &Message| {
            let result = closing.close();
            sender.send((result, publisher.send("x"))).unwrap();
        }).unwrap();
        let (result, sent) = closed.recv_timeout(SOON).unwrap();
        result.unwrap();
        assert!(matches!(sent, Err(Error::Closed { .. })), "{sent:?}");
        let ended = join(workers);
        assert!(matches!(ended, Ok(_) | Err(Error::Closed { .. })), "{ended:?}");
        assert!(matches!(connection.open(), Err(Error::Closed { .. })));
        eventually("all messages are back", || {
            let queue = outer.declare_queue(Queue::existing(&*queue.name)).unwrap();
            (queue.message_count, queue.consumer_count) == (20, 0)
        });
    }

    fn close_from_handler_does_not_deadlock(options: &ConnectionOptions) {
        let connection = carrot::connect(smallest(options)).unwrap();
        let queue = queue();
        let consumer = Arc::new(connection.consumer(&queue).prefetch(1).build().unwrap());
        let publisher = connection.publisher().routing_key(&*queue.name).max_in_flight(1).build().unwrap();
        publisher.send_all(0..20).unwrap();
        let (sender, closed) = mpsc::channel();
        let own = Arc::clone(&consumer);
        let workers = consumer.workers(THREADS).spawn(move |_number: u32, _message: &Message| {
            let results = [publisher.flush(), publisher.close(), own.stop(), own.close()];
            sender.send(results).unwrap();
        }).unwrap();
        let results = closed.recv_timeout(SOON).unwrap();
        assert!(results.iter().all(|result| matches!(result, Ok(()) | Err(Error::Closed { .. }))), "{results:?}");
        let ended = join(workers);
        assert!(matches!(ended, Ok(_) | Err(Error::Closed { .. })), "{ended:?}");
        eventually("the consumer is gone", || connection.declare_queue(Queue::existing(&*queue.name)).unwrap().consumer_count == 0);
    }

    fn drop_of_last_handles_in_handler_does_not_deadlock(options: &ConnectionOptions) {
        let outer = carrot::connect(options.clone()).unwrap();
        for order in 0..3 {
            let queue = queue();
            outer.declare_queue(&queue).unwrap();
            outer.publisher().routing_key(&*queue.name).build().unwrap().send_all(0..20).unwrap();
            let connection = carrot::connect(smallest(options)).unwrap();
            let consumer = connection.consumer(&queue).prefetch(1).build().unwrap();
            let publisher = connection.publisher().routing_key("nobody").max_in_flight(1).build().unwrap();
            let handles = Arc::new(Mutex::new(None::<(Connection, Consumer, Publisher, Workers)>));
            let last = Arc::clone(&handles);
            let (go, gate) = mpsc::channel::<()>();
            let gate = Mutex::new(gate);
            let (sender, dropped) = mpsc::channel();
            let workers = consumer.workers(THREADS).spawn(move |_number: u32, _message: &Message| {
                let _ = gate.lock().unwrap().recv();
                let Some((connection, consumer, publisher, workers)) = last.lock().unwrap().take() else { return };
                drop(publisher.publish("unconfirmed"));
                match order {
                    0 => drop((workers, consumer, publisher, connection)),
                    1 => drop((connection, publisher, consumer, workers)),
                    _ => drop((consumer, connection, workers, publisher)),
                }
                sender.send(()).unwrap();
            }).unwrap();
            *handles.lock().unwrap() = Some((connection, consumer, publisher, workers));
            drop(go);
            dropped.recv_timeout(SOON).unwrap();
            eventually("the consumer is gone", || {
                let queue = outer.declare_queue(Queue::existing(&*queue.name)).unwrap();
                queue.consumer_count == 0 && queue.message_count > 0
            });
        }
    }

    fn drop_of_handles_in_handlers_does_not_deadlock(options: &ConnectionOptions) {
        let outer = carrot::connect(options.clone()).unwrap();
        let queue = queue();
        let mut consumer = outer.consumer(&queue).prefetch(1).build().unwrap();
        let publisher = outer.publisher().routing_key(&*queue.name).build().unwrap();
        let own = smallest(options);
        // Each call opens a connection, a consumer and a publisher, and drops them, on the thread
        // of a handler.
        consumer.register_callback(move |number: u32, _message: &Message| {
            let connection = carrot::connect(own.clone()).unwrap();
            let inner = connection.consumer(Queue::server_named()).prefetch(1).build().unwrap();
            let publisher = connection.publisher().routing_key(inner.queue().unwrap()).max_in_flight(1).build().unwrap();
            let workers = inner.workers(1).spawn(|_: u32, _message: &Message| ()).unwrap();
            publisher.send(&number).unwrap();
            drop(inner);
            drop(connection);
            publisher.send(&number).unwrap();
            drop(workers);
        });
        publisher.send_all(0..10).unwrap();
        let report = soon("waiting for ten messages", move || consumer.handle_next(10)).unwrap();
        assert_eq!(report.acknowledged, 10);
    }
}

#[test]
fn stop_from_own_handler_returns_at_its_timeout() {
    let connection = carrot::connect("memory://").unwrap();
    let consumer = connection.consumer("queue").build().unwrap();
    let handles = Arc::new(Mutex::new(None));
    let own = Arc::clone(&handles);
    let (sender, stopped) = mpsc::channel();
    let (go, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let workers = consumer.workers(1).spawn(move |_: u32, _message: &Message| {
        let _ = gate.lock().unwrap().recv();
        let workers: Workers = own.lock().unwrap().take().unwrap();
        sender.send(workers.stop(Duration::from_millis(50))).unwrap();
    });
    *handles.lock().unwrap() = Some(workers.unwrap());
    connection.publisher().routing_key("queue").build().unwrap().send(&1).unwrap();
    drop(go);
    assert_eq!(stopped.recv_timeout(SOON).unwrap().unwrap().unfinished, 1);
}
