use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};

/// A recorder that keeps the values of each series.
#[derive(Clone, Default)]
pub struct TestRecorder {
    series: Arc<Mutex<BTreeMap<String, Arc<Series>>>>,
    units: Arc<Mutex<BTreeMap<String, Option<Unit>>>>,
}

/// The values of a series: one of a counter or gauge, all of a histogram.
#[derive(Default)]
pub struct Series(Mutex<Vec<f64>>);

impl Series {
    fn change(&self, by: f64) {
        let mut values = self.0.lock().unwrap();
        match values.first_mut() {
            Some(value) => *value += by,
            None => values.push(by),
        }
    }
}

impl CounterFn for Series {
    fn increment(&self, value: u64) {
        self.change(value as f64);
    }

    fn absolute(&self, value: u64) {
        *self.0.lock().unwrap() = vec![value as f64];
    }
}

impl GaugeFn for Series {
    fn increment(&self, value: f64) {
        self.change(value);
    }

    fn decrement(&self, value: f64) {
        self.change(-value);
    }

    fn set(&self, value: f64) {
        *self.0.lock().unwrap() = vec![value];
    }
}

impl HistogramFn for Series {
    fn record(&self, value: f64) {
        self.0.lock().unwrap().push(value);
    }
}

impl TestRecorder {
    /// Returns the series of a key, such as `name{key=value,key=value}`, in the order of the keys.
    /// The attributes that each series has are left out, except for the destination.
    fn series(&self, key: &Key) -> Arc<Series> {
        let mut labels: Vec<String> = key
            .labels()
            .filter(|label| {
                let constant = match label.key() {
                    "messaging.system" => "rabbitmq",
                    "messaging.operation.type" => "send",
                    _ => return label.key() != "messaging.operation.name",
                };
                assert_eq!(label.value(), constant);
                false
            })
            .map(|label| {
                let key = label.key().trim_start_matches("messaging.destination.");
                format!("{key}={}", label.value())
            })
            .collect();
        labels.sort();
        let name = format!("{}{{{}}}", key.name(), labels.join(","));
        Arc::clone(self.series.lock().unwrap().entry(name).or_default())
    }

    /// Returns the value of a counter or gauge; 0 if it is not registered.
    pub fn value(&self, name: &str) -> f64 {
        self.values(name).first().copied().unwrap_or_default()
    }

    /// Returns the values of a histogram.
    pub fn values(&self, name: &str) -> Vec<f64> {
        let all = self.series.lock().unwrap();
        all.get(name).map(|series| series.0.lock().unwrap().clone()).unwrap_or_default()
    }

    /// Returns the names of all series.
    pub fn names(&self) -> Vec<String> {
        self.series.lock().unwrap().keys().cloned().collect()
    }

    /// Returns the unit with which a metric was described.
    pub fn unit(&self, name: &str) -> Option<Unit> {
        self.units.lock().unwrap()[name]
    }
}

impl Recorder for TestRecorder {
    fn describe_counter(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.units.lock().unwrap().insert(key.as_str().into(), unit);
    }

    fn describe_gauge(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.units.lock().unwrap().insert(key.as_str().into(), unit);
    }

    fn describe_histogram(&self, key: KeyName, unit: Option<Unit>, _: SharedString) {
        self.units.lock().unwrap().insert(key.as_str().into(), unit);
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.series(key))
    }
}
