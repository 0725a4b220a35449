//! Runs a program on one broker, and writes down what is observed.

mod look;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use carrot_core::backend::{
    Acknowledgement, Backend, ChannelOptions, Connector, Declare, DeliveryTag, PublishTag,
    Subscription,
};
use carrot_core::{Error, Exchange, Result};

use crate::names::Names;
use crate::open::{Arrivals, Freedom, Pace};
use crate::program::{CHANNELS, CONNECTIONS, Program, UNCONFIRMED, connection_of};
use crate::side::Side;
use crate::text;

/// The bound of every call.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// What one operation showed, line by line.
pub type Step = Vec<String>;

/// What a run showed.
#[derive(Debug, Clone, Default)]
pub struct Log {
    /// A step for each operation, and one for what is there in the end. Ends with the first step that is not as expected.
    pub steps: Vec<Step>,
    /// Whether the order of something was open, from which step on, and why.
    pub open: Option<(usize, Freedom)>,
    /// Whether so much time passed that the run is no evidence.
    pub slow: bool,
    /// Every error in full, and at which step; not compared.
    pub notes: Vec<String>,
    /// The queues and exchanges that it made.
    pub made: Made,
}

/// What a run leaves behind.
#[derive(Debug, Clone, Default)]
pub struct Made {
    /// Queues, by their names at the broker.
    pub queues: BTreeSet<String>,
    /// Exchanges, by their names at the broker.
    pub exchanges: BTreeSet<String>,
}

/// Runs a program. With `expected`, gives the broker so much time to come to it at each step, and stops at the first step that differs.
pub fn run(
    program: &Program,
    side: &dyn Side,
    prefix: &str,
    expected: Option<(&[Step], Duration)>,
) -> Log {
    let mut runner = Runner::new(side, prefix);
    let expected = expected.map(|(steps, patience)| {
        runner.patience = patience;
        steps
    });
    for (index, operation) in program.operations.iter().enumerate() {
        let expected_step = expected.map(|steps| steps.get(index).map_or(&[][..], Vec::as_slice));
        let step = runner.step(index, operation, expected_step);
        let differs = expected_step.is_some_and(|expected| expected != step);
        runner.log.steps.push(step);
        runner.log.slow |= program.is_timed() && runner.pace.is_slow();
        if differs {
            return runner.finish();
        }
    }
    let last = program.operations.len();
    let step =
        runner.end(last, expected.map(|steps| steps.get(last).map_or(&[][..], Vec::as_slice)));
    runner.log.steps.push(step);
    runner.finish()
}

/// Runs a program with nothing to compare it with, and waits so long after each operation for what it brings about.
pub fn watch(program: &Program, side: &dyn Side, prefix: &str, patience: Duration) -> Log {
    let mut runner = Runner::new(side, prefix);
    runner.patience = patience;
    for (index, operation) in program.operations.iter().enumerate() {
        let step = runner.step(index, operation, None);
        runner.log.steps.push(step);
    }
    let step = runner.end(program.operations.len(), None);
    runner.log.steps.push(step);
    runner.finish()
}

pub(crate) struct Runner<'a> {
    pub(crate) side: &'a dyn Side,
    pub(crate) names: Names,
    pub(crate) connections: [Option<Arc<dyn Connector>>; CONNECTIONS],
    watchers: [Option<Arc<dyn Backend>>; CONNECTIONS],
    pub(crate) channels: [Option<Channel>; CHANNELS as usize],
    pub(crate) subscribers: Vec<Subscriber>,
    queues: Vec<KnownQueue>,
    /// The queues that were declared with a single active consumer.
    pub(crate) single_active: BTreeSet<String>,
    pub(crate) published: u32,
    arrivals: Arrivals,
    pub(crate) pace: Pace,
    index: usize,
    patience: Duration,
    /// Whether a channel gives something back, and who gets it may not show.
    giving_back: bool,
    pub(crate) log: Log,
}

/// An open or dead channel.
pub(crate) struct Channel {
    pub(crate) backend: Arc<dyn Backend>,
    pub(crate) dead: bool,
    pub(crate) held: Vec<Held>,
    pub(crate) owed: Vec<(u32, PublishTag)>,
    /// The queues that it has, or had, consumers of.
    pub(crate) sources: BTreeSet<String>,
}

