use std::time::Duration;

use carrot::Queue;

use super::context::Context;
use super::run::ScenarioRun;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::outcome::ScenarioOutcome;

/// The rate of each of the four publishers. The queue is fast enough for it.
const RATE: u32 = 100;
const RESUMED_WITHIN: Duration = Duration::from_secs(60);

/// Kills the leader of a quorum queue several times. Publishers and workers know all three nodes.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let (messages, kills) = context.pick((20_000, 3), (2_000, 1));
    let cluster = Cluster::start()?;
    let mut run = ScenarioRun::new(context);
    let queue = Queue::new(&*run.queue).quorum();
    carrot::connect(cluster.options())?.declare_queue(queue.clone())?;
    cluster.wait_for_members(&run.queue)?;
    let load =
        run.load(LoadOptions { rate: Some(RATE), ..LoadOptions::new(cluster.options(), queue) })?;
    for kill in 1..=kills {
        let leader = cluster.leader(&run.queue)?;
        if !run.accounting.wait_for_confirmed(messages * kill / (kills + 1), RESUMED_WITHIN) {
            run.outcome
                .failures
                .push(format!("kill {kill} came too early: messages were not confirmed"));
        }
        run.print_progress(&format!("kill {kill}: {}", leader.name()?));
        leader.kill()?;
        run.expect_progress(&load, 100, RESUMED_WITHIN, &format!("after kill {kill}"));
        run.print_progress("restart");
        leader.restart()?;
        run.print_progress("waiting for the queue member");
        cluster.wait_for_members(&run.queue)?;
    }
    let done = run.accounting.wait_for_confirmed(messages, RESUMED_WITHIN);
    run.outcome.expect(done, || {
        format!(
            "fewer than {messages} messages were confirmed {RESUMED_WITHIN:?} after the last kill"
        )
    });
    let mut outcome = run.finish(load, &cluster.options())?;
    let wrong: Vec<String> = outcome.audit.errors.keys().cloned().collect();
    outcome.expect(wrong.is_empty(), || {
        format!("calls failed, and two nodes were running: {}", wrong.join(", "))
    });
    Ok(outcome)
}
