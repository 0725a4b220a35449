//! Servers: workers that answer requests.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::direct_reply::is_direct;
use crate::call::remote_error::{IntoRemoteError, RemoteError};
use crate::consumer::Consumer;
use crate::consumer::dispatch;
use crate::consumer::failure::Failure;
use crate::consumer::handled::Handled;
use crate::consumer::message::Message;
use crate::consumer::process::{TreatmentObserver, process, settle};
use crate::consumer::settlement::Settlement;
use crate::consumer::worker_pool::WorkerPool;
use crate::consumer::workers::Workers;
use crate::error::{Error, Result};
use crate::model::{Properties, ShortString};
use crate::panic_guard::{describe, drop_guarded, guard};
use crate::publish_layer::layer::PublishLayers;
use crate::publisher::Publisher;
use crate::publisher::definition::PublisherDefinition;
use crate::publisher::message_builder::with_format;
use crate::publisher::settings::PublisherSettings;
use crate::recovery::handle::ConnectionHandle;

/// The longest time for which a layer postpones a request. The message stays unacknowledged.
const LONGEST_POSTPONED: Duration = Duration::from_secs(10);

impl Consumer {
    /// Starts worker threads that answer requests, as [`Caller`](crate::Caller) and other clients
    /// send them. The body is decoded to the handler's argument.
    ///
    /// The answer is encoded with the codec of the request. It is sent through the default exchange
    /// to the `reply_to` of the request, with the `correlation_id` of the request. The request is
    /// acknowledged once the broker has confirmed the answer.
    ///
    /// | handling the request | answer | request |
    /// |---|---|---|
    /// | the handler returns `Ok` | the value | acknowledged |
    /// | the handler returns `Err` | [`Error::Remote`] of its kind, or `handler` | acknowledged |
    /// | the handler panics | [`Error::Remote`] of kind `panic` | acknowledged |
    /// | the body cannot be decoded | [`Error::Remote`] of kind `decode` | acknowledged |
    /// | the answer cannot be encoded or sent | [`Error::Remote`] of kind `encode` | acknowledged |
    /// | a layer refuses the answer | [`Error::Remote`] of kind `encode` | acknowledged |
    /// | a layer refuses the error, too | dropped, and logged at error level | acknowledged |
    /// | a layer settles the request itself | none | as the layer returned |
    /// | the request has no `reply_to` | none | acknowledged |
    /// | the client no longer exists | dropped | acknowledged |
    /// | the broker refuses the answer | dropped, and logged at error level | acknowledged |
    /// | the connection is lost | sent again for the call timeout | requeued if there is no confirm |
    ///
    /// Requests pass the handle layers of the consumer, and answers the publish layers of the
    /// connection. A layer that fails a request before the handler answers it with kind `handler`.
    /// A request that a layer postpones is requeued after a pause of at most 10 s. A request that
    /// [`Deduplicate`](crate::Deduplicate) recognizes as handled has no second answer.
    ///
    /// A failed request is not retried and not parked: the caller decides. [`RemoteError`] chooses
    /// the kind of an error. An error is answered in the headers `carrot-error-kind` and
    /// `carrot-error`, and its text is the body. The text of any error and panic reaches the
    /// client, escaped and cut after 1000 bytes.
    ///
    /// A request can be handled twice: if this process, its connection or the broker ends before
    /// the acknowledgement, the request is redelivered. Handlers should be idempotent. The prefetch
    /// of the consumer is the number of requests that wait in this process; a small one leaves
    /// requests to other servers.
    ///
    /// The numbers of [`Report`](crate::Report) count as follows: `acknowledged` each answered
    /// request, `failed` the errors and panics of the handler, `undecodable` the requests that
    /// could not be decoded.
    ///
    /// Blocks for opening the channel of the answers, and for two round trips, at most for the
    /// connect timeout and the call timeout.
    ///
    /// # Errors
    /// - As [`Consumer::messages`].
    /// - As [`PublisherDefinition::build`](crate::PublisherDefinition::build): the channel of the
    ///   answers could not be opened.
    /// - [`Error::Invalid`]: the number of threads is zero.
    /// - [`Error::Backend`]: the system could not start a thread.
    ///
    /// ```
    /// # fn example(connection: &carrot::Connection) -> carrot::Result<()> {
    /// use std::time::Duration;
    /// use carrot::call::RemoteError;
    ///
    /// let square_root = |number: f64| match number.sqrt() {
    ///     root if root.is_nan() => Err(RemoteError::new("negative", format!("{number} < 0"))),
    ///     root => Ok(root),
    /// };
    /// let consumer = connection.consumer("square-root").prefetch(4).build()?;
    /// let workers = consumer.serve(4, square_root)?;
    /// let report = workers.stop(Duration::from_secs(30))?;
    /// println!("{} requests answered", report.acknowledged);
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve<Q, A, E>(
        &self,
        threads: usize,
        handler: impl Fn(Q) -> Result<A, E> + Send + Sync + 'static,
    ) -> Result<Workers>
    where
        Q: DeserializeOwned,
        A: Serialize,
        E: IntoRemoteError,
    {
        self.serve_messages(threads, move |request, _: &Message| handler(request))
    }

