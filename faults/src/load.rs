use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use carrot::{
    Connection, ConnectionOptions, Consumer, Message, Publisher, Queue, Workers,
    publish::Confirmation,
};
use crossbeam_channel::{Receiver, Sender, bounded};

use crate::accounting::{Accounting, SendOutcome};
use crate::error::Result;
use crate::wait::eventually;

/// The pause of a publisher after a failure. Without it, a publisher would fail thousands of times
/// while the broker is down.
const PAUSE: Duration = Duration::from_millis(50);
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// The options of a [`Load`].
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// The options of the connection.
    pub connection: ConnectionOptions,
    /// The queue that the messages are sent to and consumed from.
    pub queue: Queue,
    /// The number of messages to send; `None` to send until stopped.
    pub messages: Option<u64>,
    /// The number of publishers, each with a channel and a thread of its own.
    pub publishers: usize,
    /// The number of workers; 0 for no consumer.
    pub workers: usize,
    /// The deadline of each send.
    pub send_timeout: Duration,
    /// The number of messages that each publisher keeps in flight.
    pub in_flight: usize,
    /// The approximate size of a body, in bytes.
    pub body: usize,
    /// The largest number of messages that each publisher sends in a second; `None` for no limit.
    pub rate: Option<u32>,
}

impl LoadOptions {
    /// Creates options with four publishers and four workers, which send and consume small messages
    /// until stopped. The send time-out is 30 s.
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

/// Publishers and workers whose messages are all recorded in an [`Accounting`].
///
/// The load repeats operations that fail, and never reopens a connection or a channel itself. It
/// therefore shows the full cost of a lost connection.
#[derive(Debug)]
pub struct Load {
    options: LoadOptions,
    accounting: Arc<Accounting>,
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
    /// An error of Carrot.
    pub fn start(options: LoadOptions, accounting: &Arc<Accounting>) -> Result<Load> {
        let connection = carrot::connect(&options.connection)?;
        connection.declare_queue(options.queue.clone())?;
        let mut load = Load {
            accounting: Arc::clone(accounting),
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
        let accounting = Arc::clone(&self.accounting);
        let handle = move |(id, _): (u64, String), _: &Message| {
            accounting.consume(id);
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
            let sending = LoadPublisher {
                publisher: publisher.build()?,
                accounting: Arc::clone(&self.accounting),
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

    /// Returns the connection of the publishers and the consumer.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Blocks until every message is sent and has an outcome, for at most `timeout`. Returns
    /// whether the publishers have ended.
    pub fn wait_for_publishers(&self, timeout: Duration) -> bool {
        eventually(timeout, || self.publishers.iter().all(JoinHandle::is_finished))
    }

    /// Returns whether the workers have ended without a stop.
    pub fn have_workers_ended(&self) -> bool {
        self.workers.as_ref().is_some_and(Workers::is_finished)
    }

    /// Stops the publishers, and blocks until every confirmed message is consumed or no message was
    /// consumed for `patience`. Then closes everything. Returns the failures.
    pub fn finish(mut self, patience: Duration) -> Vec<String> {
        let mut failures = Vec::new();
        drop(self.stop.take());
        let last = self.options.send_timeout * 2 + STOP_WITHIN;
        if !self.wait_for_publishers(last) {
            failures.push(format!("a publisher did not end within {last:?} of its stop"));
        }
        let complete = self.accounting.wait_until_consumed(if self.have_workers_ended() {
            Duration::ZERO
        } else {
            patience
        });
        if let Some(workers) = self.workers.take() {
            let ended = workers.is_finished();
            match self.accounting.try_call("stop", STOP_WITHIN + Duration::from_secs(1), || {
                workers.stop(STOP_WITHIN)
            }) {
                Err(error) if ended => {
                    failures.push(format!("the workers ended by themselves: {error}"))
                }
                Err(error) => {
                    failures.push(format!("the workers did not stop gracefully: {error}"))
                }
                Ok(_) if ended => failures.push("the workers ended by themselves".into()),
                Ok(_) if !complete => failures.push(format!(
                    "the workers consumed nothing for {patience:?}, though messages were missing"
                )),
                Ok(_) => {}
            }
        }
        // Runs every call, because each of them may leak resources.
        let call = self.options.connection.call_timeout;
        if let Some(consumer) = self.consumer.take() {
            let _ = self.accounting.try_call("consumer close", call * 2, || consumer.close());
            self.accounting.call("consumer drop", call, || drop(consumer));
        }
        for publisher in std::mem::take(&mut self.publishers) {
            if publisher.is_finished() && publisher.join().is_err() {
                failures.push("a publisher's thread panicked".into());
            }
        }
        let _ = self.accounting.try_call("connection close", call, || self.connection.close());
        failures
    }
}

/// A publisher with the data of its thread.
struct LoadPublisher {
    publisher: Publisher,
    accounting: Arc<Accounting>,
    timeout: Duration,
    in_flight: usize,
    body: String,
    every: Option<Duration>,
    left: Arc<AtomicU64>,
    stopped: Receiver<()>,
}

impl LoadPublisher {
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
            let id = self.accounting.send();
            match self
                .accounting
                .try_call("publish", self.timeout, || self.publisher.publish(&(id, &self.body)))
            {
                Ok(receipt) => waiting.push_back((id, receipt)),
                Err(error) => {
                    self.accounting.record_send(id, SendOutcome::of(&error));
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
        let _ = self.accounting.try_call("publisher close", close, || self.publisher.close());
        self.accounting.call("publisher drop", self.timeout, || drop(self.publisher));
    }

    fn settle(&self, (id, receipt): (u64, Confirmation)) {
        let confirmed = self.accounting.try_call("confirm", self.timeout, || receipt.wait());
        self.accounting.record_send(
            id,
            confirmed.map_or_else(|error| SendOutcome::of(&error), |()| SendOutcome::Confirmed),
        );
    }

    /// Blocks until `time` or until the load is stopped. Returns whether the load is stopped.
    fn pause_until(&self, time: Instant) -> bool {
        match self.stopped.recv_deadline(time) {
            Err(crossbeam_channel::RecvTimeoutError::Timeout) => false,
            Ok(()) | Err(crossbeam_channel::RecvTimeoutError::Disconnected) => true,
        }
    }
}
