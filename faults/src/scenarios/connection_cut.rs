use std::time::Duration;

use super::Context;
use super::run::Run;
use crate::{Direction, LoadOptions, Outcome, Proxy, Result};

const RESUMED_WITHIN: Duration = Duration::from_secs(30);
/// How far ahead a cut is at most: what goes to the server is more than what comes from it.
const BYTES_TO_SERVER: u64 = 20_000;
const BYTES_TO_CLIENT: u64 = 4_000;

/// Cuts connections at random bytes, in either direction, while messages flow.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let cuts = context.pick(1_000, 15);
    context.with_node(|context, node| {
        let proxy = Proxy::new("127.0.0.1", node.port())?;
        let mut run = Run::new(context);
        let mut random = context.random();
        let through = node.options().port(proxy.address().port());
        let load =
            run.load(LoadOptions { rate: Some(500), ..LoadOptions::new(through, &*run.queue) })?;
        for cut in 1..=cuts {
            if !run.expect_progress(&load, 20, RESUMED_WITHIN, &format!("before cut {cut}")) {
                break;
            }
            if cut % 100 == 0 {
                run.say(&format!("cut {cut}"));
            }
            match random.bool() {
                true => proxy.cut_after(Direction::ToServer, random.u64(0..BYTES_TO_SERVER)),
                false => proxy.cut_after(Direction::ToClient, random.u64(0..BYTES_TO_CLIENT)),
            }
            if !proxy.wait_for_cut(RESUMED_WITHIN) {
                run.outcome
                    .failures
                    .push(format!("cut {cut} found nothing to cut within {RESUMED_WITHIN:?}"));
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
