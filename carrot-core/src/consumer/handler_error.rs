use std::error::Error as StdError;
use std::fmt;

use crate::consumer::failure::Failure;
use crate::panic_guard::{describe, drop_guarded};

/// The reason why a handler failed: any error, or a string, converted by `?` or `.into()`.
///
/// [`permanent`](HandlerError::permanent) marks a failure that another attempt cannot cure. Any
/// other failed message is tried again; see [`Handler`](crate::Handler).
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
    /// Creates a failure after which the message is tried again.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> HandlerError {
        HandlerError { error: error.into(), permanent: false }
    }

    /// Creates a permanent failure. The message is parked at once, or rejected if the consumer
    /// discards failed messages.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync + 'static>>) -> HandlerError {
        HandlerError { permanent: true, ..HandlerError::new(error) }
    }

    /// Returns whether another attempt is useless.
    pub fn is_permanent(&self) -> bool {
        self.permanent
    }

    /// Returns a reference to the error.
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }

    /// Returns the error.
    pub fn into_inner(self) -> Box<dyn StdError + Send + Sync + 'static> {
        self.error
    }

    /// Converts the error to a failure. Survives a panic of the error's `Display` or `Drop`.
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

/// The error types of a handler: any error that is `Send` and `Sync`, a string, or a
/// [`HandlerError`].
///
/// `Box<dyn Error>` cannot be sent to another thread, and is therefore no error type of a handler.
/// `Box<dyn Error + Send + Sync>` is one:
///
/// ```compile_fail,E0277
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// use std::error::Error;
/// use carrot::Message;
///
/// let handler = |_: u32, _: &Message| -> Result<(), Box<dyn Error>> { Ok(()) };
/// let _workers = consumer.workers(1).spawn(handler)?;
/// # Ok(())
/// # }
/// ```
///
/// ```
/// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
/// use std::error::Error;
/// use carrot::Message;
///
/// let handler = |_: u32, _: &Message| -> Result<(), Box<dyn Error + Send + Sync>> { Ok(()) };
/// let _workers = consumer.workers(1).spawn(handler)?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot fail with `{Self}`",
    label = "this error cannot be a handler's",
    note = "a handler fails with an error that is `Send + Sync + 'static`, such as \
            `Box<dyn std::error::Error + Send + Sync>`, with a string, or with a \
            `carrot::consume::HandlerError`",
    note = "of a `Box<dyn std::error::Error>`, `error.to_string()` will do"
)]
pub trait IntoHandlerError {
    /// Converts the value to a failure. Only a [`HandlerError`] can be permanent.
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
