//! The queues of a virtual host, as an interface lists them.

use std::time::Instant;

use super::managed::{named, problem_of_queue, summary_of_queues};
use super::report::{Check, CheckReport};
use crate::exit::{CommandFailure, Result};
use crate::inspection::{EntityKind, Inspection, VhostScope, text_of};

pub(super) const MISSING_WITHOUT_VHOST: &str = "declare the queue, or correct its name";
pub(super) const MISSING_QUEUE: &str =
    "declare the queue, or correct its name and the vhost of the URL";

/// Checks that every queue of the virtual host is available, and counts their messages.
pub(super) fn check_queues(
    inspection: &dyn Inspection,
    scope: &VhostScope,
    named_queues: &[String],
    advice: &str,
    report: &mut CheckReport,
) -> Result<()> {
    let columns = ["name", "state", "messages_ready", "messages_unacknowledged", "consumers"];
    let started = Instant::now();
    let queues = match inspection.list(scope, EntityKind::Queues, &columns) {
        Ok(queues) => queues,
        Err(failure) => {
            let took = Some(started.elapsed());
            return report.failed(Check::Queues, took, failure, advice);
        }
    };
    let took = Some(started.elapsed());
    let exists = |name: &String| queues.iter().any(|queue| text_of(queue, "name") == name);
    let missing: Vec<_> = named_queues.iter().filter(|name| !exists(name)).collect();
    if !missing.is_empty() {
        let missing = missing.iter().map(|name| format!("no queue is named {name:?}"));
        let missing = named(missing.collect::<Vec<_>>().iter());
        let failure = CommandFailure::different(missing);
        return report.failed(Check::Queues, took, failure, MISSING_QUEUE);
    }
    let unavailable: Vec<_> = queues.iter().filter_map(problem_of_queue).collect();
    if !unavailable.is_empty() {
        let failure = CommandFailure::other(named(unavailable.iter()));
        let advice = "start the nodes that hold the queues; rabbitmqctl list_unresponsive_queues";
        return report.failed(Check::Queues, took, failure, advice);
    }
    report.ok(Check::Queues, took, &summary_of_queues(&queues))
}