    /// Starts worker threads that answer requests, as [`serve`](Consumer::serve) does. The handler
    /// also receives the message of the request, with its headers and properties.
    ///
    /// Blocks as [`serve`](Consumer::serve) does.
    ///
    /// # Errors
    /// As [`serve`](Consumer::serve).
    ///
    /// ```
    /// # fn example(consumer: &carrot::Consumer) -> carrot::Result<()> {
    /// use carrot::Message;
    ///
    /// let workers = consumer.serve_messages(1, |name: String, message: &Message| {
    ///     let tenant = message.header("tenant").and_then(|tenant| tenant.as_str());
    ///     tenant.map(|tenant| format!("{name} of {tenant}")).ok_or("no tenant")
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn serve_messages<Q, A, E>(
        &self,
        threads: usize,
        handler: impl Fn(Q, &Message) -> Result<A, E> + Send + Sync + 'static,
    ) -> Result<Workers>
    where
        Q: DeserializeOwned,
        A: Serialize,
        E: IntoRemoteError,
    {
        let workers = self.workers(threads);
        let answers = AnswerSender::open(workers.connection(), workers.answer_layers())?;
        workers.start(false, move |pool, message| {
            answers.serve(pool, message, |message| answer(message, &handler));
        })
    }
}

/// The answer of a handler, encoded.
struct EncodedAnswer {
    properties: Properties,
    body: Vec<u8>,
}

/// The reason why a request has no answer of its handler.
struct Fault {
    error: RemoteError,
    is_undecodable: bool,
}

impl From<RemoteError> for Fault {
    fn from(error: RemoteError) -> Fault {
        Fault { error, is_undecodable: false }
    }
}

impl Fault {
    fn undecodable(text: String) -> Fault {
        Fault { error: RemoteError::new(RemoteError::DECODE, text), is_undecodable: true }
    }

    /// Returns whether the handler has chosen the kind of the error.
    fn is_chosen(&self) -> bool {
        let kinds =
            [RemoteError::HANDLER, RemoteError::PANIC, RemoteError::DECODE, RemoteError::ENCODE];
        !kinds.contains(&self.error.kind())
    }

    /// Logs the error. Returns the failure of the handler.
    fn note(&self, queue: &str) -> Failure {
        let level = if self.is_chosen() { log::Level::Debug } else { log::Level::Warn };
        log::log!(level, "answering a request with an error: {} queue={queue:?}", self.error);
        Failure {
            undecodable: self.is_undecodable,
            permanent: self.is_chosen(),
            ..Failure::new(self.error.message())
        }
    }

    fn to_answer(&self) -> EncodedAnswer {
        let properties = self.error.add_to(Properties::new().with_content_type("text/plain"));
        EncodedAnswer { properties, body: self.error.message().as_bytes().to_vec() }
    }
}

/// Decodes a request, calls the handler, and encodes the answer. Catches every panic of the
/// program's code.
fn answer<Q, A, E>(
    message: &Message,
    handler: &impl Fn(Q, &Message) -> Result<A, E>,
) -> Result<EncodedAnswer, Fault>
where
    Q: DeserializeOwned,
    A: Serialize,
    E: IntoRemoteError,
{
    let request = guard(|| message.decode()).map_err(Fault::undecodable)?.map_err(undecodable)?;
    let codec = message.codec().map_err(undecodable)?;
    let value = guard(|| handler(request, message).map_err(E::into_remote_error))
        .map_err(|panic| RemoteError::new(RemoteError::PANIC, panic))??;
    let encoded = guard(|| codec.encode(&value));
    drop_guarded(value);
    let body = encoded
        .map_err(|panic| RemoteError::new(RemoteError::ENCODE, panic))?
        .map_err(unencodable)?;
    Ok(EncodedAnswer { properties: with_format(Properties::new(), codec), body })
}

fn undecodable(error: Error) -> Fault {
    let fault = Fault::undecodable(describe(&error));
    drop_guarded(error);
    fault
}

fn unencodable(error: Error) -> RemoteError {
    let remote = RemoteError::new(RemoteError::ENCODE, describe(&error));
    drop_guarded(error);
    remote
}

/// Returns whether a validation or a layer refused an answer. The answer of an error may pass.
fn is_of_the_answer(error: &Error) -> bool {
    matches!(error, Error::Invalid { .. } | Error::Layer { .. } | Error::Encode { .. })
}

/// Returns the address of the answer, if the request has one.
fn reply_to(message: &Message) -> Option<&ShortString> {
    let [_, _, _, reply_to, ..] = message.properties().short_strings();
    reply_to.filter(|address| !address.is_empty())
}

