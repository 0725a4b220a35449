//! Finds out whether the broker delays messages.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use carrot_core::{Error, Result};

use crate::connection::broker_link::{BrokerLink, OWN_SESSION};
use crate::connection::linked_channel::{Arrival, BrokerAnswer, LinkedChannel};
use crate::wire::destination::WireDestination;
use crate::wire::message::{MessageKind, SCHEDULED_DELAY, WireMessage};
use crate::wire::property_map::{PropertyMap, PropertyValue};

/// The exception of a broker that reads the delay of the question.
const NO_NUMBER: &str = "java.lang.NumberFormatException";

/// Whether the broker of one connection delays messages. A broker without a scheduler ignores the
/// delay of a message, and delivers it at once.
///
/// The question is a message whose delay is no number, for a temporary topic that does not exist.
/// Only a scheduler reads the delay, and it refuses the message. Without one, the broker finds no
/// topic. No broker keeps anything, and the broker answers before its next answer on the
/// connection.
#[derive(Debug, Default)]
pub(crate) struct SchedulerProbe {
    is_present: AtomicBool,
}

impl SchedulerProbe {
    /// Asks the broker, and does not wait.
    ///
    /// # Errors
    /// The error of the connection.
    pub(crate) fn ask(link: &BrokerLink) -> Result<Arc<SchedulerProbe>> {
        let probe = Arc::<SchedulerProbe>::default();
        let asked = Arc::downgrade(&probe) as Weak<dyn LinkedChannel>;
        link.send_message(link.message_frame(question(link)), Some((asked, 0)))?;
        Ok(probe)
    }

    /// Returns whether the broker has a scheduler, as far as it has answered.
    pub(crate) fn is_present(&self) -> bool {
        self.is_present.load(Ordering::Acquire)
    }
}

impl LinkedChannel for SchedulerProbe {
    fn confirmed(&self, _: u64, answer: BrokerAnswer) {
        let is_present = answer.is_err_and(|exception| exception.class == NO_NUMBER);
        self.is_present.store(is_present, Ordering::Release);
    }

    fn arrived(&self, _: i64, _: Option<Arrival>) {}

    fn consumer_removed(&self, _: i64) {}

    fn queue_deleted(&self, _: &WireDestination) {}

    fn lost(&self, _: &Error) {}
}

fn question(link: &BrokerLink) -> WireMessage {
    let mut properties = PropertyMap::default();
    properties.push(SCHEDULED_DELAY, PropertyValue::Text("none".into()));
    let mut octets = Vec::new();
    properties.write(&mut octets);
    let id = link.next_message_id(OWN_SESSION);
    WireMessage {
        kind: MessageKind::Plain,
        producer: id.producer.clone(),
        id: Some(id),
        destination: Some(WireDestination::temporary_topic(format!("{}:scheduler", link.name))),
        properties: Some(octets),
        needs_answer: true,
        ..WireMessage::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::broker_error::BrokerException;

    fn is_present_after(answer: BrokerAnswer) -> bool {
        let probe = SchedulerProbe::default();
        probe.confirmed(0, answer);
        probe.is_present()
    }

    #[test]
    fn only_a_broker_that_reads_the_delay_has_a_scheduler() {
        let exception = |class: &str| {
            Err(BrokerException { class: class.into(), message: "For input string".into() })
        };
        assert!(!SchedulerProbe::default().is_present(), "before the answer");
        assert!(is_present_after(exception("java.lang.NumberFormatException")));
        assert!(!is_present_after(Ok(())));
        for other in [
            "java.lang.SecurityException",
            "org.apache.activemq.DestinationDoesNotExistException",
            "javax.jms.ResourceAllocationException",
            "",
        ] {
            assert!(!is_present_after(exception(other)), "{other}");
        }
    }
}
