//! Publishers and a consumer that account for each message.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use carrot::config::Role;
use carrot::{Connection, ConnectionOptions};
use carrot_faults::eventually;

use crate::process::SOON;

const QUEUE: &str = "jobs";
pub(crate) const PUBLISHERS: u32 = 3;
pub(crate) const PREFETCH: u16 = 20;
/// The messages of a publisher that wait for their confirms.
pub(crate) const WINDOW: usize = 64;

/// One message: its publisher, and its number there.
type Mark = (u32, u32);

/// Several publishers of confirmed messages, and one consumer that acknowledges each.
pub(crate) struct Traffic {
    pub(crate) connection: Connection,
    accounts: Arc<Accounts>,
    each: u32,
    publishing: Vec<JoinHandle<()>>,
    consuming: JoinHandle<()>,
}

#[derive(Default)]
struct Accounts {
    /// The number of faults so far.
    phase: AtomicU32,
    /// The phases in which each message was received.
    received: Mutex<BTreeMap<Mark, Vec<u32>>>,
    /// The marks in the order of their first receipts.
    order: Mutex<Vec<Mark>>,
}

/// The order in which messages of one publisher first arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    OfSending,
    Any,
}

/// The arrivals of all messages.
#[derive(Debug)]
pub(crate) struct TrafficOutcome {
    pub(crate) duplicates: usize,
    pub(crate) resent: u64,
}

impl Traffic {
    /// Starts to send `each` messages by each publisher.
    pub(crate) fn start(options: &ConnectionOptions, each: u32) -> Traffic {
        let connection = carrot::connect(options).unwrap();
        let accounts = Arc::new(Accounts::default());
        let publishing = (0..PUBLISHERS).map(|publisher| publish(&connection, publisher, each));
        let publishing = publishing.collect();
        let consuming = consume(&connection, Arc::clone(&accounts), each);
        Traffic { connection, accounts, each, publishing, consuming }
    }

    /// Blocks until this part of all messages has arrived: `part` of `parts`.
    #[track_caller]
    pub(crate) fn wait_for(&self, part: u32, parts: u32) {
        let least = self.each * PUBLISHERS / parts * part;
        let is_met = eventually(SOON, || self.received() >= least as usize);
        assert!(is_met, "{} of {least} messages in {SOON:?}", self.received());
    }

    pub(crate) fn received(&self) -> usize {
        self.accounts.received.lock().unwrap().len()
    }

    /// Notes a fault.
    pub(crate) fn note_fault(&self) {
        self.accounts.phase.fetch_add(1, Ordering::SeqCst);
    }

    /// Blocks until the connections of both roles are lost, or open.
    #[track_caller]
    pub(crate) fn wait_for_connection(&self, is_open: bool) {
        let roles = [Role::Publish, Role::Consume];
        let are_all = || roles.iter().all(|role| self.connection.is_connected_to(*role) == is_open);
        assert!(eventually(SOON, are_all), "the connections are not {is_open} in {SOON:?}");
    }

    /// Blocks until all messages are confirmed and have arrived, in this order.
    #[track_caller]
    pub(crate) fn finish(self, expected: Order) -> TrafficOutcome {
        for thread in self.publishing {
            thread.join().unwrap();
        }
        self.consuming.join().unwrap();
        self.accounts.check_order(self.each, expected);
        let received = self.accounts.received.lock().unwrap();
        let is_late = |phases: &[u32]| phases.windows(2).any(|pair| pair[1] > pair[0] + 1);
        let late: Vec<&Mark> =
            received.iter().filter(|one| is_late(one.1)).map(|one| one.0).collect();
        // A message that returns after a fault can wait in the prefetch of the next connection, and
        // be lost with it before the program receives the message.
        let connections = self.accounts.phase.load(Ordering::SeqCst).saturating_sub(1);
        let most = connections as usize * usize::from(PREFETCH);
        assert!(late.len() <= most, "{most} messages may return so late: {late:?}");
        let duplicates = received.values().filter(|phases| phases.len() > 1).count();
        let statistics = self.connection.statistics().publishing;
        assert_eq!(statistics.confirmed, u64::from(self.each * PUBLISHERS));
        TrafficOutcome { duplicates, resent: statistics.resent }
    }
}

impl Accounts {
    #[track_caller]
    fn check_order(&self, each: u32, expected: Order) {
        let order = self.order.lock().unwrap();
        for publisher in 0..PUBLISHERS {
            let numbers = order.iter().filter(|mark| mark.0 == publisher).map(|mark| mark.1);
            let mut numbers: Vec<u32> = numbers.collect();
            if expected == Order::Any {
                numbers.sort_unstable();
            }
            assert!(numbers.into_iter().eq(0..each), "publisher {publisher}: lost or out of order");
        }
    }
}

fn publish(connection: &Connection, publisher: u32, each: u32) -> JoinHandle<()> {
    let sender = connection.publisher().queue(QUEUE).send_timeout(SOON * 3).build().unwrap();
    thread::spawn(move || {
        let mut confirmations = std::collections::VecDeque::new();
        for number in 0..each {
            if confirmations.len() == WINDOW {
                let first: carrot::publish::Confirmation = confirmations.pop_front().unwrap();
                first.wait().unwrap();
            }
            confirmations.push_back(sender.publish(&(publisher, number)).unwrap());
        }
        confirmations.into_iter().for_each(|confirmation| confirmation.wait().unwrap());
    })
}

fn consume(connection: &Connection, accounts: Arc<Accounts>, each: u32) -> JoinHandle<()> {
    let consumer = connection.consumer(QUEUE).prefetch(PREFETCH).build().unwrap();
    thread::spawn(move || {
        for message in consumer.messages().unwrap().timeout(SOON) {
            let message = message.unwrap();
            let mark: Mark = message.decode().unwrap();
            let phase = accounts.phase.load(Ordering::SeqCst);
            let count = {
                let mut received = accounts.received.lock().unwrap();
                let phases = received.entry(mark).or_default();
                phases.push(phase);
                if phases.len() == 1 {
                    accounts.order.lock().unwrap().push(mark);
                }
                received.len()
            };
            // The connection may be lost meanwhile: the message then arrives again.
            let acknowledged = message.ack();
            if count == (each * PUBLISHERS) as usize && acknowledged.is_ok() {
                return;
            }
        }
    })
}
