use std::time::Duration;

use carrot::Queue;

use super::Context;
use super::run::Run;
use crate::{Cluster, LoadOptions, Outcome, Result};

const RESUMED_WITHIN: Duration = Duration::from_secs(60);

/// Kills the leader of a quorum queue, several times; publishers and workers know all three nodes.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let (messages, kills) = context.pick((20_000, 3), (2_000, 1));
    let cluster = Cluster::start()?;
    let mut run = Run::new(context);
    let queue = Queue::new(&*run.queue).quorum();
    let load = run.load(LoadOptions { messages: Some(messages), ..LoadOptions::new(cluster.options(), queue) })?;
    for kill in 1..=kills {
        if !run.ledger.wait_for_confirmed(messages * kill / (kills + 1), RESUMED_WITHIN) {
            run.outcome.failures.push(format!("kill {kill} came too early: messages do not flow"));
        }
        let leader = cluster.leader(&run.queue)?;
        leader.kill()?;
        if !load.wait_for_publishers(Duration::ZERO) {
            run.expect_progress(&load, 10, RESUMED_WITHIN, &format!("after kill {kill}"));
        }
        leader.restart()?;
        cluster.wait_for_members(&run.queue)?;
    }
    let done = load.wait_for_publishers(RESUMED_WITHIN);
    run.outcome.expect(done, || format!("not all messages were sent {RESUMED_WITHIN:?} after the last kill"));
    let mut outcome = run.finish(load, &cluster.options())?;
    outcome.expect_all_confirmed();
    Ok(outcome)
}