/// A delivery that was handed out.
pub(crate) struct Held {
    pub(crate) tag: DeliveryTag,
    /// The consumer that it was delivered to; none if it was got.
    pub(crate) consumer: Option<usize>,
    pub(crate) settled: bool,
}

pub(crate) struct Subscriber {
    pub(crate) channel: u8,
    /// Gone once it has ended or was dropped.
    pub(crate) subscription: Option<Box<dyn Subscription>>,
    pub(crate) queue: String,
    pub(crate) acknowledgement: Acknowledgement,
    pub(crate) lazy: bool,
}

struct KnownQueue {
    name: String,
    /// The connection that it is exclusive to.
    owner: Option<usize>,
}

impl<'a> Runner<'a> {
    fn new(side: &'a dyn Side, prefix: &str) -> Runner<'a> {
        Runner {
            side,
            names: Names::new(prefix),
            connections: Default::default(),
            watchers: Default::default(),
            channels: Default::default(),
            subscribers: Vec::new(),
            queues: Vec::new(),
            single_active: BTreeSet::new(),
            published: 0,
            arrivals: Arrivals::default(),
            pace: Pace::new(),
            index: 0,
            patience: Duration::ZERO,
            giving_back: false,
            log: Log::default(),
        }
    }

    fn step(
        &mut self,
        index: usize,
        operation: &crate::program::Operation,
        expected: Option<&[String]>,
    ) -> Step {
        self.index = index;
        let done = self.perform(operation);
        let mut lines: Vec<String> =
            done.lines.iter().map(|line| self.names.symbolic(line)).collect();
        if done.look {
            self.look(&mut lines, done.taking, expected, false);
        }
        lines
    }

    /// Takes everything that is left, and looks at what each queue holds.
    fn end(&mut self, index: usize, expected: Option<&[String]>) -> Step {
        self.index = index;
        self.subscribers.iter_mut().for_each(|subscriber| subscriber.lazy = false);
        let mut lines = vec!["end".to_string()];
        self.look(&mut lines, None, expected, true);
        for index in 0..self.queues.len() {
            let KnownQueue { name, owner } = &self.queues[index];
            let (name, owner) = (name.clone(), *owner);
            loop {
                let got =
                    self.watch(owner, |watcher| watcher.get(&name, Acknowledgement::Automatic));
                let line = match got {
                    Ok(Some(delivery)) => {
                        self.names.learn_answer(delivery.content.properties.reply_to());
                        format!(
                            "{name} holds {} redelivered={}",
                            text::content(&delivery.content),
                            delivery.redelivered
                        )
                    }
                    Ok(None) => break,
                    Err(error) => format!("{name} cannot be read: {}", text::error(&error)),
                };
                let failed = line.contains("cannot be read");
                lines.push(self.names.symbolic(&line));
                if failed {
                    break;
                }
            }
        }
        lines
    }

    fn finish(mut self) -> Log {
        self.subscribers.clear();
        self.channels = Default::default();
        self.watchers = Default::default();
        for connector in self.connections.iter_mut().filter_map(Option::take) {
            let _ = connector.close(DEADLINE);
        }
        self.log
    }

    pub(crate) fn leave_open(&mut self, freedom: Freedom) {
        let index = self.index;
        self.log.open.get_or_insert((index, freedom));
    }

    /// The connector of a connection slot.
    pub(crate) fn connection(&mut self, slot: usize) -> &Arc<dyn Connector> {
        let side = self.side;
        self.connections[slot].get_or_insert_with(|| side.connect())
    }

    /// The channel of a slot; opened if it is not open, or dead and not wanted so.
    pub(crate) fn channel(&mut self, slot: u8, even_if_dead: bool) -> Result<Arc<dyn Backend>> {
        match &self.channels[usize::from(slot)] {
            Some(channel) if even_if_dead || !channel.dead => {
                return Ok(Arc::clone(&channel.backend));
            }
            _ => {}
        }
        self.drop_channel(slot);
        let options = match slot {
            UNCONFIRMED => ChannelOptions::publish().without_confirms(),
            _ => ChannelOptions::publish(),
        };
        let backend = self.connection(connection_of(slot)).open(&options, DEADLINE)?;
        let channel = Channel {
            backend: Arc::clone(&backend),
            dead: false,
            held: Vec::new(),
            owed: Vec::new(),
            sources: BTreeSet::new(),
        };
        self.channels[usize::from(slot)] = Some(channel);
        Ok(backend)
    }

    pub(crate) fn drop_channel(&mut self, slot: u8) {
        self.before_end(slot);
        for subscriber in
            self.subscribers.iter_mut().filter(|subscriber| subscriber.channel == slot)
        {
            subscriber.subscription = None;
        }
        self.channels[usize::from(slot)] = None;
    }

    /// Takes note of what an error means for a channel and its connection.
    pub(crate) fn fail(&mut self, slot: u8, error: &Error) {
        self.log.notes.push(format!("operation {}: {error:?}", self.index));
        let lost = matches!(error, Error::Disconnected { .. } | Error::HardError { .. });
        let dead = error.is_channel_error()
            || error.is_disconnected()
            || lost
            || matches!(error, Error::Timeout { .. } | Error::Closed { .. });
        if !dead {
            return;
        }
        self.bury(slot);
        if lost {
            self.connection_ended(connection_of(slot));
        }
    }

    pub(crate) fn bury(&mut self, slot: u8) {
        self.before_end(slot);
        if let Some(channel) = &mut self.channels[usize::from(slot)] {
            channel.dead = true;
            channel.owed.clear();
        }
    }

    /// Takes note of a channel that ends with something to give back, be it to a queue other than one that it consumes from.
    fn before_end(&mut self, slot: u8) {
        let Some(channel) =
            self.channels[usize::from(slot)].as_ref().filter(|channel| !channel.dead)
        else {
            return;
        };
        let live = |subscriber: &&Subscriber| {
            subscriber.channel == slot && subscriber.subscription.is_some()
        };
        let held = channel.held.iter().filter(|held| !held.settled);
        let mut gives_back: Vec<Option<&str>> =
            held.map(|held| held.consumer.map(|index| &*self.subscribers[index].queue)).collect();
        gives_back.extend(
            self.subscribers
                .iter()
                .filter(live)
                .filter(|live| live.lazy)
                .map(|lazy| Some(&*lazy.queue)),
        );
        self.giving_back |= !gives_back.is_empty()
            && self.subscribers.iter().any(|other| other.lazy && other.subscription.is_some());
        let mut consumed = self.subscribers.iter().filter(live);
        if consumed.any(|consumer| gives_back.iter().any(|queue| *queue != Some(&*consumer.queue)))
        {
            self.leave_open(Freedom::ChannelOfSeveralQueues);
        }
    }

    pub(crate) fn connection_ended(&mut self, connection: usize) {
        let live = |subscriber: &Subscriber| subscriber.subscription.is_some();
        let busy = (0..CHANNELS).filter(|slot| connection_of(*slot) == connection).filter(|slot| {
            let holds = self.channels[usize::from(*slot)]
                .as_ref()
                .is_some_and(|channel| channel.held.iter().any(|held| !held.settled));
            holds
                || self
                    .subscribers
                    .iter()
                    .any(|subscriber| subscriber.channel == *slot && live(subscriber))
        });
        if busy.count() > 1 {
            self.leave_open(Freedom::BusyConnection);
        }
        for slot in (0..CHANNELS).filter(|slot| connection_of(*slot) == connection) {
            self.bury(slot);
        }
        self.watchers[connection] = None;
    }

    pub(crate) fn know_queue(&mut self, name: &str, owner: Option<usize>) {
        self.log.made.queues.insert(name.to_string());
        if !self.queues.iter().any(|queue| queue.name == name) {
            self.queues.push(KnownQueue { name: name.to_string(), owner });
            self.names.know_queues(self.queues.iter().map(|queue| queue.name.clone()));
        }
    }

    /// Makes a round trip that changes nothing, so that what was sent before is done.
    pub(crate) fn synchronise(channel: &dyn Backend) -> Result<()> {
        channel.declare(Declare::Exchange(&Exchange::existing("amq.direct"))).map(drop)
    }
}
