//! The table of exchanges, temporary queues and single active consumers on a real broker, at the
//! addresses in `CARROT_TEST_ACTIVEMQ_URL` and its relatives.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::env;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use carrot_backend_activemq::ActiveMqConnector;
use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, ConsumeOptions, Content, Declare, Delete,
    DeleteIf, Outcome, Publication,
};
use carrot_core::{Binding, ConnectionOptions, Error, Exchange, Properties, Queue, Result};

const SOON: Duration = Duration::from_secs(20);

fn open(variable: &str) -> Arc<dyn Backend> {
    let url = env::var(variable).unwrap_or_else(|_| panic!("{variable} names a broker"));
    let options: ConnectionOptions = url.parse().unwrap();
    let connector = ActiveMqConnector::new(&options).unwrap();
    connector.open(&ChannelOptions::publish(), SOON).unwrap()
}

/// Opens a channel on a connection of its own.
fn channel() -> Arc<dyn Backend> {
    open("CARROT_TEST_ACTIVEMQ_URL")
}

fn publish(channel: &dyn Backend, content: Content) -> Result<Outcome> {
    let content = Arc::new(content);
    let publication = Publication::new(&content).with_mandatory(true);
    channel.confirm(channel.publish(&publication, SOON)?, SOON)
}

/// Waits for the message at the head of a queue.
fn fetch(channel: &dyn Backend, queue: &str) -> Arc<Content> {
    let deadline = Instant::now() + SOON;
    while Instant::now() < deadline {
        if let Some(delivery) = channel.get(queue, Acknowledgement::Automatic, SOON).unwrap() {
            return delivery.content;
        }
        thread::yield_now();
    }
    panic!("no message in {queue} within {SOON:?}");
}

fn is_empty(channel: &dyn Backend, queue: &str) -> bool {
    channel.get(queue, Acknowledgement::Automatic, SOON).unwrap().is_none()
}

/// Entities with unique names, which are deleted at the end.
struct Entities {
    channel: Arc<dyn Backend>,
    prefix: String,
    queues: Vec<String>,
    exchanges: Vec<String>,
}

impl Entities {
    fn new(test: &str) -> Entities {
        let number = std::process::id();
        let prefix = format!("carrot.test.{test}.{number}");
        Entities { channel: channel(), prefix, queues: Vec::new(), exchanges: Vec::new() }
    }

    fn queue(&mut self, name: &str, adjust: impl FnOnce(Queue) -> Queue) -> String {
        let name = format!("{}.{name}", self.prefix);
        self.queues.push(name.clone());
        self.channel.declare(Declare::Queue(&adjust(Queue::new(&name))), SOON).unwrap();
        name
    }

    fn fanout(&mut self, name: &str) -> String {
        let name = self.exchange_name(name);
        self.channel.declare(Declare::Exchange(&Exchange::fanout(&name)), SOON).unwrap();
        name
    }

    fn exchange_name(&mut self, name: &str) -> String {
        let name = format!("{}.{name}", self.prefix);
        self.exchanges.push(name.clone());
        name
    }

    fn bind(&self, exchange: &str, queue: &str, key: &str) {
        let binding = Binding::queue(exchange, queue, key);
        self.channel.declare(Declare::Binding(&binding), SOON).unwrap();
    }
}

