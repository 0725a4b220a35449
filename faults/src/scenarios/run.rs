use std::sync::Arc;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{ConnectionOptions, Queue};

use super::context::Context;
use crate::accounting::Accounting;
use crate::error::Result;
use crate::load::{Load, LoadOptions};
use crate::monitor::{ResourceMonitor, ResourceUsage};
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;
use crate::wait::{eventually, unique};

/// The time without a consumed message after which the remaining messages count as missing.
const PATIENCE: Duration = Duration::from_secs(15);
/// The time in which threads and sockets have to end after everything was closed.
const RELEASED_WITHIN: Duration = Duration::from_secs(10);
/// The time in which the broker has to notice the end of a consumer.
const GONE_WITHIN: Duration = Duration::from_secs(60);
const DELIVERED_WITHIN: Duration = Duration::from_secs(10);

/// One run of a scenario: its accounting, its resource monitor, its outcome and its queue.
pub(super) struct ScenarioRun {
    pub(super) accounting: Arc<Accounting>,
    pub(super) monitor: ResourceMonitor,
    pub(super) outcome: ScenarioOutcome,
    pub(super) queue: String,
}

impl ScenarioRun {
    pub(super) fn new(context: &Context) -> ScenarioRun {
        ScenarioRun {
            accounting: context.accounting(),
            monitor: ResourceMonitor::start(),
            outcome: ScenarioOutcome::default(),
            queue: unique("queue"),
        }
    }

    /// Prints a step of the scenario with its time.
    pub(super) fn print_progress(&self, step: &str) {
        eprintln!("  {:7.1} s  {step}", self.accounting.age().as_secs_f64());
    }

    /// Declares the queue, and writes the declaration to disk. Without this, a kill of the node
    /// soon after the declaration would lose the queue.
    pub(super) fn declare_on_disk(&self, node: &BrokerNode) -> Result<()> {
        let connection = carrot::connect(node.options())?;
        connection.declare_queue(Queue::new(&*self.queue))?;
        connection.close()?;
        node.write_declarations()
    }

    pub(super) fn load(&self, options: LoadOptions) -> Result<Load> {
        Load::start(options, &self.accounting)
    }

    /// Blocks until `messages` more messages are confirmed and, unless the workers have ended,
    /// consumed. Adds a failure if that takes longer than `within`. Returns whether they are
    /// confirmed.
    pub(super) fn expect_progress(
        &mut self,
        load: &Load,
        messages: u64,
        within: Duration,
        when: &str,
    ) -> bool {
        let (confirmed, consumed) = (self.accounting.confirmed(), self.accounting.consumed());
        let sending = self.accounting.wait_for_confirmed(confirmed + messages, within);
        self.outcome.expect(sending, || {
            format!("{when}: {messages} messages were not confirmed within {within:?}")
        });
        if !load.have_workers_ended() {
            let consuming = eventually(within, || {
                self.accounting.consumed() >= consumed + messages || load.have_workers_ended()
            });
            self.outcome.expect(consuming, || {
                format!("{when}: {messages} messages were not consumed within {within:?}")
            });
        }
        sending
    }

    /// Ends the load, consumes the messages that are left in the queue, and checks the accounting.
    ///
    /// `direct` are the options of a connection without a proxy.
    pub(super) fn finish(
        mut self,
        load: Load,
        direct: &ConnectionOptions,
    ) -> Result<ScenarioOutcome> {
        self.print_progress("closing");
        self.outcome.failures.extend(load.finish(PATIENCE));
        self.print_progress("draining");
        let left = drain(&self.accounting, direct, &self.queue)?;
        if left > 0 {
            self.outcome.notes.push(format!("{left} messages were still in the queue at the end"));
        }
        if let Err(leak) = self.monitor.wait_until_released(RELEASED_WITHIN) {
            self.outcome.failures.push(leak);
        }
        self.outcome.peak = self.peak();
        self.outcome.audit = self.accounting.audit();
        self.outcome.notes.push(format!(
            "the longest pause without a confirm was {:.1?}",
            self.outcome.audit.longest_pause
        ));
        self.outcome.expect_nothing_lost();
        Ok(self.outcome)
    }

    pub(super) fn peak(&self) -> ResourceUsage {
        self.monitor.peak()
    }
}

/// Consumes the messages that are left in an unused queue, and deletes the queue. Returns the
/// number of messages.
pub(super) fn drain(
    accounting: &Accounting,
    options: &ConnectionOptions,
    queue: &str,
) -> Result<u64> {
    let connection = carrot::connect(options)?;
    let state = || connection.declare_queue(Queue::existing(queue));
    // The broker requeues the unacknowledged messages of a consumer when it notices the consumer's
    // end.
    if !eventually(GONE_WITHIN, || state().is_ok_and(|state| state.consumer_count == 0)) {
        return Err(format!(
            "queue \"{queue}\" has consumers {GONE_WITHIN:?} after all were closed"
        )
        .into());
    }
    let consumer = connection.consumer(Queue::existing(queue)).prefetch(500).build()?;
    let mut left = 0;
    while let ready @ 1.. = state()?.message_count {
        let mut messages = consumer.messages()?.timeout(DELIVERED_WITHIN);
        for _ in 0..ready {
            let message = messages.next().ok_or("messages in the queue were not delivered")??;
            let (id, _): (u64, String) = message.decode()?;
            accounting.consume(id);
            message.ack()?;
            left += 1;
        }
    }
    consumer.close()?;
    connection.delete_queue(queue, DeleteIf::ALWAYS)?;
    connection.close()?;
    Ok(left)
}
