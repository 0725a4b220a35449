//! Runs a series of programs on several threads.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot_conformance::Release;
use carrot_core::ConnectionOptions;

use crate::broker::{DefaultQueueType, imitated};
use crate::code;
use crate::compare::{Comparator, ComparisonResult, StepDifference};
use crate::coverage::Coverage;
use crate::generate;
use crate::program::Program;
use crate::regression::Regression;
use crate::shrink::shrink;
use crate::unspecified::{self, Unspecified};
use crate::virtual_hosts::virtual_hosts;

/// The time for RabbitMQ while a program is shrunk. It is short, because most candidates use all of
/// it.
const SHRINKING_PATIENCE: Duration = Duration::from_millis(400);
/// The time for RabbitMQ after each operation of a run without expected steps.
const RECORDING_PATIENCE: Duration = Duration::from_millis(100);
const ATTEMPTS: usize = 3;

/// A series of programs, with the broker to run them on.
#[derive(Debug, Clone)]
pub struct Series {
    /// The connection options of RabbitMQ.
    pub options: ConnectionOptions,
    /// The release of RabbitMQ.
    pub release: Release,
    /// The type of queues without one. Another one than the classic type needs `rabbitmqctl`.
    pub default_type: DefaultQueueType,
    /// The command that runs `rabbitmqctl` on the node. Without it, all programs run on one thread,
    /// in the virtual host of the options.
    pub rabbitmqctl: Option<String>,
    /// The number of programs.
    pub programs: u64,
    /// The seed of the programs.
    pub seed: u64,
    /// The number of the first program.
    pub first: u64,
    /// The number of threads.
    pub threads: usize,
    /// The number of divergences after which the series stops.
    pub max_divergences: usize,
}

/// The result of a series.
#[derive(Debug, Clone, Default)]
pub struct SeriesReport {
    /// The seed.
    pub seed: u64,
    /// The number of programs that ran.
    pub programs: u64,
    /// The number of their operations.
    pub operations: u64,
    /// The number of programs that differ after a behaviour that AMQP does not specify.
    pub unspecified: BTreeMap<Unspecified, u64>,
    /// The number of programs that were too slow to be evidence in every run.
    pub slow: u64,
    /// The number of runs in which the AMQP driver closed a connection without a cause at the
    /// broker.
    pub gave_up: u64,
    /// The number of programs in which the driver did this in every run. They are failures of the
    /// driver, and test neither broker.
    pub driver_failures: u64,
    /// The number of programs that caused a panic.
    pub failures: u64,
    /// The programs that differ.
    pub divergences: Vec<Divergence>,
    /// The features and results of the programs.
    pub coverage: Coverage,
    /// The duration of the series.
    pub took: Duration,
}

/// A program on which the two brokers differ.
#[derive(Debug, Clone)]
pub struct Divergence {
    /// The number of the program in the series of the seed.
    pub number: u64,
    /// The program, shrunk.
    pub program: Program,
    /// The difference of the shrunk program.
    pub difference: StepDifference,
    /// The number of runs, of three, in which the program differed. A program that does not always
    /// differ is not shrunk.
    pub times: usize,
}

