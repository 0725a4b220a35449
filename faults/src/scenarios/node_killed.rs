use std::time::Duration;

use super::context::Context;
use super::run::ScenarioRun;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::outcome::ScenarioOutcome;

const KILLS: u64 = 2;
const RESUMED_WITHIN: Duration = Duration::from_secs(60);

/// Kills the node and restarts it, twice, under load.
///
/// The node is down for less than the send time-out, so no publisher and no worker fails.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let messages = context.pick(50_000, 3_000);
    context.with_node(|context, node| {
        let mut run = ScenarioRun::new(context);
        run.declare_on_disk(node)?;
        let load = run.load(LoadOptions {
            messages: Some(messages),
            ..LoadOptions::new(node.options(), &*run.queue)
        })?;
        for kill in 1..=KILLS {
            if !run.accounting.wait_for_confirmed(messages * kill / (KILLS + 1), RESUMED_WITHIN) {
                run.outcome
                    .failures
                    .push(format!("kill {kill} came too early: messages were not confirmed"));
            }
            run.print_progress(&format!("kill {kill}"));
            node.kill()?;
            node.restart()?;
        }
        let done = load.wait_for_publishers(RESUMED_WITHIN);
        run.outcome.expect(done, || {
            format!("not all messages were sent {RESUMED_WITHIN:?} after the last restart")
        });
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        Ok(outcome)
    })
}
