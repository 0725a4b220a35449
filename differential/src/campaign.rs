//! Many programs, on several threads.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use carrot_core::ConnectionOptions;

use crate::code;
use crate::compare::{Corner, Difference, Verdict};
use crate::coverage::Coverage;
use crate::generate;
use crate::open::{self, Freedom};
use crate::program::Program;
use crate::regression::Regression;
use crate::shrink::shrink;

/// While a program is shrunk, RabbitMQ is given less time, since most of it is spent on what never comes.
const SHRINKING_PATIENCE: Duration = Duration::from_millis(400);
/// With nothing to compare with, how long RabbitMQ is given after each operation.
const WATCHING_PATIENCE: Duration = Duration::from_millis(100);
const ATTEMPTS: usize = 3;

/// What to run, and where.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// RabbitMQ's address.
    pub options: ConnectionOptions,
    /// The command that runs `rabbitmqctl` on that node; without it everything runs on one thread, in the virtual host of the address.
    pub rabbitmqctl: Option<String>,
    /// How many programs.
    pub programs: u64,
    /// Which.
    pub seed: u64,
    /// The number of the first.
    pub first: u64,
    /// How many threads.
    pub threads: usize,
    /// After how many divergences to stop.
    pub most_divergences: usize,
}

/// What a campaign came to.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// How many programs were run.
    pub programs: u64,
    /// How many operations they had.
    pub operations: u64,
    /// Programs that differ after something whose order is open.
    pub open: BTreeMap<Freedom, u64>,
    /// Programs that took too long to be evidence, several times.
    pub slow: u64,
    /// Runs that ended with the AMQP driver losing a connection of its own accord.
    pub gave_up: u64,
    /// Programs in which the AMQP driver lost its connection of its own accord each time, so that they show nothing of either broker. They are
    /// the driver's to mend.
    pub undriven: u64,
    /// Programs over which something panicked.
    pub failures: u64,
    /// Programs that differ.
    pub divergences: Vec<Divergence>,
    /// What the programs reached.
    pub coverage: Coverage,
    /// How long it took.
    pub took: Duration,
}

/// A program on which the two brokers differ.
#[derive(Debug, Clone)]
pub struct Divergence {
    /// Its number in the series of the seed.
    pub number: u64,
    /// The program, shrunk.
    pub program: Program,
    /// Where the shrunk program differs.
    pub difference: Difference,
    /// In how many of three runs it differed. What does not always differ is not shrunk.
    pub times: usize,
}

