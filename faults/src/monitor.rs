use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::wait::eventually;

const INTERVAL: Duration = Duration::from_millis(50);
/// The number of threads and files that other code in the process, such as a test runner, may open
/// during the measurement.
const TOLERANCE: u64 = 2;
const MEASUREMENTS_PER_SAMPLE: u32 = 20;

/// The resources that a process uses at one time, or the maximum of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResourceUsage {
    /// Resident memory, in bytes.
    pub memory: u64,
    /// The number of threads.
    pub threads: u64,
    /// The number of open file descriptors.
    pub files: u64,
}

impl ResourceUsage {
    /// Measures this process. A field is zero if the system does not provide its value.
    pub fn now() -> ResourceUsage {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        // The listing itself has one file open.
        let files =
            fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64).saturating_sub(1);
        ResourceUsage { memory: field("VmRSS:") * 1024, threads: field("Threads:"), files }
    }

    fn max(self, other: ResourceUsage) -> ResourceUsage {
        ResourceUsage {
            memory: self.memory.max(other.memory),
            threads: self.threads.max(other.threads),
            files: self.files.max(other.files),
        }
    }
}

/// Measures this process every 50 ms until it is dropped.
#[derive(Debug)]
pub struct ResourceMonitor {
    before: ResourceUsage,
    state: Arc<Mutex<MonitorState>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct MonitorState {
    peak: ResourceUsage,
    /// One measurement each second.
    samples: Vec<ResourceUsage>,
}

impl ResourceMonitor {
    /// Starts to measure.
    ///
    /// # Panics
    /// If no thread can be started.
    pub fn start() -> ResourceMonitor {
        let before = ResourceUsage::now();
        let state = Arc::new(Mutex::new(MonitorState { peak: before, samples: Vec::new() }));
        let (end, ended) = channel::<()>();
        let shared = Arc::clone(&state);
        let measure = move || {
            let mut measurements = 0_u32;
            while ended
                .recv_timeout(INTERVAL)
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                let now = ResourceUsage::now();
                let mut state = lock(&shared);
                state.peak = state.peak.max(now);
                measurements += 1;
                if measurements.is_multiple_of(MEASUREMENTS_PER_SAMPLE) {
                    state.samples.push(now);
                }
            }
        };
        let thread = thread::Builder::new()
            .name("monitor".into())
            .spawn(measure)
            .expect("cannot start a thread");
        ResourceMonitor { before, state, end: Some(end), thread: Some(thread) }
    }

    /// Returns the resources at the start, without the thread of the monitor.
    pub fn before(&self) -> ResourceUsage {
        self.before
    }

    /// Returns the maximum of each resource, without the thread of the monitor.
    pub fn peak(&self) -> ResourceUsage {
        let peak = lock(&self.state).peak;
        ResourceUsage { threads: peak.threads.saturating_sub(1), ..peak }
    }

    /// Returns one measurement for each second.
    pub fn samples(&self) -> Vec<ResourceUsage> {
        lock(&self.state).samples.clone()
    }

    /// Blocks until the process has at most two threads and two open files more than at the start,
    /// for at most `timeout`.
    ///
    /// # Errors
    /// If the process has more when the time is over, with a description.
    pub fn wait_until_released(&self, timeout: Duration) -> Result<(), String> {
        let mut now = ResourceUsage::now();
        let back = eventually(timeout, || {
            now = ResourceUsage::now();
            now.threads.saturating_sub(1) <= self.before.threads + TOLERANCE
                && now.files <= self.before.files + TOLERANCE
        });
        if back {
            return Ok(());
        }
        Err(format!(
            "resources are not released after {timeout:?}: {} threads, before {}; {} open files, before {} (threads: {})",
            now.threads.saturating_sub(1),
            self.before.threads,
            now.files,
            self.before.files,
            thread_names().join(", ")
        ))
    }
}

impl Drop for ResourceMonitor {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<MonitorState>) -> MutexGuard<'_, MonitorState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn thread_names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_string())
        .collect()
}
