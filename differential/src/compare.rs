//! Runs one program on both brokers, and says whether they agree.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use carrot_core::ConnectionOptions;
use carrot_core::backend::{Backend, ChannelOptions, Connector, Delete, DeleteIf};

use crate::open::{self, Freedom};
use crate::program::Program;
use crate::run::{Log, Made, Step, run, watch};
use crate::side::{Memory, RabbitMq, Side};

const DEADLINE: Duration = Duration::from_secs(20);

/// What a comparison came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Both showed the same.
    Same,
    /// They differ.
    Divergence(Difference),
    /// They differ, after something that is open.
    Open(Freedom),
    /// They differ, and the run on RabbitMQ took too long to be evidence.
    Slow,
    /// They differ, and the AMQP driver lost a connection of its own accord.
    GaveUp,
}

/// Where two runs differ.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// The index of the operation; one past the last for what is there in the end.
    pub step: usize,
    /// What the memory broker showed.
    pub memory: Step,
    /// What RabbitMQ showed.
    pub rabbitmq: Step,
    /// The last errors of RabbitMQ in full.
    pub notes: Vec<String>,
}

/// A corner of RabbitMQ for one thread, cleaned after each program.
#[derive(Debug)]
pub struct Corner {
    side: RabbitMq,
    connector: Arc<dyn Connector>,
    channel: Option<Arc<dyn Backend>>,
}

impl Corner {
    /// In the virtual host that the options name, which nobody else uses.
    pub fn new(options: ConnectionOptions) -> Corner {
        let side = RabbitMq::new(options);
        Corner { connector: side.connect(), side, channel: None }
    }

    /// Runs a program on a fresh memory broker and here; gives what the memory broker showed, too. `patience` is how long RabbitMQ may take to come to what is expected.
    pub fn compare(&mut self, program: &Program, patience: Duration) -> (Verdict, Log) {
        let prefix = prefix();
        let memory = run(program, &Memory::new(), &prefix, None);
        let rabbitmq = run(program, &self.side, &prefix, Some((&memory.steps, patience)));
        self.clean(&rabbitmq.made);
        let Some(step) = (0..memory.steps.len())
            .find(|step| memory.steps.get(*step) != rabbitmq.steps.get(*step))
        else {
            return (Verdict::Same, memory);
        };
        if let Some((at, why)) = &memory.open
            && *at <= step
        {
            return (Verdict::Open(*why), memory);
        }
        if [&memory, &rabbitmq]
            .iter()
            .filter_map(|log| log.steps.get(step))
            .flatten()
            .any(|line| open::is_endless(line))
        {
            return (Verdict::Open(Freedom::EndlessRound), memory);
        }
        if rabbitmq.notes.iter().any(|note| note.contains(open::GAVE_UP)) {
            return (Verdict::GaveUp, memory);
        }
        if rabbitmq.slow {
            return (Verdict::Slow, memory);
        }
        let of = |steps: &[Step]| steps.get(step).cloned().unwrap_or_default();
        let notes = rabbitmq.notes.into_iter().rev().take(3).collect();
        (
            Verdict::Divergence(Difference {
                step,
                memory: of(&memory.steps),
                rabbitmq: of(&rabbitmq.steps),
                notes,
            }),
            memory,
        )
    }

    /// What RabbitMQ alone shows, if it is given so much time after each operation.
    pub fn watch(&mut self, program: &Program, patience: Duration) -> Log {
        let log = watch(program, &self.side, &prefix(), patience);
        self.clean(&log.made);
        log
    }

    fn clean(&mut self, made: &Made) {
        for name in &made.queues {
            self.delete(Delete::Queue { name, condition: DeleteIf::ALWAYS });
        }
        for name in &made.exchanges {
            self.delete(Delete::Exchange { name, condition: DeleteIf::ALWAYS });
        }
    }

    /// What is exclusive goes with its connection.
    fn delete(&mut self, entity: Delete<'_>) {
        if self.channel.is_none() {
            self.channel =
                self.connector.open(&ChannelOptions::publish().without_confirms(), DEADLINE).ok();
        }
        if let Some(channel) = &self.channel
            && channel.delete(entity).is_err()
        {
            self.channel = None;
        }
    }
}

/// A beginning of names that no other run has.
pub fn prefix() -> String {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros());
    format!("d{:x}-{:x}.", now & 0xFFFF_FFFF_FFFF, RUNS.fetch_add(1, Ordering::Relaxed))
}