impl Drop for Entities {
    fn drop(&mut self) {
        let channel = channel();
        for name in &self.queues {
            let deletion = Delete::Queue { name, condition: DeleteIf::ALWAYS };
            let _ = channel.delete(deletion, SOON);
        }
        for name in &self.exchanges {
            let deletion = Delete::Exchange { name, condition: DeleteIf::ALWAYS };
            let _ = channel.delete(deletion, SOON);
        }
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn clients_that_declare_at_once_lose_nothing() {
    const CLIENTS: usize = 6;
    const EACH: usize = 5;
    let mut entities = Entities::new("at-once");
    let queue = entities.queue("all", |queue| queue);
    let shared = entities.exchange_name("shared");
    let names: Vec<Vec<String>> = (0..CLIENTS)
        .map(|client| {
            (0..EACH).map(|number| entities.exchange_name(&format!("{client}-{number}"))).collect()
        })
        .collect();
    let barrier = Barrier::new(CLIENTS);
    thread::scope(|scope| {
        for names in &names {
            let (barrier, shared, queue) = (&barrier, &shared, &queue);
            scope.spawn(move || {
                let channel = channel();
                barrier.wait();
                channel.declare(Declare::Exchange(&Exchange::direct(shared)), SOON).unwrap();
                for name in names {
                    channel.declare(Declare::Exchange(&Exchange::fanout(name)), SOON).unwrap();
                    let binding = Binding::queue(name, queue, "");
                    channel.declare(Declare::Binding(&binding), SOON).unwrap();
                }
            });
        }
    });
    let late = channel();
    late.declare(Declare::Exchange(&Exchange::existing(&shared)), SOON).unwrap();
    for name in names.iter().flatten() {
        let outcome = publish(&*late, Content::new(name.as_str(), "", name.as_str())).unwrap();
        assert_eq!(outcome, Outcome::Accepted, "{name}");
    }
    for name in names.iter().flatten() {
        assert_eq!(fetch(&*late, &queue).exchange.as_str(), name);
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn table_of_more_definitions_than_a_browser_sees_is_complete() {
    const BINDINGS: usize = 450;
    let mut entities = Entities::new("many");
    let queue = entities.queue("all", |queue| queue);
    let exchange = entities.exchange_name("direct");
    let channel = Arc::clone(&entities.channel);
    channel.declare(Declare::Exchange(&Exchange::direct(&exchange)), SOON).unwrap();
    (0..BINDINGS).for_each(|number| entities.bind(&exchange, &queue, &number.to_string()));
    let late = self::channel();
    for number in [0, BINDINGS - 1] {
        let content = Content::new(exchange.as_str(), number.to_string(), "x");
        assert_eq!(publish(&*late, content).unwrap(), Outcome::Accepted, "{number}");
        assert_eq!(fetch(&*late, &queue).routing_key.as_str(), number.to_string());
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn binding_is_in_force_for_other_connections_once_bind_returns() {
    let mut entities = Entities::new("in-force");
    let exchange = entities.exchange_name("direct");
    entities.channel.declare(Declare::Exchange(&Exchange::direct(&exchange)), SOON).unwrap();
    let queue = entities.queue("bound", |queue| queue);
    let publisher = channel();
    for key in (0..20).map(|number| number.to_string()) {
        // The publisher knows a table without the binding.
        let content = || Content::new(exchange.as_str(), key.as_str(), "x");
        assert!(matches!(publish(&*publisher, content()).unwrap(), Outcome::Returned { .. }));
        entities.bind(&exchange, &queue, &key);
        assert_eq!(publish(&*publisher, content()).unwrap(), Outcome::Accepted, "{key}");
        assert_eq!(fetch(&*publisher, &queue).routing_key.as_str(), key);
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn one_publication_reaches_queues_of_different_times_to_live() {
    let mut entities = Entities::new("times");
    let exchange = entities.fanout("fanout");
    let short = entities.queue("short", |queue| queue.message_ttl(Duration::from_millis(20)));
    let long = entities.queue("long", |queue| queue.message_ttl(Duration::from_secs(60)));
    let plain = entities.queue("plain", |queue| queue);
    [&short, &long, &plain].iter().for_each(|queue| entities.bind(&exchange, queue, ""));
    let channel = &*entities.channel;
    assert_eq!(
        publish(channel, Content::new(exchange.as_str(), "", "x")).unwrap(),
        Outcome::Accepted
    );
    assert_eq!(fetch(channel, &long).body, *b"x");
    assert_eq!(fetch(channel, &plain).body, *b"x");
    thread::sleep(Duration::from_millis(100));
    assert!(is_empty(channel, &short));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn temporary_queue_is_an_address_for_replies() {
    let mut entities = Entities::new("replies");
    let requests = entities.queue("requests", |queue| queue);
    let requester = channel();
    let replies = requester.declare(Declare::Queue(&Queue::server_named()), SOON).unwrap().name;
    assert!(replies.starts_with("temp-queue://"), "{replies}");
    let properties = Properties::new().with_reply_to(replies.as_str());
    let request = Content::new("", requests.as_str(), "ping").with_properties(properties);
    assert_eq!(publish(&*requester, request).unwrap(), Outcome::Accepted);

    let server = &*entities.channel;
    let address = fetch(server, &requests).properties.reply_to().unwrap().to_string();
    assert_eq!(publish(server, Content::new("", &*address, "pong")).unwrap(), Outcome::Accepted);
    assert_eq!(fetch(&*requester, &replies).body, *b"pong");

    let locked = channel().get(&replies, Acknowledgement::Manual, SOON).unwrap_err();
    assert!(matches!(locked, Error::ResourceLocked { .. }), "{locked:?}");
    drop(requester);
    let deadline = Instant::now() + SOON;
    while publish(server, Content::new("", &*address, "late")).unwrap() == Outcome::Accepted {
        assert!(Instant::now() < deadline, "the queue outlives its connection");
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn one_publication_reaches_temporary_and_named_queues() {
    let mut entities = Entities::new("mixed");
    let exchange = entities.fanout("fanout");
    let named = [entities.queue("a", |queue| queue), entities.queue("b", |queue| queue)];
    let owner = channel();
    let temporary = || owner.declare(Declare::Queue(&Queue::server_named()), SOON).unwrap().name;
    let queues: Vec<String> = named.into_iter().chain([temporary(), temporary()]).collect();
    queues.iter().for_each(|queue| entities.bind(&exchange, queue, ""));
    let content = Content::new(exchange.as_str(), "", "x");
    assert_eq!(publish(&*entities.channel, content).unwrap(), Outcome::Accepted);
    queues.iter().for_each(|queue| assert_eq!(fetch(&*owner, queue).body, *b"x", "{queue}"));
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn bindings_of_a_lost_temporary_queue_are_removed() {
    let mut entities = Entities::new("lost");
    let exchange = entities.exchange_name("auto-delete");
    let definition = Exchange::fanout(&exchange).auto_delete();
    entities.channel.declare(Declare::Exchange(&definition), SOON).unwrap();
    let owner = channel();
    let queue = owner.declare(Declare::Queue(&Queue::server_named()), SOON).unwrap().name;
    entities.bind(&exchange, &queue, "");
    drop(owner);
    let deadline = Instant::now() + SOON;
    // The exchange has no other binding, and deletes itself with the next change of the table.
    loop {
        entities.fanout("other");
        let found = channel().declare(Declare::Exchange(&Exchange::existing(&exchange)), SOON);
        if matches!(found, Err(Error::NotFound { .. })) {
            break;
        }
        assert!(Instant::now() < deadline, "the binding outlives its queue");
        let deletion = Delete::Exchange {
            name: entities.exchanges.last().unwrap(),
            condition: DeleteIf::ALWAYS,
        };
        entities.channel.delete(deletion, SOON).unwrap();
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn calls_are_answered_through_temporary_queues() {
    let mut entities = Entities::new("calls");
    let requests = entities.queue("requests", |queue| queue);
    let connection = carrot::connect(env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap()).unwrap();
    let consumer = connection.consumer(requests.as_str()).build().unwrap();
    let _workers = consumer.serve(1, |number: u64| Ok::<_, String>(3 * number)).unwrap();
    let caller = connection.caller(requests.as_str()).build().unwrap();
    for number in 0..5 {
        assert_eq!(caller.call::<_, u64>(&number, SOON).unwrap(), 3 * number);
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn next_consumer_takes_over_from_a_single_active_one() {
    let mut entities = Entities::new("active");
    let queue = entities.queue("queue", Queue::single_active_consumer);
    let channel = &*entities.channel;
    let consume = || channel.consume(&queue, &ConsumeOptions::default(), SOON).unwrap();
    let (active, waiting) = (consume(), consume());
    let send = |body: &str| {
        let content = Content::new("", queue.as_str(), body.to_string());
        assert_eq!(publish(channel, content).unwrap(), Outcome::Accepted);
    };
    for body in ["a", "b", "c"] {
        send(body);
        let delivery = active.next(SOON).unwrap().unwrap();
        assert_eq!(delivery.content.body, *body.as_bytes());
        channel.ack_all(&[delivery.tag]).unwrap();
    }
    assert!(waiting.next(Duration::from_millis(50)).unwrap().is_none());
    active.cancel(SOON).unwrap();
    send("d");
    assert_eq!(waiting.next(SOON).unwrap().unwrap().content.body, *b"d");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn user_without_the_table_uses_plain_queues_only() {
    let limited = open("CARROT_TEST_ACTIVEMQ_LIMITED_URL");
    let queue = format!("limited.{}", std::process::id());
    limited.declare(Declare::Queue(&Queue::new(&queue)), SOON).unwrap();
    let content = Content::new("", queue.as_str(), "x");
    assert_eq!(publish(&*limited, content).unwrap(), Outcome::Accepted);
    assert_eq!(fetch(&*limited, &queue).body, *b"x");
    let deletion = Delete::Queue { name: &queue, condition: DeleteIf::ALWAYS };
    limited.delete(deletion, SOON).unwrap();

    let refused = limited.declare(Declare::Exchange(&Exchange::direct("limited.x")), SOON);
    let Error::AccessRefused { reason } = refused.unwrap_err() else { panic!("another error") };
    assert!(reason.contains("carrot.routing"), "{reason}");
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn queue_with_the_table_is_closed_to_programs() {
    let names = ["carrot.routing", "carrot.routing\n"];
    for name in names {
        let refused = channel().declare(Declare::Queue(&Queue::new(name)), SOON).unwrap_err();
        assert!(matches!(refused, Error::AccessRefused { .. }), "{refused:?}");
    }
    let refused = channel().get("carrot.routing", Acknowledgement::Manual, SOON).unwrap_err();
    assert!(matches!(refused, Error::AccessRefused { .. }), "{refused:?}");
    let content = Content::new("", "carrot.routing", "damage");
    assert!(matches!(publish(&*channel(), content).unwrap(), Outcome::Returned { .. }));
}
