use std::time::Duration;

use super::Context;
use super::run::Run;
use crate::{LoadOptions, Outcome, Result};

const KILLS: u64 = 2;
const RESUMED_WITHIN: Duration = Duration::from_secs(60);

/// Kills the node and starts it again, twice, while messages flow. It is away for less than a message may take: no publisher and no worker
/// is to notice.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let messages = context.pick(50_000, 3_000);
    context.with_node(|context, node| {
        let mut run = Run::new(context);
        run.declare_for_good(node)?;
        let load = run.load(LoadOptions {
            messages: Some(messages),
            ..LoadOptions::new(node.options(), &*run.queue)
        })?;
        for kill in 1..=KILLS {
            if !run.ledger.wait_for_confirmed(messages * kill / (KILLS + 1), RESUMED_WITHIN) {
                run.outcome
                    .failures
                    .push(format!("kill {kill} came too early: messages do not flow"));
            }
            run.say(&format!("kill {kill}"));
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
