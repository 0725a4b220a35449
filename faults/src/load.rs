use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use carrot::{
    Connection, ConnectionOptions, Consumer, Message, Publisher, Queue, Workers,
    publish::Confirmation,
};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::{Fate, Ledger, Result, eventually};

/// How long a publisher waits after a failure, so that it does not fail thousands of times while there is no broker.
const PAUSE: Duration = Duration::from_millis(50);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What a [`Load`] is to be.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// How to connect.
    pub connection: ConnectionOptions,
    /// Where messages go to, and come from.
    pub queue: Queue,
    /// How many messages are sent; `None` to send until stopped.
    pub messages: Option<u64>,
    /// How many publishers send, each on a channel and a thread of its own.
    pub publishers: usize,
    /// How many workers consume; 0 for no consumer.
    pub workers: usize,
    /// How long each message may take to be confirmed.
    pub send_timeout: Duration,
    /// How many messages each publisher sends before it waits for the first one's confirm.
    pub in_flight: usize,
    /// About how many bytes a body has.
    pub body: usize,
    /// How many messages a second each publisher sends at most; `None` for no limit.
    pub rate: Option<u32>,
}

impl LoadOptions {
    /// Four publishers, four workers, small messages until stopped, 30 s for each.
    pub fn new(connection: ConnectionOptions, queue: impl Into<Queue>) -> LoadOptions {
        LoadOptions {
            connection,
            queue: queue.into(),
            messages: None,
            publishers: 4,
            workers: 4,
            send_timeout: Duration::from_secs(30),
            in_flight: 64,
            body: 100,
            rate: None,
        }
    }
}

/// Publishers and workers at work, every message of which is in a ledger.
///
/// It calls each operation again after a failure, but never opens anything anew: what a lost connection costs it shows.
#[derive(Debug)]
pub struct Load {
    options: LoadOptions,
    ledger: Arc<Ledger>,
    connection: Connection,
    consumer: Option<Consumer>,
    workers: Option<Workers>,
    publishers: Vec<JoinHandle<()>>,
    stop: Option<Sender<()>>,
}

impl Load {
    /// Connects, declares the queue, and starts to send and consume.
    ///
    /// # Errors
    /// What Carrot gives.
    pub fn start(options: LoadOptions, ledger: &Arc<Ledger>) -> Result<Load> {
        let connection = carrot::connect(&options.connection)?;
        connection.declare_queue(options.queue.clone())?;
        let mut load = Load {
            ledger: Arc::clone(ledger),
            connection,
            consumer: None,
            workers: None,
            publishers: Vec::new(),
            stop: None,
            options,
        };
        if load.options.workers > 0 {
            load.consume()?;
        }
        load.publish()?;
        Ok(load)
    }

    fn consume(&mut self) -> Result<()> {
        let consumer = self.connection.consumer(&self.options.queue).prefetch(100).build()?;
        let ledger = Arc::clone(&self.ledger);
        let handle = move |(id, _): (u64, String), _: &Message| {
            ledger.consume(id);
        };
        self.workers = Some(consumer.workers(self.options.workers).spawn(handle)?);
        self.consumer = Some(consumer);
        Ok(())
    }

    fn publish(&mut self) -> Result<()> {
        let (stop, stopped) = bounded::<()>(0);
        let left = Arc::new(AtomicU64::new(self.options.messages.unwrap_or(u64::MAX)));
        for number in 1..=self.options.publishers {
            let publisher = self
                .connection
                .publisher()
                .routing_key(&*self.options.queue.name)
                .send_timeout(self.options.send_timeout);
            let sending = Sending {
                publisher: publisher.build()?,
                ledger: Arc::clone(&self.ledger),
                timeout: self.options.send_timeout,
                in_flight: self.options.in_flight,
                body: "x".repeat(self.options.body),
                every: self.options.rate.map(|rate| Duration::from_secs(1) / rate),
                left: Arc::clone(&left),
                stopped: stopped.clone(),
            };
            self.publishers.push(
                thread::Builder::new()
                    .name(format!("publisher {number}"))
                    .spawn(move || sending.run())?,
            );
        }
        self.stop = Some(stop);
        Ok(())
    }

