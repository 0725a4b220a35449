//! Carries out the faults of the plan.

use std::time::Duration;

use carrot_core::{Error, Result};

use crate::broker::fault_plan::{FaultAction, FaultOutcome, Operation};
use crate::broker::{BrokerShared, OpenConnection};
use crate::channel::BrokerChannel;

impl BrokerShared {
    /// Injects the faults that are planned for an operation, which may block up to `call_timeout`.
    ///
    /// # Errors
    /// The error of the operation. The caller closes what the error closes.
    pub(crate) fn inject_faults(
        &self,
        operation: Operation,
        channel: Option<&BrokerChannel>,
        call_timeout: Duration,
    ) -> Result<FaultOutcome> {
        if !self.faults.is_armed() {
            return Ok(FaultOutcome::Proceed);
        }
        let (delay, action) = self.faults.take(operation);
        let is_open = || channel.is_none_or(|channel| channel.check().is_ok());
        if !delay.is_zero() && !self.faults.delay(self.clock(), delay, is_open, call_timeout) {
            return Err(Error::timeout(format!("{operation:?}").to_lowercase(), call_timeout));
        }
        match action {
            Some(FaultAction::DropConnections) => {
                self.drop_connections(|_| true);
            }
            Some(FaultAction::Fail(error)) => return Err(error),
            Some(FaultAction::Nack) => return Ok(FaultOutcome::Nack),
            Some(FaultAction::LoseConfirm) => return Ok(FaultOutcome::LoseConfirm),
            Some(FaultAction::Delay(_)) | None => {}
        }
        channel.map_or(Ok(()), BrokerChannel::check)?;
        Ok(FaultOutcome::Proceed)
    }

    /// Drops the connections that `which` selects. Returns how many were open.
    pub(crate) fn drop_connections(&self, which: impl Fn(&dyn OpenConnection) -> bool) -> usize {
        let connections = self.connections();
        let selected =
            connections.iter().filter(|connection| connection.is_open() && which(&***connection));
        let lost = || {
            Error::disconnected(format!(
                "{}: connection closed by an injected fault",
                self.endpoint()
            ))
        };
        selected.inspect(|connection| connection.fail(lost())).count()
    }
}
