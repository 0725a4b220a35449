//! The producers, the consumers, and their measurements.

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot::publish::Confirmation;
use carrot::{Consumer, Error, Publisher, Queue};
use indicatif::{ProgressBar, ProgressStyle};

use super::bench_arguments::BenchArguments;
use super::bench_connections::BenchConnections;
use super::histogram::Histogram;
use crate::exit::{CommandFailure, Result};
use crate::interrupt::Interrupt;

/// The first interval between two samples of the rates.
const INTERVAL: Duration = Duration::from_millis(100);
/// The most samples. Twice as many are merged in pairs.
const SAMPLES: usize = 200;

/// The numbers at one time.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct BenchSample {
    pub(super) time: Duration,
    pub(super) published: u64,
    pub(super) received: u64,
}

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
}

/// The state that the threads share.
struct BenchRun<'a> {
    arguments: &'a BenchArguments,
    interrupt: &'a Interrupt,
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
    let shared = BenchRun {
        arguments,
        interrupt,
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
    };
    shared.run(&publishers, &consumers, connections.options.call_timeout)
}

fn publisher(
    arguments: &BenchArguments,
    connections: &BenchConnections,
    queue: &str,
) -> Result<Publisher> {
    let publisher = connections.open()?.publisher().routing_key(queue);
    let publisher = if arguments.persistent { publisher } else { publisher.transient() };
    let publisher = if arguments.no_confirm {
        publisher.without_confirms()
    } else {
        publisher.mandatory().max_in_flight(arguments.window as usize)
    };
    Ok(publisher.build()?)
}

impl BenchRun<'_> {
    fn run(
        &self,
        publishers: &[Publisher],
        consumers: &[Consumer],
        patience: Duration,
    ) -> Result<Measured> {
        let mut measured = Measured::default();
        thread::scope(|scope| {
            let receiving: Vec<_> =
                consumers.iter().map(|consumer| scope.spawn(|| self.consume(consumer))).collect();
            let sending: Vec<_> = publishers
                .iter()
                .map(|publisher| scope.spawn(|| self.keep(self.produce(publisher))))
                .collect();
            let mut watching = Watching::new(self);
            while sending.iter().any(|thread| !thread.is_finished()) {
                watching.step();
            }
            measured.publishing = self.started.elapsed();
            // The rest of the queue, as long as messages come.
            let mut last = (self.received.load(Ordering::Acquire), Instant::now());
            while !consumers.is_empty() && !self.is_over() {
                let expected =
                    self.published.load(Ordering::Acquire) - self.refused.load(Ordering::Acquire);
                let received = self.received.load(Ordering::Acquire);
                if received != last.0 {
                    last = (received, Instant::now());
                }
                if received >= expected || last.1.elapsed() > patience {
                    break;
                }
                watching.step();
            }
            for consumer in consumers {
                let _ = consumer.stop();
            }
            for thread in receiving {
                if let Ok(latencies) = thread.join() {
                    measured.latencies.merge(&latencies);
                }
            }
            measured.samples = watching.end();
        });
        if let Some(failure) = self.failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        let number = |counter: &AtomicU64| counter.load(Ordering::Acquire);
        measured.published = number(&self.published);
        measured.confirmed = (!self.arguments.no_confirm).then(|| number(&self.confirmed));
        measured.refused = number(&self.refused);
        measured.received = number(&self.received);
        measured.receiving = Duration::from_nanos(number(&self.last_arrival));
        Ok(measured)
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
        let mut waiting = VecDeque::new();
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
            waiting.push_back(confirmation);
            while waiting.front().is_some_and(Confirmation::is_resolved)
                || waiting.len() >= self.arguments.window as usize
            {
                self.take_answer(&mut waiting)?;
            }
        }
        while !waiting.is_empty() {
            self.take_answer(&mut waiting)?;
        }
        Ok(publisher.flush()?)
    }

    /// Waits for the oldest answer.
    fn take_answer(&self, waiting: &mut VecDeque<Confirmation>) -> Result<()> {
        let Some(confirmation) = waiting.pop_front() else { return Ok(()) };
        match confirmation.wait() {
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

/// Samples of the rates, and progress on a terminal.
struct Watching<'a> {
    shared: &'a BenchRun<'a>,
    progress: ProgressBar,
    interval: Duration,
    samples: Vec<BenchSample>,
}

impl<'a> Watching<'a> {
    fn new(shared: &'a BenchRun<'a>) -> Watching<'a> {
        let progress = if std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{spinner} {elapsed} {msg}");
            let bar = ProgressBar::new_spinner();
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
            bar
        } else {
            ProgressBar::hidden()
        };
        Watching { shared, progress, interval: INTERVAL, samples: vec![BenchSample::default()] }
    }

    /// Waits for a short time, and takes a sample when one is due.
    fn step(&mut self) {
        const STEP: Duration = Duration::from_millis(5);
        thread::sleep(STEP);
        let last = self.samples.last().copied().unwrap_or_default();
        let now = self.now();
        if now.time.saturating_sub(last.time) < self.interval {
            return;
        }
        let seconds = (now.time - last.time).as_secs_f64();
        let rate = |now: u64, last: u64| (now.saturating_sub(last) as f64 / seconds).round();
        self.progress.set_message(format!(
            "{} published/s, {} received/s, {} in the queue or on their way",
            rate(now.published, last.published),
            rate(now.received, last.received),
            now.published.saturating_sub(now.received)
        ));
        self.progress.tick();
        self.samples.push(now);
        if self.samples.len() > 2 * SAMPLES {
            let mut is_kept = false;
            self.samples.retain(|_| {
                is_kept = !is_kept;
                is_kept
            });
            self.interval *= 2;
        }
    }

    fn now(&self) -> BenchSample {
        BenchSample {
            time: self.shared.started.elapsed(),
            published: self.shared.published.load(Ordering::Acquire),
            received: self.shared.received.load(Ordering::Acquire),
        }
    }

    fn end(mut self) -> Vec<BenchSample> {
        self.progress.finish_and_clear();
        let now = self.now();
        let last = self.samples.last().copied().unwrap_or_default();
        if self.samples.len() < 2 || now.time.saturating_sub(last.time) > self.interval / 2 {
            self.samples.push(now);
        }
        self.samples
    }
}
