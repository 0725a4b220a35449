//! Consumers of the queue with the table message.

use std::sync::Weak;

use carrot_core::Result;
use carrot_link::CallDeadline;
use carrot_listener::{lock, wait_until};

use crate::connection::link_reader::refusal;
use crate::connection::linked_channel::{Arrival, LinkedChannel};
use crate::connection::table_arrivals::{MOST_TABLES, TableArrivals};
use crate::connection::table_port::{TABLE_SESSION, TablePort, no_access, table_queue};
use crate::wire::command::CommandBody;
use crate::wire::ids::RemovedId;
use crate::wire::message::WireMessage;
use crate::wire::setup_commands::{ConsumerInfo, RemoveInfo};

/// The prefetch of a browser, which the broker does not exceed. One more than the most tables.
const BROWSED: i32 = MOST_TABLES as i32 + 1;

impl TablePort {
    /// Returns a consumer of the session, without a destination.
    pub(crate) fn consumer(&self, number: i64) -> ConsumerInfo {
        ConsumerInfo {
            consumer: Some(self.link.consumer_id(TABLE_SESSION, number)),
            is_dispatch_async: true,
            has_no_range_acks: true,
            ..ConsumerInfo::default()
        }
    }

    /// Returns the table messages, which stay in the queue.
    pub(crate) fn browse(
        &self,
        operation: &'static str,
        deadline: CallDeadline,
    ) -> Result<Vec<WireMessage>> {
        let number = self.start_consumer();
        let browser = ConsumerInfo {
            destination: Some(table_queue()),
            is_browser: true,
            prefetch: BROWSED,
            ..self.consumer(number)
        };
        let browsed = self.browse_with(operation, number, browser, deadline);
        self.end_consumer(number);
        browsed
    }

    fn browse_with(
        &self,
        operation: &'static str,
        number: i64,
        browser: ConsumerInfo,
        deadline: CallDeadline,
    ) -> Result<Vec<WireMessage>> {
        let answer = self.link.call(operation, CommandBody::Consumer(browser), deadline)?;
        answer.map_err(|exception| no_access(refusal(&exception)))?;
        let mut messages = Vec::new();
        // The end of the queue is a delivery without a message.
        while let Some(arrival) = self.arrival(operation, number, deadline)? {
            messages.push(*arrival.message);
        }
        Ok(messages)
    }

    /// Takes a number for a consumer, whose arrivals are kept.
    pub(crate) fn start_consumer(&self) -> i64 {
        let number = self.link.next_number();
        lock(&self.state).arrivals.insert(number, TableArrivals::default());
        self.link.add_consumer(number, Weak::clone(&self.this) as Weak<dyn LinkedChannel>);
        number
    }

    /// Removes a consumer. What it has not acknowledged returns to its queue.
    pub(crate) fn end_consumer(&self, number: i64) {
        lock(&self.state).arrivals.remove(&number);
        self.link.forget_consumer(number);
        self.link.send(CommandBody::Remove(RemoveInfo {
            object: Some(RemovedId::Consumer(self.link.consumer_id(TABLE_SESSION, number))),
            last_delivered: RemoveInfo::NOT_DELIVERED,
        }));
    }

    /// Waits for an arrival of a consumer.
    ///
    /// # Errors
    /// - [`Error::Backend`](carrot_core::Error::Backend): the consumer has more table messages than
    ///   the limits allow.
    /// - [`Error::Timeout`](carrot_core::Error::Timeout): nothing has arrived.
    /// - The error of the connection.
    pub(crate) fn arrival(
        &self,
        operation: &'static str,
        number: i64,
        deadline: CallDeadline,
    ) -> Result<Option<Arrival>> {
        let mut state = lock(&self.state);
        let mut passed = false;
        loop {
            let arrivals = state.arrivals.get_mut(&number).map(TableArrivals::pop).transpose()?;
            if let Some(arrival) = arrivals.flatten() {
                return Ok(arrival);
            }
            if let Some(failure) = self.link.life.failure() {
                return Err(failure);
            }
            if passed {
                return Err(deadline.late(operation));
            }
            (state, passed) = wait_until(&self.changed, state, deadline.at());
        }
    }
}
