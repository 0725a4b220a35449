//! Runs a series of programs of raw frames on several threads.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use carrot_conformance::Release;
use carrot_core::ConnectionOptions;

use crate::broker::{DefaultQueueType, imitated};
use crate::shrink::remove_items;
use crate::virtual_hosts::virtual_hosts;
use crate::wire::compare::{SETTLE, SETTLE_HANDSHAKE, WireComparator, WireResult};
use crate::wire::difference::WireDifference;
use crate::wire::generate;
use crate::wire::program::{WireProgram, WireStep};
use crate::wire::unspecified::WireUnspecified;

/// The time for RabbitMQ while a program is shrunk.
const SHRINKING: Duration = Duration::from_millis(300);
/// The number of runs in which a program has to differ.
const ATTEMPTS: usize = 3;

/// A series of programs of raw frames, with the broker to run them on.
#[derive(Debug, Clone)]
pub struct WireSeries {
    /// The connection options of RabbitMQ, without TLS.
    pub options: ConnectionOptions,
    /// The release of RabbitMQ.
    pub release: Release,
    /// The command that runs `rabbitmqctl` on the node. Without it, all programs run on one thread,
    /// in the virtual host of the options.
    pub rabbitmqctl: Option<String>,
    /// The number of programs.
    pub programs: u64,
    /// The seed of the programs.
    pub seed: u64,
    /// The number of the first program.
    pub first: u64,
    /// Whether programs with consumers run. Their deliveries race with the methods that the client
    /// sends behind them, so that one program in a thousand differs.
    pub with_consumers: bool,
    /// The number of threads.
    pub threads: usize,
    /// The number of divergences after which the series stops.
    pub max_divergences: usize,
    /// The time after which no further program starts.
    pub time: Duration,
}

/// The result of a series.
#[derive(Debug, Clone, Default)]
pub struct WireReport {
    /// The seed.
    pub seed: u64,
    /// The number of programs that ran.
    pub programs: u64,
    /// The number of their steps.
    pub steps: u64,
    /// The number of programs that differ after a behaviour that AMQP does not specify.
    pub unspecified: BTreeMap<WireUnspecified, u64>,
    /// The number of programs that differed, and did not in a later run.
    pub unsteady: u64,
    /// The errors of runs.
    pub errors: Vec<String>,
    /// The programs that differ.
    pub divergences: Vec<WireDivergence>,
    /// The duration of the series.
    pub took: Duration,
}

/// A program on which a server and RabbitMQ differ.
#[derive(Debug, Clone)]
pub struct WireDivergence {
    /// The number of the program in the series of the seed.
    pub number: u64,
    /// The program, shrunk.
    pub program: WireProgram,
    /// The difference of the shrunk program.
    pub difference: WireDifference,
}

impl WireSeries {
    /// Runs the series. Calls `progress` with each divergence.
    pub fn run(&self, progress: impl Fn(&str) + Sync) -> WireReport {
        let started = Instant::now();
        let next = AtomicU64::new(self.first);
        let report = Mutex::new(WireReport { seed: self.seed, ..WireReport::default() });
        let lock = || report.lock().unwrap_or_else(PoisonError::into_inner);
        thread::scope(|scope| {
            for comparator in self.comparators() {
                let (next, lock, progress) = (&next, &lock, &progress);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.first + self.programs
                            || lock().divergences.len() >= self.max_divergences
                            || started.elapsed() > self.time
                        {
                            return;
                        }
                        let program = generate::program(self.seed, number);
                        if !self.with_consumers && program.has_consumers() {
                            continue;
                        }
                        let result = examine(&comparator, &program);
                        let mut report = lock();
                        report.programs += 1;
                        report.steps += program.steps.len() as u64;
                        report.add(number, result, progress);
                    }
                });
            }
        });
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.took = started.elapsed();
        report
    }

    /// Returns a comparator for each thread, in a virtual host of its own.
    ///
    /// # Panics
    /// If the options name no address.
    pub fn comparators(&self) -> Vec<WireComparator> {
        let rabbitmqctl = self.rabbitmqctl.as_deref();
        let hosts =
            virtual_hosts(&self.options, rabbitmqctl, self.threads, DefaultQueueType::Classic);
        let release = imitated(self.release);
        let comparators = hosts.iter().map(|host| WireComparator::new(host, release));
        match comparators.collect() {
            Ok(comparators) => comparators,
            Err(error) => panic!("the broker has no address: {error}"),
        }
    }
}

/// The result of a program that was run several times, if it differed.
enum Examined {
    Steady(WireResult, WireProgram),
    Unsteady,
}

