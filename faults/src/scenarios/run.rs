use std::sync::Arc;
use std::time::Duration;

use carrot::ConnectionOptions;

use super::Context;
use crate::{Ledger, Load, LoadOptions, Outcome, Result, Usage, Watch, unique};

/// How long messages may stay away before the rest is taken for left behind.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long threads and sockets may take to end after everything was closed.
const TIDY_WITHIN: Duration = Duration::from_secs(10);

/// One run of a scenario with a load: its ledger, its watch and its outcome.
pub(super) struct Run {
    pub(super) ledger: Arc<Ledger>,
    pub(super) watch: Watch,
    pub(super) outcome: Outcome,
    pub(super) queue: String,
}

impl Run {
    pub(super) fn new(context: &Context) -> Run {
        Run { ledger: context.ledger(), watch: Watch::start(), outcome: Outcome::default(), queue: unique("queue") }
    }

    pub(super) fn load(&self, options: LoadOptions) -> Result<Load> {
        Load::start(options, &self.ledger)
    }

    /// Waits for that many more confirms, and as long as workers live for that many more consumed messages. What does not come is a
    /// failure.
    pub(super) fn expect_progress(&mut self, load: &Load, messages: u64, within: Duration, when: &str) -> bool {
        let (confirmed, consumed) = (self.ledger.confirmed(), self.ledger.consumed());
        let sending = self.ledger.wait_for_confirmed(confirmed + messages, within);
        self.outcome.expect(sending, || format!("{when}: {messages} messages were not confirmed within {within:?}"));
        if !load.have_workers_ended() {
            let consuming = self.ledger.wait_for_consumed(consumed + messages, within);
            self.outcome.expect(consuming || load.have_workers_ended(), || {
                format!("{when}: {messages} messages were not consumed within {within:?}")
            });
        }
        sending
    }

    /// Ends the load, takes what is left in the queue over a connection of its own, and looks at what came of everything.
    pub(super) fn finish(mut self, load: Load, direct: &ConnectionOptions) -> Result<Outcome> {
        self.outcome.failures.extend(load.finish(PATIENCE));
        let left = drain(&self.ledger, direct, &self.queue)?;
        if left > 0 {
            self.outcome.notes.push(format!("{left} messages were still in the queue at the end"));
        }
        if let Err(leak) = self.watch.back_to_before(TIDY_WITHIN) {
            self.outcome.failures.push(leak);
        }
        self.outcome.peak = self.peak();
        self.outcome.audit = self.ledger.audit();
        self.outcome.notes.push(format!("the longest pause without a confirm was {:.1?}", self.outcome.audit.longest_pause));
        self.outcome.expect_nothing_lost();
        Ok(self.outcome)
    }

    pub(super) fn peak(&self) -> Usage {
        self.watch.peak()
    }
}

/// Consumes what is left in a queue, and deletes it; tells how much that was.
pub(super) fn drain(ledger: &Ledger, options: &ConnectionOptions, queue: &str) -> Result<u64> {
    let connection = carrot::connect(options)?;
    let consumer = connection.consumer(carrot::Queue::existing(queue)).build()?;
    let mut left = 0;
    for message in consumer.drain() {
        let message = message?;
        let (id, _): (u64, String) = message.decode()?;
        ledger.consume(id);
        message.ack()?;
        left += 1;
    }
    consumer.close()?;
    connection.delete_queue(queue, carrot::backend::Condition::ALWAYS)?;
    connection.close()?;
    Ok(left)
}
