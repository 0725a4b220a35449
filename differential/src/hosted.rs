//! Random programs on a memory broker, and on another that a [`BrokerHost`] serves over ZeroMQ.
//!
//! The rules of the comparison are those for RabbitMQ. Both brokers have a manual clock, and no
//! other broker is needed.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use carrot_backend_zeromq::{BrokerHost, ZeroMqConnector};
use carrot_core::backend::{Connector, Content};
use carrot_core::{ConnectionOptions, RabbitMqRelease, Result};

use crate::broker::{DefaultQueueType, MemoryBroker, TestBroker};
use crate::code;
use crate::compare::prefix;
use crate::generate;
use crate::program::Program;
use crate::runner::{RunLog, StepLog, run};
use crate::shrink::shrink;
use crate::unspecified::{self, Unspecified};

/// The time in which a host has to show the observations of the memory broker. Machines of CI are
/// slow, and only a difference takes this time.
const PATIENCE: Duration = Duration::from_secs(10);
/// The same while a program is shrunk.
const SHRINKING_PATIENCE: Duration = Duration::from_secs(1);

/// A memory broker with a manual clock, which other connectors reach over ZeroMQ.
#[derive(Debug)]
pub struct HostedBroker {
    memory: MemoryBroker,
    host: BrokerHost,
    options: ConnectionOptions,
}

impl HostedBroker {
    /// Hosts a broker that imitates a release, with this default type of queues.
    ///
    /// # Errors
    /// No port of the loopback interface can be used.
    pub fn imitating(
        release: RabbitMqRelease,
        default_type: DefaultQueueType,
    ) -> Result<HostedBroker> {
        let memory = MemoryBroker::imitating(release, default_type);
        let host = BrokerHost::bind("127.0.0.1:0", memory.broker())?;
        let options = host.url().parse::<ConnectionOptions>()?;
        Ok(HostedBroker { memory, host, options })
    }
}

impl TestBroker for HostedBroker {
    fn connect(&self) -> Arc<dyn Connector> {
        match ZeroMqConnector::new(&self.options) {
            Ok(connector) => Arc::new(connector),
            Err(error) => panic!("cannot create the connector for {}: {error}", self.host.url()),
        }
    }

    fn default_type(&self) -> DefaultQueueType {
        self.memory.default_type()
    }

    fn pass(&self, time: Duration) {
        self.memory.pass(time);
    }

    fn contents(&self, queue: &str) -> Option<Vec<Arc<Content>>> {
        self.memory.contents(queue)
    }
}

