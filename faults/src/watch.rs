use std::fs;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::eventually;

const EVERY: Duration = Duration::from_millis(50);
/// What others in the process, such as a test runner, may have started meanwhile.
const OTHERS: u64 = 2;
const LOOKS_PER_SAMPLE: u32 = 20;

/// What a process uses at a moment, or used at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Resident memory, in bytes.
    pub memory: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub files: u64,
}

impl Usage {
    /// What this process uses now; zero for what the system does not tell.
    pub fn now() -> Usage {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
        };
        // One is the listing's own.
        let files =
            fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as u64).saturating_sub(1);
        Usage { memory: field("VmRSS:") * 1024, threads: field("Threads:"), files }
    }

    fn most(self, other: Usage) -> Usage {
        Usage {
            memory: self.memory.max(other.memory),
            threads: self.threads.max(other.threads),
            files: self.files.max(other.files),
        }
    }
}

/// Looks at this process every 50 ms, until it is dropped.
#[derive(Debug)]
pub struct Watch {
    before: Usage,
    state: Arc<Mutex<State>>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    peak: Usage,
    /// One look a second, for a comparison of early and late.
    samples: Vec<Usage>,
}

impl Watch {
    /// Starts to look.
    ///
    /// # Panics
    /// If the system gives no thread.
    pub fn start() -> Watch {
        let before = Usage::now();
        let state = Arc::new(Mutex::new(State { peak: before, samples: Vec::new() }));
        let (end, ended) = channel::<()>();
        let watched = Arc::clone(&state);
        let look = move || {
            let mut looks = 0_u32;
            while ended
                .recv_timeout(EVERY)
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                let now = Usage::now();
                let mut state = lock(&watched);
                state.peak = state.peak.most(now);
                looks += 1;
                if looks.is_multiple_of(LOOKS_PER_SAMPLE) {
                    state.samples.push(now);
                }
            }
        };
        let thread = thread::Builder::new()
            .name("watch".into())
            .spawn(look)
            .expect("the system gives a thread");
        Watch { before, state, end: Some(end), thread: Some(thread) }
    }

    /// What was used when it started, its own thread not counted.
    pub fn before(&self) -> Usage {
        self.before
    }

    /// The most that was used so far, each of the three by itself; its own thread is not counted.
    pub fn peak(&self) -> Usage {
        let peak = lock(&self.state).peak;
        Usage { threads: peak.threads.saturating_sub(1), ..peak }
    }

    /// What was used in each second so far.
    pub fn samples(&self) -> Vec<Usage> {
        lock(&self.state).samples.clone()
    }

    /// Waits until there are no more threads and open files than when it started, but for two; gives what there is too much if that takes
    /// longer than `timeout`.
    pub fn back_to_before(&self, timeout: Duration) -> Result<(), String> {
        let mut now = Usage::now();
        let back = eventually(timeout, || {
            now = Usage::now();
            now.threads.saturating_sub(1) <= self.before.threads + OTHERS
                && now.files <= self.before.files + OTHERS
        });
        if back {
            return Ok(());
        }
        Err(format!(
            "left behind after {timeout:?}: {} threads where there were {}, {} open files where there were {} (threads: {})",
            now.threads.saturating_sub(1),
            self.before.threads,
            now.files,
            self.before.files,
            thread_names().join(", ")
        ))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn thread_names() -> Vec<String> {
    let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    tasks
        .filter_map(|task| fs::read_to_string(task.path().join("comm")).ok())
        .map(|name| name.trim().to_string())
        .collect()
}
