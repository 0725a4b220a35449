use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::backend::Acknowledgement;
use crate::consumer::failure::{Failure, FailurePolicy};
use crate::consumer::handled::Handled;
use crate::consumer::layer::Treatment;
use crate::consumer::message::Message;
use crate::consumer::ordered::key_queues::OrderKey;
use crate::consumer::ordered::keyed_messages::{InHand, KeyTurn, KeyedMessages};
use crate::consumer::process::{AttemptEnd, Order, TreatmentObserver, attempt};
use crate::consumer::run::CachedSubscription;
use crate::consumer::worker_pool::WorkerPool;
use crate::panic_guard::guard;

/// The function of the program that returns the hash of a message's key.
pub(super) type HashKey = Box<dyn Fn(&Message) -> u64 + Send + Sync>;
/// Decodes a message, and passes the value to the handler of the program.
pub(super) type HandleDecoded = Box<dyn Fn(&Message, &FailurePolicy) -> Handled + Send + Sync>;

/// The code and the messages that the threads of a run in order share.
pub(super) struct OrderedRun {
    pub(super) messages: Arc<KeyedMessages>,
    pub(super) key: HashKey,
    pub(super) handle: HandleDecoded,
    /// The number of messages so far that have no key.
    pub(super) keyless: AtomicU64,
}

impl OrderedRun {
    /// Receives messages, and passes each to the queue of its key, until the run ends.
    pub(super) fn receive(&self, pool: &WorkerPool) {
        let _end = EndOfRun { run: self, pool };
        let run = &pool.run;
        let stopped = || run.is_stopped();
        // With manual acknowledgement, the prefetch limits the messages.
        let limit = match run.acknowledgement() {
            Acknowledgement::Manual => usize::MAX,
            Acknowledgement::Automatic => run.prefetch().into(),
        };
        let mut cached = CachedSubscription::default();
        let mut version = run.version();
        loop {
            self.messages.wait_for_room(limit, &stopped);
            let Some(message) = pool.next(&mut cached) else { return };
            // The message may be a redelivery, and earlier ones of its key may be in hand.
            if version != run.version() {
                version = run.version();
                self.messages.remove_lost(|lost| self.count_lost(pool, lost));
            }
            let (key, message) = self.assign_key(message);
            self.messages.push(key, message);
        }
    }

    /// Calls the program's function for the key.
    fn assign_key(&self, message: Message) -> (OrderKey, InHand) {
        let mut message = InHand::new(message);
        // The function would see an incomplete message.
        if message.message.unreadable().is_none() {
            match guard(|| (self.key)(&message.message)) {
                Ok(hash) => return (OrderKey::Hash(hash), message),
                Err(panic) => {
                    let failure = Failure::new(format!("the function for the key failed: {panic}"));
                    message.keyless = Some(Failure { permanent: true, ..failure });
                }
            }
        }
        (OrderKey::Alone(self.keyless.fetch_add(1, Ordering::Relaxed)), message)
    }

    /// Counts a message of a lost channel, if an attempt failed before the loss.
    fn count_lost(&self, pool: &WorkerPool, lost: &InHand) {
        if lost.has_paused {
            pool.counters.count(|report| &mut report.stale);
            TreatmentObserver::new(&pool.run, &lost.message).observe(Treatment::Stale);
        }
    }

    /// Handles messages until the run ends.
    pub(super) fn work(&self, worker: usize, pool: &WorkerPool) {
        let stopped = || pool.run.is_stopped();
        loop {
            pool.counters.wait_for_breaker(&stopped);
            let Some(turn) = self.messages.take(&stopped) else { break };
            pool.counters.while_busy(worker, || self.handle(pool, turn));
        }
        self.messages.wake_receiver();
    }

    fn handle(&self, pool: &WorkerPool, mut turn: KeyTurn) {
        let Some(mut entry) = turn.take() else { return };
        if entry.message.is_lost() {
            return self.count_lost(pool, &entry);
        }
        let observer = TreatmentObserver::new(&pool.run, &entry.message);
        if std::mem::take(&mut entry.has_paused) {
            pool.counters.count(|report| &mut report.retried);
            entry.message.next_attempt();
            observer.observe(Treatment::Retried);
        }
        let InHand { message, held, keyless, .. } = entry;
        let mut handle = |message: &Message| match &keyless {
            Some(failure) => Handled::failed_with(failure.clone()),
            None => (self.handle)(message, pool.run.policy()),
        };
        let order = Order::Key(held);
        let end = attempt(message, order, &pool.run, &pool.counters, &mut handle, &mut || {});
        let returned = match end {
            AttemptEnd::Treated(treatment) => return observer.observe(treatment),
            AttemptEnd::TryAgain(message) => {
                observer.observe(Treatment::Requeued);
                turn.try_again(InHand { message, held, has_paused: false, keyless })
            }
            AttemptEnd::TryAgainAfter(message, pause)
            | AttemptEnd::RequeueAfter(message, pause) => {
                let held = held + pause;
                // Counted before the pause, because a loss ends it.
                pool.run.policy().count(&message, message.attempt());
                turn.pause(InHand { message, held, has_paused: true, keyless }, pause)
            }
        };
        if let Some(entry) = returned {
            give_back(pool, entry);
        }
    }
}

/// Returns a message to the queue, because the run has ended.
fn give_back(pool: &WorkerPool, entry: InHand) {
    let observer = TreatmentObserver::new(&pool.run, &entry.message);
    let treatment = if pool.run.is_stopped() {
        pool.run.take_back(entry.message);
        Treatment::Returned
    } else {
        // The error that ended the run has ended its messages, too.
        match pool.run.acknowledgement() {
            Acknowledgement::Manual if entry.has_paused => {
                pool.counters.count(|report| &mut report.stale);
            }
            Acknowledgement::Manual => {}
            Acknowledgement::Automatic => pool.counters.count(|report| &mut report.lost),
        }
        drop(entry.message);
        Treatment::Stale
    };
    if entry.has_paused {
        observer.observe(treatment);
    }
}

/// Ends the run with the thread that receives, also after a panic.
struct EndOfRun<'a> {
    run: &'a OrderedRun,
    pool: &'a WorkerPool,
}

impl Drop for EndOfRun<'_> {
    fn drop(&mut self) {
        let mut entries = self.run.messages.end();
        entries.sort_by_key(|entry| entry.message.delivery_tag());
        entries.into_iter().for_each(|entry| give_back(self.pool, entry));
    }
}
