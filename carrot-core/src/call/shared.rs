//! The state that all handles of a caller share, and one call from request to answer.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::backend::{
    Backend, BufferPool, ChannelOptions, ConsumeOptions, Content, Declare, Outcome, Publication,
    Role, validate,
};
use crate::call::answer::Answer;
use crate::call::direct_reply::PSEUDO_QUEUE;
use crate::call::remote_error::RemoteError;
use crate::call::replies::{Received, Replies, WaitingCall};
use crate::call::settings::CallerSettings;
use crate::codec::Codec;
use crate::codec::body_decoder::BodyDecoder;
use crate::deadline;
use crate::error::{Error, Result, Returned};
use crate::model::{Exchange, Properties, Queue, ShortString};
use crate::publish_layer::layer::PublishLayers;
use crate::publish_layer::passed_layers::{CallTime, Unobserved, pass_layers};
use crate::publisher::message_builder::random_id;
use crate::recovery::channel::{Declarations, Opened, RecoveringChannel};
use crate::recovery::effects::ends_channel;
use crate::recovery::handle::ConnectionHandle;
use crate::recovery::hard_closes::HardCloses;
use crate::recovery::reconnecting::ChannelOwner;

/// The time without calls and replies after which the channel is closed.
const IDLE: Duration = Duration::from_secs(10);
/// The longest expiration that RabbitMQ accepts, in milliseconds.
const LONGEST_EXPIRATION: u128 = u32::MAX as u128;

/// The state that all handles of a caller share.
#[derive(Debug)]
pub(crate) struct CallerShared {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    /// The properties that every request starts with.
    pub(super) properties: Properties,
    pub(super) codec: Codec,
    decoder: Arc<BodyDecoder>,
    max_message_size: u64,
    /// Buffers for bodies that have to be copied.
    pub(super) buffers: Arc<BufferPool>,
    channel: RecoveringChannel<Arc<Replies>>,
    layers: PublishLayers,
}

impl ChannelOwner for CallerShared {
    /// Forgets a lost channel. The next call opens another.
    fn reopen(&self, _deadline: Instant) -> bool {
        if let Some((channel, error)) = self.channel.ended() {
            self.channel.failed(&channel, &error);
        }
        false
    }
}

impl Drop for CallerShared {
    /// Closes the channel, which ends the thread that receives.
    fn drop(&mut self) {
        if let Some(opened) = self.channel.shut() {
            let _ = opened.channel.close(Duration::ZERO);
        }
    }
}

impl CallerShared {
    /// Opens the channel, declares the exchange, and subscribes to the replies.
    pub(super) fn open(
        connection: &ConnectionHandle,
        settings: CallerSettings,
    ) -> Result<Arc<CallerShared>> {
        let properties = settings.template();
        let decoder = BodyDecoder::new(settings.answers(), settings.max_inflated_bytes);
        let CallerSettings { exchange, routing_key, codec, layers, .. } = settings;
        let exchange_name = ShortString::from(&exchange.name);
        let connector = Arc::clone(&connection.shared.connector);
        let channel = connection.recovering_channel(
            ChannelOptions::publish(),
            "caller",
            move |channel, until, declarations| {
                if !exchange.is_default() {
                    let exchange = match declarations {
                        Declarations::Checked if !exchange.auto_delete => {
                            Exchange::existing(&exchange.name)
                        }
                        _ => exchange.clone(),
                    };
                    channel.declare(Declare::Exchange(&exchange), deadline::left(until))?;
                }
                let is_direct = connector.capabilities().direct_reply_to;
                subscribe(&**channel, is_direct, until).map(Arc::new)
            },
        );
        let shared = Arc::new(CallerShared {
            exchange: exchange_name,
            routing_key: routing_key.into(),
            properties,
            codec,
            decoder: Arc::new(decoder),
            max_message_size: connection.max_message_size,
            buffers: Arc::default(),
            channel,
            layers,
        });
        if !connection.lazy {
            shared.channel.get_or_open()?;
        }
        let reopened: Arc<dyn ChannelOwner> = Arc::clone(&shared) as Arc<dyn ChannelOwner>;
        shared.channel.connection().reopen_after_loss(Role::Publish, &reopened);
        if connection.lazy {
            shared.channel.connection().reconnect(Role::Publish);
        }
        Ok(shared)
    }

