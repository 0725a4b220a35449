use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};

use crate::backend::ConsumeOptions;
use crate::consumer::counters::RunCounters;
use crate::consumer::report::Report;
use crate::consumer::run::ConsumerRun;
use crate::consumer::shared::ConsumerShared;
use crate::consumer::stop::StopHandle;
use crate::consumer::worker_pool::WorkerPool;
use crate::deadline;
use crate::error::{Error, Result};
use crate::panic_guard::{drop_guarded, guard};

/// The minimum time for the broker to answer the close of the channel when workers stop.
const CLOSING: Duration = Duration::from_secs(1);

/// Announces the end of a thread, also after a panic.
struct Ended(Sender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// Running worker threads. Returned by [`WorkersBuilder::spawn`](crate::WorkersBuilder::spawn).
///
/// Workers run until they are stopped here or by the consumer's [`StopHandle`]. They also end if
/// the consumer fails: the queue was deleted, or reconnecting has failed for longer than
/// `give_up_after`. A handler that fails or panics does not end its worker.
///
/// Dropping the workers stops the run without waiting. Running handlers finish in the background.
#[derive(Debug)]
#[must_use = "dropping it stops the workers"]
pub struct Workers {
    pool: Arc<WorkerPool>,
    ends: (Sender<()>, Receiver<()>),
    /// The number of threads whose end was not received.
    running: usize,
    stopping: bool,
}

impl Workers {
    /// Starts a run with these options, which has no thread yet. Declares the parking queue if
    /// `settles` is set.
    pub(super) fn start(
        shared: &Arc<ConsumerShared>,
        options: &ConsumeOptions,
        threads: usize,
        settles: bool,
    ) -> Result<Workers> {
        if threads == 0 {
            return Err(Error::invalid("worker threads", "0", "at least 1"));
        }
        let run = Arc::new(ConsumerRun::start(shared, options)?);
        if settles {
            run.policy().prepare(&run.queue());
        }
        let counters = Arc::new(RunCounters::new(run.policy(), threads));
        run.unhandled().figures().count_results(Arc::clone(&counters) as _);
        let pool = Arc::new(WorkerPool { counters, run });
        Ok(Workers { pool, ends: unbounded(), running: 0, stopping: false })
    }

    pub(super) fn pool(&self) -> &Arc<WorkerPool> {
        &self.pool
    }

    /// Starts the worker of this number, from 0, which calls `work` with `context`.
    pub(super) fn spawn_worker<C: Send + Sync + 'static>(
        &mut self,
        worker: usize,
        context: &Arc<C>,
        work: impl FnOnce(&WorkerPool, &C) + Send + 'static,
    ) -> Result<()> {
        let counters = Arc::clone(&self.pool.counters);
        counters.worker_started();
        self.spawn_thread(&format!("{}", worker + 1), context, work, move || {
            counters.worker_ended();
        })
    }

    /// Starts a thread of the run, which calls `work` with `context`, and then `ended`.
    pub(super) fn spawn_thread<C: Send + Sync + 'static>(
        &mut self,
        name: &str,
        context: &Arc<C>,
        work: impl FnOnce(&WorkerPool, &C) + Send + 'static,
        ended: impl FnOnce() + Send + 'static,
    ) -> Result<()> {
        let (pool, context) = (Arc::clone(&self.pool), Arc::clone(context));
        let announced = Ended(self.ends.0.clone());
        self.running += 1;
        // The name of a thread must not contain NUL, and the name of a queue may.
        let thread_name = format!("{} {name}", self.pool.run.queue()).replace('\0', "?");
        thread::Builder::new()
            .name(thread_name)
            .spawn(move || {
                let announced = announced;
                if let Err(panic) = guard(|| work(&pool, &context)) {
                    log::error!("worker ended: {panic} queue={:?}", pool.run.queue());
                    pool.counters.worker_failed(Error::Backend {
                        reason: format!("a worker ended: {panic}"),
                        source: None,
                    });
                }
                ended();
                drop(pool);
                drop_guarded(context);
                drop(announced);
            })
            .map(drop)
            .map_err(|error| Error::Backend {
                reason: "a worker thread could not be started".into(),
                source: Some(Arc::new(error)),
            })
    }

    /// Shuts down gracefully: receives no more messages, waits for running handlers, requeues all
    /// other messages, and flushes all settlements. Returns the numbers of settled messages. The
    /// consumer stays stopped.
    ///
    /// A handler that takes longer than `timeout` continues in its thread, but its message is
    /// requeued now. Settling that message fails with [`Stale`](Error::Stale).
    ///
    /// Must not be called from a handler, which would wait for itself until the timeout. Use a
    /// [`StopHandle`] there.
    ///
    /// Blocks until the handlers have finished, at most for `timeout`, and up to 1 s more for the
    /// broker's answer.
    ///
    /// # Errors
    /// - The error that ended a worker before the stop.
    /// - [`Error::Timeout`], [`Error::Disconnected`]: the broker did not answer the close of the
    ///   channel.
    pub fn stop(mut self, timeout: Duration) -> Result<Report> {
        let deadline = deadline::after(timeout);
        self.stop_in_background();
        self.await_ends(Some(deadline));
        self.finish(deadline)
    }

    /// Waits until all workers have ended after a [`StopHandle::stop`] or a failure of the
    /// consumer. Then finishes like [`stop`](Workers::stop).
    ///
    /// Blocks without a time limit.
    ///
    /// # Errors
    /// As [`stop`](Workers::stop).
    pub fn join(mut self) -> Result<Report> {
        self.await_ends(None);
        self.finish(Instant::now())
    }

    /// Waits as [`join`](Workers::join) does. Returns the workers if one of them still runs at the
    /// timeout.
    ///
    /// Blocks at most for `timeout`, and up to 1 s more for the broker's answer.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # fn example(mut workers: carrot::Workers) -> carrot::Result<()> {
    /// loop {
    ///     match workers.join_timeout(Duration::from_secs(60)) {
    ///         Ok(ended) => break println!("{:?}", ended?),
    ///         Err(running) => workers = running,
    ///     }
    ///     println!("still running: {:?}", workers.report());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - The workers, if one of them has not ended.
    /// - Inside, as [`stop`](Workers::stop).
    pub fn join_timeout(
        mut self,
        timeout: Duration,
    ) -> std::result::Result<Result<Report>, Workers> {
        self.await_ends(Some(deadline::after(timeout)));
        if self.running > 0 { Err(self) } else { Ok(self.finish(Instant::now())) }
    }

    /// Returns a handle that stops the consumer from any thread.
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle { stop: Arc::clone(self.pool.run.stop()) }
    }

    /// Returns whether every worker has ended.
    pub fn is_finished(&self) -> bool {
        self.ends.1.len() >= self.running
    }

    /// Returns the numbers of messages settled so far.
    pub fn report(&self) -> Report {
        self.pool.run.report(&self.pool.counters)
    }

    /// Returns the reason of the first failed message: the error or panic of its handler, or the
    /// error of decoding. The reason is available before the message is settled.
    pub fn first_failure(&self) -> Option<String> {
        self.pool.counters.first_failure()
    }

    fn await_ends(&mut self, deadline: Option<Instant>) {
        while self.running > 0 {
            let ended = match deadline {
                Some(deadline) => self.ends.1.recv_deadline(deadline),
                None => self.ends.1.recv().map_err(RecvTimeoutError::from),
            };
            match ended {
                Ok(()) => self.running -= 1,
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.running = 0,
            }
        }
    }

    fn finish(mut self, deadline: Instant) -> Result<Report> {
        self.stopping = true;
        let left = deadline.saturating_duration_since(Instant::now());
        let unfinished = self.pool.counters.busy();
        let closing = Instant::now() + left.max(CLOSING);
        if self.pool.run.is_stopped() {
            // Waits before the channel closes: messages that a closed channel held may count as
            // failed deliveries.
            self.pool.run.stop().wait_until_returned(closing);
        }
        let closed = self.pool.run.discard(closing.saturating_duration_since(Instant::now()));
        let report = Report { unfinished, ..self.report() };
        let failed = self.pool.counters.take_worker_error();
        failed.map_or(Ok(()), Err).and(closed)?;
        Ok(report)
    }

    /// Cancels on another thread, because the cancel waits for the broker and the caller may have a
    /// nearer deadline.
    fn stop_in_background(&mut self) {
        self.stopping = true;
        let stop = Arc::clone(self.pool.run.stop());
        stop.mark();
        let cancel = move || {
            if let Err(error) = stop.stop() {
                log::debug!("cancelling a subscription failed: {error}");
            }
        };
        if let Err(error) = thread::Builder::new().name("carrot-stop".into()).spawn(cancel) {
            log::warn!("cancelling a subscription failed, no thread could be started: {error}");
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if !self.stopping && !self.is_finished() {
            self.stop_in_background();
        }
    }
}