impl Campaign {
    /// Runs it; `progress` is told of each divergence, and from time to time of the state.
    pub fn run(&self, progress: impl Fn(&str) + Sync) -> Report {
        let started = Instant::now();
        let hosts = self.virtual_hosts();
        let next = AtomicU64::new(self.first);
        let report = Mutex::new(Report { seed: self.seed, ..Report::default() });
        let lock = || report.lock().unwrap_or_else(PoisonError::into_inner);
        thread::scope(|scope| {
            for host in hosts {
                let (next, lock, progress) = (&next, &lock, &progress);
                scope.spawn(move || {
                    let mut corner = Corner::new(host);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.first + self.programs
                            || lock().divergences.len() >= self.most_divergences
                        {
                            return;
                        }
                        let program = generate::program(self.seed, number);
                        let found = catch_unwind(AssertUnwindSafe(|| {
                            self.examine(&mut corner, number, &program)
                        }));
                        let mut report = lock();
                        report.programs += 1;
                        report.operations += program.operations.len() as u64;
                        match found {
                            Ok(Examined { verdict, gave_up, divergence, note, coverage }) => {
                                note.into_iter().for_each(|note| progress(&note));
                                report.gave_up += gave_up;
                                report.coverage.merge(coverage);
                                match verdict {
                                    Verdict::Same => {}
                                    Verdict::GaveUp => {
                                        report.undriven += 1;
                                        progress(&format!(
                                            "the driver gave up each time in program {number}"
                                        ));
                                    }
                                    Verdict::Open(freedom) => {
                                        *report.open.entry(freedom).or_default() += 1
                                    }
                                    Verdict::Slow => report.slow += 1,
                                    Verdict::Divergence(_) => {}
                                }
                                if let Some(divergence) = divergence {
                                    progress(&divergence.to_string());
                                    report.divergences.push(divergence);
                                }
                            }
                            Err(_) => {
                                report.failures += 1;
                                progress(&format!(
                                    "program {number} panicked:\n{}",
                                    code::program(&program)
                                ));
                            }
                        }
                        if report.programs.is_multiple_of(500) {
                            let rate = report.programs as f64 / started.elapsed().as_secs_f64();
                            progress(&format!(
                                "{} programs, {} divergences, {rate:.1}/s",
                                report.programs,
                                report.divergences.len()
                            ));
                        }
                    }
                });
            }
        });
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.took = started.elapsed();
        report
    }

    fn examine(&self, corner: &mut Corner, number: u64, program: &Program) -> Examined {
        let mut coverage = Coverage::default();
        let (mut verdict, memory) = corner.compare(program, open::SETTLE);
        coverage.note(program, &memory.steps);
        let mut gave_up = 0;
        for _ in 1..ATTEMPTS {
            gave_up += u64::from(verdict == Verdict::GaveUp);
            if matches!(verdict, Verdict::Slow | Verdict::GaveUp) {
                verdict = corner.compare(program, open::SETTLE).0;
            }
        }
        if verdict == Verdict::GaveUp {
            let smallest = shrink(program, |candidate| {
                corner.compare(candidate, SHRINKING_PATIENCE).0 == Verdict::GaveUp
            });
            let note = format!(
                "the driver gives up over\n{}to see: {}",
                code::program(&smallest),
                json(&smallest)
            );
            return Examined { verdict, gave_up, divergence: None, note: Some(note), coverage };
        }
        let Verdict::Divergence(difference) = &verdict else {
            return Examined { verdict, gave_up, divergence: None, note: None, coverage };
        };
        let again = (1..ATTEMPTS)
            .filter(|_| matches!(corner.compare(program, open::SETTLE).0, Verdict::Divergence(_)))
            .count();
        let mut divergence = Divergence {
            number,
            program: program.clone(),
            difference: difference.clone(),
            times: again + 1,
        };
        if divergence.times == ATTEMPTS {
            let fails = |candidate: &Program| {
                matches!(corner.compare(candidate, SHRINKING_PATIENCE).0, Verdict::Divergence(_))
            };
            let smallest = shrink(program, fails);
            if let (Verdict::Divergence(difference), _) = corner.compare(&smallest, open::SETTLE) {
                divergence.program = smallest;
                divergence.difference = difference;
            }
        }
        Examined { verdict, gave_up, divergence: Some(divergence), note: None, coverage }
    }

    /// What both brokers show of one program, step by step, and how the comparison judges it.
    pub fn replay(&self, program: &Program) -> String {
        let Some(host) = self.virtual_hosts().into_iter().next() else { return String::new() };
        let mut corner = Corner::new(host);
        let (verdict, memory) = corner.compare(program, open::SETTLE);
        let rabbitmq = corner.watch(program, WATCHING_PATIENCE);
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
            for (side, lines) in both {
                text.extend(lines.iter().map(|line| format!("    {side:8} {line}\n")));
            }
        }
        text.extend(rabbitmq.notes.iter().map(|note| format!("note: {note}\n")));
        text + &format!("{verdict:?}\n")
    }

    /// Writes down what RabbitMQ shows of a program, among the regressions.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn keep(&self, name: &str, program: &Program) -> io::Result<()> {
        let Some(host) = self.virtual_hosts().into_iter().next() else { return Ok(()) };
        let rabbitmq = Corner::new(host).watch(program, WATCHING_PATIENCE).steps;
        Regression { name: name.into(), program: program.clone(), rabbitmq }.keep()
    }

    /// A virtual host for each thread, so that what is predeclared is not shared.
    fn virtual_hosts(&self) -> Vec<ConnectionOptions> {
        let Some(rabbitmqctl) = &self.rabbitmqctl else { return vec![self.options.clone()] };
        let prefix = crate::compare::prefix();
        let names: Vec<String> =
            (0..self.threads.max(1)).map(|thread| format!("{prefix}{thread}")).collect();
        let list: Vec<String> = names.iter().map(|name| format!("<<\"{name}\">>")).collect();
        let code = format!(
            "[begin rabbit_vhost:add(V, <<\"differential\">>), rabbit_auth_backend_internal:set_permissions(<<\"guest\">>, V, <<\".*\">>, \
             <<\".*\">>, <<\".*\">>, <<\"differential\">>) end || V <- [{}]].",
            list.join(", ")
        );
        let made = Command::new(rabbitmqctl).args(["eval", &code]).output();
        assert!(
            made.as_ref().is_ok_and(|output| output.status.success()),
            "no virtual hosts could be made: {made:?}"
        );
        names.into_iter().map(|name| self.options.clone().vhost(name)).collect()
    }
}

fn json(program: &Program) -> String {
    serde_json::to_string(program).unwrap_or_default()
}

struct Examined {
    verdict: Verdict,
    gave_up: u64,
    divergence: Option<Divergence>,
    /// What else is to be told.
    note: Option<String>,
    coverage: Coverage,
}

impl Report {
    /// Whether nothing differed, nothing failed, and the driver carried all programs.
    pub fn is_clean(&self) -> bool {
        self.divergences.is_empty() && self.failures == 0 && self.undriven == 0
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
        for (side, step) in
            [("memory", &self.difference.memory), ("rabbitmq", &self.difference.rabbitmq)]
        {
            for line in step {
                writeln!(formatter, "    {side:8} {line}")?;
            }
        }
        for note in &self.difference.notes {
            writeln!(formatter, "    note     {note}")?;
        }
        writeln!(formatter, "to keep: {}", json(&self.program))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}", self.coverage)?;
        if !self.open.is_empty() {
            writeln!(formatter, "open: {:?}", self.open)?;
        }
        writeln!(
            formatter,
            "{} programs, {} operations, {} divergences, {} failures, {} open, {} too slow, {} given up by the driver ({} each time); seed {}; {:.0} s, {:.1} programs/s",
            self.programs,
            self.operations,
            self.divergences.len(),
            self.failures,
            self.open.values().sum::<u64>(),
            self.slow,
            self.gave_up,
            self.undriven,
            self.seed,
            self.took.as_secs_f64(),
            self.programs as f64 / self.took.as_secs_f64()
        )
    }
}
