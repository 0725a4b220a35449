//! The release and the queues that a control interface knows.

use std::time::Instant;

use super::listed_queues::check_queues;
use super::report::{Check, CheckReport};
use crate::exit::{CommandFailure, Result};
use crate::inspection::{Inspection, VhostScope};

/// Checks that the interface accepts the token, and the queues of the virtual host.
pub(super) fn check(
    control: &dyn Inspection,
    vhost: &str,
    queues: &[String],
    report: &mut CheckReport,
) -> Result<()> {
    let scope = VhostScope::One(vhost.into());
    let started = Instant::now();
    let reached = control.definitions(&scope);
    let took = Some(started.elapsed());
    let definitions = match reached {
        Ok(definitions) => definitions,
        Err(failure) => {
            report.failed(Check::Management, took, failure, UNREACHED)?;
            return report.skip_the_rest("the control interface was not reached");
        }
    };
    let release = definitions.get("rabbit_version").and_then(|release| release.as_str());
    let detail = format!("control interface, release {}", release.unwrap_or("unknown"));
    report.ok(Check::Management, took, &detail)?;
    report.skipped(Check::Patterns, "the control interface does not know permissions")?;
    report.skipped(Check::Nodes, "the control interface does not know nodes")?;
    check_queues(control, &scope, queues, UNREACHED, report)
}

/// Reports that the URL or the token of the interface cannot be used.
pub(super) fn report_unusable(failure: CommandFailure, report: &mut CheckReport) -> Result<()> {
    let advice = "correct --control or CARROT_CONTROL: http://127.0.0.1:PORT/v1; the token comes \
                  from --control-token-file or CARROT_CONTROL_TOKEN";
    report.failed(Check::Management, None, failure, advice)?;
    report.skip_the_rest("the control interface cannot be used")
}

const UNREACHED: &str = "check the URL, and the token: each start of the broker has a token of its \
                         own, which --control-token-file or CARROT_CONTROL_TOKEN gives";
