//! The metrics of one destination, registered once.

use std::sync::{Mutex, OnceLock, PoisonError};

use metrics::{Counter, Gauge, Histogram};

use crate::consumer::layer::Treatment;
use crate::error::Error;
use crate::layers::error_type;
use crate::layers::metrics::registry::{self, MetricLabels, MetricRegistry};

const ERROR_TYPE: &str = "error.type";
/// The attribute of [`registry::SENT`].
const OUTCOME: &str = "carrot.outcome";
/// The attribute of [`registry::SETTLED`].
const TREATMENT: &str = "carrot.treatment";
/// The attribute of [`registry::SEND_DURATION`].
const SEND: (&str, &str) = ("messaging.operation.type", "send");

/// Metrics of the failures of one destination, by their class. Classes are registered when they
/// occur.
struct Failures<T>(Mutex<Vec<(&'static str, T)>>);

impl<T: Clone> Failures<T> {
    fn new() -> Failures<T> {
        Failures(Mutex::default())
    }

    /// Returns the metrics of a class. No lock is held while they are registered.
    fn of(&self, class: &'static str, register: impl FnOnce() -> T) -> T {
        if let Some(known) = self.known(class) {
            return known;
        }
        let registered = register();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push((class, registered.clone()));
        registered
    }

    fn known(&self, class: &str) -> Option<T> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|(known, _)| *known == class).map(|(_, metrics)| metrics.clone())
    }
}

/// The metrics of the messages that were sent to one destination.
pub(super) struct SentMetrics {
    attributes: MetricLabels,
    pub(super) in_flight: Gauge,
    duration: Histogram,
    confirmed: OnceLock<Counter>,
    unconfirmed: OnceLock<Counter>,
    failures: Failures<(Counter, Histogram)>,
}

impl SentMetrics {
    pub(super) fn register(registry: &MetricRegistry, destination: &str) -> SentMetrics {
        let attributes = MetricLabels::new(destination, "publish");
        SentMetrics {
            in_flight: registry.gauge(registry::IN_FLIGHT, &attributes),
            duration: registry.histogram(registry::SEND_DURATION, &attributes, &[SEND]),
            confirmed: OnceLock::new(),
            unconfirmed: OnceLock::new(),
            failures: Failures::new(),
            attributes,
        }
    }

    /// Records a message that was confirmed, or sent without confirms.
    pub(super) fn record_success(
        &self,
        registry: &MetricRegistry,
        is_confirmed: bool,
        seconds: f64,
    ) {
        let (counter, outcome) =
            if is_confirmed { (&self.confirmed, "confirmed") } else { (&self.unconfirmed, "sent") };
        counter
            .get_or_init(|| {
                registry.counter(registry::SENT, &self.attributes, &[(OUTCOME, outcome)])
            })
            .increment(1);
        self.duration.record(seconds);
    }

    pub(super) fn record_failure(&self, registry: &MetricRegistry, error: &Error, seconds: f64) {
        let outcome = match error {
            Error::Unroutable { .. } => "returned",
            Error::Refused => "refused",
            _ => "failed",
        };
        let class = (ERROR_TYPE, error_type::of_error(error));
        let (counter, duration) = self.failures.of(class.1, || {
            let of_class = [(OUTCOME, outcome), class];
            (
                registry.counter(registry::SENT, &self.attributes, &of_class),
                registry.histogram(registry::SEND_DURATION, &self.attributes, &[SEND, class]),
            )
        });
        counter.increment(1);
        duration.record(seconds);
    }
}

const TREATMENTS: usize = 10;

/// The metrics of the messages that were handled from one queue.
pub(super) struct HandledMetrics {
    attributes: MetricLabels,
    pub(super) handling: Gauge,
    pub(super) consumed: Counter,
    duration: Histogram,
    failures: Failures<Histogram>,
    queue_time: OnceLock<Histogram>,
    settled: [OnceLock<Counter>; TREATMENTS],
}

impl HandledMetrics {
    pub(super) fn register(registry: &MetricRegistry, queue: &str) -> HandledMetrics {
        let attributes = MetricLabels::new(queue, "process");
        HandledMetrics {
            handling: registry.gauge(registry::HANDLING, &attributes),
            consumed: registry.counter(registry::CONSUMED, &attributes, &[]),
            duration: registry.histogram(registry::PROCESS_DURATION, &attributes, &[]),
            failures: Failures::new(),
            queue_time: OnceLock::new(),
            settled: Default::default(),
            attributes,
        }
    }

    pub(super) fn record_queue_time(&self, registry: &MetricRegistry, seconds: f64) {
        self.queue_time
            .get_or_init(|| registry.histogram(registry::QUEUE_TIME, &self.attributes, &[]))
            .record(seconds);
    }

    /// Records the time of one attempt, and the class of its failure.
    pub(super) fn record_attempt(
        &self,
        registry: &MetricRegistry,
        failure: Option<&'static str>,
        seconds: f64,
    ) {
        let Some(class) = failure else { return self.duration.record(seconds) };
        self.failures
            .of(class, || {
                let class = [(ERROR_TYPE, class)];
                registry.histogram(registry::PROCESS_DURATION, &self.attributes, &class)
            })
            .record(seconds);
    }

    pub(super) fn record_treatment(&self, registry: &MetricRegistry, treatment: Treatment) {
        let (index, name) = match treatment {
            Treatment::Acknowledged => (0, "acknowledged"),
            Treatment::Rejected => (1, "rejected"),
            Treatment::Requeued => (2, "requeued"),
            Treatment::Retried => (3, "retried"),
            Treatment::Parked => (4, "parked"),
            Treatment::Discarded => (5, "discarded"),
            Treatment::Paused => (6, "paused"),
            Treatment::Lost => (7, "lost"),
            Treatment::Stale => (8, "stale"),
            Treatment::Returned => (9, "returned"),
        };
        if let Some(counter) = self.settled.get(index) {
            counter
                .get_or_init(|| {
                    registry.counter(registry::SETTLED, &self.attributes, &[(TREATMENT, name)])
                })
                .increment(1);
        }
    }
}
