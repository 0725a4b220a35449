//! What was measured, and what was measured before.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::broker::Broker;
use crate::peers::{Measured, Peer};
use crate::works::Work;

/// Less than this part of what was recorded is a regression; machines are noisy.
const GROSS: f64 = 0.5;

const RECORD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/recorded.json");

#[derive(Debug, Serialize)]
pub struct Results {
    pub machine: Machine,
    pub peers: BTreeMap<&'static str, String>,
    pub runs: Vec<Run>,
    pub failures: Vec<String>,
}

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub memory_gib: u64,
    pub system: &'static str,
    pub broker: String,
    pub queue: &'static str,
    /// How many processes wanted a core, on the average of a minute: before, and after.
    pub load: (f64, f64),
    pub seconds: f64,
}

#[derive(Debug, Serialize)]
pub struct Run {
    pub round: usize,
    pub work: &'static str,
    pub title: String,
    pub peer: &'static str,
    #[serde(flatten)]
    pub measured: Measured,
}

/// Median, least and greatest.
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
    pub fn begin(broker: &Broker) -> Results {
        let machine = Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: memory_gib(),
            system: std::env::consts::OS,
            broker: format!("RabbitMQ {}", broker.version),
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

    pub fn add(&mut self, round: usize, work: &Work, peer: &Peer, measured: Measured) {
        self.peers.entry(peer.name).or_insert_with(|| peer.version.clone());
        self.runs.push(Run { round, work: work.name, title: work.title(), peer: peer.name, measured });
    }

    pub fn fail(&mut self, round: usize, work: &Work, peer: &Peer, reason: &str) {
        let failure = format!("{} failed at {} in round {}: {reason}", peer.name, work.name, round + 1);
        eprintln!("bench: {failure}");
        self.failures.push(failure);
    }

    pub fn of<'a>(&'a self, work: &'a Work, peer: &'a str) -> impl Iterator<Item = &'a Run> {
        self.runs.iter().filter(move |run| run.work == work.name && run.peer == peer)
    }

    pub fn spread(&self, work: &Work, peer: &str, value: impl Fn(&Measured) -> Option<f64>) -> Option<Spread> {
        Spread::of(self.of(work, peer).filter_map(|run| value(&run.measured)))
    }

    /// What Carrot's value is divided by the peer's: the median over the rounds that both finished.
    pub fn ratio(&self, work: &Work, peer: &str, value: impl Fn(&Measured) -> f64) -> Option<f64> {
        let ratios = self.of(work, "carrot").filter_map(|carrot| {
            let other = self.of(work, peer).find(|run| run.round == carrot.round)?;
            Some(value(&carrot.measured) / value(&other.measured)).filter(|ratio| ratio.is_finite())
        });
        Spread::of(ratios).map(|spread| spread.median)
    }
}

/// How fast Carrot was compared to raw amiquip, each in its best round: on a busy machine that varies least.
fn best(results: &Results, work: &Work) -> Option<f64> {
    let best = |peer| results.spread(work, peer, |measured| Some(measured.rate())).map(|spread| spread.greatest);
    Some((best("carrot")? / best("amiquip")? * 100.0).round() / 100.0)
}

/// How Carrot compared to raw amiquip.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Record {
    /// Messages per second, divided by raw amiquip's, by work.
    speed: BTreeMap<String, f64>,
}

impl Record {
    pub fn of(results: &Results, works: &[Work]) -> Record {
        Record { speed: works.iter().filter_map(|work| Some((work.name.to_string(), best(results, work)?))).collect() }
    }

    pub fn load() -> Result<Record, Box<dyn Error>> {
        Ok(serde_json::from_str(&std::fs::read_to_string(RECORD)?)?)
    }

    pub fn save(&self) -> Result<(), Box<dyn Error>> {
        Ok(std::fs::write(RECORD, serde_json::to_string_pretty(self)? + "\n")?)
    }

    /// The works that have become much slower.
    pub fn slower(&self, results: &Results, works: &[Work]) -> Vec<Work> {
        let is_slower = |work: &&Work| Some(best(results, work)? < self.speed.get(work.name)? * GROSS);
        works.iter().filter(|work| is_slower(work).unwrap_or(false)).cloned().collect()
    }

    /// Whether nothing has become much slower, and at least something was compared.
    pub fn holds(&self, results: &Results, works: &[Work]) -> bool {
        let now = Record::of(results, works);
        let slower = self.slower(results, works);
        for (work, ratio) in &now.speed {
            let Some(before) = self.speed.get(work) else { continue };
            let verdict = if slower.iter().any(|slow| slow.name == work) { "MUCH SLOWER" } else { "ok" };
            println!("check {work}: {ratio:.2} x raw amiquip, recorded {before:.2}: {verdict}");
        }
        let missing = works.iter().filter(|work| self.speed.contains_key(work.name) && !now.speed.contains_key(work.name));
        let missing: Vec<&str> = missing.map(|work| work.name).collect();
        if !missing.is_empty() {
            println!("check: not measured: {}", missing.join(", "));
        }
        slower.is_empty() && missing.is_empty() && !now.speed.is_empty()
    }
}
