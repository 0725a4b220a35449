//! Sends many values, and reports the progress.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Result};
use crate::panic_guard::guard;
use crate::publisher::batch::{BatchReport, SendProgress};
use crate::publisher::confirmation::Confirmation;
use crate::publisher::message_builder::MessageBuilder;
use crate::publisher::pipeline::PublishPipeline;

/// The minimum time between two reports. A report for each message would cost more than sending.
const REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// The function of a program that receives the progress. Returns whether to go on.
pub(super) type OnProgress<'a> = &'a mut dyn FnMut(SendProgress) -> ControlFlow<()>;

/// Calls the function of the program from time to time.
struct Reporter<'a> {
    /// `None` without such a function, or after its panic.
    on_progress: Option<OnProgress<'a>>,
    next: Instant,
}

impl Reporter<'_> {
    fn is_due(&self) -> bool {
        self.on_progress.is_some() && Instant::now() >= self.next
    }

    /// Reports, if a report is due. Returns whether to stop.
    fn report_if_due(&mut self, batch: &BatchReport, sent: usize) -> bool {
        self.is_due() && self.report_now(batch, sent)
    }

    fn report_now(&mut self, batch: &BatchReport, sent: usize) -> bool {
        let stops = self.report(batch.progress(sent));
        self.next = Instant::now() + REPORT_INTERVAL;
        stops
    }

    fn report(&mut self, progress: SendProgress) -> bool {
        let Some(on_progress) = &mut self.on_progress else { return false };
        match guard(|| on_progress(progress)) {
            Ok(flow) => flow.is_break(),
            Err(panic) => {
                log::error!("function for the progress failed, it is not called again: {panic}");
                self.on_progress = None;
                false
            }
        }
    }
}

/// Sends values, and waits for all confirms. Reports the progress.
pub(super) fn send_all<T: Serialize>(
    pipeline: &Arc<PublishPipeline>,
    values: impl IntoIterator<Item = T>,
    on_progress: Option<OnProgress<'_>>,
) -> Result<SendProgress> {
    let mut reporter = Reporter { on_progress, next: Instant::now() + REPORT_INTERVAL };
    let mut batch = BatchReport::default();
    let mut waiting: VecDeque<(usize, Confirmation)> = VecDeque::new();
    let mut ended: Option<Error> = None;
    let mut sent = 0;
    for (index, value) in values.into_iter().enumerate() {
        let result = match &ended {
            Some(error) => Err(error.clone()),
            None => MessageBuilder::new(pipeline).publish(&value),
        };
        sent += 1;
        match result {
            Ok(confirmation) => waiting.push_back((index, confirmation)),
            Err(error) => {
                if ended.is_none() && ends_batch(&error) {
                    ended = Some(error.clone());
                }
                batch.failed(index, error);
            }
        }
        add_while(&mut waiting, &mut batch, Confirmation::is_known);
        if reporter.is_due() {
            // Once in an interval, and until the first answer that is not here.
            add_while(&mut waiting, &mut batch, Confirmation::is_resolved);
            if reporter.report_now(&batch, sent) {
                break;
            }
        }
    }
    for (index, confirmation) in waiting {
        batch.add(index, confirmation.wait());
        reporter.report_if_due(&batch, sent);
    }
    let progress = batch.progress(sent);
    reporter.report(progress);
    batch.finish().map(|()| progress)
}

/// Adds the outcomes of the oldest values to the report, up to the first that is not `known`.
fn add_while(
    waiting: &mut VecDeque<(usize, Confirmation)>,
    batch: &mut BatchReport,
    known: impl Fn(&Confirmation) -> bool,
) {
    while waiting.front().is_some_and(|(_, confirmation)| known(confirmation)) {
        waiting
            .pop_front()
            .into_iter()
            .for_each(|(index, confirmation)| batch.add(index, confirmation.wait()));
    }
}

/// Returns whether a failure concerns later messages too.
fn ends_batch(error: &Error) -> bool {
    !matches!(
        error,
        Error::Encode { .. }
            | Error::Invalid { .. }
            | Error::Layer { .. }
            | Error::Unroutable { .. }
            | Error::Refused
    )
}
