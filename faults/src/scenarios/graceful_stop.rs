use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use carrot::{Connection, Message};
use rustix::process::{Pid, Signal, kill_process};

use super::context::Context;
use super::run::{ScenarioRun, drain};
use crate::accounting::{Accounting, SendOutcome};
use crate::error::Result;
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;
use crate::wait::{eventually, unique};

const MESSAGES: u64 = 1_000;
const STOP_WITHIN: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(20);

/// Stops workers in this process, and processes by SIGINT and SIGTERM, while they handle messages.
///
/// Every message was acknowledged or is in the queue, and no message is both.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let times = context.pick(20, 2);
    context.with_node(|context, node| {
        let mut run = ScenarioRun::new(context);
        let mut random = context.random();
        for time in 1..=times {
            for (name, signal) in [("stop", None), ("SIGINT", Some(Signal::INT)), ("SIGTERM", Some(Signal::TERM))] {
                let queue = unique("stop");
                let connection = carrot::connect(node.options())?;
                fill(&connection, &queue, &run.accounting)?;
                connection.close()?;
                let after = random.u64(10..MESSAGES / 2);
                let acknowledged = match signal {
                    None => stop_workers(node, &queue, &run.accounting, after)?,
                    Some(signal) => stop_process(context, node, &queue, &run.accounting, after, signal)?,
                };
                let duplicates = run.accounting.audit().duplicates;
                let left = drain(&run.accounting, &node.options(), &queue)?;
                run.outcome.expect(acknowledged + left == MESSAGES, || {
                    format!("{name} {time}: {acknowledged} acknowledged and {left} left are not {MESSAGES} in total")
                });
                let again = run.accounting.audit().duplicates - duplicates;
                run.outcome.expect(again == 0, || format!("{name} {time}: {again} messages were handled and are still in the queue"));
            }
        }
        let leak = run.monitor.wait_until_released(STOP_WITHIN);
        run.outcome.failures.extend(leak.err());
        let mut outcome = ScenarioOutcome { audit: run.accounting.audit(), peak: run.peak(), ..run.outcome };
        outcome.expect_nothing_lost();
        outcome.expect_no_duplicate();
        Ok(outcome)
    })
}

fn fill(connection: &Connection, queue: &str, accounting: &Accounting) -> Result<()> {
    connection.declare_queue(queue)?;
    let publisher = connection.publisher().routing_key(queue).build()?;
    let ids: Vec<u64> = (0..MESSAGES).map(|_| accounting.send()).collect();
    publisher.send_all(ids.iter().map(|id| (id, "x")))?;
    ids.into_iter().for_each(|id| accounting.record_send(id, SendOutcome::Confirmed));
    Ok(())
}

/// Stops workers of this process once they have handled `after` messages. Returns the number of
/// acknowledged messages.
fn stop_workers(
    node: &BrokerNode,
    queue: &str,
    accounting: &std::sync::Arc<Accounting>,
    after: u64,
) -> Result<u64> {
    let connection = carrot::connect(node.options())?;
    let consumer = connection.consumer(queue).prefetch(50).build()?;
    let handled = std::sync::Arc::clone(accounting);
    let before = accounting.consumed();
    let workers = consumer.workers(4).spawn(move |(id, _): (u64, String), _: &Message| {
        thread::sleep(Duration::from_millis(1));
        handled.consume(id);
    })?;
    if !accounting.wait_for_consumed(before + after, SOON) {
        return Err("messages are not consumed".into());
    }
    let report = accounting.try_call("stop", STOP_WITHIN, || workers.stop(STOP_WITHIN))?;
    accounting.try_call("consumer close", STOP_WITHIN, || consumer.close())?;
    accounting.try_call("connection close", STOP_WITHIN, || connection.close())?;
    Ok(report.acknowledged)
}

/// Sends a signal to a process once it has handled `after` messages. Returns the number of
/// acknowledged messages, as the process prints it.
fn stop_process(
    context: &Context,
    node: &BrokerNode,
    queue: &str,
    accounting: &Accounting,
    after: u64,
    signal: Signal,
) -> Result<u64> {
    let mut worker = ConsumerProcess::start(context, node, queue)?;
    let deadline = Instant::now() + SOON;
    let (mut handled, mut acknowledged, mut signalled) = (0, None, None);
    loop {
        match worker.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.split_once(' ') {
                Some(("done", id)) => {
                    accounting.consume(id.parse()?);
                    handled += 1;
                }
                Some(("acknowledged", number)) => acknowledged = Some(number.parse()?),
                _ => {}
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                return Err(
                    format!("the process printed nothing more after {handled} messages").into()
                );
            }
        }
        if handled >= after && signalled.is_none() {
            kill_process(Pid::from_child(&worker.process), signal)?;
            signalled = Some(Instant::now());
        }
    }
    let signalled = signalled.ok_or("the process ended before the signal")?;
    let ended = accounting.call("exit", STOP_WITHIN, || {
        eventually(STOP_WITHIN, || matches!(worker.process.try_wait(), Ok(Some(_))))
    });
    if !ended || signalled.elapsed() > STOP_WITHIN {
        return Err(format!("the process took {:?} to end", signalled.elapsed()).into());
    }
    let status = worker.process.wait()?;
    match acknowledged {
        Some(acknowledged) if status.success() => Ok(acknowledged),
        _ => Err(format!("the process failed: {status}").into()),
    }
}

/// A process that consumes. Dropping it kills the process.
struct ConsumerProcess {
    process: Child,
    lines: Receiver<String>,
}

impl ConsumerProcess {
    fn start(context: &Context, node: &BrokerNode, queue: &str) -> Result<ConsumerProcess> {
        let mut process = Command::new(&context.program)
            .args(["worker", &node.url(), queue])
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().ok_or("the process has no output")?;
        let (sender, lines) = channel();
        thread::Builder::new().name("worker output".into()).spawn(move || {
            BufReader::new(output)
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        })?;
        Ok(ConsumerProcess { process, lines })
    }
}

impl Drop for ConsumerProcess {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
