//! Publishers and workers that account for each message exactly.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, mpsc};
use std::thread::{self, JoinHandle};

use carrot::config::Role;
use carrot::publish::Confirmation;
use carrot::{Connection, ConnectionOptions, Message, Publisher, Workers};
use carrot_faults::eventually;

use crate::process::SOON;

pub const PUBLISHERS: usize = 3;
pub const WORKERS: usize = 3;
/// The messages of a publisher that wait for their confirms.
const IN_FLIGHT: usize = 16;
/// Publishers pause while more confirmed messages than this wait.
const MOST_WAITING: usize = 500;
const QUEUE: &str = "jobs";

/// Publishers and workers on one connection, which nothing but Carrot connects again.
pub struct HostLoad {
    pub connection: Connection,
    accounts: Arc<Accounts>,
    stopping: Arc<AtomicBool>,
    publishing: Vec<JoinHandle<()>>,
    workers: Workers,
}

#[derive(Default)]
struct Accounts {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    published: u64,
    confirmed: BTreeSet<u64>,
    /// Each message with the number of times that a worker received it.
    handled: BTreeMap<u64, u32>,
    is_gate_closed: bool,
    /// The workers that wait at the gate.
    at_gate: usize,
    /// The confirmed messages that no worker had received when their host was lost.
    lost: BTreeSet<u64>,
    /// The messages without a confirm when their host was lost. Some of them have a confirm that no
    /// thread had received yet, and are lost. The others are sent again.
    unconfirmed: BTreeSet<u64>,
}

impl State {
    fn may_be_lost(&self, id: u64) -> bool {
        self.lost.contains(&id) || self.unconfirmed.contains(&id)
    }

    fn waiting(&self) -> usize {
        self.confirmed.len().saturating_sub(self.handled.len() + self.lost.len())
    }
}

/// The messages that need an explanation in the end.
pub struct Outcome {
    /// The messages that are confirmed, and that no worker ever received.
    pub missing: BTreeSet<u64>,
    /// The messages that more than one worker received.
    pub duplicates: BTreeSet<u64>,
    /// Those of [`State::lost`] and [`State::unconfirmed`], of all losses.
    pub lost: BTreeSet<u64>,
    pub unconfirmed: BTreeSet<u64>,
    /// The number of times that a message was sent again.
    pub resent: u64,
}