impl Series {
    /// Runs the series. Calls `progress` with each divergence, and with the state after each 500
    /// programs.
    pub fn run(&self, progress: impl Fn(&str) + Sync) -> SeriesReport {
        let started = Instant::now();
        let hosts = self.virtual_hosts();
        let next = AtomicU64::new(self.first);
        let report = Mutex::new(SeriesReport { seed: self.seed, ..SeriesReport::default() });
        let lock = || report.lock().unwrap_or_else(PoisonError::into_inner);
        thread::scope(|scope| {
            for host in hosts {
                let (next, lock, progress) = (&next, &lock, &progress);
                scope.spawn(move || {
                    let mut comparator = Comparator::new(host, self.release, self.default_type);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.first + self.programs || lock().divergences.len() >= self.max_divergences {
                            return;
                        }
                        let program = generate::program_for(self.default_type, self.seed, number);
                        let found = catch_unwind(AssertUnwindSafe(|| self.examine(&mut comparator, number, &program)));
                        let mut report = lock();
                        report.programs += 1;
                        report.operations += program.operations.len() as u64;
                        match found {
                            Ok(ExaminedProgram { verdict, gave_up, divergence, note, coverage }) => {
                                note.into_iter().for_each(|note| progress(&note));
                                report.gave_up += gave_up;
                                report.coverage.merge(coverage);
                                match verdict {
                                    ComparisonResult::Same => {}
                                    ComparisonResult::DriverGaveUp => {
                                        report.driver_failures += 1;
                                        progress(&format!("program {number}: the driver closed the connection in every run"));
                                    }
                                    ComparisonResult::Unspecified(freedom) => *report.unspecified.entry(freedom).or_default() += 1,
                                    ComparisonResult::Slow => report.slow += 1,
                                    ComparisonResult::Divergence(_) => {}
                                }
                                if let Some(divergence) = divergence {
                                    progress(&divergence.to_string());
                                    report.divergences.push(divergence);
                                }
                            }
                            Err(_) => {
                                report.failures += 1;
                                progress(&format!("program {number} panicked:\n{}", code::program(&program)));
                            }
                        }
                        if report.programs.is_multiple_of(500) {
                            let rate = report.programs as f64 / started.elapsed().as_secs_f64();
                            progress(&format!("{} programs, {} divergences, {rate:.1}/s", report.programs, report.divergences.len()));
                        }
                    }
                });
            }
        });
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.took = started.elapsed();
        report
    }

    fn examine(
        &self,
        comparator: &mut Comparator,
        number: u64,
        program: &Program,
    ) -> ExaminedProgram {
        let mut coverage = Coverage::default();
        let (mut verdict, memory) = comparator.compare(program, unspecified::SETTLE);
        coverage.add_program(program, &memory.steps);
        let mut gave_up = 0;
        for _ in 1..ATTEMPTS {
            gave_up += u64::from(verdict == ComparisonResult::DriverGaveUp);
            if matches!(verdict, ComparisonResult::Slow | ComparisonResult::DriverGaveUp) {
                verdict = comparator.compare(program, unspecified::SETTLE).0;
            }
        }
        if verdict == ComparisonResult::DriverGaveUp {
            let smallest = shrink(program, |candidate| {
                comparator.compare(candidate, SHRINKING_PATIENCE).0
                    == ComparisonResult::DriverGaveUp
            });
            let note = format!(
                "the driver closes the connection in\n{}to replay: {}",
                code::program(&smallest),
                json(&smallest)
            );
            return ExaminedProgram {
                verdict,
                gave_up,
                divergence: None,
                note: Some(note),
                coverage,
            };
        }
        let ComparisonResult::Divergence(difference) = &verdict else {
            return ExaminedProgram { verdict, gave_up, divergence: None, note: None, coverage };
        };
        let again = (1..ATTEMPTS)
            .filter(|_| {
                matches!(
                    comparator.compare(program, unspecified::SETTLE).0,
                    ComparisonResult::Divergence(_)
                )
            })
            .count();
        let mut divergence = Divergence {
            number,
            program: program.clone(),
            difference: difference.clone(),
            times: again + 1,
        };
        if divergence.times == ATTEMPTS {
            let fails = |candidate: &Program| {
                matches!(
                    comparator.compare(candidate, SHRINKING_PATIENCE).0,
                    ComparisonResult::Divergence(_)
                )
            };
            let smallest = shrink(program, fails);
            if let (ComparisonResult::Divergence(difference), _) =
                comparator.compare(&smallest, unspecified::SETTLE)
            {
                divergence.program = smallest;
                divergence.difference = difference;
            }
        }
        ExaminedProgram { verdict, gave_up, divergence: Some(divergence), note: None, coverage }
    }

    /// Returns the observations on both brokers, step by step, and the result of the comparison.
    pub fn replay(&self, program: &Program) -> String {
        let Some(mut comparator) = self.comparator() else { return String::new() };
        let (verdict, memory) = comparator.compare(program, unspecified::SETTLE);
        let rabbitmq = comparator.record(program, RECORDING_PATIENCE);
        let mut text = String::new();
        for (index, line) in code::program(program).lines().chain(["the end"]).enumerate() {
            text += &format!("{line}\n");
            let [memory, rabbitmq] =
                [&memory, &rabbitmq].map(|log| log.steps.get(index).cloned().unwrap_or_default());
            let both = if memory == rabbitmq {
                [("", memory), ("", vec![])]
            } else {
                [("memory", memory), ("rabbitmq", rabbitmq)]
            };
            for (broker, lines) in both {
                text.extend(lines.iter().map(|line| format!("    {broker:8} {line}\n")));
            }
        }
        text.extend(rabbitmq.notes.iter().map(|note| format!("note: {note}\n")));
        text + &format!("{verdict:?}\n")
    }

    /// Adds a program with the observations on RabbitMQ to the regressions.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, name: &str, program: &Program) -> io::Result<()> {
        let Some(mut comparator) = self.comparator() else { return Ok(()) };
        let rabbitmq = comparator.record(program, RECORDING_PATIENCE).steps;
        let release = imitated(self.release);
        let default_type = self.default_type;
        let name = name.to_string();
        Regression { name, release, default_type, program: program.clone(), rabbitmq }.keep()
    }

    fn virtual_hosts(&self) -> Vec<ConnectionOptions> {
        let rabbitmqctl = self.rabbitmqctl.as_deref();
        virtual_hosts(&self.options, rabbitmqctl, self.threads, self.default_type)
    }

    /// Returns a comparator in a virtual host of its own, without a thread of the series.
    pub fn comparator(&self) -> Option<Comparator> {
        let host = self.virtual_hosts().into_iter().next()?;
        Some(Comparator::new(host, self.release, self.default_type))
    }
}

