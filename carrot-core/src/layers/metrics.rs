mod destinations;
mod handles;
mod registry;
mod report;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use metrics::Recorder;

use crate::consumer::handled::Handled;
use crate::consumer::layer::{HandleLayer, Next, SettledMessage};
use crate::consumer::message::Message;
use crate::error::Result;
use crate::layers::destination;
use crate::layers::error_type;
use crate::layers::metrics::destinations::{Destinations, FoundMetrics};
use crate::layers::metrics::handles::{HandledMetrics, SentMetrics};
use crate::layers::metrics::registry::MetricRegistry;
use crate::model::{Properties, ShortString, Value};
use crate::panic_guard::guard;
use crate::publish_layer::layer::PublishLayer;
use crate::publish_layer::outgoing::{OutgoingMessage, SentMessage};

/// The header in which the layer sends the time of sending, in milliseconds since the Unix epoch.
const SENT_MS: &str = "carrot-sent-ms";
/// The header of a message that failed before.
const ATTEMPT: &str = "carrot-attempt";
/// The number of destinations that have metrics of their own, for each direction.
const MOST_DESTINATIONS: usize = 1000;
/// The longest time in a queue that is recorded. Any producer can write the time of sending.
const LONGEST_QUEUE_TIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// A layer that counts messages and measures their times, through the crate `metrics`.
///
/// Names and attributes follow the messaging conventions of OpenTelemetry. The page
/// [metrics and traces](../guide/metrics_and_traces/index.html) lists them. Clones share their
/// metrics, so that one layer serves a whole program.
///
/// # Recorder
///
/// The program installs the recorder that exports the metrics, before it creates the layer. Each
/// metric is registered once, with the recorder that is installed at the first message of its
/// destination. Without a recorder at that time, the metric is lost for the life of the layer.
/// [`with_recorder`](Metrics::with_recorder) passes a recorder that is not installed.
///
/// The recorder is called on the threads that send and handle, without a lock. A recorder that
/// panics loses the measurement, not the message.
///
/// # Cardinality
///
/// The only attribute that depends on messages is the destination: the exchange, the queue of a
/// message to the default exchange, or the queue that delivered. Queues that the broker has named
/// count as `amq.gen`. The first 1,000 destinations of each direction have metrics of their own.
/// All others count as `_OTHER`.
///
/// # Time in queue
///
/// The time in queue is measured at the first delivery, not after retries. The clocks of both
/// programs have to agree. The time of sending is read from one of these:
///
/// * the header `carrot-sent-ms`, in milliseconds, which
///   [`stamp_sent_time`](Metrics::stamp_sent_time) adds;
/// * the property `timestamp`, if the program sets it, with a resolution of one second.
///
/// Any producer can write both. A time in the future counts as zero seconds in the queue. A time of
/// more than 30 days ago is not recorded.
///
/// ```
/// use carrot::layers::Metrics;
///
/// // First, the program installs an exporter, such as that of `metrics-exporter-prometheus`.
/// let metrics = Metrics::new();
/// let connection = carrot::connect("memory://")?.with_layer(metrics);
///
/// connection.publisher().queue("orders").build()?.send("an order")?;
/// # Ok::<(), carrot::Error>(())
/// ```
#[derive(Clone)]
pub struct Metrics {
    shared: Arc<SharedMetrics>,
    stamps_sent_time: bool,
}

struct SharedMetrics {
    registry: MetricRegistry,
    sent: Destinations<SentMetrics>,
    handled: Destinations<HandledMetrics>,
}

impl Metrics {
    /// Creates a layer that uses the recorder that the program has installed.
    pub fn new() -> Metrics {
        Metrics::with_registry(MetricRegistry::Installed)
    }

    /// Creates a layer that uses `recorder`, which need not be installed.
    pub fn with_recorder(recorder: impl Recorder + Send + Sync + 'static) -> Metrics {
        Metrics::with_registry(MetricRegistry::Own(Box::new(recorder)))
    }

    fn with_registry(registry: MetricRegistry) -> Metrics {
        registry.describe();
        registry.describe_report();
        let sent = Destinations::new(MOST_DESTINATIONS);
        let handled = Destinations::new(MOST_DESTINATIONS);
        let shared = Arc::new(SharedMetrics { registry, sent, handled });
        Metrics { shared, stamps_sent_time: false }
    }

    /// Adds the time of sending to each message, as the header `carrot-sent-ms`. A consumer with
    /// this layer then measures the time in queue in milliseconds. A header of the program is kept.
    ///
    /// Defaults to no header, because a header makes each message larger.
    #[must_use]
    pub fn stamp_sent_time(mut self) -> Metrics {
        self.stamps_sent_time = true;
        self
    }

    fn sent(
        &self,
        exchange: &ShortString,
        routing_key: &ShortString,
    ) -> FoundMetrics<'_, SentMetrics> {
        let create = |name: &str| SentMetrics::register(&self.shared.registry, name);
        self.shared.sent.find(destination::of_sent(exchange, routing_key), create)
    }

    fn handled(&self, queue: &str) -> FoundMetrics<'_, HandledMetrics> {
        let create = |name: &str| HandledMetrics::register(&self.shared.registry, name);
        self.shared.handled.find(destination::group(queue), create)
    }
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Metrics")
            .field("stamps_sent_time", &self.stamps_sent_time)
            .finish_non_exhaustive()
    }
}

