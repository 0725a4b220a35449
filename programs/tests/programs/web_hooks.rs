use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use carrot::memory::Broker;
use carrot::{Connection, ConnectionOptions, Queue};
use carrot_faults::BrokerNode;
use carrot_programs::web_hooks::{self, BOUND};
use tiny_http::Server;

use crate::support::{Program, Queues, eventually, ready, request, unique};

const QUEUE: &str = "hooks";
/// The threads that send web hooks.
const SENDERS: usize = 12;
/// The time that a busy machine adds to an answer.
const SLACK: Duration = Duration::from_secs(2);

/// The receiver in this process.
struct Receiver {
    server: Arc<Server>,
    address: String,
    serving: Option<JoinHandle<()>>,
}

impl Receiver {
    fn start(connection: &Connection) -> Receiver {
        let server = Arc::new(Server::http("127.0.0.1:0").unwrap());
        let address = server.server_addr().to_string();
        let hooks = connection.publisher().queue(QUEUE).build().unwrap();
        let (serving, connection) = (Arc::clone(&server), connection.clone());
        let serving = thread::spawn(move || web_hooks::serve(&serving, &connection, &hooks));
        Receiver { server, address, serving: Some(serving) }
    }

    fn is_ready(&self) -> bool {
        request(&self.address, "GET", "/ready", "", "").unwrap().0 == 200
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.unblock();
        let _ = self.serving.take().map(JoinHandle::join);
    }
}

/// The answer to a web hook.
struct Answered {
    id: String,
    status: u16,
    after: Duration,
}

/// Threads that send web hooks one after another.
struct Senders {
    answers: Arc<Mutex<Vec<Answered>>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Senders {
    fn start(address: &str) -> Senders {
        let answers: Arc<Mutex<Vec<Answered>>> = Arc::default();
        let stop: Arc<AtomicBool> = Arc::default();
        let send = |sender: usize| {
            let (address, answers, stop) =
                (address.to_string(), Arc::clone(&answers), Arc::clone(&stop));
            thread::spawn(move || {
                for number in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let (id, started) = (format!("{sender}-{number}"), Instant::now());
                    let headers = format!("X-Hook-Id: {id}\r\n");
                    let (status, _) = request(&address, "POST", "/shop", &headers, &id).unwrap();
                    answers.lock().unwrap().push(Answered { id, status, after: started.elapsed() });
                }
            })
        };
        Senders { threads: (0..SENDERS).map(send).collect(), answers, stop }
    }

    fn number(&self, status: u16) -> usize {
        self.answers.lock().unwrap().iter().filter(|answer| answer.status == status).count()
    }

    /// Waits for this number of further answers.
    #[track_caller]
    fn wait_for(&self, further: usize, status: u16) {
        let now = self.number(status);
        eventually(&format!("{further} answers {status}"), || self.number(status) >= now + further);
    }

    fn finish(self) -> Vec<Answered> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        Arc::into_inner(self.answers).unwrap().into_inner().unwrap()
    }
}

/// The ways in which a broker fails.
enum Fault {
    Stopped,
    Blocked,
}

/// Stops and blocks the broker under load. `fault` begins or ends a fault, `onlooker` has a
/// connection that no fault affects.
fn fail_under_load(
    connection: &Connection,
    onlooker: impl Fn() -> Connection,
    fault: impl Fn(&Fault, bool),
) {
    let receiver = Receiver::start(connection);
    eventually("the receiver is ready", || receiver.is_ready());
    let senders = Senders::start(&receiver.address);
    senders.wait_for(100, 202);
    for kind in [Fault::Stopped, Fault::Blocked] {
        fault(&kind, true);
        senders.wait_for(2 * SENDERS, 503);
        assert!(!receiver.is_ready());
        fault(&kind, false);
        eventually("the receiver is ready again", || receiver.is_ready());
        senders.wait_for(100, 202);
    }
    let answers = senders.finish();
    drop(receiver);

    let others = answers.iter().filter(|answer| ![202, 503].contains(&answer.status));
    assert_eq!(others.count(), 0);
    let slowest = answers.iter().map(|answer| answer.after).max().unwrap();
    assert!(slowest < BOUND + SLACK, "the slowest answer took {slowest:?}");
    let stored = stored(&onlooker());
    let accepted: Vec<&Answered> = answers.iter().filter(|answer| answer.status == 202).collect();
    let lost = accepted.iter().filter(|answer| !stored.contains(&answer.id)).count();
    assert_eq!(lost, 0, "of {} accepted web hooks", accepted.len());
    println!("{} answers, {} accepted, the slowest {slowest:?}", answers.len(), accepted.len());
}

