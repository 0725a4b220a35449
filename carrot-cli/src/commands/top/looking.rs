//! Looks at the queues on a thread of their own, because a broker can answer late.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use crate::commands::top::sample::{QueueSource, Sample};
use crate::exit::{CommandFailure, Result};
use crate::queue_listing::ListedQueue;

/// How long the connection has for its close at the end.
const LEAVE: Duration = Duration::from_millis(500);

/// The queues of one look, and when the broker answered.
type Answer = (Instant, Result<Vec<ListedQueue>>);

/// The thread that asks the broker.
pub(super) struct Looking {
    wanted: Sender<()>,
    answers: Receiver<Answer>,
    asked: Option<Instant>,
    has_rates: bool,
    thread: JoinHandle<()>,
}

impl Looking {
    pub(super) fn start(source: QueueSource) -> Result<Looking> {
        let has_rates = source.has_rates();
        let (wanted, looks) = channel();
        let (answer, answers) = channel();
        let thread = Builder::new().name("carrot-top".into()).spawn(move || {
            for () in looks {
                let listed = source.ask();
                if answer.send((Instant::now(), listed)).is_err() {
                    break;
                }
            }
        })?;
        Ok(Looking { wanted, answers, asked: None, has_rates, thread })
    }

    /// Begins a look.
    pub(super) fn ask(&mut self) {
        // Without the thread, the answer is missing, which is a failure.
        let _ = self.wanted.send(());
        self.asked = Some(Instant::now());
    }

    /// Waits for the answer, at most for this time. The changes are those after `last`.
    pub(super) fn answer(
        &mut self,
        time: Duration,
        last: Option<&Sample>,
    ) -> Option<Result<Sample>> {
        match self.answers.recv_timeout(time) {
            Ok((taken, listed)) => {
                self.asked = None;
                Some(listed.map(|listed| Sample::of(listed, self.has_rates, taken, last)))
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(CommandFailure::other("the thread of the looks has ended")))
            }
        }
    }

    pub(super) fn is_asked(&self) -> bool {
        self.asked.is_some()
    }

    /// Returns for how long the broker has not answered.
    pub(super) fn is_late(&self) -> Option<Duration> {
        let passed = self.asked?.elapsed();
        (passed >= Duration::from_secs(1)).then_some(passed)
    }

    /// Closes the connection, unless the broker owes an answer.
    pub(super) fn end(self) {
        let Looking { wanted, answers, asked, thread, .. } = self;
        drop(wanted);
        if asked.is_none() {
            // Ends when the thread does.
            let _ = answers.recv_timeout(LEAVE);
        }
        drop(thread);
    }
}
