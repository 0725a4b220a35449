//! The producers, the consumers, and their measurements.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use carrot::{Consumer, Error, Publisher, Queue};

use super::bench_arguments::BenchArguments;
use super::bench_connections::BenchConnections;
use super::histogram::Histogram;
use super::watching::{BenchSample, Watching};
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;
use crate::pending_confirms::PendingConfirms;

/// How long the threads have after Ctrl-C, before the report goes without them. Publishing can be
/// blocked for longer.
const LEAVE: Duration = Duration::from_secs(1);

/// The measurements of a bench.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) published: u64,
    /// `None` without confirms.
    pub(super) confirmed: Option<u64>,
    pub(super) refused: u64,
    pub(super) received: u64,
    /// From the first message until the last producer ended.
    pub(super) publishing: Duration,
    /// From the first message until the last message arrived.
    pub(super) receiving: Duration,
    pub(super) latencies: Histogram,
    pub(super) samples: Vec<BenchSample>,
    /// Why the bench ended early.
    pub(super) failure: Option<CommandFailure>,
}

/// The state that the threads share.
struct BenchRun {
    arguments: BenchArguments,
    interrupt: Interrupt,
    started: Instant,
    ends: Option<Instant>,
    /// The messages that were claimed by a producer.
    claimed: AtomicU64,
    published: AtomicU64,
    confirmed: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    /// When the last message arrived, in nanoseconds after the start.
    last_arrival: AtomicU64,
    has_failed: AtomicBool,
    failure: Mutex<Option<CommandFailure>>,
}

/// Runs all producers and consumers until the end, or until one fails.
pub(super) fn run(
    arguments: &BenchArguments,
    connections: &BenchConnections,
    queue: &str,
    interrupt: &Interrupt,
) -> Result<Measured> {
    let mut consumers = Vec::new();
    for _ in 0..arguments.consumers {
        let consumer = connections.open()?.consumer(Queue::existing(queue));
        consumers.push(consumer.prefetch(arguments.qos).build()?);
    }
    let mut publishers = Vec::new();
    for _ in 0..arguments.producers {
        publishers.push(publisher(arguments, connections, queue)?);
    }
    let started = Instant::now();
    let shared = Arc::new(BenchRun {
        arguments: arguments.clone(),
        interrupt: interrupt.clone(),
        started,
        ends: arguments.limit().map(|limit| started + limit),
        claimed: AtomicU64::new(0),
        published: AtomicU64::new(0),
        confirmed: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        received: AtomicU64::new(0),
        last_arrival: AtomicU64::new(0),
        has_failed: AtomicBool::new(false),
        failure: Mutex::new(None),
    });
    shared.run(publishers, consumers, connections.options.call_timeout)
}

fn publisher(
    arguments: &BenchArguments,
    connections: &BenchConnections,
    queue: &str,
) -> Result<Publisher> {
    let publisher = connections.open()?.publisher().routing_key(queue);
    let publisher = publisher.send_timeout(connections.options.call_timeout);
    let publisher = if arguments.persistent { publisher } else { publisher.transient() };
    let publisher = if arguments.no_confirm {
        publisher.without_confirms()
    } else {
        publisher.mandatory().max_in_flight(arguments.window as usize)
    };
    Ok(publisher.build()?)
}

impl BenchRun {
    fn run(
        self: &Arc<Self>,
        publishers: Vec<Publisher>,
        consumers: Vec<Consumer>,
        patience: Duration,
    ) -> Result<Measured> {
        let mut measured = Measured::default();
        let stops: Vec<_> = consumers.iter().map(Consumer::stop_handle).collect();
        let mut receiving = Vec::new();
        for consumer in consumers {
            receiving.push(self.spawn(move |run| run.consume(&consumer))?);
        }
        let mut sending = Vec::new();
        for publisher in publishers {
            sending.push(self.spawn(move |run| run.keep(run.produce(&publisher)))?);
        }
        let mut watching = Watching::new();
        self.wait_for(&sending, &mut watching);
        measured.publishing = self.started.elapsed();
        if !stops.is_empty() {
            self.wait_for_the_rest(patience, &mut watching);
        }
        for consumer in stops {
            let _ = consumer.stop();
        }
        self.wait_for(&receiving, &mut watching);
        for thread in receiving.into_iter().filter(JoinHandle::is_finished) {
            if let Ok(latencies) = thread.join() {
                measured.latencies.merge(&latencies);
            }
        }
        measured.samples = watching.end(self.sample());
        Ok(self.numbers(measured))
    }