/// The ids of the stored web hooks.
fn stored(connection: &Connection) -> BTreeSet<String> {
    let consumer = connection.consumer(Queue::existing(QUEUE)).prefetch(1000).build().unwrap();
    let mut messages = consumer.messages().unwrap().timeout(Duration::from_secs(2));
    let mut ids = BTreeSet::new();
    while let Some(message) = messages.next().transpose().unwrap() {
        assert_eq!(message.body(), message.id().unwrap().as_bytes());
        ids.insert(message.id().unwrap().to_string());
        message.ack().unwrap();
    }
    ids
}

#[test]
fn broker_stopped_or_blocked_under_load_loses_no_accepted_hook() {
    let broker = Broker::new();
    let connection = Connection::new(broker.connector());
    fail_under_load(
        &connection,
        || Connection::new(broker.connector()),
        |fault, begins| {
            match (fault, begins) {
                (Fault::Stopped, true) => {
                    broker.faults().refuse_connects(u32::MAX).drop_connections()
                }
                (Fault::Stopped, false) => broker.faults().clear(),
                (Fault::Blocked, true) => broker.faults().block_publishers("low on memory"),
                (Fault::Blocked, false) => broker.faults().unblock_publishers(),
            };
        },
    );
}

#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn rabbitmq_killed_or_blocked_under_load_loses_no_accepted_hook() {
    let node = BrokerNode::start().unwrap();
    carrot::connect(node.options()).unwrap().declare_queue(QUEUE).unwrap();
    node.write_declarations().unwrap();
    let connection = carrot::connect_lazily(node.options()).unwrap();
    fail_under_load(
        &connection,
        || carrot::connect(node.options()).unwrap(),
        |fault, begins| match (fault, begins) {
            (Fault::Stopped, true) => node.kill().unwrap(),
            (Fault::Stopped, false) => node.restart().unwrap(),
            (Fault::Blocked, begins) => node.alarm(begins).unwrap(),
        },
    );
}

#[test]
fn request_that_cannot_be_stored_is_refused() {
    let connection = carrot::connect("memory://").unwrap();
    let receiver = Receiver::start(&connection);
    let answer = |method, path, headers: &str, body: &str| {
        request(&receiver.address, method, path, headers, body).unwrap().0
    };
    assert_eq!(answer("GET", "/", "", ""), 405);
    assert_eq!(answer("POST", "/", "", &"x".repeat(256 * 1024 + 1)), 413);
    let long_id = format!("X-Hook-Id: {}\r\n", "x".repeat(256));
    assert_eq!(answer("POST", "/", &long_id, "body"), 400);
    assert_eq!(ready(&connection, QUEUE), 0);

    assert_eq!(answer("POST", "/shop", "Content-Type: text/plain\r\n", "body"), 202);
    let consumer = connection.consumer(QUEUE).build().unwrap();
    let message = consumer.fetch().unwrap().unwrap();
    assert_eq!(
        (message.text(), message.properties().content_type()),
        (Some("body"), Some("text/plain"))
    );
    assert_eq!(message.header("path").and_then(|path| path.as_str()), Some("/shop"));
}

on_both_backends! {
    fn receiver_terminated_ends_gracefully(url: &str) {
        let path = env!("CARGO_BIN_EXE_web_hooks");
        let queue = unique("hooks");
        // The process has a memory broker of its own.
        let names = if url.starts_with("memory") { Vec::new() } else { vec![queue.clone()] };
        let queues = Queues { connection: carrot::connect(url).unwrap(), names };
        let mut program = Program::start(path, url, &["127.0.0.1:0", &queue], "web hooks at");
        let line = program.line("http://");
        let (_, address) = line.split_once("http://").unwrap();
        eventually("the receiver is ready", || {
            request(address, "GET", "/ready", "", "").unwrap().0 == 200
        });
        assert_eq!(request(address, "POST", "/", "", "a hook").unwrap().0, 202);
        let printed = program.terminate();
        assert!(printed.ends_with("each accepted web hook is stored"), "{printed}");
        for queue in &queues.names {
            assert_eq!(ready(&queues.connection, queue), 1);
        }
    }
}

/// A program that starts without a broker answers 503 in time, and works once the broker is there.
#[test]
fn receiver_without_broker_answers_in_time() {
    let broker = Broker::new();
    broker.faults().refuse_connects(u32::MAX);
    let connection = Connection::lazy(broker.connector(), &ConnectionOptions::memory());
    let receiver = Receiver::start(&connection);
    let started = Instant::now();
    assert_eq!(request(&receiver.address, "POST", "/", "", "a hook").unwrap().0, 503);
    assert!(started.elapsed() < BOUND + SLACK);
    broker.faults().clear();
    eventually("the receiver is ready", || receiver.is_ready());
    assert_eq!(request(&receiver.address, "POST", "/", "", "a hook").unwrap().0, 202);
}
