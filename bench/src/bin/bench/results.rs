//! The measurements, and the recorded speeds of earlier measurements.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::BenchBroker;
use crate::peers::{Measurement, PeerClient};
use crate::workloads::Workload;

/// The share of a recorded speed below which a speed is a regression. It is small because of noise.
const REGRESSION: f64 = 0.5;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.json");

#[derive(Debug, Serialize)]
pub struct Results {
    pub machine: Machine,
    pub peers: BTreeMap<&'static str, String>,
    pub runs: Vec<MeasuredRun>,
    pub failures: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub memory_gib: u64,
    pub system: &'static str,
    pub broker: String,
    pub queue: &'static str,
    /// The load average of one minute, before and after the benchmark.
    pub load: (f64, f64),
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
pub struct MeasuredRun {
    pub round: usize,
    pub work: &'static str,
    pub title: String,
    pub peer: &'static str,
    #[serde(flatten)]
    pub measurement: Measurement,
}

/// The median, the least and the greatest of some values.
#[derive(Debug, Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub greatest: f64,
}

impl Spread {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let (least, greatest) = (*values.first()?, *values.last()?);
        let median = (values[(values.len() - 1) / 2] + values[values.len() / 2]) / 2.0;
        Some(Spread { median, least, greatest })
    }
}

/// The quartiles of some values, interpolated, with the least and the greatest.
#[derive(Debug, Clone, Copy)]
pub struct Quartiles {
    pub least: f64,
    pub lower: f64,
    pub median: f64,
    pub upper: f64,
    pub greatest: f64,
}

impl Quartiles {
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Quartiles> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_unstable_by(f64::total_cmp);
        let last = values.len().checked_sub(1)?;
        let at = |quarter: usize| {
            let position = (last * quarter) as f64 / 4.0;
            let (below, above) = (values[position.floor() as usize], values[position.ceil() as usize]);
            below + (above - below) * position.fract()
        };
        Some(Quartiles { least: at(0), lower: at(1), median: at(2), upper: at(3), greatest: at(4) })
    }
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

fn memory_gib() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = text.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or_default();
    (kib + (1 << 19)) >> 20
}

impl Results {
    pub fn begin(broker: &BenchBroker) -> Results {
        let machine = Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(),
            system: std::env::consts::OS,
            broker: broker.version.clone(),
            queue: "classic, durable",
            load: (load(), 0.0),
            seconds: 0.0,
        };
        Results { machine, peers: BTreeMap::new(), runs: Vec::new(), failures: Vec::new() }
    }

    pub fn end(&mut self, took: Duration) {
        self.machine.seconds = took.as_secs_f64();
        self.machine.load.1 = load();
    }

    pub fn add(&mut self, round: usize, workload: &Workload, peer: &PeerClient, measurement: Measurement) {
        self.peers.entry(peer.name).or_insert_with(|| peer.version.clone());
        self.runs.push(MeasuredRun { round, work: workload.name, title: workload.title(), peer: peer.name, measurement });
    }

    pub fn fail(&mut self, round: usize, workload: &Workload, peer: &PeerClient, reason: &str) {
        let failure = format!("{} failed with {} in round {}: {reason}", peer.name, workload.name, round + 1);
        eprintln!("bench: {failure}");
        self.failures.push(failure);
    }

    pub fn of<'a>(&'a self, workload: &'a Workload, peer: &'a str) -> impl Iterator<Item = &'a MeasuredRun> {
        self.runs.iter().filter(move |run| run.work == workload.name && run.peer == peer)
    }

    pub fn spread(&self, workload: &Workload, peer: &str, value: impl Fn(&Measurement) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.of(workload, peer).filter_map(|run| value(&run.measurement)))
    }

    /// Returns the median of Carrot's value divided by the peer's value, over the rounds that both
    /// finished.
    pub fn ratio(&self, workload: &Workload, peer: &str, value: impl Fn(&Measurement) -> f64) -> Option<f64> {
        let ratios = self.of(workload, "carrot").filter_map(|carrot| {
            let other = self.of(workload, peer).find(|run| run.round == carrot.round)?;
            Some(value(&carrot.measurement) / value(&other.measurement)).filter(|ratio| ratio.is_finite())
        });
        Spread::of(ratios).map(|spread| spread.median)
    }
}

