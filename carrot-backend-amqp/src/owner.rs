//! The thread that a consuming channel lives on.

use std::collections::HashMap;
use std::time::Instant;

use amiquip::{Consumer, ConsumerMessage, ConsumerOptions};
use carrot_core::Result;
use crossbeam_channel::{Receiver, Sender};

use crate::core::{Core, Outgoing};
use crate::desk;
use crate::time::deadline_after;

/// Something to do on the channel.
pub(crate) enum Job {
    /// Verdicts wait in the ledger.
    Settle,
    Publish(Box<Outgoing>),
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
    desk::close(channel, core);
    drop(done);
}

struct Owner<'a> {
    channel: &'a amiquip::Channel,
    core: &'a Core,
    consumers: HashMap<u64, Consumer<'a>>,
}

impl Owner<'_> {
    fn work(mut self, jobs: &Receiver<Job>) -> Option<Sender<()>> {
        let closing = jobs.iter().find_map(|job| self.take(job));
        self.flush();
        self.end_consumers();
        closing
    }

    fn take(&mut self, job: Job) -> Option<Sender<()>> {
        match job {
            Job::Settle => self.flush(),
            Job::Publish(outgoing) => self.core.note(outgoing.send(self.channel)),
            Job::Call(call) => {
                self.flush();
                call(self.channel);
            }
            Job::Consume { id, queue, prefetch, options, deadline, reply } => {
                self.flush();
                let _ = reply.send(self.consume(id, queue, prefetch, options, deadline));
            }
            Job::Cancel { id, deadline, reply } => {
                self.flush();
                let _ = reply.send(self.cancel(id, deadline));
            }
            Job::Release { id, automatic } => self.release(id, automatic),
            Job::Close(done) => return Some(done),
        }
        None
    }

    fn flush(&self) {
        self.core.note(self.core.flush(self.channel));
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
        let consumer = self.core.call("starting a consumer", deadline, || {
            channel.qos(0, prefetch, false)?;
            channel.basic_consume(queue, options)
        })?;
        let receiver = consumer.receiver().clone();
        self.consumers.insert(id, consumer);
        Ok(receiver)
    }

    fn cancel(&self, id: u64, deadline: Instant) -> Result<()> {
        self.core.check()?;
        self.consumers.get(&id).map_or(Ok(()), |consumer| self.core.call("cancelling a consumer", deadline, || consumer.cancel()))
    }

    /// Cancels a consumer, and requeues what had arrived for it. Until the broker has confirmed the cancel its receiver has to stay, since
    /// amiquip ends the connection over a delivery that nobody receives.
    fn release(&mut self, id: u64, automatic: bool) {
        if self.core.has_failed() {
            return;
        }
        let cancelled = self.cancel(id, deadline_after(self.core.call_timeout()));
        let Some(consumer) = self.consumers.remove(&id) else { return };
        if cancelled.is_err() {
            return;
        }
        for message in consumer.receiver().try_iter() {
            if let ConsumerMessage::Delivery(delivery) = message {
                self.core.ledger.pass(delivery.delivery_tag());
                if !automatic {
                    self.core.note(delivery.reject(self.channel, true));
                }
            }
        }
    }

    fn end_consumers(&mut self) {
        let life = self.core.life();
        let guard = life.watchdog.patient_guard("cancelling consumers", deadline_after(life.call_timeout));
        self.consumers.clear();
        drop(guard);
    }
}
