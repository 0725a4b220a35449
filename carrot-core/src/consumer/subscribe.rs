//! Subscribes a run, on as many channels as this takes.

use std::sync::Arc;
use std::time::Instant;

use crate::backend::{ConsumeOptions, Subscription};
use crate::consumer::shared::ConsumerShared;
use crate::consumer::stream_position::StreamPosition;
use crate::consumer::subscribed::{RunSubscription, UnhandledCounts};
use crate::error::{Error, Result};
use crate::recovery::channel::Opened;
use crate::recovery::hard_closes::HardCloses;

/// The deadline of subscribing, and the errors after which to try again.
pub(crate) struct Attempts<'a> {
    pub(crate) until: Instant,
    pub(crate) given_up: &'a dyn Fn() -> bool,
    pub(crate) retried: fn(&Error) -> bool,
}

/// Subscribes on the consumer's channel, or on new ones.
///
/// # Errors
/// - The error of the last attempt.
/// - [`Error::HardError`]: `losses` shows that the declarations or the subscription make the broker
///   close the connection.
pub(crate) fn subscribe(
    shared: &ConsumerShared,
    options: &ConsumeOptions,
    stream: Option<&Arc<StreamPosition>>,
    unhandled: &Arc<UnhandledCounts>,
    attempts: &Attempts<'_>,
    losses: &mut HardCloses,
) -> Result<RunSubscription> {
    loop {
        let Opened { channel, state: queue } =
            shared.channel.recover_unless(attempts.until, attempts.given_up, losses)?;
        let timeout = shared.channel.connection().call_timeout;
        match channel.consume(&queue, options, timeout) {
            Ok(subscription) => {
                let subscription: Arc<dyn Subscription> = Arc::from(subscription);
                return Ok(RunSubscription::new(
                    shared.source(&channel, &queue, stream),
                    subscription,
                    Arc::clone(unhandled),
                ));
            }
            Err(error) => {
                shared.channel.failed(&channel, &error);
                if let Some(refused) = losses.note(&error) {
                    return Err(refused);
                }
                if !(attempts.retried)(&error) || Instant::now() >= attempts.until {
                    return Err(error);
                }
                shared.channel.postpone(&error);
            }
        }
    }
}