    /// Runs work on a thread that can outlive the bench: a blocked publisher waits for long.
    fn spawn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&BenchRun) -> T + Send + 'static,
    ) -> Result<JoinHandle<T>> {
        let run = Arc::clone(self);
        Ok(Builder::new().name("carrot-bench".into()).spawn(move || work(&run))?)
    }

    /// Waits for the end of the threads, after Ctrl-C at most for [`LEAVE`].
    fn wait_for<T>(&self, threads: &[JoinHandle<T>], watching: &mut Watching) {
        let mut leaves = None;
        while threads.iter().any(|thread| !thread.is_finished()) {
            if self.interrupt.is_wanted() {
                let since = *leaves.get_or_insert_with(Instant::now);
                if since.elapsed() > LEAVE {
                    return;
                }
            }
            watching.step(|| self.sample());
        }
    }

    /// Waits for the rest of the queue, as long as messages come.
    fn wait_for_the_rest(&self, patience: Duration, watching: &mut Watching) {
        let mut last = (self.received.load(Ordering::Acquire), Instant::now());
        while !self.is_over() {
            let expected =
                self.published.load(Ordering::Acquire) - self.refused.load(Ordering::Acquire);
            let received = self.received.load(Ordering::Acquire);
            if received != last.0 {
                last = (received, Instant::now());
            }
            if received >= expected || last.1.elapsed() > patience {
                return;
            }
            watching.step(|| self.sample());
        }
    }

    /// Adds what the threads have counted, and the failure of one.
    fn numbers(&self, mut measured: Measured) -> Measured {
        measured.failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        let number = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        measured.published = number(&self.published);
        measured.confirmed = (!self.arguments.no_confirm).then(|| number(&self.confirmed));
        measured.refused = number(&self.refused);
        measured.received = number(&self.received);
        measured.receiving = Duration::from_nanos(number(&self.last_arrival));
        measured
    }

    /// Returns the numbers now.
    fn sample(&self) -> BenchSample {
        BenchSample {
            time: self.started.elapsed(),
            published: self.published.load(Ordering::Acquire),
            received: self.received.load(Ordering::Acquire),
        }
    }

    /// Whether the user or a failure ends the bench.
    fn is_over(&self) -> bool {
        self.interrupt.is_wanted() || self.has_failed.load(Ordering::Acquire)
    }

    /// Keeps the first failure of a thread.
    fn keep(&self, result: Result<()>) {
        if let Err(failure) = result {
            let mut kept = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
            kept.get_or_insert(failure);
            self.has_failed.store(true, Ordering::Release);
        }
    }

    fn produce(&self, publisher: &Publisher) -> Result<()> {
        let mut window = PendingConfirms::new(self.arguments.window as usize);
        let mut body = vec![b'.'; self.arguments.size as usize];
        while self.may_publish() {
            let time = nanoseconds(self.started.elapsed());
            if let Some(place) = body.first_chunk_mut() {
                *place = time.to_be_bytes();
            }
            let confirmation = publisher.message().publish_bytes(body.as_slice())?;
            self.published.fetch_add(1, Ordering::AcqRel);
            if self.arguments.no_confirm {
                continue;
            }
            window.add((), confirmation);
            while let Some(((), answer)) = window.next() {
                self.count(answer)?;
            }
        }
        while let Some(((), answer)) = window.wait() {
            self.count(answer)?;
        }
        Ok(publisher.flush()?)
    }

    fn count(&self, answer: carrot::Result<()>) -> Result<()> {
        match answer {
            Ok(()) => self.confirmed.fetch_add(1, Ordering::AcqRel),
            Err(Error::Refused) => self.refused.fetch_add(1, Ordering::AcqRel),
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }

    /// Claims one message, and waits until it is due. Returns whether to publish it.
    fn may_publish(&self) -> bool {
        let is_late = |ends: Instant| Instant::now() >= ends;
        if self.is_over() || self.ends.is_some_and(is_late) {
            return false;
        }
        let number = self.claimed.fetch_add(1, Ordering::AcqRel);
        if self.arguments.messages.is_some_and(|messages| number >= messages) {
            return false;
        }
        let Some(rate) = self.arguments.rate else { return true };
        let due = Duration::try_from_secs_f64(number as f64 / rate).unwrap_or(Duration::MAX);
        let due = self.started.checked_add(due);
        let due = match (due, self.ends) {
            (Some(due), Some(ends)) if due < ends => due,
            (Some(due), None) => due,
            // The time ends first.
            (_, Some(ends)) => {
                self.interrupt.wait(ends.saturating_duration_since(Instant::now()));
                return false;
            }
            (None, None) => return false,
        };
        self.interrupt.wait(due.saturating_duration_since(Instant::now()))
    }

    fn consume(&self, consumer: &Consumer) -> Histogram {
        let mut latencies = Histogram::default();
        let result = self.take_messages(consumer, &mut latencies);
        self.keep(result);
        latencies
    }

    fn take_messages(&self, consumer: &Consumer, latencies: &mut Histogram) -> Result<()> {
        for message in consumer.messages()? {
            let message = message?;
            let now = self.started.elapsed();
            if let Some(time) = message.body().first_chunk() {
                let sent = Duration::from_nanos(u64::from_be_bytes(*time));
                latencies.add(now.saturating_sub(sent));
            }
            message.ack()?;
            self.received.fetch_add(1, Ordering::AcqRel);
            self.last_arrival.fetch_max(nanoseconds(now), Ordering::AcqRel);
        }
        Ok(consumer.close()?)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
