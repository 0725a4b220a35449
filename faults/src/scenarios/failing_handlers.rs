mod call_log;
mod messages;
mod parked;
mod process;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::thread::sleep;
use std::time::{Duration, Instant};

use carrot::{Connection, Queue};

use self::call_log::CallLog;
use self::messages::{LISTED, drain_queues, list, publish, retry_queues};
use self::parked::ParkedMessages;
use self::process::FailingProcess;
use super::context::Context;
use super::run::ScenarioRun;
use crate::error::Result;
use crate::failing_worker::{ATTEMPTS, AttemptResult, THREADS, is_undecodable};
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;
use crate::wait::eventually;

/// The time in which the handler has to be called again after a kill.
const RESUMED_WITHIN: Duration = Duration::from_secs(60);
/// The time in which the retry queues have to be declared.
const DECLARED_WITHIN: Duration = Duration::from_secs(30);
/// The time in which every message has to be handled or parked after the last kill.
const COMPLETE_WITHIN: Duration = Duration::from_secs(90);
/// The time without a call after which no duplicate is expected. It is longer than the longest
/// pause.
const QUIET: Duration = Duration::from_secs(4);
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// The longest time from a call of the handler to the kill that follows, in milliseconds.
const LONGEST_DELAY: u64 = 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KillTarget {
    Process,
    /// The node, and the process while the node is down.
    NodeThenProcess,
    /// The node, and the process at its first calls after the restart of the node. Quorum queues
    /// have no leader yet, so copies of messages wait.
    ProcessAfterNode,
}

/// Kills the process of failing handlers and the node at random times. Every message is handled or
/// parked.
///
/// The result of each attempt follows from the seed, so the set of parked messages is known. A
/// parked message with an attempt that succeeds is therefore a failure, too.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let messages = context.pick(2_000, 200);
    let full = [
        (KillTarget::Process, 17),
        (KillTarget::NodeThenProcess, 1),
        (KillTarget::ProcessAfterNode, 2),
    ];
    let small = [
        (KillTarget::Process, 3),
        (KillTarget::NodeThenProcess, 0),
        (KillTarget::ProcessAfterNode, 1),
    ];
    let targets = context.pick(full, small);
    context.with_node(|context, node| {
        let mut run = ScenarioRun::new(context);
        let mut random = context.random();
        run.declare_on_disk(node)?;
        let connection = carrot::connect(node.options())?;
        publish(&connection, &run.queue, &run.accounting, messages)?;

        let mut log = CallLog::new()?;
        let mut process = start_process(context, node, &run, &log)?;
        wait_for_retry_queues(node, &connection, &run.queue)?;
        let calls = expected_calls(context.seed, messages);
        let mut targets: Vec<_> = targets.into_iter().flat_map(|(target, kills)| vec![target; kills]).collect();
        random.shuffle(&mut targets);
        let process_kills = targets.len();
        let node_kills = targets.iter().filter(|target| **target != KillTarget::Process).count();
        let first = log.read(&run.accounting)? as u64;
        let mut due_calls: Vec<u64> = targets.iter().map(|_| random.u64(first.min(calls / 2)..calls * 19 / 20)).collect();
        due_calls.sort_unstable();
        for (number, (target, due)) in targets.into_iter().zip(due_calls).enumerate() {
            let due = due.max(log.read(&run.accounting)? as u64 + 1);
            if !eventually(RESUMED_WITHIN, || log.read(&run.accounting).is_ok_and(|calls| calls as u64 >= due)) {
                let failure = format!("kill {}: fewer than {due} calls of the handler within {RESUMED_WITHIN:?}", number + 1);
                run.print_progress(&failure);
                run.outcome.failures.push(failure);
            }
            sleep(Duration::from_millis(random.u64(..=LONGEST_DELAY)));
            kill(&mut run, target, node, &mut process, &mut log)?;
            process = start_process(context, node, &run, &log)?;
        }

        let last_kill = Instant::now();
        let mut parked = ParkedMessages::new(&connection, &run.queue)?;
        let complete = eventually(COMPLETE_WITHIN, || {
            let _ = log.read(&run.accounting).and_then(|_| parked.read(&run.accounting));
            run.accounting.wait_until_consumed(Duration::ZERO)
        });
        let took = last_kill.elapsed();
        run.print_progress(if complete { "every message is handled or parked" } else { "messages are missing" });
        if complete {
            wait_until_quiet(&mut run, &mut log, &mut parked)?;
        }
        run.outcome.failures.extend(process.kill()?);
        let missing = run.accounting.audit().missing;
        let left = drain_queues(node, &connection, &run.queue)?;
        parked.close()?;
        connection.close()?;

        let handled = log.handled();
        run.outcome.peak = run.peak();
        run.outcome.audit = run.accounting.audit();
        let outcome = &mut run.outcome;
        outcome.expect(missing.is_empty(), || {
            format!("{} messages were neither handled nor parked within {COMPLETE_WITHIN:?}: {}", missing.len(), log.history(&missing))
        });
        if complete {
            outcome.expect(left.is_empty(), || format!("every message was handled or parked, and copies are left: {}", list(&left)));
            check_parked(outcome, &parked.ids(), &handled, context.seed, messages);
        } else {
            outcome.failures.push(format!("left in the queues: {}", list(&left)));
        }
        outcome.failures.extend(parked.failures(&run.queue));
        let twice = |counts: &mut dyn Iterator<Item = usize>| counts.filter(|times| *times > 1).count();
        outcome.notes.push(format!(
            "{messages} messages: {} handled, {} parked, {} missing; {} handled and {} parked more than once; {} calls of the handler",
            handled.len(),
            parked.ids().len(),
            missing.len(),
            twice(&mut handled.values().copied()),
            twice(&mut parked.ids().values().copied()),
            log.len(),
        ));
        outcome.notes.push(format!(
            "{process_kills} kills of the process, {node_kills} of the node, seed {}; complete {:.1} s after the last kill",
            context.seed,
            took.as_secs_f64()
        ));
        outcome.expect_nothing_lost();
        Ok(run.outcome)
    })
}

