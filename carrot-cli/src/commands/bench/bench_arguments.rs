//! The arguments of a bench.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use carrot::{ConnectionOptions, Queue};
use clap::{Args, ValueEnum};

use crate::broker_arguments::{is_activemq, messages_per_second, seconds};

/// How long the queue outlives a bench that was killed, in addition to the time of the bench.
const OUTLIVES: Duration = Duration::from_secs(600);
/// The time of a bench without --time and --messages.
const DEFAULT_TIME: Duration = Duration::from_secs(10);

/// Measures rates and latencies of a broker.
///
/// Producers publish to a queue of the bench, and consumers acknowledge its messages. The queue is
/// deleted at the end, at Ctrl-C too. A latency is the time from the publish call to the consumer:
/// without --rate, producers can be faster than consumers, and it contains the time in the queue.
#[derive(Debug, Clone, Args)]
pub(crate) struct BenchArguments {
    /// Producers, each with a connection of its own
    #[arg(long, short, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(super) producers: u16,
    /// Consumers, each with a connection of its own. With 0, the messages stay in the queue
    #[arg(long, short, default_value = "1", value_parser = clap::value_parser!(u16).range(..=1000))]
    pub(super) consumers: u16,
    /// Wait for the broker's confirm of each message. The default
    #[arg(long, conflicts_with = "no_confirm")]
    confirm: bool,
    /// Do not ask for confirms: messages count as published when they are written
    #[arg(long)]
    pub(super) no_confirm: bool,
    /// Messages of a producer that wait for their confirm, at most
    #[arg(long, value_name = "MESSAGES", default_value = "1000", conflicts_with = "no_confirm",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) window: u32,
    /// Messages that the broker sends ahead to a consumer (prefetch), 1 to 65535
    #[arg(long, value_name = "MESSAGES", default_value = "100",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) qos: u16,
    /// Bytes of a body, 8 to 134217728
    #[arg(long, value_name = "BYTES", default_value = "100",
          value_parser = clap::value_parser!(u32).range(8..=134_217_728))]
    pub(super) size: u32,
    /// Seconds to publish. Defaults to 10, and without limit with --messages
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    time: Option<Duration>,
    /// Messages to publish, of all producers
    #[arg(long, short = 'n', value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) messages: Option<u64>,
    /// Publish at most this number of messages in a second, of all producers
    #[arg(long, value_name = "MESSAGES", value_parser = messages_per_second)]
    pub(super) rate: Option<f64>,
    /// Type of the queue
    #[arg(long = "type", value_name = "TYPE", default_value = "classic")]
    kind: BenchQueue,
    /// The messages are persistent
    #[arg(long)]
    pub(super) persistent: bool,
    /// File for a plot of rates and latencies
    #[arg(long, value_name = "FILE")]
    pub(super) svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BenchQueue {
    Classic,
    Quorum,
}

impl BenchArguments {
    /// Returns a new queue. It expires, except on ActiveMQ, which cannot do that.
    pub(super) fn queue(&self, options: &ConnectionOptions) -> Queue {
        let time = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
        let queue = Queue::new(format!("carrot-bench-{}-{time}", std::process::id()));
        let queue = match self.kind {
            BenchQueue::Classic => queue.classic(),
            BenchQueue::Quorum => queue.quorum(),
        };
        if is_activemq(options) {
            return queue;
        }
        queue.expires(self.limit().unwrap_or(DEFAULT_TIME) + OUTLIVES)
    }

    /// Returns how long the producers publish.
    pub(super) fn limit(&self) -> Option<Duration> {
        self.time.or(self.messages.is_none().then_some(DEFAULT_TIME))
    }
}
