//! What everybody who works on one channel knows in common.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use carrot_core::backend::{Content, Rejection};
use carrot_core::{Error, Result};

use crate::calls::Call;
use crate::connection::{Connection, Life};
use crate::encode;
use crate::error::{self, Fault};
use crate::frames::Frames;
use crate::inboxes::Inbox;
use crate::ledger::{Ledger, Verdict};
use crate::outlet::Opening;

/// How the routing key of an answer begins that RabbitMQ delivers without a queue.
const DIRECT_ANSWER: &str = "amq.rabbitmq.reply-to.";

/// The failure, the confirms and the unsettled deliveries of one channel, and the connection it lives on.
#[derive(Debug)]
pub(crate) struct Core {
    /// Kept alive by its channels.
    pub(crate) connection: Arc<Connection>,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) confirming: bool,
    pub(crate) ledger: Ledger,
    opening: Opening,
    first_error: OnceLock<Error>,
    /// Whether deliveries of it have to be settled.
    delivers: AtomicBool,
}

impl Core {
    pub(crate) fn new(
        connection: Arc<Connection>,
        opening: Opening,
        inbox: Arc<Inbox>,
        confirming: bool,
    ) -> Core {
        Core {
            connection,
            inbox,
            confirming,
            ledger: Ledger::new(),
            opening,
            first_error: OnceLock::new(),
            delivers: AtomicBool::new(false),
        }
    }

    pub(crate) fn life(&self) -> &Arc<Life> {
        self.connection.life()
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.life().call_timeout
    }

    /// The first error of the channel, if it has failed or was closed.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.first_error
            .get()
            .cloned()
            .or_else(|| self.life().failure().map(|death| self.die(death)))
    }

    /// Whether the channel has failed or was closed; does not wait for an explanation.
    pub(crate) fn has_failed(&self) -> bool {
        self.first_error.get().is_some() || !self.life().is_running()
    }

    /// The first error, as far as it is known without waiting for an explanation.
    pub(crate) fn known_failure(&self) -> Option<Error> {
        let explained = || self.life().known_death().map(|death| self.die(death));
        let unexplained =
            || (!self.life().is_running()).then(|| Error::disconnected("the connection has ended"));
        self.first_error.get().cloned().or_else(explained).or_else(unexplained)
    }

    /// Gives the first error, or nothing.
    pub(crate) fn check(&self) -> Result<()> {
        self.failure().map_or(Ok(()), Err)
    }

    /// Makes this the channel's first error, unless there is one; gives the first error.
    pub(crate) fn fail(&self, error: Error) -> Error {
        self.first_error.get_or_init(|| error).clone()
    }

    /// The same, and whether it was the first.
    pub(crate) fn fail_first(&self, error: Error) -> bool {
        self.first_error.set(error).is_ok()
    }

    /// The error of a channel that is known to be gone.
    pub(crate) fn gone(&self) -> Error {
        self.failure().unwrap_or_else(|| self.die(self.life().death()))
    }

    /// Fails with the connection: over an operation of this channel, if that is why the broker closed it.
    fn die(&self, death: Error) -> Error {
        self.fail(self.life().wire.calls.first_error(self.inbox.party, death))
    }

    /// Fails the channel over a call for which its connection was cut. An alarm explains the call, but is not what became of the channel:
    /// that is gone for good, and the alarm will pass.
    pub(crate) fn cut(&self, operation: &'static str) -> Error {
        self.fail(Error::timeout(operation, self.call_timeout()));
        self.life().overdue(operation, self.call_timeout())
    }

    /// What an error of amiquip's means on this channel. It may fail the channel.
    pub(crate) fn judge(&self, error: amiquip::Error) -> Error {
        match error::fault(error) {
            Fault::Call(error) => error,
            Fault::Channel(error) => self.fail(error),
            Fault::Connection(error) => {
                self.life().explain(error);
                self.gone()
            }
            Fault::Unexplained => self.gone(),
        }
    }

    /// Makes one blocking call of amiquip's, within a deadline that comes of the call timeout.
    pub(crate) fn call<T>(
        &self,
        kind: Call,
        deadline: Instant,
        call: impl FnOnce() -> amiquip::Result<T>,
    ) -> Result<T> {
        let operation = kind.operation;
        let guard = self.life().watchdog.guard(operation, deadline);
        let in_flight = self.life().wire.calls.enter(self.inbox.party, kind);
        let result = call();
        drop(in_flight);
        let expired = guard.expired();
        drop(guard);
        result.map_err(|error| {
            if expired {
                return self.cut(operation);
            }
            self.judge(error)
        })
    }

    /// Says that a delivery needs no verdict. A direct answer has the tag of the delivery that comes after it, which may need one.
    pub(crate) fn pass(&self, delivery: &amiquip::Delivery) {
        if !(delivery.exchange.is_empty() && delivery.routing_key.starts_with(DIRECT_ANSWER)) {
            self.ledger.pass(delivery.delivery_tag());
        }
    }

    /// Sends frames that are made in the order of leaving; `None` if the channel is closed, or the connection is.
    fn send<T>(&self, make: impl FnOnce() -> (Frames, T)) -> Option<T> {
        self.life().wire.outlet.send(self.opening, make)
    }

    /// Sends a message that was let in, as so many bytes, and gives its tag; `None` if the channel is closed.
    pub(crate) fn publish(
        &self,
        content: &Arc<Content>,
        mandatory: bool,
        size: usize,
    ) -> Option<u64> {
        let wire = &self.life().wire;
        let frames =
            encode::publication(self.opening.channel, content, mandatory, size, wire.frame_max());
        wire.outlet.send_let_in(self.opening, size, || {
            (frames, self.inbox.confirms.issue(content, mandatory && self.confirming))
        })
    }

    /// Sends the verdicts that wait for it. They leave in the order in which they were taken from the ledger.
    pub(crate) fn flush(&self) {
        self.send(|| {
            let mut frames = Vec::new();
            for settlement in self.ledger.drain() {
                encode::settlement(
                    &mut frames,
                    self.opening.channel,
                    settlement.verdict,
                    settlement.tag,
                    settlement.multiple,
                );
            }
            (Frames::from(frames), ())
        });
    }

    /// Notes that the broker waits for the settlement of what it delivers.
    pub(crate) fn delivers(&self) {
        self.delivers.store(true, Ordering::Relaxed);
    }

    /// Gives back everything that is unsettled, before the channel is closed: RabbitMQ 4.3 counts what a closed channel held as failed
    /// deliveries.
    pub(crate) fn give_all_back(&self) {
        if !self.delivers.load(Ordering::Relaxed) {
            return;
        }
        let mut frame = Vec::new();
        encode::settlement(
            &mut frame,
            self.opening.channel,
            Verdict::Reject(Rejection::Requeue),
            0,
            true,
        );
        self.send(|| (Frames::from(frame), ()));
    }

    /// Requeues a delivery that nobody will be handed.
    pub(crate) fn give_back(&self, delivery: &amiquip::Delivery) {
        let mut frame = Vec::new();
        let verdict = Verdict::Reject(Rejection::Requeue);
        encode::settlement(
            &mut frame,
            self.opening.channel,
            verdict,
            delivery.delivery_tag(),
            false,
        );
        self.send(|| (Frames::from(frame), ()));
        self.inbox.bodies.discard(&delivery.body);
        self.pass(delivery);
    }
}
