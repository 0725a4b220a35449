//! The thread that a consuming channel lives on.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use amiquip::{Consumer, ConsumerMessage, ConsumerOptions};
use carrot_core::Result;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::calls;
use crate::core::Core;
use crate::time::deadline_after;

/// How long a verdict may wait for others to go with it.
const HOLD: Duration = Duration::from_micros(500);
/// How many verdicts wait at most. With a small prefetch it is fewer, or the broker would wait for them.
pub(crate) const MOST_HELD: usize = 64;

/// How long amiquip may take from the answer to a cancel to the end of the consumer: a few instructions of its I/O thread.
const LAST_MESSAGE: Duration = Duration::from_secs(1);

/// Something to do on the channel.
pub(crate) enum Job {
    /// Verdicts wait in the ledger.
    Settle,
    Call(Box<dyn FnOnce(&amiquip::Channel) + Send>),
    Consume {
        id: u64,
        queue: String,
        prefetch: u16,
        options: ConsumerOptions,
        deadline: Instant,
        reply: Sender<Result<Receiver<ConsumerMessage>>>,
    },
    Cancel {
        id: u64,
        deadline: Instant,
        reply: Sender<Result<()>>,
    },
    /// Nobody takes the deliveries of this consumer any more.
    Release {
        id: u64,
        automatic: bool,
    },
    /// The sender is dropped when it is done.
    Close(Sender<()>),
}

/// Works until the channel is to be closed, or nobody is left to ask for it.
pub(crate) fn own(channel: amiquip::Channel, core: &Core, jobs: &Receiver<Job>) {
    let done = Owner { channel: &channel, core, consumers: HashMap::new() }.work(jobs);
    core.life().close_channel(channel);
    drop(done);
}

struct Owner<'a> {
    channel: &'a amiquip::Channel,
    core: &'a Core,
    consumers: HashMap<u64, Consumer<'a>>,
}

impl Owner<'_> {
    fn work(mut self, jobs: &Receiver<Job>) -> Option<Sender<()>> {
        let closing = loop {
            let Ok(mut job) = jobs.recv() else { break None };
            if matches!(job, Job::Settle) && self.more_will_come() {
                job = match jobs.recv_timeout(HOLD) {
                    Ok(job) => job,
                    Err(RecvTimeoutError::Timeout) => Job::Settle,
                    Err(RecvTimeoutError::Disconnected) => break None,
                };
            }
            self.core.flush();
            match job {
                Job::Close(done) => break Some(done),
                job => self.take(job),
            }
        };
        self.core.flush();
        self.end_consumers();
        self.core.give_all_back();
        closing
    }

    /// Whether verdicts may wait a moment for others: somebody is at work, and deliveries wait for him.
    fn more_will_come(&self) -> bool {
        !self.core.ledger.is_batch_full()
            && self.consumers.values().any(|consumer| !consumer.receiver().is_empty())
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Settle | Job::Close(_) => {}
            Job::Call(call) => call(self.channel),
            Job::Consume { id, queue, prefetch, options, deadline, reply } => {
                let _ = reply.send(self.consume(id, queue, prefetch, options, deadline));
            }
            Job::Cancel { id, deadline, reply } => {
                let _ = reply.send(self.cancel(id, deadline));
            }
            Job::Release { id, automatic } => self.release(id, automatic),
        }
    }

    fn consume(
        &mut self,
        id: u64,
        queue: String,
        prefetch: u16,
        options: ConsumerOptions,
        deadline: Instant,
    ) -> Result<Receiver<ConsumerMessage>> {
        self.core.check()?;
        let channel = self.channel;
        let consumer = self.core.call(calls::CONSUME, deadline, || {
            channel.qos(0, prefetch, false)?;
            channel.basic_consume(queue, options)
        })?;
        let receiver = consumer.receiver().clone();
        self.core.ledger.limit_batch(if prefetch == 0 {
            MOST_HELD
        } else {
            usize::from(prefetch) / 4
        });
        self.consumers.insert(id, consumer);
        Ok(receiver)
    }

    fn cancel(&self, id: u64, deadline: Instant) -> Result<()> {
        self.core.check()?;
        self.consumers.get(&id).map_or(Ok(()), |consumer| {
            self.core.call(calls::CANCEL, deadline, || consumer.cancel())
        })
    }

    /// Cancels a consumer, and requeues what had arrived for it.
    fn release(&mut self, id: u64, automatic: bool) {
        if self.core.has_failed() {
            return;
        }
        let _ = self.cancel(id, deadline_after(self.core.call_timeout()));
        let Some(consumer) = self.consumers.remove(&id) else { return };
        see_out(&consumer, |delivery| match automatic {
            true => {
                self.core.inbox.bodies.discard(&delivery.body);
                self.core.pass(&delivery);
            }
            false => self.core.give_back(&delivery),
        });
    }

    fn end_consumers(&mut self) {
        let (life, bodies) = (self.core.life(), &self.core.inbox.bodies);
        let guard =
            life.watchdog.patient_guard("cancelling consumers", deadline_after(life.call_timeout));
        for (_, consumer) in self.consumers.drain() {
            let _ = consumer.cancel();
            see_out(&consumer, |delivery| bodies.discard(&delivery.body));
        }
        drop(guard);
    }
}

/// Takes the last messages of a consumer that was cancelled, or whose channel is gone. amiquip ends the connection if nobody receives one
/// of them, and the very last comes after the cancel has been answered.
fn see_out(consumer: &Consumer<'_>, mut take: impl FnMut(amiquip::Delivery)) {
    let deadline = Instant::now() + LAST_MESSAGE;
    while let Ok(message) = consumer.receiver().recv_deadline(deadline) {
        if let ConsumerMessage::Delivery(delivery) = message {
            take(delivery);
        }
    }
}
