use std::time::Duration;

use super::context::Context;
use super::run::ScenarioRun;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::outcome::ScenarioOutcome;
use crate::proxy::{Direction, Proxy};

const RESUMED_WITHIN: Duration = Duration::from_secs(30);
/// The largest number of bytes before a cut. The server receives more bytes than it sends.
const BYTES_TO_SERVER: u64 = 20_000;
const BYTES_TO_CLIENT: u64 = 4_000;

/// Cuts connections at random bytes, in both directions, under load.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let cuts = context.pick(1_000, 15);
    context.with_node(|context, node| {
        let (proxy, through) = Proxy::in_front_of(&node.options())?;
        let mut run = ScenarioRun::new(context);
        let mut random = context.random();
        let load =
            run.load(LoadOptions { rate: Some(500), ..LoadOptions::new(through, &*run.queue) })?;
        for cut in 1..=cuts {
            if !run.expect_progress(&load, 20, RESUMED_WITHIN, &format!("before cut {cut}")) {
                break;
            }
            if cut % 100 == 0 {
                run.print_progress(&format!("cut {cut}"));
            }
            match random.bool() {
                true => proxy.cut_after(Direction::ToServer, random.u64(0..BYTES_TO_SERVER)),
                false => proxy.cut_after(Direction::ToClient, random.u64(0..BYTES_TO_CLIENT)),
            }
            if !proxy.wait_for_cut(RESUMED_WITHIN) {
                run.outcome
                    .failures
                    .push(format!("cut {cut} did not happen within {RESUMED_WITHIN:?}"));
                break;
            }
        }
        run.expect_progress(&load, 20, RESUMED_WITHIN, "after the last cut");
        run.outcome.notes.push(format!("{} connections were made", proxy.statistics().len()));
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        Ok(outcome)
    })
}
