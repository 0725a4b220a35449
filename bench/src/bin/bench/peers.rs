//! The programs of the comparison.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::workloads::Workload;

/// The time after which a run of a peer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// A client library with its program.
#[derive(Debug, Clone)]
pub struct PeerClient {
    pub name: &'static str,
    pub version: String,
    pub quick: bool,
    program: PathBuf,
    arguments: Vec<String>,
    /// The divisor of the number of messages, which is larger for slow peers.
    divisor: usize,
}

/// The measurement of one run.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measurement {
    pub messages: usize,
    pub seconds: f64,
    pub cpu_user: f64,
    pub cpu_sys: f64,
    #[serde(default)]
    pub p50_us: Option<f64>,
    #[serde(default)]
    pub p99_us: Option<f64>,
    #[serde(default)]
    pub rss_kb: Option<u64>,
    #[serde(default)]
    pub threads: Option<usize>,
}

impl Measurement {
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// Returns the processor time of the client for each message, in microseconds.
    pub fn cpu(&self) -> f64 {
        (self.cpu_user + self.cpu_sys) * 1e6 / self.messages as f64
    }
}

#[derive(Debug)]
pub enum PeerOutcome {
    Done(Measurement),
    Unsupported,
    Failed(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum PeerOutput {
    Unsupported { unsupported: bool },
    Measurement(Measurement),
}

impl PeerClient {
    /// Returns how many messages the peer handles. A slow peer handles a part of them, except of
    /// large bodies: those make the broker slower the more of them it holds.
    pub fn share(&self, workload: &Workload) -> usize {
        if workload.kind == "idle" || workload.size >= 1_000_000 {
            return workload.messages;
        }
        (workload.messages / self.divisor).max(10)
    }

    pub fn run(&self, arguments: &[String]) -> Result<PeerOutcome, Box<dyn Error>> {
        let mut child = Command::new(&self.program)
            .args(&self.arguments)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait()?.is_none() {
            if Instant::now() >= deadline {
                child.kill()?;
                child.wait()?;
                return Ok(PeerOutcome::Failed(format!("the run did not end within {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output()?;
        Ok(match serde_json::from_slice(&output.stdout) {
            Ok(PeerOutput::Measurement(measurement)) => PeerOutcome::Done(measurement),
            Ok(PeerOutput::Unsupported { unsupported: true }) => PeerOutcome::Unsupported,
            _ => PeerOutcome::Failed(String::from_utf8_lossy(&output.stderr).trim().to_string()),
        })
    }
}

/// Returns libzmq, which has no broker: its program is both sides of a pair of sockets.
pub fn libzmq() -> Result<PeerClient, Box<dyn Error>> {
    let program = folder()?.join("libzmq");
    if !program.exists() {
        return Err("libzmq was not built: libzmq3-dev and a C compiler are needed".into());
    }
    let version = std::env::var("LIBZMQ_VERSION").unwrap_or_default();
    Ok(PeerClient { name: "libzmq", version, quick: true, program, arguments: Vec::new(), divisor: 1 })
}

/// Returns the client of ActiveMQ for Java, if it was compiled.
pub fn jms() -> Result<PeerClient, Box<dyn Error>> {
    let classes = std::env::var("CARROT_BENCH_JMS").map_err(|_| "CARROT_BENCH_JMS is not set; scripts/bench --activemq sets it")?;
    let version = std::env::var("CARROT_TEST_ACTIVEMQ_VERSION").unwrap_or_default();
    let arguments = ["-XX:-UsePerfData", "-cp", &*classes, "JmsPeer"].map(str::to_string).to_vec();
    Ok(PeerClient { name: "jms", version, quick: true, program: "java".into(), arguments, divisor: 1 })
}

fn folder() -> Result<PathBuf, Box<dyn Error>> {
    Ok(std::env::current_exe()?.parent().map(Path::to_path_buf).unwrap_or_default())
}

/// Returns the peers that are available. The first is Carrot.
pub fn all() -> Result<Vec<PeerClient>, Box<dyn Error>> {
    let folder = folder()?;
    let lock = include_str!("../../../Cargo.lock");
    let rust = |name, quick| {
        Ok::<_, Box<dyn Error>>(PeerClient {
            name,
            version: locked(lock, name).unwrap_or_default(),
            quick,
            program: folder.join(name),
            arguments: Vec::new(),
            divisor: 1,
        })
    };
    let mut peers = vec![rust("carrot", true)?, rust("amiquip", true)?];
    for (name, quick) in [("lapin", true), ("amqprs", false)] {
        let peer = rust(name, quick)?;
        match peer.program.exists() {
            true => peers.push(peer),
            false => eprintln!("bench: {name} is skipped: it was not built"),
        }
    }
    let program = folder.join("rabbitmq_c");
    if program.exists() {
        let version = std::env::var("RABBITMQ_C_VERSION").unwrap_or_default();
        peers.insert(1, PeerClient { name: "rabbitmq-c", version, quick: true, program, arguments: Vec::new(), divisor: 1 });
    } else {
        eprintln!("bench: rabbitmq-c is skipped: it was not built (librabbitmq-dev and a C compiler are needed)");
    }
    for name in ["pika", "kombu"] {
        let code = format!("import {name}; print({name}.__version__)");
        let printed = Command::new("python3").args(["-c", &code]).stderr(Stdio::null()).output();
        match printed {
            Ok(output) if output.status.success() => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/peer.py");
                let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
                let arguments = vec![script.to_string(), name.to_string()];
                peers.push(PeerClient { name, version, quick: false, program: "python3".into(), arguments, divisor: 4 });
            }
            _ => eprintln!("bench: {name} is skipped: python3 has no module {name}"),
        }
    }
    Ok(peers)
}

fn locked(lock: &str, name: &str) -> Option<String> {
    let entry = lock.split("[[package]]").find(|entry| entry.contains(&format!("name = \"{name}\"\n")))?;
    Some(entry.split_once("version = \"")?.1.split_once('"')?.0.to_string())
}