impl HostLoad {
    pub fn start(options: &ConnectionOptions) -> HostLoad {
        let connection = carrot::connect(options).unwrap();
        let accounts = Arc::new(Accounts::default());
        let stopping = Arc::new(AtomicBool::new(false));
        let consumer = connection.consumer(QUEUE).prefetch(20).build().unwrap();
        let handling = Arc::clone(&accounts);
        let workers = consumer.workers(WORKERS).spawn(move |id: u64, _: &Message| {
            handling.handle(id);
        });
        let mut publishing = Vec::new();
        for _ in 0..PUBLISHERS {
            // Publishing waits while the host is away, so that another thread records confirms.
            let (sender, receipts) = mpsc::sync_channel(IN_FLIGHT);
            let publisher =
                connection.publisher().queue(QUEUE).send_timeout(SOON * 3).build().unwrap();
            let (sending, stop) = (Arc::clone(&accounts), Arc::clone(&stopping));
            publishing.push(thread::spawn(move || sending.publish(&publisher, &sender, &stop)));
            let confirming = Arc::clone(&accounts);
            publishing.push(thread::spawn(move || confirming.record_confirms(&receipts)));
        }
        HostLoad { connection, accounts, stopping, publishing, workers: workers.unwrap() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.accounts.state.lock().unwrap()
    }

    /// Blocks until a condition holds for the messages so far.
    #[track_caller]
    fn wait_until(&self, what: &str, condition: impl Fn(&State) -> bool) {
        let is_met = eventually(SOON, || {
            assert!(!self.workers.is_finished(), "the workers ended by themselves");
            condition(&self.lock())
        });
        assert!(is_met, "{what} did not happen in {SOON:?}: {}", self.describe());
    }

    /// Describes the state of a load that does not progress.
    fn describe(&self) -> String {
        let (statistics, queue) =
            (self.connection.statistics(), self.connection.declare_queue(QUEUE));
        let state = self.lock();
        let counts = [state.confirmed.len(), state.handled.len(), state.lost.len(), state.at_gate];
        format!("{counts:?} confirmed, handled, lost, at the gate; {queue:?}; {statistics:?}")
    }

    /// Blocks until this number of further messages is confirmed and handled.
    #[track_caller]
    pub fn progress(&self, messages: usize) {
        let (confirmed, handled) = {
            let state = self.lock();
            (state.confirmed.len(), state.handled.len())
        };
        self.wait_until("progress", |state| {
            state.confirmed.len() >= confirmed + messages
                && state.handled.len() >= handled + messages
        });
    }

    /// Holds the workers at their next messages, and blocks until this number of confirmed messages
    /// waits behind those.
    #[track_caller]
    pub fn hold_workers(&self, waiting: usize) {
        self.lock().is_gate_closed = true;
        self.wait_until("a number of waiting messages", |state| {
            state.at_gate == WORKERS && state.waiting() >= waiting
        });
    }

    pub fn release_workers(&self) {
        self.lock().is_gate_closed = false;
        self.accounts.changed.notify_all();
    }

    /// Blocks until the connections of both roles are lost, or open.
    #[track_caller]
    pub fn wait_for_connection(&self, is_open: bool) {
        let roles = [Role::Publish, Role::Consume];
        let are_all = || roles.iter().all(|role| self.connection.is_connected_to(*role) == is_open);
        assert!(eventually(SOON, are_all), "the connections are not {is_open} in {SOON:?}");
    }

    /// Notes which messages the end of a host has cost. No host may run. Returns the number of
    /// messages that are confirmed, and that no worker has received.
    #[track_caller]
    pub fn note_loss(&self) -> usize {
        self.wait_for_connection(false);
        let mut state = self.lock();
        let unconfirmed = (1..=state.published).filter(|id| !state.confirmed.contains(id));
        let unconfirmed: Vec<_> = unconfirmed.collect();
        state.unconfirmed.extend(unconfirmed);
        let is_new = |id: &&u64| !state.handled.contains_key(id) && !state.lost.contains(id);
        let lost: Vec<_> = state.confirmed.iter().filter(is_new).copied().collect();
        state.lost.extend(&lost);
        drop(state);
        // Publishers may wait until fewer messages do.
        self.accounts.changed.notify_all();
        lost.len()
    }

    /// Stops the publishers, and blocks until all confirmed messages are handled except those that
    /// are lost.
    #[track_caller]
    pub fn finish(self) -> Outcome {
        self.stopping.store(true, Ordering::Relaxed);
        self.accounts.changed.notify_all();
        self.wait_until("the end of the publishers", |_| {
            self.publishing.iter().all(JoinHandle::is_finished)
        });
        self.wait_until("the last message", |state| {
            let is_done = |id: &u64| state.handled.contains_key(id) || state.may_be_lost(*id);
            state.confirmed.iter().all(is_done)
        });
        let statistics = self.connection.statistics().publishing;
        for thread in self.publishing {
            thread.join().unwrap();
        }
        self.workers.stop(SOON).unwrap();
        // Messages that are sent again can be the last.
        for message in self.connection.consumer(QUEUE).build().unwrap().fetch_all() {
            let message = message.unwrap();
            self.accounts.handle(message.decode().unwrap());
            message.ack().unwrap();
        }
        let state = self.accounts.state.lock().unwrap();
        // Each message was confirmed in the end, those included whose first confirm was lost.
        assert_eq!((statistics.confirmed, statistics.in_flight), (state.published, 0));
        assert_eq!(state.confirmed.len() as u64, state.published);
        let missing = |id: &&u64| !state.handled.contains_key(id);
        Outcome {
            missing: state.confirmed.iter().filter(missing).copied().collect(),
            duplicates: state.handled.iter().filter(|one| *one.1 > 1).map(|one| *one.0).collect(),
            lost: state.lost.clone(),
            unconfirmed: state.unconfirmed.clone(),
            resent: statistics.resent,
        }
    }
}

impl Accounts {
    fn publish(
        &self,
        publisher: &Publisher,
        receipts: &mpsc::SyncSender<(u64, Confirmation)>,
        stopping: &AtomicBool,
    ) {
        loop {
            let mut state = self.state.lock().unwrap();
            while state.waiting() > MOST_WAITING && !stopping.load(Ordering::Relaxed) {
                state = self.changed.wait_timeout(state, SOON).unwrap().0;
            }
            if stopping.load(Ordering::Relaxed) {
                return;
            }
            state.published += 1;
            let id = state.published;
            drop(state);
            receipts.send((id, publisher.publish(&id).unwrap())).unwrap();
        }
    }

    fn record_confirms(&self, receipts: &mpsc::Receiver<(u64, Confirmation)>) {
        for (id, receipt) in receipts {
            receipt.wait().unwrap();
            self.state.lock().unwrap().confirmed.insert(id);
            self.changed.notify_all();
        }
    }

    fn handle(&self, id: u64) {
        let mut state = self.state.lock().unwrap();
        *state.handled.entry(id).or_default() += 1;
        self.changed.notify_all();
        state.at_gate += 1;
        while state.is_gate_closed {
            state = self.changed.wait(state).unwrap();
        }
        state.at_gate -= 1;
    }
}
