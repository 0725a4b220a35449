use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Context;
use super::run::Run;
use crate::{Ledger, LoadOptions, Outcome, Result, eventually, unique};

/// How long a message may take: the alarm lasts four times as long.
const DEADLINE: Duration = Duration::from_secs(2);
const RESUMED_WITHIN: Duration = Duration::from_secs(30);
/// How much more this process may need than at the start, by what Carrot promises to keep at most: four publishers with a window and spare
/// buffers each, and the buffers of two connections.
const MEMORY: u64 = 4 * (16 + 8) * MIB + 2 * 9 * MIB;
const MIB: u64 = 1024 * 1024;
const BODY: usize = 50_000;
const RATE: u32 = 100;

/// Raises a memory alarm and clears it, several times. Publishers are told that they are blocked, consumers go on, and nothing piles up.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let times = context.pick(5, 1);
    context.with_node(|context, node| {
        let backlog = unique("backlog");
        let reader = carrot::connect(node.options().call_timeout(DEADLINE))?;
        let consumer = reader.consumer(&*backlog).build()?;
        reader.publisher().routing_key(&*backlog).build()?.send_all(0..times * 10)?;

        let mut run = Run::new(context);
        let load = run.load(LoadOptions {
            send_timeout: DEADLINE,
            body: BODY,
            rate: Some(RATE),
            ..LoadOptions::new(node.options(), &*run.queue)
        })?;
        for time in 1..=times {
            run.expect_progress(&load, 100, RESUMED_WITHIN, &format!("before alarm {time}"));
            let told = errors(&run.ledger, is_blocked);
            run.say(&format!("alarm {time}"));
            node.alarm(true)?;
            run.say("in force");
            let raised = Instant::now();
            let others = errors(&run.ledger, |error| !is_blocked(error));
            let all_told = eventually(DEADLINE * 5, || errors(&run.ledger, is_blocked) >= told + 4);
            run.outcome.expect(all_told, || {
                format!(
                    "alarm {time}: not every publisher was told within {:?} that it is blocked",
                    DEADLINE * 5
                )
            });
            for _ in 0..10 {
                let taken = run.ledger.try_call("fetch", DEADLINE, || consumer.fetch());
                let settled = taken.ok().flatten().is_some_and(|message| message.ack().is_ok());
                run.outcome.expect(settled, || format!("alarm {time}: consuming did not go on"));
            }
            sleep((DEADLINE * 4).saturating_sub(raised.elapsed()));
            // Once it is over, a message may be confirmed too late, which is no more than a time-out.
            let others = errors(&run.ledger, |error| !is_blocked(error)) - others;
            run.outcome.expect(others == 0, || {
                format!("alarm {time}: {others} calls failed otherwise than by Blocked")
            });
            run.say("clearing it");
            node.alarm(false)?;
        }
        run.expect_progress(&load, 100, RESUMED_WITHIN, "after the last alarm");
        let before = run.watch.before().memory;
        let mut outcome = run.finish(load, &node.options())?;
        let grown = outcome.peak.memory.saturating_sub(before);
        outcome.expect(grown <= MEMORY, || format!("the process grew by {} MiB", grown / MIB));
        outcome.notes.push(format!("the process grew by {} MiB", grown / MIB));
        outcome.expect_no_duplicate();
        reader.delete_queue(&backlog, carrot::topology::DeleteIf::ALWAYS)?;
        Ok(outcome)
    })
}

/// How many calls have failed with such errors.
fn errors(ledger: &Ledger, such: impl Fn(&str) -> bool) -> u64 {
    ledger.audit().errors.iter().filter(|(error, _)| such(error)).map(|(_, times)| times).sum()
}

fn is_blocked(error: &str) -> bool {
    error.ends_with(": Blocked")
}
