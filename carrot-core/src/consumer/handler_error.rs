use std::error::Error as StdError;
use std::fmt;

use crate::consumer::failure::Failure;
use crate::panic_guard::{describe, drop_guarded};

/// Why a handler failed: any error, or a string, by `?` or `.into()`.
///
/// [`permanent`](HandlerError::permanent) says that trying again is no use. Any other failed
/// message is tried again; see [`Handler`](crate::Handler).
///
/// ```
/// use carrot::consume::HandlerError;
///
/// fn quantity(text: &str) -> Result<u32, HandlerError> {
///     if text.is_empty() {
///         return Err(HandlerError::permanent("an order without a quantity"));
///     }
///     Ok(text.parse()?)
/// }
///
/// assert!(quantity("").unwrap_err().is_permanent());
/// assert!(!quantity("many").unwrap_err().is_permanent());
/// ```
pub struct HandlerError {
    error: Box<dyn StdError + Send + Sync + 'static>,
    permanent: bool,
}

impl HandlerError {
    /// A failure that may pass: the message is tried again.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> HandlerError {
        HandlerError { error: error.into(), permanent: false }
    }

    /// A failure that will not pass: the message is parked at once, or rejected if the consumer
    /// discards failed messages.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> HandlerError {
        HandlerError { permanent: true, ..HandlerError::new(error) }
    }

    /// Whether trying again is no use.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// The error itself.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }

    /// The error itself.
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync + 'static> {
        self.error
    }

    /// What is known of the failure; survives a `Display` or `Drop` of the error that panics.
    pub(crate) fn into_failure(self) -> Failure {
        let failure = Failure { permanent: self.permanent, ..Failure::new(describe(&*self.error)) };
        drop_guarded(self.error);
        failure
    }
}

impl<E: Into<Box<dyn StdError + Send + Sync + 'static>>> From<E> for HandlerError {
    fn from(error: E) -> HandlerError {
        HandlerError::new(error)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, formatter)
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HandlerError")
            .field("error", &self.error)
            .field("permanent", &self.permanent)
            .finish()
    }
}

/// What a handler may fail with: any error that threads can share, a string, or a [`HandlerError`].
///
/// A `Box<dyn Error>` cannot be sent to another thread, so a handler cannot fail with it; `Box<dyn
/// Error + Send + Sync>` can:
///
/// ```compile_fail,E0277
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// use std::error::Error;
/// use carrot::Message;
///
/// let _workers = consumer.workers(1).spawn(|_: u32, _: &Message| -> Result<(), Box<dyn Error>> { Ok(()) })?;
/// # Ok(())
/// # }
/// ```
///
/// ```
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// use std::error::Error;
/// use carrot::Message;
///
/// let _workers = consumer.workers(1).spawn(|_: u32, _: &Message| -> Result<(), Box<dyn Error + Send + Sync>> { Ok(()) })?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot fail with `{Self}`",
    label = "this error cannot be a handler's",
    note = "a handler fails with an error that is `Send + Sync + 'static`, such as `Box<dyn std::error::Error + Send + Sync>`, with a \
            string, or with a `carrot::consume::HandlerError`",
    note = "of a `Box<dyn std::error::Error>`, `error.to_string()` will do"
)]
pub trait IntoHandlerError {
    /// The failure that it stands for; it may pass, unless it is a [`HandlerError`] that says
    /// otherwise.
    fn into_handler_error(self) -> HandlerError;
}

#[diagnostic::do_not_recommend]
impl<E: Into<Box<dyn StdError + Send + Sync + 'static>>> IntoHandlerError for E {
    fn into_handler_error(self) -> HandlerError {
        HandlerError::new(self)
    }
}

impl IntoHandlerError for HandlerError {
    fn into_handler_error(self) -> HandlerError {
        self
    }
}
