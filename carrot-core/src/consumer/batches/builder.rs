use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::consumer::batches::collect::{CollectTurns, collect};
use crate::consumer::batches::limits::BatchLimits;
use crate::consumer::batches::settlement::IntoBatchSettlement;
use crate::consumer::batches::treat::treat;
use crate::consumer::message::Message;
use crate::consumer::run::CachedSubscription;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::worker_pool::WorkerPool;
use crate::consumer::workers::Workers;
use crate::deadline::FOREVER;
use crate::error::Result;

/// Defines worker threads that handle messages in batches. Created by
/// [`WorkersBuilder::batches`](crate::WorkersBuilder::batches).
///
/// One worker at a time collects a batch. A batch is complete as described at
/// [`Consumer::batches`](crate::Consumer::batches). The prefetch is raised to a full batch for each
/// worker, at most 65,535 messages.
#[must_use = "no worker runs before it is spawned"]
pub struct BatchWorkersBuilder<'a> {
    shared: &'a Arc<ConsumerShared>,
    threads: usize,
    size: u16,
    wait: Duration,
}

/// Handles the messages of a batch, and settles them.
type TreatBatch = Box<dyn Fn(Vec<Message>, &WorkerPool) + Send + Sync>;

/// The code that the threads of a run share.
struct BatchRun {
    turns: CollectTurns,
    limits: BatchLimits,
    treat: TreatBatch,
}

impl BatchRun {
    /// Handles batches until the run ends.
    fn work(&self, worker: usize, pool: &WorkerPool) {
        let mut cached = CachedSubscription::default();
        loop {
            pool.counters.wait_for_breaker(&|| pool.run.is_stopped());
            let turn = self.turns.take();
            let collected = collect(&pool.run, &mut cached, self.limits, FOREVER);
            drop(turn);
            match collected {
                Ok(messages) if messages.is_empty() => return,
                Ok(messages) => {
                    pool.counters.while_busy(worker, || (self.treat)(messages, pool));
                }
                Err(error) => return pool.failed(error),
            }
        }
    }
}

impl<'a> BatchWorkersBuilder<'a> {
    pub(crate) fn new(
        shared: &'a Arc<ConsumerShared>,
        threads: usize,
        size: u16,
        wait: Duration,
    ) -> BatchWorkersBuilder<'a> {
        BatchWorkersBuilder { shared, threads, size, wait }
    }

    /// Starts the threads, which pass the decoded messages of each batch to the closure. The second
    /// argument has the message of each value, at the same position.
    ///
    /// | the closure | the messages are |
    /// |---|---|
    /// | returns `()` or `Ok(())` | acknowledged |
    /// | returns a [`BatchSettlement`](crate::BatchSettlement) | settled by it, and else acknowledged |
    /// | returns `Err`, or panics | all failed |
    ///
    /// A failed message is tried again later or parked, by its own number of attempts, as described
    /// at [`Handler`](crate::Handler). The message then arrives in another batch. Where no copy of
    /// a message can wait at the broker, the message pauses in the process, and is requeued. A
    /// message of a stream is parked at once, and skipped if that fails.
    ///
    /// A message that cannot be decoded fails alone. The closure receives the others.
    ///
    /// A [`HandleLayer`](crate::HandleLayer) handles single messages. Batches therefore do not pass
    /// the layers, which only see the treatment of each message.
    ///
    /// Blocks as [`WorkersBuilder::spawn`](crate::WorkersBuilder::spawn) does.
    ///
    /// # Errors
    /// - As [`WorkersBuilder::spawn`](crate::WorkersBuilder::spawn).
    /// - [`Error::Invalid`](crate::Error::Invalid): the size of a batch is zero.
    ///
    /// ```
    /// # fn insert(_: &[f64]) -> Result<(), std::io::Error> { Ok(()) }
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// use std::time::Duration;
    /// use carrot::{Message, consume::BatchSettlement};
    ///
    /// let workers = consumer.workers(2).batches(100, Duration::from_secs(1)).spawn(
    ///     |prices: Vec<f64>, _messages: &[Message]| {
    ///         insert(&prices)?;
    ///         let mut settlement = BatchSettlement::new();
    ///         for (position, price) in prices.iter().enumerate() {
    ///             if *price < 0.0 {
    ///                 settlement.fail(position, "a negative price");
    ///             }
    ///         }
    ///         Ok::<_, std::io::Error>(settlement)
    ///     },
    /// )?;
    /// workers.stop(Duration::from_secs(30))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn spawn<T, R>(
        self,
        handler: impl Fn(Vec<T>, &[Message]) -> R + Send + Sync + 'static,
    ) -> Result<Workers>
    where
        T: DeserializeOwned,
        R: IntoBatchSettlement,
    {
        let limits = BatchLimits::new(self.size, self.wait)?;
        let options = limits.options(&self.shared.options, self.threads);
        let mut workers = Workers::start(self.shared, &options, self.threads, true)?;
        let pool = workers.pool();
        if !pool.run.layers().is_empty() {
            log::info!("handle layers are not called for batches queue={:?}", pool.run.queue());
        }
        let run = Arc::new(BatchRun {
            turns: CollectTurns::default(),
            limits,
            treat: Box::new(move |messages, pool| treat(messages, pool, &handler)),
        });
        for worker in 0..self.threads {
            workers.spawn_worker(worker, &run, move |pool, run| run.work(worker, pool))?;
        }
        Ok(workers)
    }
}

impl fmt::Debug for BatchWorkersBuilder<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BatchWorkersBuilder")
            .field("threads", &self.threads)
            .field("size", &self.size)
            .field("wait", &self.wait)
            .finish_non_exhaustive()
    }
}
