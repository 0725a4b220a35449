//! Measures the time, processor time and memory of a job.

use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// A measurement from [`start`](Meter::start) to [`finish`](Meter::finish).
pub struct Meter {
    started: Instant,
    before: Usage,
}

fn usage() -> Usage {
    getrusage(UsageWho::RUSAGE_SELF).expect("getrusage succeeds for this process")
}

fn seconds(after: TimeVal, before: TimeVal) -> f64 {
    (after - before).num_microseconds() as f64 / 1e6
}

/// Returns the peak of the resident memory. `getrusage` would include the program that started this
/// one.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

impl Meter {
    pub fn start() -> Meter {
        Meter { before: usage(), started: Instant::now() }
    }

    /// Waits one second, and then measures `seconds` idle seconds. Each second counts as a message.
    pub fn idle(seconds: usize) -> ! {
        std::thread::sleep(Duration::from_secs(1));
        let meter = Meter::start();
        std::thread::sleep(Duration::from_secs(seconds as u64));
        meter.finish(seconds, Vec::new())
    }

    /// Prints the measurement as one line of JSON, and ends the process, because the shutdown is
    /// not part of the job.
    pub fn finish(self, messages: usize, mut latencies: Vec<Duration>) -> ! {
        let took = self.started.elapsed().as_secs_f64();
        let after = usage();
        let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count).ok();
        latencies.sort_unstable();
        let percentile = |percent: usize| match latencies.len() {
            0 => serde_json::Value::Null,
            count => (latencies[(count - 1) * percent / 100].as_secs_f64() * 1e6).into(),
        };
        let line = serde_json::json!({
            "messages": messages,
            "seconds": took,
            "cpu_user": seconds(after.user_time(), self.before.user_time()),
            "cpu_sys": seconds(after.system_time(), self.before.system_time()),
            "p50_us": percentile(50),
            "p99_us": percentile(99),
            "rss_kb": peak_kib(),
            "threads": threads,
        });
        println!("{line}");
        std::process::exit(0)
    }
}
