use std::thread::sleep;
use std::time::{Duration, Instant};

use super::context::Context;
use super::run::ScenarioRun;
use crate::accounting::Accounting;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::outcome::ScenarioOutcome;
use crate::wait::{eventually, unique};

/// The deadline of a send. The alarm lasts four times as long.
const DEADLINE: Duration = Duration::from_secs(2);
const RESUMED_WITHIN: Duration = Duration::from_secs(30);
/// The memory that this process may use in addition to its memory at the start, in bytes. It is the
/// sum of Carrot's documented limits: four publishers with a window and spare buffers each, and the
/// buffers of two connections.
const MEMORY: u64 = 4 * (16 + 8) * MIB + 2 * 9 * MIB;
const MIB: u64 = 1024 * 1024;
const BODY: usize = 50_000;
const RATE: u32 = 100;

/// Raises a memory alarm and clears it, several times.
///
/// Publishers fail with `Blocked`, consumers continue, and memory does not grow.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let times = context.pick(5, 1);
    context.with_node(|context, node| {
        let backlog = unique("backlog");
        let reader = carrot::connect(node.options().call_timeout(DEADLINE))?;
        let consumer = reader.consumer(&*backlog).build()?;
        reader.publisher().routing_key(&*backlog).build()?.send_all(0..times * 10)?;

        let mut run = ScenarioRun::new(context);
        let load = run.load(LoadOptions {
            send_timeout: DEADLINE,
            body: BODY,
            rate: Some(RATE),
            ..LoadOptions::new(node.options(), &*run.queue)
        })?;
        for time in 1..=times {
            run.expect_progress(&load, 100, RESUMED_WITHIN, &format!("before alarm {time}"));
            let blocked = errors(&run.accounting, is_blocked);
            run.print_progress(&format!("alarm {time}"));
            node.alarm(true)?;
            run.print_progress("in force");
            let raised = Instant::now();
            let others = errors(&run.accounting, |error| !is_blocked(error));
            let all_blocked =
                eventually(DEADLINE * 5, || errors(&run.accounting, is_blocked) >= blocked + 4);
            run.outcome.expect(all_blocked, || {
                format!(
                    "alarm {time}: not every publisher failed with Blocked within {:?}",
                    DEADLINE * 5
                )
            });
            for _ in 0..10 {
                let taken = run.accounting.try_call("fetch", DEADLINE, || consumer.fetch());
                let settled = taken.ok().flatten().is_some_and(|message| message.ack().is_ok());
                run.outcome.expect(settled, || format!("alarm {time}: consuming did not continue"));
            }
            sleep((DEADLINE * 4).saturating_sub(raised.elapsed()));
            // After the alarm, a late confirm may cause a time-out, so the errors are counted
            // before.
            let others = errors(&run.accounting, |error| !is_blocked(error)) - others;
            run.outcome.expect(others == 0, || {
                format!("alarm {time}: {others} calls failed with another error than Blocked")
            });
            run.print_progress("clearing the alarm");
            node.alarm(false)?;
        }
        run.expect_progress(&load, 100, RESUMED_WITHIN, "after the last alarm");
        let before = run.monitor.before().memory;
        let mut outcome = run.finish(load, &node.options())?;
        let grown = outcome.peak.memory.saturating_sub(before);
        outcome.expect(grown <= MEMORY, || format!("the process grew by {} MiB", grown / MIB));
        outcome.notes.push(format!("the process grew by {} MiB", grown / MIB));
        outcome.expect_no_duplicate();
        reader.delete_queue(&backlog, carrot::topology::DeleteIf::ALWAYS)?;
        Ok(outcome)
    })
}

/// Returns the number of calls that failed with an error that `filter` accepts.
fn errors(accounting: &Accounting, filter: impl Fn(&str) -> bool) -> u64 {
    accounting
        .audit()
        .errors
        .iter()
        .filter(|(error, _)| filter(error))
        .map(|(_, times)| times)
        .sum()
}

fn is_blocked(error: &str) -> bool {
    error.ends_with(": Blocked")
}