fn start_process(
    context: &Context,
    node: &BrokerNode,
    run: &ScenarioRun,
    log: &CallLog,
) -> Result<FailingProcess> {
    FailingProcess::start(&context.program, &node.url(), &run.queue, &log.path(), context.seed)
}

/// Kills the target, and restarts the node if it was killed.
fn kill(
    run: &mut ScenarioRun,
    target: KillTarget,
    node: &BrokerNode,
    process: &mut FailingProcess,
    log: &mut CallLog,
) -> Result<()> {
    if target != KillTarget::Process {
        node.kill()?;
        run.print_progress(&format!("node killed after {} calls", log.len()));
    }
    if target == KillTarget::ProcessAfterNode {
        node.restart()?;
        run.print_progress("node restarted");
        let due = log.read(&run.accounting)? + THREADS;
        eventually(RESUMED_WITHIN, || log.read(&run.accounting).is_ok_and(|calls| calls >= due));
    }
    run.outcome.failures.extend(process.kill()?);
    run.print_progress(&format!(
        "process {} killed after {} calls",
        process.id(),
        log.read(&run.accounting)?
    ));
    if target == KillTarget::NodeThenProcess {
        node.restart()?;
        run.print_progress("node restarted");
    }
    Ok(())
}

/// Blocks until no message was handled or parked for four seconds.
fn wait_until_quiet(
    run: &mut ScenarioRun,
    log: &mut CallLog,
    parked: &mut ParkedMessages,
) -> Result<()> {
    let mut last = (log.read(&run.accounting)?, parked.len());
    let mut since = Instant::now();
    let quiet = eventually(QUIET_WITHIN, || {
        sleep(QUIET / 40);
        let _ = parked.read(&run.accounting);
        let now = (log.read(&run.accounting).unwrap_or_default(), parked.len());
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() >= QUIET
    });
    run.outcome.expect(quiet, || {
        format!(
            "messages are still handled {QUIET_WITHIN:?} after the last one was handled or parked"
        )
    });
    Ok(())
}

/// Blocks until Carrot has declared the retry queues, and writes the declarations to disk. Carrot
/// declares the queues at the first failures.
///
/// RabbitMQ 3.10 and 4.3 respond to the declaration of a quorum queue about a second before all of
/// it is on disk. A node that is killed in that second loses confirmed messages of the queue. The
/// broker causes this loss, so the scenario kills no node before the declarations are on disk.
fn wait_for_retry_queues(node: &BrokerNode, connection: &Connection, queue: &str) -> Result<()> {
    let exist =
        || retry_queues(queue).all(|name| connection.declare_queue(Queue::existing(name)).is_ok());
    if !eventually(DECLARED_WITHIN, exist) {
        return Err(format!("the retry queues were not declared within {DECLARED_WITHIN:?}").into());
    }
    node.write_declarations()
}

/// Returns the number of calls of the handler without redeliveries.
fn expected_calls(seed: u64, messages: u64) -> u64 {
    let attempts =
        |message| u64::from(AttemptResult::first_success(seed, message).unwrap_or(ATTEMPTS));
    (0..messages).filter(|message| !is_undecodable(*message)).map(attempts).sum()
}

/// Checks that the parked messages are exactly those without an attempt that succeeds.
fn check_parked(
    outcome: &mut ScenarioOutcome,
    parked: &BTreeMap<u64, usize>,
    handled: &HashMap<u64, usize>,
    seed: u64,
    messages: u64,
) {
    let parked: BTreeSet<u64> = parked.keys().copied().collect();
    let expected: BTreeSet<u64> = (0..messages)
        .filter(|message| AttemptResult::first_success(seed, *message).is_none())
        .collect();
    let too_early: Vec<_> = parked.difference(&expected).take(LISTED).collect();
    outcome.expect(too_early.is_empty(), || {
        format!("parked messages with an attempt that succeeds: {too_early:?}")
    });
    let too_late: Vec<_> =
        expected.iter().filter(|message| handled.contains_key(message)).take(LISTED).collect();
    outcome.expect(too_late.is_empty(), || {
        format!("handled messages with {ATTEMPTS} attempts that fail: {too_late:?}")
    });
}