impl PublishLayer for Metrics {
    fn before_send(&self, message: &mut OutgoingMessage<'_>) -> Result<()> {
        if self.stamps_sent_time && message.header(SENT_MS).is_none() {
            let sent_ms = i64::try_from(since_epoch().as_millis()).unwrap_or(i64::MAX);
            message.set_header(ShortString::from_static(SENT_MS), sent_ms);
        }
        let (exchange, routing_key) = (message.exchange(), message.routing_key());
        recorded(|| self.sent(exchange, routing_key).in_flight.increment(1));
        Ok(())
    }

    fn after_send(&self, message: &SentMessage<'_>) {
        let registry = &self.shared.registry;
        let metrics = self.sent(message.exchange(), message.routing_key());
        let (own, current) = (message.own_routing_key(), message.routing_key());
        // Without a change, both are the same string.
        if std::ptr::eq(own, current) || own == current {
            metrics.in_flight.decrement(1);
        } else {
            // A later layer has replaced the routing key after the increment.
            self.sent(message.exchange(), own).in_flight.decrement(1);
        }
        let seconds = message.elapsed().as_secs_f64();
        match message.error() {
            None => metrics.record_success(registry, message.is_confirmed(), seconds),
            Some(error) => metrics.record_failure(registry, error, seconds),
        }
    }
}

impl HandleLayer for Metrics {
    fn handle(&self, message: &Message, next: Next<'_>) -> Handled {
        let registry = &self.shared.registry;
        let metrics = recorded(|| {
            let metrics = self.handled(message.queue());
            metrics.handling.increment(1);
            metrics.consumed.increment(1);
            if let Some(time) = queue_time(message) {
                metrics.record_queue_time(registry, time.as_secs_f64());
            }
            metrics
        });
        let Some(metrics) = metrics else { return next.run(message) };
        let started = Instant::now();
        let handled = next.run(message);
        let seconds = started.elapsed().as_secs_f64();
        recorded(|| {
            metrics.handling.decrement(1);
            metrics.record_attempt(registry, error_type::of_handled(&handled), seconds);
        });
        handled
    }

    fn after_settle(&self, message: &SettledMessage<'_>) {
        let metrics = self.handled(message.queue());
        metrics.record_treatment(&self.shared.registry, message.treatment());
    }
}

/// Calls the recorder of the program. A panic of the recorder must not fail the message.
#[inline]
fn recorded<T>(work: impl FnOnce() -> T) -> Option<T> {
    guard(work).map_err(|panic| log::error!("the recorder of metrics failed: {panic}")).ok()
}

/// Returns the time that a message has waited in its queue, at its first delivery.
fn queue_time(message: &Message) -> Option<Duration> {
    if message.is_redelivered() {
        return None;
    }
    let properties = message.properties();
    let sent = sent_time(properties)?;
    if properties.header(ATTEMPT).is_some() {
        return None;
    }
    waited(sent, since_epoch())
}

/// Returns the time between two points in time, of which any producer can write the first.
fn waited(sent: Duration, now: Duration) -> Option<Duration> {
    Some(now.saturating_sub(sent)).filter(|time| *time <= LONGEST_QUEUE_TIME)
}

/// Returns the time since the Unix epoch at which a message says that it was sent.
fn sent_time(properties: &Properties) -> Option<Duration> {
    match properties.header(SENT_MS).and_then(Value::as_i64) {
        Some(sent_ms) => u64::try_from(sent_ms).ok().map(Duration::from_millis),
        None => properties.timestamp().map(Duration::from_secs),
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sent_time_is_read_from_the_header_and_else_from_the_property() {
        let stamped = Properties::new().with_header(SENT_MS, 1_700_000_000_123_i64);
        assert_eq!(sent_time(&stamped), Some(Duration::from_millis(1_700_000_000_123)));
        let both = stamped.with_timestamp(5);
        assert_eq!(sent_time(&both), Some(Duration::from_millis(1_700_000_000_123)));
        let seconds = Properties::new().with_timestamp(1_700_000_000);
        assert_eq!(sent_time(&seconds), Some(Duration::from_secs(1_700_000_000)));
        assert_eq!(sent_time(&Properties::new()), None);
        assert_eq!(sent_time(&Properties::new().with_header(SENT_MS, -1_i64)), None);
        assert_eq!(sent_time(&Properties::new().with_header(SENT_MS, "soon")), None);
    }

    #[test]
    fn queue_time_of_a_wrong_clock_is_bounded() {
        let now = Duration::from_secs(1_700_000_000);
        assert_eq!(waited(now - Duration::from_millis(7), now), Some(Duration::from_millis(7)));
        assert_eq!(waited(now + Duration::from_secs(60), now), Some(Duration::ZERO));
        assert_eq!(waited(Duration::MAX, now), Some(Duration::ZERO));
        assert_eq!(waited(now - LONGEST_QUEUE_TIME, now), Some(LONGEST_QUEUE_TIME));
        assert_eq!(waited(now - LONGEST_QUEUE_TIME - Duration::from_millis(1), now), None);
        assert_eq!(waited(Duration::ZERO, now), None);
    }
}
