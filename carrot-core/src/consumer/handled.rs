use crate::consumer::failure::Failure;
use crate::consumer::handler_error::IntoHandlerError;
use crate::consumer::settlement::Settlement;

/// The result of handling a message, as a [`HandleLayer`](crate::HandleLayer) sees it.
///
/// ```
/// use carrot::Settlement;
/// use carrot::layers::Handled;
///
/// assert_eq!(Handled::settled(Settlement::Ack).settlement(), Some(&Settlement::Ack));
/// assert_eq!(Handled::failed("no stock").failure(), Some("no stock"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handled(pub(super) HandledAs);

/// The two results of handling a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum HandledAs {
    Settled(Settlement),
    Failed(Failure),
}

impl Handled {
    /// Creates the result of a handler that returned `settlement`.
    pub fn settled(settlement: Settlement) -> Handled {
        match settlement {
            Settlement::RetryAfter(pause) => Handled(HandledAs::Failed(Failure::postponed(pause))),
            Settlement::Park(reason) => Handled(HandledAs::Failed(Failure::parked(reason))),
            settlement => Handled(HandledAs::Settled(settlement)),
        }
    }

    /// Creates the result of a handler that failed. The text of the error is cut to 1,000 bytes.
    pub fn failed(error: impl IntoHandlerError) -> Handled {
        Handled(HandledAs::Failed(error.into_handler_error().into_failure()))
    }

    pub(crate) fn failed_with(failure: Failure) -> Handled {
        Handled(HandledAs::Failed(failure))
    }

    /// Returns how the message is settled: acknowledged, rejected or requeued. Returns `None` if
    /// the message failed, or if the handler chose another attempt or parking.
    pub fn settlement(&self) -> Option<&Settlement> {
        match &self.0 {
            HandledAs::Settled(settlement) => Some(settlement),
            HandledAs::Failed(_) => None,
        }
    }

    /// Returns whether the message is acknowledged.
    pub fn is_ack(&self) -> bool {
        self.settlement() == Some(&Settlement::Ack)
    }

    /// Returns the reason of the failure, escaped: an error, a panic, or the handler's reason for
    /// another attempt or for parking.
    pub fn failure(&self) -> Option<&str> {
        self.as_failure().map(|failure| &*failure.reason)
    }

    /// Returns whether the handler chose another attempt or parking, which is no failure of the
    /// handler.
    pub fn is_postponed(&self) -> bool {
        self.as_failure().is_some_and(|failure| failure.chosen)
    }

    /// Returns whether no other attempt follows the failure.
    pub fn is_permanent(&self) -> bool {
        self.as_failure().is_some_and(|failure| failure.permanent)
    }

    /// Returns whether the handler was not called, because the body could not be decoded.
    pub fn is_undecodable(&self) -> bool {
        self.as_failure().is_some_and(|failure| failure.undecodable)
    }

    pub(crate) fn as_failure(&self) -> Option<&Failure> {
        match &self.0 {
            HandledAs::Settled(_) => None,
            HandledAs::Failed(failure) => Some(failure),
        }
    }
}
