use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::backend::IntoBody;
use crate::call::answer::Answer;
use crate::call::request_builder::RequestBuilder;
use crate::call::settings::CallerSettings;
use crate::call::shared::CallerShared;
use crate::error::Result;
use crate::recovery::handle::ConnectionHandle;

#[allow(unused_imports, reason = "documentation links to it")]
use crate::error::Error;

/// Calls a server: sends requests, and waits for their answers.
///
/// Opened by [`Connection::caller`](crate::Connection::caller). The server consumes the requests
/// with [`Consumer::serve`](crate::Consumer::serve), or is any program that answers to `reply_to`
/// with the `correlation_id` of the request. A caller is a handle, and clones share one channel.
/// Any number of threads may call at once.
///
/// ```
/// use std::time::Duration;
///
/// # fn main() -> carrot::Result<()> {
/// let connection = carrot::connect("memory://")?;
/// let rates = |pair: String| match pair.as_str() {
///     "GBP/USD" => Ok(1.27),
///     _ => Err(format!("no rate of {pair}")),
/// };
/// let workers = connection.consumer("rates").build()?.serve(4, rates)?;
///
/// let caller = connection.caller("rates").build()?;
/// let rate: f64 = caller.call("GBP/USD", Duration::from_secs(2))?;
/// assert_eq!(rate, 1.27);
/// # workers.stop(Duration::from_secs(10))?;
/// # Ok(())
/// # }
/// ```
///
/// # Deadlines and lost connections
///
/// The timeout of a call covers the whole call: connecting, sending, and waiting for the answer. A
/// request expires in its queue when the call ends. The answer of a server that is late is dropped.
///
/// A request that the broker cannot have is sent again after a reconnect, within the timeout. A
/// request that the broker may have is not, because a server may have handled it: the call fails
/// with [`Error::Disconnected`]. Call again if the server is idempotent.
///
/// A request can be handled twice, because delivery is at least once. The first answer counts.
///
/// # Replies
///
/// Answers arrive by direct reply-to (`amq.rabbitmq.reply-to`), without a queue and an
/// acknowledgement. If the broker has no direct replies, the caller declares an exclusive queue.
/// One thread, `carrot-replies`, receives the answers of a caller. After 10 s without calls and
/// answers, the thread ends and the channel closes. The next call opens both again.
#[derive(Debug, Clone)]
pub struct Caller {
    shared: Arc<CallerShared>,
}

impl Caller {
    pub(crate) fn open(
        connection: &Arc<ConnectionHandle>,
        settings: CallerSettings,
    ) -> Result<Caller> {
        settings.validate()?;
        CallerShared::open(connection, settings).map(|shared| Caller { shared })
    }

    /// Sends a value, and returns the decoded answer.
    ///
    /// Blocks until the answer arrives, at most for `timeout`, which must be more than zero.
    ///
    /// # Errors
    /// Nothing was sent:
    /// - [`Error::Encode`]: the codec failed.
    /// - [`Error::Invalid`]: a property, the size of the request or the timeout is out of its
    ///   limits.
    /// - [`Error::Connect`]: connecting failed until the timeout.
    /// - [`Error::Layer`]: a layer refused the request, or panicked before it was sent. A layer may
    ///   return any other error instead.
    ///
    /// No server has the request:
    /// - [`Error::Unroutable`]: there is no queue for the request. Returned at once.
    /// - [`Error::Refused`]: the queue is full or unavailable. Another queue that the request was
    ///   routed to may have it.
    /// - [`Error::NotFound`]: the exchange was deleted.
    /// - [`Error::PreconditionFailed`], [`Error::AccessRefused`], [`Error::HardError`]: the broker
    ///   refused the request, or the declaration of the exchange.
    ///
    /// A server has handled the request, or could not decode it:
    /// - [`Error::Remote`]: the server answered with an error.
    /// - [`Error::Decode`], [`Error::ContentType`], [`Error::Inflate`], [`Error::TooLarge`]: the
    ///   answer cannot be decoded.
    ///
    /// A server may have handled the request, or may handle it later:
    /// - [`Error::Timeout`]: no answer arrived in time. Nothing was sent if the layers took all of
    ///   the time.
    /// - [`Error::Blocked`]: the broker has blocked publishing until the timeout.
    /// - [`Error::Disconnected`]: the connection or the channel was lost before the answer.
    /// - [`Error::Closed`]: the caller or the connection was closed.
    ///
    /// [`Error::Backend`]: the system could not start a thread. Nothing was sent.
    pub fn call<Q, A>(&self, request: &Q, timeout: Duration) -> Result<A>
    where
        Q: Serialize + ?Sized,
        A: DeserializeOwned,
    {
        self.request().call(request, timeout)
    }

    /// Sends a value, and returns the answer with its properties, not decoded.
    ///
    /// Blocks as [`call`](Caller::call) does.
    ///
    /// # Errors
    /// As [`call`](Caller::call), except those of decoding.
    pub fn call_message<Q: Serialize + ?Sized>(
        &self,
        request: &Q,
        timeout: Duration,
    ) -> Result<Answer> {
        self.request().call_message(request, timeout)
    }

    /// Sends bytes without a codec, and returns the answer with its properties, not decoded.
    ///
    /// No content type is sent unless the [definition](crate::CallerDefinition::properties) or
    /// the [request](RequestBuilder::properties) sets one.
    ///
    /// Blocks as [`call`](Caller::call) does.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn example(caller: &carrot::call::Caller) -> carrot::Result<()> {
    /// let reply = caller.call_bytes("30", Duration::from_secs(2))?;
    /// println!("{:?}", reply.text());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`call`](Caller::call), except those of encoding and decoding.
    pub fn call_bytes(&self, body: impl IntoBody, timeout: Duration) -> Result<Answer> {
        self.request().call_bytes(body, timeout)
    }

    /// Starts one request with its own routing key, headers and other properties.
    pub fn request(&self) -> RequestBuilder<'_> {
        RequestBuilder::new(&self.shared)
    }

    /// Closes the caller. Calls that wait fail with [`Error::Closed`], and so do later calls of all
    /// handles. A second close does nothing.
    ///
    /// Dropping the last handle closes the channel without waiting.
    ///
    /// Blocks until the broker has answered, at most for the call timeout.
    ///
    /// # Errors
    /// - [`Error::Timeout`]: the broker did not answer in time. The caller is closed nevertheless.
    pub fn close(&self) -> Result<()> {
        self.shared.close()
    }
}