    /// The connection of the publishers and the consumer.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Waits until all messages are sent and their fates told; `false` if that takes longer than `timeout`.
    pub fn wait_for_publishers(&self, timeout: Duration) -> bool {
        eventually(timeout, || self.publishers.iter().all(JoinHandle::is_finished))
    }

    /// Whether the workers have ended, which nobody told them to.
    pub fn have_workers_ended(&self) -> bool {
        self.workers.as_ref().is_some_and(Workers::is_finished)
    }

    /// Stops the publishers, waits until what is confirmed is consumed, as long as something is in `patience`, and closes everything;
    /// tells what went wrong.
    pub fn finish(mut self, patience: Duration) -> Vec<String> {
        let mut failures = Vec::new();
        drop(self.stop.take());
        let last = self.options.send_timeout * 2 + STOP_WITHIN;
        if !self.wait_for_publishers(last) {
            failures.push(format!("a publisher has not come back {last:?} after it was stopped"));
        }
        let complete = self.ledger.wait_for_missing(if self.have_workers_ended() {
            Duration::ZERO
        } else {
            patience
        });
        if let Some(workers) = self.workers.take() {
            let ended = workers.is_finished();
            match self.ledger.try_call("stop", STOP_WITHIN + Duration::from_secs(1), || {
                workers.stop(STOP_WITHIN)
            }) {
                Err(error) if ended => {
                    failures.push(format!("the workers ended by themselves: {error}"))
                }
                Err(error) => failures.push(format!("the workers did not stop in order: {error}")),
                Ok(_) if ended => failures.push("the workers ended by themselves".into()),
                Ok(_) if !complete => failures.push(format!(
                    "the workers consumed nothing for {patience:?}, though something was left"
                )),
                Ok(_) => {}
            }
        }
        // Every call has a limit of its own, and all are made: each may leave something behind.
        let call = self.options.connection.call_timeout;
        if let Some(consumer) = self.consumer.take() {
            let _ = self.ledger.try_call("consumer close", call * 2, || consumer.close());
            self.ledger.call("consumer drop", call, || drop(consumer));
        }
        for publisher in std::mem::take(&mut self.publishers) {
            if publisher.is_finished() && publisher.join().is_err() {
                failures.push("a publisher's thread panicked".into());
            }
        }
        let _ = self.ledger.try_call("connection close", call, || self.connection.close());
        failures
    }
}

/// One publisher's thread.
struct Sending {
    publisher: Publisher,
    ledger: Arc<Ledger>,
    timeout: Duration,
    in_flight: usize,
    body: String,
    every: Option<Duration>,
    left: Arc<AtomicU64>,
    stopped: Receiver<()>,
}

impl Sending {
    fn run(self) {
        let mut waiting = std::collections::VecDeque::<(u64, Confirmation)>::new();
        let mut due = Instant::now();
        while !self.pause_until(due)
            && self
                .left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
                .is_ok()
        {
            due = self
                .every
                .map_or(due, |every| due.max(Instant::now() - Duration::from_secs(1)) + every);
            let id = self.ledger.send();
            match self
                .ledger
                .try_call("publish", self.timeout, || self.publisher.publish(&(id, &self.body)))
            {
                Ok(receipt) => waiting.push_back((id, receipt)),
                Err(error) => {
                    self.ledger.fate(id, Fate::of(&error));
                    due = Instant::now() + PAUSE;
                }
            }
            while waiting.len() >= self.in_flight
                || waiting.front().is_some_and(|(_, receipt)| receipt.is_resolved())
            {
                waiting.pop_front().into_iter().for_each(|waiting| self.settle(waiting));
            }
        }
        waiting.into_iter().for_each(|waiting| self.settle(waiting));
        let close = self.timeout * 2;
        let _ = self.ledger.try_call("publisher close", close, || self.publisher.close());
        self.ledger.call("publisher drop", self.timeout, || drop(self.publisher));
    }

    fn settle(&self, (id, receipt): (u64, Confirmation)) {
        let told = self.ledger.try_call("confirm", self.timeout, || receipt.wait());
        self.ledger.fate(id, told.map_or_else(|error| Fate::of(&error), |()| Fate::Confirmed));
    }

    /// Waits until that time; `true` if it is to stop.
    fn pause_until(&self, time: Instant) -> bool {
        match self.stopped.recv_deadline(time) {
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(crossbeam_channel::RecvTimeoutError::Disconnected) => true,
        }
    }
}