/// Divides the values of one client by those of another, or of the same client on another broker:
/// the median of the rounds that both finished, the quartiles, the least and the greatest.
pub fn ratio_with_quartiles(
    workload: &Workload,
    (results, client): (&Results, &str),
    (base, base_client): (&Results, &str),
    value: impl Fn(&Measurement) -> f64,
) -> String {
    let ratios = results.of(workload, client).filter_map(|run| {
        let other = base.of(workload, base_client).find(|other| other.round == run.round)?;
        Some(value(&run.measurement) / value(&other.measurement)).filter(|ratio| ratio.is_finite())
    });
    Quartiles::of(ratios).map_or_else(String::new, |ratio| {
        let Quartiles { least, lower, median, upper, greatest } = ratio;
        format!("{median:.2} ({lower:.2}-{upper:.2}; {least:.2}-{greatest:.2})")
    })
}

/// Returns the speed of Carrot divided by the speed of raw amiquip, each in its best round. The
/// best rounds vary least on a busy machine.
fn best(results: &Results, workload: &Workload) -> Option<f64> {
    let best = |peer| results.spread(workload, peer, |measurement| Some(measurement.rate())).map(|spread| spread.greatest);
    Some((best("carrot")? / best("amiquip")? * 100.0).round() / 100.0)
}

/// The recorded speeds of Carrot relative to raw amiquip.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RecordedSpeeds {
    /// Messages per second, divided by raw amiquip's, by workload.
    speed: BTreeMap<String, f64>,
}

impl RecordedSpeeds {
    pub fn of(results: &Results, workloads: &[Workload]) -> RecordedSpeeds {
        RecordedSpeeds {
            speed: workloads.iter().filter_map(|workload| Some((workload.name.to_string(), best(results, workload)?))).collect(),
        }
    }

    pub fn load() -> Result<RecordedSpeeds, Box<dyn Error>> {
        Ok(serde_json::from_str(&std::fs::read_to_string(RECORD)?)?)
    }

    pub fn save(&self) -> Result<(), Box<dyn Error>> {
        Ok(std::fs::write(RECORD, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// Returns the workloads that are much slower than recorded.
    pub fn slower(&self, results: &Results, workloads: &[Workload]) -> Vec<Workload> {
        let is_slower = |workload: &&Workload| Some(best(results, workload)? < self.speed.get(workload.name)? * REGRESSION);
        workloads.iter().filter(|workload| is_slower(workload).unwrap_or(false)).cloned().collect()
    }

    /// Prints the comparison with the recorded speeds. Returns whether at least one workload was
    /// compared, and none is much slower.
    pub fn holds(&self, results: &Results, workloads: &[Workload]) -> bool {
        let now = RecordedSpeeds::of(results, workloads);
        let slower = self.slower(results, workloads);
        for (workload, ratio) in &now.speed {
            let Some(before) = self.speed.get(workload) else { continue };
            let result = if slower.iter().any(|slow| slow.name == workload) { "MUCH SLOWER" } else { "ok" };
            println!("check {workload}: {ratio:.2} x raw amiquip, recorded {before:.2}: {result}");
        }
        let missing = workloads.iter().filter(|workload| self.speed.contains_key(workload.name) && !now.speed.contains_key(workload.name));
        let missing: Vec<&str> = missing.map(|workload| workload.name).collect();
        if !missing.is_empty() {
            println!("check: not measurement: {}", missing.join(", "));
        }
        slower.is_empty() && missing.is_empty() && !now.speed.is_empty()
    }
}
