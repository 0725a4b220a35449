use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::de::DeserializeOwned;

use crate::consumer::counters::RunCounters;
use crate::consumer::dispatch;
use crate::consumer::handler::{Handler, IntoSettlement};
use crate::consumer::message::Message;
use crate::consumer::process::process;
use crate::consumer::report::Report;
use crate::consumer::router::Router;
use crate::consumer::run::{CachedSubscription, ConsumerRun};
use crate::consumer::shared::ConsumerShared;
use crate::consumer::stop::StopHandle;
use crate::deadline::{self, FOREVER};
use crate::error::{Error, Result};
use crate::panic_guard::{drop_guarded, guard};
use crate::publish_layer::layer::PublishLayers;
use crate::recovery::handle::ConnectionHandle;

/// The minimum time for the broker to answer the close of the channel when workers stop.
const CLOSING: Duration = Duration::from_secs(1);

/// Defines worker threads. Created by [`Consumer::workers`](crate::Consumer::workers).
#[derive(Debug)]
#[must_use = "no worker runs before it is spawned"]
pub struct WorkersBuilder<'a> {
    shared: &'a Arc<ConsumerShared>,
    threads: usize,
}

impl<'a> WorkersBuilder<'a> {
    pub(crate) fn new(shared: &'a Arc<ConsumerShared>, threads: usize) -> WorkersBuilder<'a> {
        WorkersBuilder { shared, threads }
    }

    /// Starts the threads, which pass messages to the closure. [`Handler`] describes how a message
    /// is settled.
    ///
    /// All threads share one subscription: a free worker takes the next message.
    ///
    /// Blocks for two to five round trips: those of the subscription, and up to three to find and
    /// declare the parking queue.
    ///
    /// # Errors
    /// - As [`Consumer::messages`](crate::Consumer::messages).
    /// - [`Error::Invalid`]: the number of threads is zero.
    /// - [`Error::Backend`]: the system could not start a thread.
    pub fn spawn<T, R>(
        self,
        handler: impl Fn(T, &Message) -> R + Send + Sync + 'static,
    ) -> Result<Workers>
    where
        T: DeserializeOwned,
        R: IntoSettlement,
    {
        let workers = self.start(true, move |pool, message| {
            let policy = pool.run.policy();
            let mut handle = |message: &Message| {
                dispatch::handle(message, policy, |payload, message| {
                    handler(payload, message).into_settlement()
                })
            };
            process(message, &pool.run, &pool.counters, &mut handle, &mut || {});
        })?;
        Ok(workers)
    }

    /// Starts the threads, which pass messages to the same [`Handler`]. Otherwise behaves as
    /// [`spawn`](WorkersBuilder::spawn).
    ///
    /// # Errors
    /// As [`spawn`](WorkersBuilder::spawn).
    pub fn spawn_handler<H: Handler>(self, handler: H) -> Result<Workers> {
        self.spawn(move |payload, message: &Message| handler.receive(payload, message))
    }

    /// Starts the threads, which pass messages to the handlers of a [`Router`]. Otherwise behaves
    /// as [`spawn`](WorkersBuilder::spawn).
    ///
    /// # Errors
    /// As [`spawn`](WorkersBuilder::spawn).
    pub fn spawn_router(self, router: Router) -> Result<Workers> {
        self.start(true, move |pool, message| {
            let policy = pool.run.policy();
            let mut handle = |message: &Message| router.handle(message, policy);
            process(message, &pool.run, &pool.counters, &mut handle, &mut || {});
        })
    }

    /// Starts the threads, which pass whole messages to the closure. The closure settles each
    /// message itself, now or later, on any thread.
    ///
    /// A message that the closure drops, or loses in a panic, is requeued and redelivered at once.
    /// Such a closure can loop without pause. The [`Report`] does not count these messages, because
    /// they may be settled anywhere.
    ///
    /// An [`unreadable`](Message::unreadable) message does not reach the closure. It fails and is
    /// counted as with [`spawn`](WorkersBuilder::spawn). Otherwise behaves as `spawn`.
    ///
    /// # Errors
    /// As [`spawn`](WorkersBuilder::spawn).
    pub fn spawn_raw(self, handler: impl Fn(Message) + Send + Sync + 'static) -> Result<Workers> {
        self.start(false, move |pool, message| {
            if let Err(error) = message.check_readable() {
                let mut handle = |message: &Message| {
                    dispatch::undecodable(message, pool.run.policy(), error.clone())
                };
                return process(message, &pool.run, &pool.counters, &mut handle, &mut || {});
            }
            if let Err(panic) = guard(|| handler(message)) {
                log::warn!("handling a message failed: {panic} queue={:?}", pool.run.queue());
            }
        })
    }

    /// Returns the layers that the answers to requests pass.
    pub(crate) fn answer_layers(&self) -> &PublishLayers {
        &self.shared.answer_layers
    }

    pub(crate) fn connection(&self) -> &Arc<ConnectionHandle> {
        self.shared.policy.connection()
    }

    /// Starts the threads. Declares the parking queue if `settles` is set.
    pub(crate) fn start(
        self,
        settles: bool,
        handle: impl Fn(&WorkerPool, Message) + Send + Sync + 'static,
    ) -> Result<Workers> {
        if self.threads == 0 {
            return Err(Error::invalid("worker threads", "0", "at least 1"));
        }
        let run = Arc::new(ConsumerRun::start(self.shared, &self.shared.options)?);
        if settles {
            run.policy().prepare(&run.queue());
        }
        let (ended_sender, ended) = bounded(self.threads);
        let counters = Arc::new(RunCounters::new(run.policy(), self.threads));
        run.unhandled().figures().count_results(Arc::clone(&counters) as _);
        let pool = Arc::new(WorkerPool { counters, run });
        let handle = Arc::new(handle);
        let workers = Workers { pool, ended, running: self.threads, stopping: false };
        for worker in 0..self.threads {
            let (pool, handle, ended) =
                (Arc::clone(&workers.pool), Arc::clone(&handle), ended_sender.clone());
            workers.pool.counters.worker_started();
            thread::Builder::new()
                .name(format!("{} {}", workers.pool.run.queue(), worker + 1))
                .spawn(move || {
                    let ended = Ended(ended);
                    if let Err(panic) = guard(|| pool.work(worker, &*handle)) {
                        log::error!("worker ended: {panic} queue={:?}", pool.run.queue());
                        pool.counters.worker_failed(Error::Backend {
                            reason: format!("a worker ended: {panic}"),
                            source: None,
                        });
                    }
                    pool.counters.worker_ended();
                    drop(pool);
                    drop_guarded(handle);
                    drop(ended);
                })
                .map_err(|error| Error::Backend {
                    reason: "a worker thread could not be started".into(),
                    source: Some(Arc::new(error)),
                })?;
        }
        Ok(workers)
    }
}

/// Announces the end of a worker, also after a panic.
struct Ended(Sender<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// The state that the threads of one `spawn` share.
#[derive(Debug)]
pub(crate) struct WorkerPool {
    pub(crate) run: Arc<ConsumerRun>,
    pub(crate) counters: Arc<RunCounters>,
}

impl WorkerPool {
    fn work(&self, worker: usize, handle: &dyn Fn(&WorkerPool, Message)) {
        let mut cached = CachedSubscription::default();
        loop {
            self.counters.wait_for_breaker(&|| self.run.is_stopped());
            match self.run.next(&mut cached, FOREVER) {
                Ok(Some(message)) => {
                    self.counters.while_busy(worker, || handle(self, message));
                }
                Ok(None) if self.run.is_stopped() => return,
                Ok(None) => {}
                Err(error) => {
                    log::warn!("worker ended: {error} queue={:?}", self.run.queue());
                    return self.counters.worker_failed(error);
                }
            }
        }
    }
}

/// Running worker threads. Returned by [`WorkersBuilder::spawn`].
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
    ended: Receiver<()>,
    running: usize,
    stopping: bool,
}

impl Workers {
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
        self.ended.len() >= self.running
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
                Some(deadline) => self.ended.recv_deadline(deadline),
                None => self.ended.recv().map_err(RecvTimeoutError::from),
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
