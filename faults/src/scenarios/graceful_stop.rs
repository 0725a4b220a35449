use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use carrot::{Connection, Message};
use rustix::process::{Pid, Signal, kill_process};

use super::Context;
use super::run::{Run, drain};
use crate::{Ledger, Node, Outcome, Result, eventually, unique};

const MESSAGES: u64 = 1_000;
const STOP_WITHIN: Duration = Duration::from_secs(10);
const SOON: Duration = Duration::from_secs(20);

/// Stops workers in this process, and processes by SIGINT and SIGTERM, in the middle of their work. What they acknowledged and what is left
/// in the queue are all that was sent, each once.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let times = context.pick(20, 2);
    context.with_node(|context, node| {
        let mut run = Run::new(context);
        let mut random = context.random();
        for time in 1..=times {
            for (name, signal) in [("stop", None), ("SIGINT", Some(Signal::INT)), ("SIGTERM", Some(Signal::TERM))] {
                let queue = unique("stop");
                let connection = carrot::connect(node.options())?;
                fill(&connection, &queue, &run.ledger)?;
                connection.close()?;
                let after = random.u64(10..MESSAGES / 2);
                let acknowledged = match signal {
                    None => stop_workers(node, &queue, &run.ledger, after)?,
                    Some(signal) => stop_process(context, node, &queue, &run.ledger, after, signal)?,
                };
                let duplicates = run.ledger.audit().duplicates;
                let left = drain(&run.ledger, &node.options(), &queue)?;
                run.outcome.expect(acknowledged + left == MESSAGES, || {
                    format!("{name} {time}: {acknowledged} acknowledged and {left} left do not make {MESSAGES}")
                });
                let again = run.ledger.audit().duplicates - duplicates;
                run.outcome.expect(again == 0, || format!("{name} {time}: {again} messages were handled and are left all the same"));
            }
        }
        let leak = run.watch.back_to_before(STOP_WITHIN);
        run.outcome.failures.extend(leak.err());
        let mut outcome = Outcome { audit: run.ledger.audit(), peak: run.peak(), ..run.outcome };
        outcome.expect_nothing_lost();
        outcome.expect_no_duplicate();
        Ok(outcome)
    })
}

fn fill(connection: &Connection, queue: &str, ledger: &Ledger) -> Result<()> {
    connection.declare_queue(queue)?;
    let publisher = connection.publisher().routing_key(queue).build()?;
    let ids: Vec<u64> = (0..MESSAGES).map(|_| ledger.send()).collect();
    publisher.send_all(ids.iter().map(|id| (id, "x")))?;
    ids.into_iter().for_each(|id| ledger.fate(id, crate::Fate::Confirmed));
    Ok(())
}

/// Stops workers of this process once they have handled `after` messages; tells how many they acknowledged.
fn stop_workers(
    node: &Node,
    queue: &str,
    ledger: &std::sync::Arc<Ledger>,
    after: u64,
) -> Result<u64> {
    let connection = carrot::connect(node.options())?;
    let consumer = connection.consumer(queue).prefetch(50).build()?;
    let noted = std::sync::Arc::clone(ledger);
    let before = ledger.consumed();
    let workers = consumer.workers(4).spawn(move |(id, _): (u64, String), _: &Message| {
        thread::sleep(Duration::from_millis(1));
        noted.consume(id);
    })?;
    if !ledger.wait_for_consumed(before + after, SOON) {
        return Err("messages are not consumed".into());
    }
    let report = ledger.try_call("stop", STOP_WITHIN, || workers.stop(STOP_WITHIN))?;
    ledger.try_call("consumer close", STOP_WITHIN, || consumer.close())?;
    ledger.try_call("connection close", STOP_WITHIN, || connection.close())?;
    Ok(report.acknowledged)
}

/// Sends a signal to a process once it has handled `after` messages; tells how many it says it acknowledged.
fn stop_process(
    context: &Context,
    node: &Node,
    queue: &str,
    ledger: &Ledger,
    after: u64,
    signal: Signal,
) -> Result<u64> {
    let mut worker = Worker::start(context, node, queue)?;
    let deadline = Instant::now() + SOON;
    let (mut handled, mut acknowledged, mut told) = (0, None, None);
    loop {
        match worker.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => match line.split_once(' ') {
                Some(("done", id)) => {
                    ledger.consume(id.parse()?);
                    handled += 1;
                }
                Some(("acknowledged", number)) => acknowledged = Some(number.parse()?),
                _ => {}
            },
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                return Err(
                    format!("the process says nothing more after {handled} messages").into()
                );
            }
        }
        if handled >= after && told.is_none() {
            kill_process(Pid::from_child(&worker.process), signal)?;
            told = Some(Instant::now());
        }
    }
    let told = told.ok_or("the process ended before it was told to")?;
    let ended = ledger.call("exit", STOP_WITHIN, || {
        eventually(STOP_WITHIN, || matches!(worker.process.try_wait(), Ok(Some(_))))
    });
    if !ended || told.elapsed() > STOP_WITHIN {
        return Err(format!("the process took {:?} to end", told.elapsed()).into());
    }
    let status = worker.process.wait()?;
    match acknowledged {
        Some(acknowledged) if status.success() => Ok(acknowledged),
        _ => Err(format!("the process ended badly: {status}").into()),
    }
}

/// A process that consumes; killed when dropped.
struct Worker {
    process: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(context: &Context, node: &Node, queue: &str) -> Result<Worker> {
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
        Ok(Worker { process, lines })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