/// A series of programs on hosted brokers.
#[derive(Debug, Clone, Copy)]
pub struct HostedSeries {
    /// The release that both brokers imitate.
    pub release: RabbitMqRelease,
    /// The type of queues without one.
    pub default_type: DefaultQueueType,
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

/// The result of a series on hosted brokers.
#[derive(Debug, Clone, Default)]
pub struct HostedReport {
    /// The number of programs that ran.
    pub programs: u64,
    /// The number of their operations.
    pub operations: u64,
    /// The number of programs that differ after a behaviour that AMQP does not specify.
    pub unspecified: BTreeMap<Unspecified, u64>,
    /// The programs that differ or panic, as texts.
    pub failures: Vec<String>,
}

/// The first difference between the memory broker and a hosted one.
#[derive(Debug, Clone, PartialEq)]
struct HostedDifference {
    step: usize,
    memory: StepLog,
    hosted: StepLog,
    notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum HostedResult {
    Same,
    Unspecified(Unspecified),
    Differs(HostedDifference),
}

impl HostedSeries {
    /// Runs the series. Calls `progress` with each difference.
    pub fn run(&self, progress: impl Fn(&str) + Sync) -> HostedReport {
        let next = AtomicU64::new(self.first);
        let report = Mutex::new(HostedReport::default());
        let lock = || report.lock().unwrap_or_else(PoisonError::into_inner);
        thread::scope(|scope| {
            for _ in 0..self.threads {
                scope.spawn(|| {
                    while lock().failures.len() < self.max_divergences {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= self.first + self.programs {
                            return;
                        }
                        let program = generate::program_for(self.default_type, self.seed, number);
                        let examined =
                            catch_unwind(AssertUnwindSafe(|| self.examine(number, &program)));
                        let mut report = lock();
                        report.programs += 1;
                        report.operations += program.operations.len() as u64;
                        match examined.unwrap_or_else(|_| Err(self.failure(number, &program))) {
                            Ok(None) => {}
                            Ok(Some(freedom)) => {
                                *report.unspecified.entry(freedom).or_default() += 1;
                            }
                            Err(failure) => {
                                progress(&failure);
                                report.failures.push(failure);
                            }
                        }
                    }
                });
            }
        });
        report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares a program on both brokers. Returns the program and the first difference as text.
    pub fn replay(&self, program: &Program) -> String {
        format!("{}{:#?}", code::program(program), self.compare(program, PATIENCE))
    }

    /// Returns the first difference of a program as text, unless its cause is a behaviour that AMQP
    /// does not specify.
    pub fn difference(&self, program: &Program) -> Option<String> {
        match self.compare(program, PATIENCE) {
            HostedResult::Differs(difference) => Some(difference.to_string()),
            HostedResult::Same | HostedResult::Unspecified(_) => None,
        }
    }

    /// Returns the unspecified behaviour after which a program differs, if any, or the text of a
    /// difference.
    fn examine(
        &self,
        number: u64,
        program: &Program,
    ) -> std::result::Result<Option<Unspecified>, String> {
        match self.compare(program, PATIENCE) {
            HostedResult::Same => Ok(None),
            HostedResult::Unspecified(freedom) => Ok(Some(freedom)),
            HostedResult::Differs(_) => {
                let smallest = shrink(program, |candidate| {
                    let result = self.compare(candidate, SHRINKING_PATIENCE);
                    matches!(result, HostedResult::Differs(_))
                });
                let shown = match self.compare(&smallest, PATIENCE) {
                    HostedResult::Differs(difference) => difference.to_string(),
                    _ => "not in every run\n".into(),
                };
                Err(self.failure(number, &smallest) + &shown)
            }
        }
    }

    fn failure(&self, number: u64, program: &Program) -> String {
        let json = serde_json::to_string(program).unwrap_or_default();
        format!(
            "program {number} of seed {} on {:?} differs or panics:\n{}to replay: {json}\n",
            self.seed,
            self.release,
            code::program(program)
        )
    }

    fn compare(&self, program: &Program, patience: Duration) -> HostedResult {
        let prefix = prefix();
        let direct = MemoryBroker::imitating(self.release, self.default_type);
        let memory = run(program, &direct, &prefix, None);
        let hosted = match HostedBroker::imitating(self.release, self.default_type) {
            Ok(hosted) => hosted,
            Err(error) => panic!("cannot host a broker: {error}"),
        };
        let hosted = run(program, &hosted, &prefix, Some((&memory.steps, patience)));
        verdict(&memory, hosted)
    }
}

fn verdict(memory: &RunLog, hosted: RunLog) -> HostedResult {
    let steps = 0..memory.steps.len();
    let Some(step) =
        steps.into_iter().find(|step| memory.steps.get(*step) != hosted.steps.get(*step))
    else {
        return HostedResult::Same;
    };
    if let Some((at, freedom)) = memory.unspecified
        && at <= step
    {
        return HostedResult::Unspecified(freedom);
    }
    let step_of = |steps: &[StepLog]| steps.get(step).cloned().unwrap_or_default();
    let (memory, hosted_step) = (step_of(&memory.steps), step_of(&hosted.steps));
    if memory.iter().chain(&hosted_step).any(|line| unspecified::is_endless(line)) {
        return HostedResult::Unspecified(Unspecified::EndlessDeadLettering);
    }
    let notes = hosted.notes.into_iter().rev().take(3).collect();
    HostedResult::Differs(HostedDifference { step, memory, hosted: hosted_step, notes })
}

impl HostedReport {
    /// Returns whether no program differed or panicked.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }
}

impl fmt::Display for HostedDifference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "at operation {}", self.step)?;
        let lines = [("memory", &self.memory), ("hosted", &self.hosted), ("note", &self.notes)];
        for (broker, lines) in lines {
            for line in lines {
                writeln!(formatter, "    {broker:8} {line}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for HostedReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} programs, {} operations, {} failures, unspecified: {:?}",
            self.programs,
            self.operations,
            self.failures.len(),
            self.unspecified
        )
    }
}
