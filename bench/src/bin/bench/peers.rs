//! The programs that are compared.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::works::Work;

/// After this long, a peer has failed.
const PATIENCE: Duration = Duration::from_secs(60);

/// One client library.
#[derive(Debug, Clone)]
pub struct Peer {
    pub name: &'static str,
    pub version: String,
    pub quick: bool,
    program: PathBuf,
    arguments: Vec<String>,
    /// What part of the messages it gets, since it is known to be slow.
    part: usize,
}

/// What one run took.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Measured {
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

impl Measured {
    pub fn rate(&self) -> f64 {
        self.messages as f64 / self.seconds
    }

    /// Microseconds of the client's processor time for each message.
    pub fn cpu(&self) -> f64 {
        (self.cpu_user + self.cpu_sys) * 1e6 / self.messages as f64
    }
}

#[derive(Debug)]
pub enum Ran {
    Done(Measured),
    Unsupported,
    Failed(String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Unsupported { unsupported: bool },
    Measured(Measured),
}

impl Peer {
    pub fn share(&self, work: &Work) -> usize {
        if work.kind == "idle" {
            return work.messages;
        }
        (work.messages / self.part).max(10)
    }

    pub fn run(&self, arguments: &[String]) -> Result<Ran, Box<dyn Error>> {
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
                return Ok(Ran::Failed(format!("it took more than {PATIENCE:?}")));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output()?;
        Ok(match serde_json::from_slice(&output.stdout) {
            Ok(Line::Measured(measured)) => Ran::Done(measured),
            Ok(Line::Unsupported { unsupported: true }) => Ran::Unsupported,
            _ => Ran::Failed(String::from_utf8_lossy(&output.stderr).trim().to_string()),
        })
    }
}

/// Carrot first; then every peer that is there.
pub fn all() -> Result<Vec<Peer>, Box<dyn Error>> {
    let folder = std::env::current_exe()?.parent().map(Path::to_path_buf).unwrap_or_default();
    let lock = include_str!("../../../Cargo.lock");
    let rust = |name, quick| {
        Ok::<_, Box<dyn Error>>(Peer {
            name,
            version: locked(lock, name).unwrap_or_default(),
            quick,
            program: folder.join(name),
            arguments: Vec::new(),
            part: 1,
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
        peers.insert(1, Peer { name: "rabbitmq-c", version, quick: true, program, arguments: Vec::new(), part: 1 });
    } else {
        eprintln!("bench: rabbitmq-c is skipped: it was not built (librabbitmq-dev and a C compiler are needed)");
    }
    for name in ["pika", "kombu"] {
        let ask = format!("import {name}; print({name}.__version__)");
        let asked = Command::new("python3").args(["-c", &ask]).stderr(Stdio::null()).output();
        match asked {
            Ok(output) if output.status.success() => {
                let script = concat!(env!("CARGO_MANIFEST_DIR"), "/python/peer.py");
                let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
                let arguments = vec![script.to_string(), name.to_string()];
                peers.push(Peer { name, version, quick: false, program: "python3".into(), arguments, part: 4 });
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
