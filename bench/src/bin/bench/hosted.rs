//! A hosted broker in a process of its own, and the cost of its idle connections.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use carrot::Connection;
use carrot::memory::Broker;
use carrot::server::Server;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The number of idle connections, each of which is a socket.
const IDLE: usize = 500;

/// The number of servers whose start is measured.
const STARTS: usize = 101;

/// A program of this package that hosts a broker, until this value is dropped.
pub struct HostedServer {
    process: Child,
    pub url: String,
}

/// The memory and the threads that each idle connection takes of the server.
#[derive(Debug, Clone, Copy)]
pub struct IdleCost {
    pub connections: usize,
    pub kib: f64,
    pub threads: f64,
}

/// The resident memory in KiB, and the number of threads.
struct ProcessSize(f64, f64);

impl HostedServer {
    /// Starts a program, which prints the URL of its broker.
    pub fn start(program: &str) -> Result<HostedServer, Box<dyn Error>> {
        let program = std::env::current_exe()?.parent().map(|folder| folder.join(program)).unwrap_or_default();
        let mut process = Command::new(&program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        let output = process.stdout.take().ok_or("the server has no output")?;
        BufReader::new(output).read_line(&mut url)?;
        Ok(HostedServer { process, url: url.trim().to_string() })
    }

    fn size(&self) -> Result<ProcessSize, Box<dyn Error>> {
        let status = std::fs::read_to_string(Path::new("/proc").join(self.process.id().to_string()).join("status"))?;
        let number = |name: &str| -> Option<f64> {
            let line = status.lines().find(|line| line.starts_with(name))?;
            line.split_whitespace().nth(1)?.parse().ok()
        };
        Ok(ProcessSize(number("VmRSS:").ok_or("no VmRSS")?, number("Threads:").ok_or("no Threads")?))
    }

    /// Opens connections that do nothing, and measures the cost of each.
    pub fn idle_cost(&self) -> Result<IdleCost, Box<dyn Error>> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard.min(1 << 16).max(soft), hard)?;
        let before = self.size()?;
        let mut connections = Vec::new();
        for _ in 0..IDLE {
            let connection: Connection = carrot::connect(self.url.as_str())?;
            // Opens the one connection of this role.
            connection.declare_queue("bench.idle")?;
            connections.push(connection);
        }
        let after = self.size()?;
        let each = |before: f64, after: f64| (after - before) / IDLE as f64;
        Ok(IdleCost { connections: IDLE, kib: each(before.0, after.0), threads: each(before.1, after.1) })
    }
}

/// Returns the median time to start a server in this process, in microseconds.
pub fn start_time() -> Result<f64, Box<dyn Error>> {
    let mut times = Vec::new();
    for _ in 0..STARTS {
        let started = Instant::now();
        let server = Server::bind("127.0.0.1:0", &Broker::new())?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
        server.stop(Duration::from_secs(10))?;
    }
    times.sort_unstable_by(f64::total_cmp);
    times.get(STARTS / 2).copied().ok_or_else(|| "no server was started".into())
}

impl Drop for HostedServer {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let deadline = Instant::now() + Duration::from_secs(10);
        while Instant::now() < deadline {
            if let Ok(Some(_)) = self.process.try_wait() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
