use std::collections::BTreeMap;

use crate::consumer::handled::Handled;
use crate::consumer::handler_error::{HandlerError, IntoHandlerError};
use crate::consumer::settlement::Settlement;

/// The settlement of the messages of a batch, returned by a handler of batches. Acknowledges each
/// message for which the handler sets nothing else.
///
/// ```
/// use carrot::Settlement;
/// use carrot::consume::BatchSettlement;
///
/// let mut settlement = BatchSettlement::new();
/// settlement.fail(0, "out of stock");
/// settlement.settle(2, Settlement::Reject);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BatchSettlement(BTreeMap<usize, Handled>);

impl BatchSettlement {
    /// Creates a settlement that acknowledges all messages.
    pub fn new() -> BatchSettlement {
        BatchSettlement::default()
    }

    /// Sets the settlement of the message at `position`, from 0.
    ///
    /// A position outside of the batch fails every message of the batch.
    pub fn settle(&mut self, position: usize, settlement: Settlement) {
        self.0.insert(position, Handled::settled(settlement));
    }

    /// Fails the message at `position`, from 0. The message is tried again later or parked.
    ///
    /// A position outside of the batch fails every message of the batch.
    pub fn fail(&mut self, position: usize, error: impl IntoHandlerError) {
        self.0.insert(position, Handled::failed(error));
    }

    /// Returns the last position for which something is set.
    pub(super) fn last(&self) -> Option<usize> {
        self.0.last_key_value().map(|(position, _)| *position)
    }

    /// Takes the result for the message at `position`.
    pub(super) fn take(&mut self, position: usize) -> Handled {
        self.0.remove(&position).unwrap_or_else(|| Handled::settled(Settlement::Ack))
    }
}

/// The return types of a handler of batches: nothing, a [`BatchSettlement`], or a `Result` of
/// either. An error fails every message of the batch.
#[diagnostic::on_unimplemented(
    message = "a handler of batches cannot return `{Self}`",
    label = "this handler returns `{Self}`",
    note = "a handler of batches returns `()`, a `carrot::consume::BatchSettlement`, or a \
            `Result` of one of them, and an error"
)]
pub trait IntoBatchSettlement {
    /// Converts the value to a settlement.
    ///
    /// # Errors
    /// The error of the handler.
    fn into_batch_settlement(self) -> Result<BatchSettlement, HandlerError>;
}

impl IntoBatchSettlement for () {
    fn into_batch_settlement(self) -> Result<BatchSettlement, HandlerError> {
        Ok(BatchSettlement::new())
    }
}

impl IntoBatchSettlement for BatchSettlement {
    fn into_batch_settlement(self) -> Result<BatchSettlement, HandlerError> {
        Ok(self)
    }
}

impl<R: IntoBatchSettlement, E: IntoHandlerError> IntoBatchSettlement for Result<R, E> {
    fn into_batch_settlement(self) -> Result<BatchSettlement, HandlerError> {
        self.map_err(E::into_handler_error)?.into_batch_settlement()
    }
}