    pub(super) fn close(&self) -> Result<()> {
        self.channel.close(self.channel.connection().call_timeout)
    }

    /// Sends a request through the layers, and waits for its answer.
    pub(super) fn call(
        self: &Arc<Self>,
        mut request: Content,
        timeout: Duration,
    ) -> Result<Answer> {
        if timeout.is_zero() {
            return Err(Error::invalid("timeout of a call", "0", "more than zero"));
        }
        let deadline = deadline::after(timeout);
        let id = random_id();
        request.properties.ensure_message_id(|| id.clone());
        let time = CallTime { deadline, timeout };
        let passed = pass_layers(&self.layers, &mut request, true, time, Some(deadline))?;
        if passed.is_late() {
            let late = Err(late("passing a request through its layers", timeout));
            passed.observe(&request, &late, false);
            return late;
        }
        request.properties = request.properties.with_correlation_id(&id).with_reply_to("");
        let mut request = Arc::new(request);
        let answer = self.send(&mut request, &id, &passed, deadline, timeout);
        passed.observe(&request, &answer, true);
        answer
    }

    /// Sends a request, and waits for its answer. Sends the request again only if the broker cannot
    /// have it.
    fn send(
        self: &Arc<Self>,
        request: &mut Arc<Content>,
        id: &ShortString,
        passed: &Unobserved<'_>,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Answer> {
        let expires = request.properties.expiration().is_none();
        Publication::new(request).with_mandatory(true).validate()?;
        validate::body(&request.body, self.max_message_size)?;
        let mut losses = HardCloses::default();
        loop {
            let Opened { channel, state: replies } = match self.channel.current() {
                Some(opened) => opened,
                None => self.channel.recover_unless(deadline, &|| false, &mut losses)?,
            };
            let call = match replies.register(id) {
                Ok(call) => call,
                Err(error) => {
                    self.lost(&channel, &error);
                    continue;
                }
            };
            self.ensure_receiver(&replies)?;
            self.channel.connection().isolation.wait(deadline);
            let left = deadline::left(deadline);
            let to_send = Arc::make_mut(request);
            let properties =
                std::mem::take(&mut to_send.properties).with_reply_to(&replies.address);
            to_send.properties = if expires { expiring(properties, left) } else { properties };
            let publication = Publication::new(request).with_mandatory(true);
            match channel.publish(&publication, left) {
                Ok(tag) => {
                    let outcome = channel.confirm(tag, deadline::left(deadline));
                    if let Ok(Outcome::Accepted) = outcome {
                        passed.observe(request, &Ok(()), true);
                    }
                    return self.answer(&channel, request, call, outcome, deadline, timeout);
                }
                // Nothing was sent, because the channel had ended before.
                Err(error) if ends_channel(&error) && !matches!(error, Error::Timeout { .. }) => {
                    self.lost(&channel, &error);
                    if let Some(refused) = losses.note(&error) {
                        return Err(refused);
                    }
                    if Instant::now() >= deadline {
                        return Err(self.channel.explain(late("sending a request", timeout)));
                    }
                }
                Err(error) => return Err(self.channel.explain(error)),
            }
        }
    }

    /// Waits for the answer to a request that was sent.
    fn answer(
        &self,
        channel: &Arc<dyn Backend>,
        request: &Content,
        mut call: WaitingCall<'_>,
        outcome: Result<Outcome>,
        deadline: Instant,
        timeout: Duration,
    ) -> Result<Answer> {
        let until = match outcome {
            Ok(Outcome::Accepted) => {
                self.channel.mark_working(channel);
                call.confirmed();
                deadline
            }
            Ok(Outcome::Refused) => return Err(Error::Refused),
            Ok(Outcome::Returned { code, text }) => return Err(unroutable(code, text, request)),
            // The answer can be here nevertheless.
            Err(_) => Instant::now(),
        };
        match (call.wait(until), outcome) {
            (Some(Ok(answer)), _) => match RemoteError::of_answer(&answer.content.properties) {
                Some(error) => Err(error.into()),
                None => Ok(Answer::new(answer, &self.decoder)),
            },
            (None, Ok(_)) => Err(late("waiting for the answer to a request", timeout)),
            (None, Err(Error::Timeout { .. })) => {
                Err(self.channel.explain(late("waiting for the confirm of a request", timeout)))
            }
            (None, Err(error @ Error::Blocked { .. })) => Err(error),
            (_, Err(error)) | (Some(Err(error)), Ok(_)) => {
                let is_refusal =
                    error.is_channel_error() || matches!(error, Error::HardError { .. });
                let is_mine = is_refusal && call.is_unconfirmed() && call.is_only_suspect();
                self.lost(channel, &error);
                Err(if is_mine { error } else { self.unknown(error) })
            }
        }
    }

