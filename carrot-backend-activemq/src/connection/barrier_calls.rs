use carrot_core::Result;
use carrot_link::CallDeadline;

use crate::connection::broker_link::{BrokerLink, OWN_SESSION};
use crate::connection::dispatch_barrier::BARRIER;
use crate::wire::command::CommandBody;
use crate::wire::delivery_commands::MessagePull;
use crate::wire::destination::WireDestination;
use crate::wire::setup_commands::ConsumerInfo;

/// A topic that the user may read, because the advisories about queues come from it.
const TOPIC: &str = "ActiveMQ.Advisory.TempQueue";
/// No message meets this condition.
const NEVER: &str = "FALSE";

impl BrokerLink {
    /// Returns the command that adds the consumer of the barrier.
    pub(crate) fn add_barrier(&self) -> CommandBody {
        CommandBody::Consumer(ConsumerInfo {
            consumer: Some(self.consumer_id(OWN_SESSION, BARRIER)),
            destination: Some(WireDestination::topic(TOPIC)),
            prefetch: 0,
            is_dispatch_async: true,
            selector: Some(NEVER.into()),
            ..ConsumerInfo::default()
        })
    }

    /// Waits until everything has arrived that the broker had for this connection before the call.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer in time.
    /// - The error of the connection.
    pub(crate) fn wait_for_deliveries(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
    ) -> Result<()> {
        let barrier = self.barrier.start(|| {
            self.send(CommandBody::Pull(MessagePull {
                consumer: Some(self.consumer_id(OWN_SESSION, BARRIER)),
                destination: Some(WireDestination::topic(TOPIC)),
                timeout: MessagePull::AT_ONCE,
                ..MessagePull::default()
            }));
        });
        // A connection that has ended before ends no later barrier.
        self.life.failure().map_or(Ok(()), Err)?;
        barrier.wait(deadline.left()).unwrap_or_else(|| Err(deadline.late(operation)))
    }
}
