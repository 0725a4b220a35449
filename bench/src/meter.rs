//! Time, processor time and memory of one piece of work.

use std::time::{Duration, Instant};

use nix::sys::resource::{Usage, UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};

/// Measures from its start to its finish.
pub struct Meter {
    started: Instant,
    before: Usage,
}

fn usage() -> Usage {
    getrusage(UsageWho::RUSAGE_SELF).expect("the system tells what this process uses")
}

fn seconds(after: TimeVal, before: TimeVal) -> f64 {
    (after - before).num_microseconds() as f64 / 1e6
}

/// The most memory that was resident at once. What the system tells of its children would count the program that started this one.
fn peak_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?.parse().ok()
}

impl Meter {
    pub fn start() -> Meter {
        Meter { before: usage(), started: Instant::now() }
    }

    /// Does nothing for so many seconds, each of which counts as a message, once what was started before has come to rest.
    pub fn idle(seconds: usize) -> ! {
        std::thread::sleep(Duration::from_secs(1));
        let meter = Meter::start();
        std::thread::sleep(Duration::from_secs(seconds as u64));
        meter.finish(seconds, Vec::new())
    }

    /// Prints what it took, as one line of JSON. Ends the process, since shutting down is no part of the work.
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
