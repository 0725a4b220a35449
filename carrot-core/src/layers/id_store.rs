use std::sync::Arc;

use crate::consumer::handler_error::HandlerError;

/// A store of the ids of handled messages, for [`Deduplicate`](crate::Deduplicate).
///
/// A store of the program keeps the ids in a database, so that they survive the process and are
/// shared by several processes. [`MemoryIds`](crate::MemoryIds) is the store that Carrot ships.
///
/// An id belongs to a queue: a message that an exchange routed to two queues has one id and is
/// handled once for each. A store that consumers of several queues share must tell the queues
/// apart. Neither name is over 255 bytes, and no id is empty.
///
/// # Calls
///
/// [`begin`](IdStore::begin) is called before each attempt. After [`Claim::New`], exactly one call
/// of [`finish`](IdStore::finish) or [`release`](IdStore::release) follows. If `finish` fails,
/// `release` follows, too. The methods run on the threads of the workers, several at once, and may
/// block. Carrot holds no lock meanwhile.
///
/// # Processes that end
///
/// A process that ends between `begin` and `finish` leaves its claim in a store that survives. Such
/// a store must return `New` again once a claim is older than any handler takes. The message would
/// be postponed until it is parked otherwise.
///
/// # Errors
///
/// An error fails the message, which is retried and in the end parked. The message is never
/// dropped. A panic counts as an error.
///
/// ```
/// use std::collections::HashMap;
/// use std::sync::Mutex;
/// use std::time::{Duration, Instant};
///
/// use carrot::consume::HandlerError;
/// use carrot::layers::{Claim, Deduplicate, IdStore};
///
/// /// The longest time that a handler takes.
/// const LEASE: Duration = Duration::from_secs(600);
///
/// /// Stands for a table with the columns `queue`, `id`, `claimed_at` and `is_done`.
/// #[derive(Default)]
/// struct Table(Mutex<HashMap<(String, String), (Instant, bool)>>);
///
/// impl IdStore for Table {
///     fn begin(&self, queue: &str, id: &str) -> Result<Claim, HandlerError> {
///         let mut rows = self.0.lock().map_err(|_| "the table is broken")?;
///         let key = (queue.to_string(), id.to_string());
///         match rows.get(&key) {
///             Some((_, true)) => Ok(Claim::Done),
///             Some((claimed_at, false)) if claimed_at.elapsed() < LEASE => Ok(Claim::InProgress),
///             _ => {
///                 rows.insert(key, (Instant::now(), false));
///                 Ok(Claim::New)
///             }
///         }
///     }
///
///     fn finish(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
///         let mut rows = self.0.lock().map_err(|_| "the table is broken")?;
///         rows.insert((queue.to_string(), id.to_string()), (Instant::now(), true));
///         Ok(())
///     }
///
///     fn release(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
///         let mut rows = self.0.lock().map_err(|_| "the table is broken")?;
///         rows.remove(&(queue.to_string(), id.to_string()));
///         Ok(())
///     }
/// }
///
/// let connection = carrot::connect("memory://")?;
/// let consumer =
///     connection.consumer("orders").layer(Deduplicate::new(Table::default())).build()?;
/// # Ok::<(), carrot::Error>(())
/// ```
pub trait IdStore: Send + Sync + 'static {
    /// Claims an id for one attempt, unless the id is claimed or its message was handled. Looking
    /// up and claiming must be one atomic step.
    ///
    /// # Errors
    /// Any error. The message fails, and its handler is not called.
    fn begin(&self, queue: &str, id: &str) -> Result<Claim, HandlerError>;

    /// Remembers a claimed id, because its message was handled successfully.
    ///
    /// # Errors
    /// Any error. The message fails although its handler succeeded, and is handled again.
    fn finish(&self, queue: &str, id: &str) -> Result<(), HandlerError>;

    /// Forgets the claim on an id, because the attempt failed or did not acknowledge its message.
    ///
    /// # Errors
    /// Any error, which is logged at warn level.
    fn release(&self, queue: &str, id: &str) -> Result<(), HandlerError>;
}

impl<S: IdStore + ?Sized> IdStore for Arc<S> {
    fn begin(&self, queue: &str, id: &str) -> Result<Claim, HandlerError> {
        (**self).begin(queue, id)
    }

    fn finish(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
        (**self).finish(queue, id)
    }

    fn release(&self, queue: &str, id: &str) -> Result<(), HandlerError> {
        (**self).release(queue, id)
    }
}

/// The state of an id in an [`IdStore`]. Returned by [`IdStore::begin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Claim {
    /// The id was unknown, and is claimed now: the message is handled.
    New,
    /// Another attempt has claimed the id and is not finished: the message is postponed.
    InProgress,
    /// A message with this id was handled: the message is acknowledged without a call of the
    /// handler.
    Done,
}