/// Runs a program, again if it differs, and shrinks it.
fn examine(comparator: &WireComparator, program: &WireProgram) -> io::Result<Examined> {
    let patience = if program.from_start { SETTLE_HANDSHAKE } else { SETTLE };
    let mut result = comparator.compare(program, patience)?;
    for attempt in 1..ATTEMPTS {
        match result {
            WireResult::Divergence(_) => result = comparator.compare(program, patience)?,
            _ if attempt > 1 => return Ok(Examined::Unsteady),
            _ => return Ok(Examined::Steady(result, program.clone())),
        }
    }
    if !matches!(result, WireResult::Divergence(_)) {
        return Ok(Examined::Unsteady);
    }
    let patience = if program.from_start { SETTLE_HANDSHAKE } else { SHRINKING };
    let smallest = shrink(program, |candidate| {
        matches!(comparator.compare(candidate, patience), Ok(WireResult::Divergence(_)))
    });
    let again = comparator.compare(&smallest, SETTLE.max(patience))?;
    match again {
        WireResult::Divergence(_) => Ok(Examined::Steady(again, smallest)),
        _ => Ok(Examined::Steady(result, program.clone())),
    }
}

/// Reduces a program while `fails` returns `true` for it: removes steps, then frames of steps.
fn shrink(program: &WireProgram, mut fails: impl FnMut(&WireProgram) -> bool) -> WireProgram {
    let from_start = program.from_start;
    let mut steps = program.steps.clone();
    let mut fails = |steps: &[WireStep]| fails(&WireProgram { from_start, steps: steps.to_vec() });
    remove_items(&mut steps, &mut fails);
    for index in 0..steps.len() {
        let mut frames = split(&steps[index].octets);
        if frames.len() > 1 {
            let mut others = steps.clone();
            remove_items(&mut frames, |frames| {
                others[index].octets = frames.concat();
                fails(&others)
            });
            steps[index].octets = frames.concat();
        }
    }
    remove_items(&mut steps, &mut fails);
    WireProgram { from_start, steps }
}

/// Splits octets into frames, as far as they are frames.
fn split(octets: &[u8]) -> Vec<Vec<u8>> {
    const HEAD: usize = 7;
    let mut frames = Vec::new();
    let mut rest = octets;
    while !rest.is_empty() {
        let size = rest
            .get(3..HEAD)
            .and_then(|size| size.try_into().ok())
            .map_or(rest.len(), |size| u32::from_be_bytes(size) as usize + HEAD + 1);
        let (frame, others) = rest.split_at(size.min(rest.len()));
        frames.push(frame.to_vec());
        rest = others;
    }
    frames
}

impl WireReport {
    fn add(&mut self, number: u64, result: io::Result<Examined>, progress: &impl Fn(&str)) {
        match result {
            Ok(Examined::Steady(WireResult::Divergence(difference), program)) => {
                let difference = *difference;
                let divergence = WireDivergence { number, program, difference };
                progress(&divergence.to_string());
                self.divergences.push(divergence);
            }
            Ok(Examined::Steady(WireResult::Unspecified(freedom), _)) => {
                *self.unspecified.entry(freedom).or_default() += 1;
            }
            Ok(Examined::Steady(WireResult::Same, _)) => {}
            Ok(Examined::Unsteady) => self.unsteady += 1,
            Err(error) => {
                progress(&format!("program {number}: {error}"));
                self.errors.push(format!("program {number}: {error}"));
            }
        }
    }

    /// Returns whether no program differed, and all could be run.
    pub fn is_clean(&self) -> bool {
        self.divergences.is_empty() && self.errors.is_empty()
    }
}

impl fmt::Display for WireDivergence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let WireDivergence { number, program, difference } = self;
        writeln!(formatter, "DIVERGENCE on the wire, in program {number}")?;
        write!(formatter, "{program}")?;
        writeln!(formatter, "after step {}, in {:?}", difference.step, difference.stream)?;
        for (broker, lines) in [("server", &difference.server), ("rabbitmq", &difference.rabbitmq)]
        {
            for line in lines.iter().take(3) {
                writeln!(formatter, "    {broker:8} {line:.400}")?;
            }
        }
        let json = serde_json::to_string(program).unwrap_or_default();
        writeln!(formatter, "to replay: {json}")
    }
}

impl fmt::Display for WireReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unspecified = self.unspecified.values().sum::<u64>();
        write!(
            formatter,
            "wire: {} programs, {} steps, {} divergences, {} errors, {unspecified} unspecified, {} \
             unsteady; seed {}; {:.0} s",
            self.programs,
            self.steps,
            self.divergences.len(),
            self.errors.len(),
            self.unsteady,
            self.seed,
            self.took.as_secs_f64()
        )
    }
}