fn json(program: &Program) -> String {
    serde_json::to_string(program).unwrap_or_default()
}

struct ExaminedProgram {
    verdict: ComparisonResult,
    gave_up: u64,
    divergence: Option<Divergence>,
    /// A message for `progress`.
    note: Option<String>,
    coverage: Coverage,
}

impl SeriesReport {
    /// Returns whether no program differed, none panicked, and the driver failed in none.
    pub fn is_clean(&self) -> bool {
        self.divergences.is_empty() && self.failures == 0 && self.driver_failures == 0
    }
}

impl fmt::Display for Divergence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "DIVERGENCE in program {}, {} of {ATTEMPTS} times",
            self.number, self.times
        )?;
        write!(formatter, "{}", code::program(&self.program))?;
        writeln!(formatter, "at operation {}", self.difference.step)?;
        for (broker, step) in
            [("memory", &self.difference.memory), ("rabbitmq", &self.difference.rabbitmq)]
        {
            for line in step {
                writeln!(formatter, "    {broker:8} {line}")?;
            }
        }
        for note in &self.difference.notes {
            writeln!(formatter, "    note     {note}")?;
        }
        writeln!(formatter, "to keep: {}", json(&self.program))
    }
}

impl fmt::Display for SeriesReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.coverage)?;
        if !self.unspecified.is_empty() {
            writeln!(formatter, "unspecified: {:?}", self.unspecified)?;
        }
        writeln!(
            formatter,
            "{} programs, {} operations, {} divergences, {} failures, {} unspecified, {} too slow, {} ended by the driver ({} in every run); seed {}; {:.0} s, {:.1} programs/s",
            self.programs,
            self.operations,
            self.divergences.len(),
            self.failures,
            self.unspecified.values().sum::<u64>(),
            self.slow,
            self.gave_up,
            self.driver_failures,
            self.seed,
            self.took.as_secs_f64(),
            self.programs as f64 / self.took.as_secs_f64()
        )
    }
}
