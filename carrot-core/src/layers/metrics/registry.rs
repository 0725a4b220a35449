use metrics::{Counter, Gauge, Histogram, Key, Label, Level, Metadata, Recorder, Unit};

/// The names of the metrics, their units and descriptions. `docs/metrics-and-traces.md` lists them.
pub(super) const SENT: &str = "messaging.client.sent.messages";
pub(super) const SEND_DURATION: &str = "messaging.client.operation.duration";
pub(super) const CONSUMED: &str = "messaging.client.consumed.messages";
pub(super) const PROCESS_DURATION: &str = "messaging.process.duration";
pub(super) const IN_FLIGHT: &str = "carrot.publish.in_flight";
pub(super) const HANDLING: &str = "carrot.process.active";
pub(super) const SETTLED: &str = "carrot.settled.messages";
pub(super) const QUEUE_TIME: &str = "carrot.queue.duration";

/// Where metrics are registered.
pub(super) enum MetricRegistry {
    /// The recorder that the program has installed for the crate `metrics`.
    Installed,
    Own(Box<dyn Recorder + Send + Sync>),
}

/// The attributes of all metrics of one direction and destination.
#[derive(Clone)]
pub(super) struct MetricLabels {
    destination: String,
    operation: &'static str,
}

impl MetricLabels {
    pub(super) fn new(destination: &str, operation: &'static str) -> MetricLabels {
        MetricLabels { destination: destination.to_owned(), operation }
    }

    fn key(&self, name: &'static str, more: &[(&'static str, &'static str)]) -> Key {
        let mut labels = vec![
            Label::from_static_parts("messaging.system", "rabbitmq"),
            Label::from_static_parts("messaging.operation.name", self.operation),
            Label::new("messaging.destination.name", self.destination.clone()),
        ];
        labels.extend(more.iter().map(|(key, value)| Label::from_static_parts(key, value)));
        Key::from_parts(name, labels)
    }
}

pub(super) const METADATA: Metadata<'static> =
    Metadata::new("carrot", Level::INFO, Some(module_path!()));

impl MetricRegistry {
    pub(super) fn with<T>(&self, work: impl FnOnce(&dyn Recorder) -> T) -> T {
        match self {
            MetricRegistry::Installed => metrics::with_recorder(work),
            MetricRegistry::Own(recorder) => work(&**recorder),
        }
    }

    pub(super) fn counter(
        &self,
        name: &'static str,
        attributes: &MetricLabels,
        more: &[(&'static str, &'static str)],
    ) -> Counter {
        let key = attributes.key(name, more);
        self.with(|recorder| recorder.register_counter(&key, &METADATA))
    }

    pub(super) fn gauge(&self, name: &'static str, attributes: &MetricLabels) -> Gauge {
        let key = attributes.key(name, &[]);
        self.with(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    pub(super) fn histogram(
        &self,
        name: &'static str,
        attributes: &MetricLabels,
        more: &[(&'static str, &'static str)],
    ) -> Histogram {
        let key = attributes.key(name, more);
        self.with(|recorder| recorder.register_histogram(&key, &METADATA))
    }

    /// Describes all metrics to the recorder.
    pub(super) fn describe(&self) {
        self.with(|recorder| {
            for (name, text) in [
                (SENT, "Messages that publishers tried to send, by outcome"),
                (CONSUMED, "Deliveries and retries in the process that were passed to a handler"),
                (SETTLED, "Attempts to handle a message, by the treatment of the message"),
            ] {
                recorder.describe_counter(name.into(), Some(Unit::Count), text.into());
            }
            for (name, text) in [
                (IN_FLIGHT, "Messages that are being sent, or have no confirm yet"),
                (HANDLING, "Messages that handlers are working on"),
            ] {
                recorder.describe_gauge(name.into(), Some(Unit::Count), text.into());
            }
            for (name, text) in [
                (SEND_DURATION, "Time from the call that sent a message until its outcome"),
                (PROCESS_DURATION, "Time of one attempt to handle a message"),
                (QUEUE_TIME, "Time from sending a message until its first delivery"),
            ] {
                recorder.describe_histogram(name.into(), Some(Unit::Seconds), text.into());
            }
        });
    }
}
