//! Runs one program on both brokers, and compares the observations.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_conformance::Release;
use carrot_core::ConnectionOptions;
use carrot_core::backend::{Backend, ChannelOptions, Connector, Delete, DeleteIf};

use crate::broker::{DefaultQueueType, RabbitMqBroker, TestBroker};
use crate::program::Program;
use crate::runner::{CreatedEntities, RunLog, StepLog, record, run};
use crate::unspecified::{self, Unspecified};

const DEADLINE: Duration = Duration::from_secs(20);

/// The result of a comparison.
#[derive(Debug, Clone, PartialEq)]
pub enum ComparisonResult {
    /// The observations are equal.
    Same,
    /// The observations differ.
    Divergence(StepDifference),
    /// The observations differ after a behaviour that AMQP does not specify.
    Unspecified(Unspecified),
    /// The observations differ, and the run on RabbitMQ was too slow to be evidence.
    Slow,
    /// The observations differ, and the AMQP driver closed a connection without a cause at the
    /// broker.
    DriverGaveUp,
}

/// The first difference between two runs.
#[derive(Debug, Clone, PartialEq)]
pub struct StepDifference {
    /// The index of the operation, or the number of operations for the state at the end.
    pub step: usize,
    /// The observations on the memory broker.
    pub memory: StepLog,
    /// The observations on RabbitMQ.
    pub rabbitmq: StepLog,
    /// The last three errors of RabbitMQ in full.
    pub notes: Vec<String>,
}

/// Compares programs on RabbitMQ and on memory brokers. Deletes all queues and exchanges after each
/// program.
#[derive(Debug)]
pub struct Comparator {
    broker: RabbitMqBroker,
    connector: Arc<dyn Connector>,
    channel: Option<Arc<dyn Backend>>,
}

impl Comparator {
    /// Creates a comparator for the virtual host of the options, which has this default type of
    /// queues, on a broker of this release. No other program may use this virtual host.
    pub fn new(
        options: ConnectionOptions,
        release: Release,
        default_type: DefaultQueueType,
    ) -> Comparator {
        let broker = RabbitMqBroker::new(options, release, default_type);
        Comparator { connector: broker.connect(), broker, channel: None }
    }

    /// Runs a program on a new memory broker and on RabbitMQ. Returns the log of the memory broker,
    /// too.
    ///
    /// `patience` is the time in which RabbitMQ has to show the observations of the memory broker.
    pub fn compare(&mut self, program: &Program, patience: Duration) -> (ComparisonResult, RunLog) {
        let prefix = prefix();
        let memory = run(program, &self.broker.imitation(), &prefix, None);
        let rabbitmq = run(program, &self.broker, &prefix, Some((&memory.steps, patience)));
        self.clean(&rabbitmq.created);
        let Some(step) = (0..memory.steps.len())
            .find(|step| memory.steps.get(*step) != rabbitmq.steps.get(*step))
        else {
            return (ComparisonResult::Same, memory);
        };
        if let Some((at, why)) = &memory.unspecified
            && *at <= step
        {
            return (ComparisonResult::Unspecified(*why), memory);
        }
        if [&memory, &rabbitmq]
            .iter()
            .filter_map(|log| log.steps.get(step))
            .flatten()
            .any(|line| unspecified::is_endless(line))
        {
            return (ComparisonResult::Unspecified(Unspecified::EndlessDeadLettering), memory);
        }
        if rabbitmq.notes.iter().any(|note| note.contains(unspecified::GAVE_UP)) {
            return (ComparisonResult::DriverGaveUp, memory);
        }
        if rabbitmq.slow {
            return (ComparisonResult::Slow, memory);
        }
        let step_of = |steps: &[StepLog]| steps.get(step).cloned().unwrap_or_default();
        let notes = rabbitmq.notes.into_iter().rev().take(3).collect();
        (
            ComparisonResult::Divergence(StepDifference {
                step,
                memory: step_of(&memory.steps),
                rabbitmq: step_of(&rabbitmq.steps),
                notes,
            }),
            memory,
        )
    }

    /// Runs a program on RabbitMQ only, and waits for `patience` after each operation.
    pub fn record(&mut self, program: &Program, patience: Duration) -> RunLog {
        let log = record(program, &self.broker, &prefix(), patience);
        self.clean(&log.created);
        log
    }

    fn clean(&mut self, created: &CreatedEntities) {
        for name in &created.queues {
            self.delete(Delete::Queue { name, condition: DeleteIf::ALWAYS });
        }
        for name in &created.exchanges {
            self.delete(Delete::Exchange { name, condition: DeleteIf::ALWAYS });
        }
    }

    /// Deletes an entity. Ignores an error, because the broker deletes exclusive queues with their
    /// connection.
    fn delete(&mut self, entity: Delete<'_>) {
        if self.channel.is_none() {
            self.channel =
                self.connector.open(&ChannelOptions::publish().without_confirms(), DEADLINE).ok();
        }
        if let Some(channel) = &self.channel
            && channel.delete(entity, DEADLINE).is_err()
        {
            self.channel = None;
        }
    }
}

/// Returns a prefix of names that no other run uses.
pub fn prefix() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    format!("d{:x}-{:x}.", now & 0xFFFF_FFFF_FFFF, RUNS.fetch_add(1, Ordering::Relaxed))
}
