use std::sync::Arc;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{ConnectionOptions, Queue};

use super::Context;
use crate::{Ledger, Load, LoadOptions, Node, Outcome, Result, Usage, Watch, eventually, unique};

/// How long messages may stay away before the rest is taken for left behind.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long threads and sockets may take to end after everything was closed.
const TIDY_WITHIN: Duration = Duration::from_secs(10);
/// How long the broker may take to notice that a consumer is gone.
const GONE_WITHIN: Duration = Duration::from_secs(60);
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);

/// One run of a scenario with a load: its ledger, its watch and its outcome.
pub(super) struct Run {
    pub(super) ledger: Arc<Ledger>,
    pub(super) watch: Watch,
    pub(super) outcome: Outcome,
    pub(super) queue: String,
}

impl Run {
    pub(super) fn new(context: &Context) -> Run {
        Run {
            ledger: context.ledger(),
            watch: Watch::start(),
            outcome: Outcome::default(),
            queue: unique("queue"),
        }
    }

    /// Tells whoever watches how far it is.
    pub(super) fn say(&self, what: &str) {
        eprintln!("  {:7.1} s  {what}", self.ledger.age().as_secs_f64());
    }

    /// Declares the queue, on disk, before a node is killed that may have been told of it a moment ago.
    pub(super) fn declare_for_good(&self, node: &Node) -> Result<()> {
        let connection = carrot::connect(node.options())?;
        connection.declare_queue(Queue::new(&*self.queue))?;
        connection.close()?;
        node.write_declarations()
    }

    pub(super) fn load(&self, options: LoadOptions) -> Result<Load> {
        Load::start(options, &self.ledger)
    }

    /// Waits for that many more confirms, and as long as workers live for that many more consumed messages. What does not come is a
    /// failure.
    pub(super) fn expect_progress(
        &mut self,
        load: &Load,
        messages: u64,
        within: Duration,
        when: &str,
    ) -> bool {
        let (confirmed, consumed) = (self.ledger.confirmed(), self.ledger.consumed());
        let sending = self.ledger.wait_for_confirmed(confirmed + messages, within);
        self.outcome.expect(sending, || {
            format!("{when}: {messages} messages were not confirmed within {within:?}")
        });
        if !load.have_workers_ended() {
            let consuming = eventually(within, || {
                self.ledger.consumed() >= consumed + messages || load.have_workers_ended()
            });
            self.outcome.expect(consuming, || {
                format!("{when}: {messages} messages were not consumed within {within:?}")
            });
        }
        sending
    }

    /// Ends the load, takes what is left in the queue over a connection of its own, and looks at what came of everything.
    pub(super) fn finish(mut self, load: Load, direct: &ConnectionOptions) -> Result<Outcome> {
        self.say("closing");
        self.outcome.failures.extend(load.finish(PATIENCE));
        self.say("draining");
        let left = drain(&self.ledger, direct, &self.queue)?;
        if left > 0 {
            self.outcome.notes.push(format!("{left} messages were still in the queue at the end"));
        }
        if let Err(leak) = self.watch.back_to_before(TIDY_WITHIN) {
            self.outcome.failures.push(leak);
        }
        self.outcome.peak = self.peak();
        self.outcome.audit = self.ledger.audit();
        self.outcome.notes.push(format!(
            "the longest pause without a confirm was {:.1?}",
            self.outcome.audit.longest_pause
        ));
        self.outcome.expect_nothing_lost();
        Ok(self.outcome)
    }

    pub(super) fn peak(&self) -> Usage {
        self.watch.peak()
    }
}

/// Consumes what is left in a queue that nobody uses any more, and deletes it; tells how much that was.
pub(super) fn drain(ledger: &Ledger, options: &ConnectionOptions, queue: &str) -> Result<u64> {
    let connection = carrot::connect(options)?;
    let state = || connection.declare_queue(Queue::existing(queue));
    // What a consumer held comes back when the broker takes note that it is gone.
    if !eventually(GONE_WITHIN, || state().is_ok_and(|state| state.consumer_count == 0)) {
        return Err(format!(
            "the broker believes in consumers of {queue} {GONE_WITHIN:?} after all were closed"
        )
        .into());
    }
    let consumer = connection.consumer(Queue::existing(queue)).prefetch(500).build()?;
    let mut left = 0;
    while let ready @ 1.. = state()?.message_count {
        let mut messages = consumer.messages()?.timeout(DELIVERED_WITHIN);
        for _ in 0..ready {
            let message = messages.next().ok_or("messages in the queue are not delivered")??;
            let (id, _): (u64, String) = message.decode()?;
            ledger.consume(id);
            message.ack()?;
            left += 1;
        }
    }
    consumer.close()?;
    connection.delete_queue(queue, DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(left)
}
