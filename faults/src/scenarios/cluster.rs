use std::time::Duration;

use carrot::Queue;

use super::Context;
use super::run::Run;
use crate::{Cluster, LoadOptions, Outcome, Result};

/// Each of the four publishers; slow enough for the queue to keep up.
const RATE: u32 = 100;
const RESUMED_WITHIN: Duration = Duration::from_secs(60);

/// Kills the leader of a quorum queue, several times; publishers and workers know all three nodes.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let (messages, kills) = context.pick((20_000, 3), (2_000, 1));
    let cluster = Cluster::start()?;
    let mut run = Run::new(context);
    let queue = Queue::new(&*run.queue).quorum();
    carrot::connect(cluster.options())?.declare_queue(queue.clone())?;
    cluster.wait_for_members(&run.queue)?;
    let load =
        run.load(LoadOptions { rate: Some(RATE), ..LoadOptions::new(cluster.options(), queue) })?;
    for kill in 1..=kills {
        let leader = cluster.leader(&run.queue)?;
        if !run.ledger.wait_for_confirmed(messages * kill / (kills + 1), RESUMED_WITHIN) {
            run.outcome.failures.push(format!("kill {kill} came too early: messages do not flow"));
        }
        run.say(&format!("kill {kill}: {}", leader.name()?));
        leader.kill()?;
        run.expect_progress(&load, 100, RESUMED_WITHIN, &format!("after kill {kill}"));
        run.say("restart");
        leader.restart()?;
        run.say("waiting for its member of the queue");
        cluster.wait_for_members(&run.queue)?;
    }
    let done = run.ledger.wait_for_confirmed(messages, RESUMED_WITHIN);
    run.outcome.expect(done, || {
        format!(
            "fewer than {messages} messages were confirmed {RESUMED_WITHIN:?} after the last kill"
        )
    });
    let mut outcome = run.finish(load, &cluster.options())?;
    let wrong: Vec<String> = outcome.audit.errors.keys().cloned().collect();
    outcome.expect(wrong.is_empty(), || {
        format!("calls failed though two nodes were there: {}", wrong.join(", "))
    });
    Ok(outcome)
}
