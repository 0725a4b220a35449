//! Messages that wait in the scheduler of a broker, and brokers without one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use carrot::activemq::ActiveMqConnector;
use carrot::backend::{ChannelOptions, Connector, Content, Declare, Publication};
use carrot::consume::Retry;
use carrot::{Binding, Error, Exchange, Message, Queue};
use carrot_faults::eventually;

use crate::process::{OwnBroker, SOON};

const MESSAGES: u32 = 200;
const QUEUE: &str = "jobs";

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn killed_broker_loses_no_delayed_message() {
    let broker = OwnBroker::start(&[]);
    let connection = carrot::connect(broker.options()).unwrap();
    // A message for several queues is one transaction of several scheduled messages.
    let queues = ["one", "other"];
    let exchange = Exchange::fanout("both");
    connection.declare_exchange(&exchange).unwrap();
    for queue in queues {
        connection.declare_queue(queue).unwrap();
        connection.bind(&Binding::queue("both", queue, "")).unwrap();
    }
    let publisher = connection.publisher().exchange(&exchange).build().unwrap();
    // Longer than all confirms and the kill.
    let delay = Duration::from_secs(6);
    let sent = (0..MESSAGES).map(|number| publisher.message().delay(delay).publish(&number));
    let sent: Vec<_> = sent.map(Result::unwrap).collect();
    sent.into_iter().for_each(|confirmation| confirmation.wait().unwrap());
    broker.kill();
    broker.restart();
    for queue in queues {
        let consumer = connection.consumer(queue).build().unwrap();
        let mut received = BTreeMap::<u32, u32>::new();
        for message in consumer.messages().unwrap().timeout(SOON) {
            let message = message.unwrap();
            *received.entry(message.decode().unwrap()).or_default() += 1;
            message.ack().unwrap();
            if received.len() == MESSAGES as usize {
                break;
            }
        }
        assert_eq!(received.len(), MESSAGES as usize, "messages are lost");
    }
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn killed_broker_loses_no_failed_message_that_waits() {
    let broker = OwnBroker::start(&[]);
    let connection = carrot::connect(broker.options()).unwrap();
    let publisher = connection.publisher().queue(QUEUE).build().unwrap();
    let retry = Retry::fixed(Duration::from_secs(3)).attempts(3);
    let consumer = connection.consumer(QUEUE).retry(retry).build().unwrap();
    let attempts = Arc::new(Mutex::new(BTreeMap::<u32, Vec<u32>>::new()));
    let noted = Arc::clone(&attempts);
    let workers = consumer.workers(2).spawn(move |number: u32, message: &Message| {
        let attempt = message.attempt();
        noted.lock().unwrap().entry(number).or_default().push(attempt);
        if attempt == 1 { Err("not yet") } else { Ok(()) }
    });
    let workers = workers.unwrap();
    (0..MESSAGES).for_each(|number| drop(publisher.publish(&number).unwrap()));
    // A busy broker may answer too late, and a message then pauses in the process.
    let consuming = || connection.statistics().consuming;
    let failed = || consuming().retried + consuming().paused;
    assert!(eventually(SOON, || failed() >= u64::from(MESSAGES)), "{:?}", consuming());
    assert!(consuming().retried > 0);
    broker.kill();
    broker.restart();
    let is_handled = |attempts: &BTreeMap<u32, Vec<u32>>| {
        attempts.values().filter(|all| all.contains(&2)).count()
    };
    let handled = || is_handled(&attempts.lock().unwrap());
    assert!(eventually(SOON, || handled() == MESSAGES as usize), "{} of {MESSAGES}", handled());
    drop(workers);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn broker_without_a_scheduler_refuses_delays_by_name() {
    let broker = OwnBroker::start(&["--without-scheduler"]);
    let connection = carrot::connect(broker.options()).unwrap();
    let publisher = connection.publisher().queue(QUEUE).build().unwrap();
    let delay = Duration::from_secs(60);
    let refused = publisher.message().delay(delay).send("x").unwrap_err();
    let connector = ActiveMqConnector::new(&broker.options()).unwrap();
    let channel = connector.open(&ChannelOptions::publish(), SOON).unwrap();
    assert!(!connector.capabilities().delayed_publish);
    let content = Arc::new(Content::new("", QUEUE, "x"));
    let publication = Publication::new(&content).with_delay(delay);
    let also_refused = channel.publish(&publication, SOON).unwrap_err();
    for error in [refused, also_refused] {
        let Error::Invalid { field, limit, .. } = &error else { panic!("{error:?}") };
        assert_eq!(field, "delay");
        assert!(limit.contains("schedulerSupport"), "{limit}");
    }
    // Nothing was delivered at once.
    let existing = Queue::existing(QUEUE);
    let found = channel.declare(Declare::Queue(&existing), SOON).unwrap();
    assert_eq!(found.message_count, 0);
}

#[test]
#[ignore = "needs ActiveMQ: run ./scripts/test"]
fn failed_message_pauses_in_the_process_without_a_scheduler() {
    let broker = OwnBroker::start(&["--without-scheduler"]);
    let connection = carrot::connect(broker.options()).unwrap();
    let retry = Retry::fixed(Duration::from_millis(10)).attempts(2);
    let consumer = connection.consumer(QUEUE).retry(retry).build().unwrap();
    let (attempts, copies) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (counted, copied) = (Arc::clone(&attempts), Arc::clone(&copies));
    let handler = move |_: String, message: &Message| {
        counted.fetch_add(1, Ordering::SeqCst);
        if message.properties().header("carrot-attempt").is_some() {
            copied.fetch_add(1, Ordering::SeqCst);
        }
        Err::<(), _>("not today")
    };
    let workers = consumer.workers(1).spawn(handler).unwrap();
    connection.publisher().queue(QUEUE).build().unwrap().send("x").unwrap();
    let parked = || connection.statistics().consuming.parked;
    assert!(eventually(SOON, || parked() == 1), "the message is not parked");
    assert_eq!((attempts.load(Ordering::SeqCst), copies.load(Ordering::SeqCst)), (2, 0));
    drop(workers);
}
