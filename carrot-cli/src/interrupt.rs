//! Ctrl-C and SIGTERM: each message that was taken is settled or requeued.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use carrot::consume::StopHandle;

use crate::exit::{CommandFailure, Result};

/// How long restoring the terminal may take, before the process ends without it.
const RESTORE: Duration = Duration::from_millis(500);
/// The time after the first signal in which others belong to it: `timeout` signals the command, and
/// then its process group.
const SAME: Duration = Duration::from_millis(300);

/// Restores what the command has changed.
type Restore = Arc<dyn Fn() + Send + Sync>;

/// Whether the user wants the command to end.
#[derive(Clone, Default)]
pub(crate) struct Interrupt {
    wanted: Arc<AtomicBool>,
    signals: Arc<Mutex<Signals>>,
    consumer: Arc<Mutex<Option<StopHandle>>>,
    restore: Arc<Mutex<Option<Restore>>>,
}

/// The state that decides about a signal.
#[derive(Default)]
struct Signals {
    first: Option<Instant>,
    /// Whether the command connects, and has taken nothing yet.
    is_connecting: bool,
}

impl Interrupt {
    /// Notices the signals from now on. A second signal, 300 ms after the first one or later, ends
    /// the process at once.
    pub(crate) fn install() -> Result<Interrupt> {
        let interrupt = Interrupt::default();
        let noticed = interrupt.clone();
        ctrlc::set_handler(move || {
            if !noticed.notice_signal() {
                return;
            }
            let consumer = noticed.consumer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(consumer) = consumer {
                let _ = consumer.stop();
            }
        })
        .map_err(|error| CommandFailure::other(format!("signals cannot be handled: {error}")))?;
        Ok(interrupt)
    }

    /// Returns whether the signal is the first one. Ends the process at the second one, and at the
    /// first one while the command connects.
    fn notice_signal(&self) -> bool {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        if self.wanted.swap(true, Ordering::SeqCst) {
            let is_second = signals.first.is_none_or(|first| first.elapsed() >= SAME);
            drop(signals);
            if is_second {
                self.end_now();
            }
            return false;
        }
        signals.first = Some(Instant::now());
        let is_connecting = signals.is_connecting;
        drop(signals);
        if is_connecting {
            CommandFailure::interrupted("interrupted").print();
            self.end_now();
        }
        true
    }

    /// Runs work that takes no message, such as connecting. The signal ends the process meanwhile.
    pub(crate) fn connecting<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let mut signals = self.signals.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_wanted() {
            return Err(CommandFailure::interrupted("interrupted"));
        }
        signals.is_connecting = true;
        drop(signals);
        let done = work();
        self.signals.lock().unwrap_or_else(PoisonError::into_inner).is_connecting = false;
        done
    }

    /// Stops this consumer when the signal comes.
    pub(crate) fn stops(&self, consumer: StopHandle) {
        let mut place = self.consumer.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(consumer);
        drop(place);
        if self.is_wanted() {
            let consumer = self.consumer.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(consumer) = consumer {
                let _ = consumer.stop();
            }
        }
    }

    /// Calls a function before a second signal ends the process.
    pub(crate) fn restores(&self, restore: impl Fn() + Send + Sync + 'static) {
        let mut place = self.restore.lock().unwrap_or_else(PoisonError::into_inner);
        *place = Some(Arc::new(restore));
    }

    /// Ends the command as the signal does.
    pub(crate) fn end(&self) {
        if self.wanted.swap(true, Ordering::SeqCst) {
            self.end_now();
        }
    }

    /// Ends the process with the terminal restored. Waits for a terminal that takes no output at
    /// most for [`RESTORE`].
    fn end_now(&self) -> ! {
        let restore = self.restore.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(restore) = restore {
            let (done, restored) = channel();
            let restoring = std::thread::Builder::new().name("carrot-restore".into());
            let started = restoring.spawn(move || {
                restore();
                done.send(())
            });
            if started.is_ok() {
                let _ = restored.recv_timeout(RESTORE);
            }
        }
        std::process::exit(130);
    }

    pub(crate) fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// Waits, until the time has passed or the signal comes. Returns whether the time has passed.
    pub(crate) fn wait(&self, time: Duration) -> bool {
        const STEP: Duration = Duration::from_millis(50);
        let ends = Instant::now() + time;
        loop {
            if self.is_wanted() {
                return false;
            }
            let left = ends.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(STEP));
        }
    }
}