/// Sends the answers of one server.
struct AnswerSender {
    publisher: Publisher,
}

impl AnswerSender {
    fn open(connection: &Arc<ConnectionHandle>, layers: &PublishLayers) -> Result<AnswerSender> {
        let definition =
            PublisherDefinition::new().transient().send_timeout(connection.call_timeout());
        let settings = PublisherSettings { layers: layers.clone(), ..definition.settings };
        Publisher::open(connection, settings).map(|publisher| AnswerSender { publisher })
    }

    /// Answers a request through the layers of the consumer, and settles the request. The answer is
    /// sent inside the layers.
    fn serve(
        &self,
        pool: &WorkerPool,
        message: Message,
        answer: impl Fn(&Message) -> Result<EncodedAnswer, Fault>,
    ) {
        let (run, counters) = (&pool.run, &pool.counters);
        if let Err(error) = message.check_readable()
            && reply_to(&message).is_none()
        {
            let mut handle =
                |message: &Message| dispatch::undecodable(message, run.policy(), error.clone());
            return process(message, run, counters, &mut handle, &mut || {});
        }
        let observer = TreatmentObserver::new(run, &message);
        let given_up = || run.is_stopped() || run.has_ended() || message.check().is_err();
        let mut answered = None;
        let mut handler = |message: &Message| {
            let answer = answer(message);
            let handled = match &answer {
                Ok(_) => Handled::settled(Settlement::Ack),
                Err(fault) => Handled::failed_with(fault.note(message.queue())),
            };
            match answered.insert(self.send(message, answer)) {
                // No layer may take the request for answered.
                Settlement::Requeue => Handled::settled(Settlement::Requeue),
                _ => handled,
            }
        };
        let handled = run.layers().handle(&message, &mut handler, run.policy().clock(), &given_up);
        match handled.as_failure() {
            None => counters.note_success(message.queue()),
            Some(failure) => counters.note_failure(failure, message.queue()),
        }
        let settlement = answered.unwrap_or_else(|| match handled.as_failure() {
            None => handled.settlement().cloned().unwrap_or(Settlement::Ack),
            Some(Failure { pause: Some(pause), .. }) => {
                counters.while_pausing(|| {
                    run.policy().pause((*pause).min(LONGEST_POSTPONED), &given_up);
                });
                Settlement::Requeue
            }
            Some(failure) => {
                let error = RemoteError::new(RemoteError::HANDLER, &failure.reason);
                self.send(&message, Err(Fault::from(error)))
            }
        });
        observer.observe(settle(message, &settlement, counters));
    }

    /// Sends an answer. Returns the settlement of the request.
    fn send(&self, message: &Message, answer: Result<EncodedAnswer, Fault>) -> Settlement {
        let [_, _, id, ..] = message.properties().short_strings();
        let queue = message.queue();
        let Some(reply_to) = reply_to(message) else {
            log::debug!("a request has no reply_to, its answer is dropped: queue={queue:?}");
            return Settlement::Ack;
        };
        let is_value = answer.is_ok();
        let answer = answer.unwrap_or_else(|fault| fault.to_answer());
        let sent = match self.publish(reply_to, id, answer) {
            Err(error) if is_value && is_of_the_answer(&error) => {
                log::warn!("sending an answer failed: {} queue={queue:?}", describe(&error));
                self.publish(reply_to, id, Fault::from(unencodable(error)).to_answer())
            }
            sent => sent,
        };
        match sent {
            Ok(()) => Settlement::Ack,
            Err(Error::Unroutable { .. }) => {
                log::debug!(
                    "the client of a request is gone, its answer is dropped: queue={queue:?}"
                );
                Settlement::Ack
            }
            Err(
                error @ (Error::Timeout { .. }
                | Error::Blocked { .. }
                | Error::Disconnected { .. }
                | Error::Connect { .. }
                | Error::Closed { .. }),
            ) => {
                log::warn!(
                    "sending an answer failed, its request is requeued: {error} queue={queue:?}"
                );
                Settlement::Requeue
            }
            Err(error) => {
                log::error!(
                    "sending an answer failed, it is dropped: {} queue={queue:?}",
                    describe(&error)
                );
                Settlement::Ack
            }
        }
    }

    fn publish(
        &self,
        reply_to: &ShortString,
        id: Option<&ShortString>,
        answer: EncodedAnswer,
    ) -> Result<()> {
        let builder = self.publisher.message().routing_key(reply_to);
        let builder = if is_direct(reply_to) { builder.not_mandatory() } else { builder };
        let properties = |template: Properties| {
            let mut properties = answer.properties;
            if let Some(mode) = template.delivery_mode() {
                properties = properties.with_delivery_mode(mode);
            }
            id.into_iter().fold(properties, Properties::with_correlation_id)
        };
        builder.properties(properties).send_bytes(answer.body)
    }
}