    /// Returns the error of a call whose request may have been handled.
    fn unknown(&self, error: Error) -> Error {
        if self.channel.is_closed() {
            return Error::closed("caller");
        }
        let note = "a call waited for its answer, and its request may have been handled";
        match error {
            Error::Disconnected { reason, source } => {
                Error::Disconnected { reason: format!("{reason}; {note}"), source }
            }
            error => Error::Disconnected {
                reason: format!("{error}; {note}"),
                source: Some(Arc::new(error)),
            },
        }
    }

    /// Forgets a channel that is unusable. The next call opens another.
    fn lost(&self, channel: &Arc<dyn Backend>, error: &Error) {
        if ends_channel(error) {
            self.channel.failed(channel, error);
        } else {
            self.channel.replace_channel(channel, "its queue of replies was deleted");
        }
    }

    /// Starts the thread that receives replies, unless one runs.
    fn ensure_receiver(self: &Arc<Self>, replies: &Arc<Replies>) -> Result<()> {
        if !replies.needs_receiver() {
            return Ok(());
        }
        let (receiving, caller) = (Arc::clone(replies), Arc::downgrade(self));
        let receive = move || {
            if receiving.receive(IDLE) == Received::Idle
                && let Some(caller) = caller.upgrade()
            {
                caller.close_idle(&receiving);
            }
        };
        thread::Builder::new().name("carrot-replies".into()).spawn(receive).map(drop).map_err(
            |error| {
                replies.not_receiving();
                Error::Backend {
                    reason: "a thread for replies could not be started".into(),
                    source: Some(Arc::new(error)),
                }
            },
        )
    }

    /// Closes the channel of `replies`, so that the broker drops late replies.
    fn close_idle(&self, replies: &Arc<Replies>) {
        if let Some(opened) =
            self.channel.current().filter(|opened| Arc::ptr_eq(&opened.state, replies))
            && let Err(error) = self.channel.discard(&opened.channel, Duration::ZERO)
        {
            log::debug!("closing the idle channel of a caller failed: {error}");
        }
    }
}

/// Subscribes to the replies to a channel: direct ones, or those to an exclusive queue.
fn subscribe(channel: &dyn Backend, is_direct: bool, until: Instant) -> Result<Replies> {
    let address = if is_direct {
        PSEUDO_QUEUE.into()
    } else {
        let queue = Queue::server_named();
        channel.declare(Declare::Queue(&queue), deadline::left(until))?.name
    };
    let options = ConsumeOptions::with_prefetch(0).automatic();
    let subscription = channel.consume(&address, &options, deadline::left(until))?;
    Ok(Replies::new(subscription, address.into()))
}

/// Sets the expiration of a request to the end of its call, after which no call waits for it.
fn expiring(properties: Properties, left: Duration) -> Properties {
    match left.as_millis() + 1 {
        milliseconds @ ..=LONGEST_EXPIRATION => {
            properties.with_expiration(milliseconds.to_string())
        }
        _ => properties,
    }
}

fn late(operation: &'static str, timeout: Duration) -> Error {
    Error::timeout(operation, timeout)
}

fn unroutable(code: u16, text: String, request: &Content) -> Error {
    let Content { exchange, routing_key, properties, body } = request;
    let returned = Returned::new(code, text, exchange, routing_key, properties.message_id(), body);
    Error::Unroutable { returned: Box::new(returned) }
}
