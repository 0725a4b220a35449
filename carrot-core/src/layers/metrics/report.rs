//! Metrics of a whole connection, from its statistics.

use metrics::{Key, Label, Unit};

use crate::layers::metrics::Metrics;
use crate::layers::metrics::recorded;
use crate::layers::metrics::registry::{METADATA, MetricRegistry};
use crate::statistics::{RoleStatistics, Statistics};

/// The unit of a metric, its name and its description.
type Description = (Unit, &'static str, &'static str);

const LOSSES: &str = "carrot.connection.losses";
const RECONNECTS: &str = "carrot.connection.reconnects";
const BLOCKED: &str = "carrot.connection.blocked";
const RESENT: &str = "carrot.publish.resent";
const BYTES_IN_FLIGHT: &str = "carrot.publish.bytes_in_flight";
const HELD_BYTES: &str = "carrot.consume.held_bytes";
const PREFETCH_CHANGES: &str = "carrot.consume.prefetch_changes";
const PAUSED_MESSAGES: &str = "carrot.consume.paused_messages";
const PAUSES: &str = "carrot.consume.pauses";
const PAUSED_CONSUMERS: &str = "carrot.consume.paused_consumers";

const COUNTERS: [Description; 5] = [
    (Unit::Count, LOSSES, "Lost connections to the broker"),
    (Unit::Count, RECONNECTS, "Connections to the broker that were opened again"),
    (Unit::Count, RESENT, "Messages that were sent again after a loss"),
    (Unit::Count, PREFETCH_CHANGES, "Changes of a prefetch by max_held_bytes"),
    (Unit::Count, PAUSES, "Pauses of consumers after failures"),
];
const GAUGES: [Description; 5] = [
    (Unit::Count, BLOCKED, "1 while the broker blocks publishing, and 0 otherwise"),
    (Unit::Bytes, BYTES_IN_FLIGHT, "Bodies of the messages without a confirm"),
    (Unit::Bytes, HELD_BYTES, "Bodies that consumers with max_held_bytes hold"),
    (Unit::Count, PAUSED_MESSAGES, "Failed messages that pause in the process"),
    (Unit::Count, PAUSED_CONSUMERS, "Runs of consumers that pause after failures"),
];

impl Metrics {
    /// Records the statistics of a connection that belong to no single message: lost connections,
    /// alarms, the bytes that consumers hold, and pauses.
    ///
    /// Call it before each export, with the statistics of one connection: those of a second one
    /// would replace them. Does not block.
    ///
    /// ```
    /// use carrot::layers::Metrics;
    ///
    /// let metrics = Metrics::new();
    /// let connection = carrot::connect("memory://")?.with_handle_layer(metrics.clone());
    /// metrics.report(&connection.statistics());
    /// # Ok::<(), carrot::Error>(())
    /// ```
    pub fn report(&self, statistics: &Statistics) {
        let registry = &self.shared.registry;
        recorded(|| registry.report(statistics));
    }
}

impl MetricRegistry {
    pub(super) fn describe_report(&self) {
        self.with(|recorder| {
            for (unit, name, text) in COUNTERS {
                recorder.describe_counter(name.into(), Some(unit), text.into());
            }
            for (unit, name, text) in GAUGES {
                recorder.describe_gauge(name.into(), Some(unit), text.into());
            }
        });
    }

    fn report(&self, statistics: &Statistics) {
        let Statistics { publishing, consuming, connecting } = statistics;
        for (role, of_role) in [("publish", &connecting.publish), ("consume", &connecting.consume)]
        {
            let RoleStatistics { losses, reconnects, blocked, .. } = *of_role;
            let label = [Label::from_static_parts("carrot.role", role)];
            self.total(LOSSES, &label, losses);
            self.total(RECONNECTS, &label, reconnects);
            self.level(BLOCKED, &label, u64::from(blocked));
        }
        self.total(RESENT, &[], publishing.resent);
        self.total(PREFETCH_CHANGES, &[], consuming.prefetch_changes);
        self.total(PAUSES, &[], consuming.consumer_pauses);
        self.level(BYTES_IN_FLIGHT, &[], publishing.bytes_in_flight);
        self.level(HELD_BYTES, &[], consuming.held_bytes);
        self.level(PAUSED_MESSAGES, &[], consuming.paused_messages);
        self.level(PAUSED_CONSUMERS, &[], consuming.paused_consumers);
    }

    /// Sets a counter that only grows.
    fn total(&self, name: &'static str, labels: &[Label], value: u64) {
        let key = key(name, labels);
        self.with(|recorder| recorder.register_counter(&key, &METADATA)).absolute(value);
    }

    /// Sets a gauge.
    fn level(&self, name: &'static str, labels: &[Label], value: u64) {
        let key = key(name, labels);
        self.with(|recorder| recorder.register_gauge(&key, &METADATA)).set(value as f64);
    }
}

fn key(name: &'static str, labels: &[Label]) -> Key {
    let system = Label::from_static_parts("messaging.system", "rabbitmq");
    Key::from_parts(name, [&[system], labels].concat())
}
