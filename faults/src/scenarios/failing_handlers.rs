use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use carrot::topology::DeleteIf;
use carrot::{Connection, Consumer, Message, Queue};
use tempfile::TempDir;

use super::Context;
use super::run::Run;
use crate::failing_worker::{
    ATTEMPTS, Entry, PAUSES, THREADS, Verdict, complaint, is_undecodable, now,
};
use crate::{Fate, Ledger, Node, Outcome, Result, eventually};

/// How long the next call of a handler may take after a kill.
const RESUMED_WITHIN: Duration = Duration::from_secs(60);
/// How long the declarations of the waiting queues may take.
const DECLARED_WITHIN: Duration = Duration::from_secs(30);
/// How long every message may take to be handled or parked after the last kill.
const COMPLETE_WITHIN: Duration = Duration::from_secs(90);
/// How long nothing may happen before the last duplicate is taken for handled: longer than the longest pause.
const QUIET: Duration = Duration::from_secs(4);
const QUIET_WITHIN: Duration = Duration::from_secs(60);
/// How long the broker may take to notice that a killed process is gone.
const GONE_WITHIN: Duration = Duration::from_secs(10);
/// The longest time from a call of the handler to the kill that follows.
const LONGEST_DELAY: u64 = 30;
/// How many messages a failure names.
const NAMED: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Process,
    /// The node, and the process while the node is away.
    NodeThenProcess,
    /// The node, and the process at its first calls after the node is back. Quorum queues have no leader yet, so copies wait.
    ProcessAfterNode,
}

/// Handlers fail a third of the time while their process and the node are killed at random moments. Every message is handled or parked.
///
/// The outcome of each attempt at each message follows from the seed, so the set of parked messages is known: a message that is parked
/// though an attempt at it succeeds is a failure, too.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let messages = context.pick(2_000, 200);
    let full = [(Victim::Process, 17), (Victim::NodeThenProcess, 1), (Victim::ProcessAfterNode, 2)];
    let small = [(Victim::Process, 3), (Victim::NodeThenProcess, 0), (Victim::ProcessAfterNode, 1)];
    let victims = context.pick(full, small);
    context.with_node(|context, node| {
        let mut run = Run::new(context);
        let mut random = context.random();
        run.declare_for_good(node)?;
        let connection = carrot::connect(node.options())?;
        publish(&connection, &run.queue, &run.ledger, messages)?;

        let mut record = Record::new()?;
        let mut process = Process::start(context, node, &run.queue, &record)?;
        wait_for_queues(node, &connection, &run.queue)?;
        let calls = calls(context.seed, messages);
        let mut victims: Vec<_> = victims.into_iter().flat_map(|(victim, kills)| vec![victim; kills]).collect();
        random.shuffle(&mut victims);
        let process_kills = victims.len();
        let node_kills = victims.iter().filter(|victim| **victim != Victim::Process).count();
        let first = record.read(&run.ledger)? as u64;
        let mut moments: Vec<u64> = victims.iter().map(|_| random.u64(first.min(calls / 2)..calls * 19 / 20)).collect();
        moments.sort_unstable();
        for (number, (victim, moment)) in victims.into_iter().zip(moments).enumerate() {
            let before = record.read(&run.ledger)? as u64;
            let due = moment.max(before + 1);
            let reached = eventually(RESUMED_WITHIN, || record.read(&run.ledger).is_ok_and(|calls| calls as u64 >= due));
            if !reached {
                run.say(&format!("kill {}: no {due} calls of the handler within {RESUMED_WITHIN:?}", number + 1));
            }
            run.outcome.expect(reached, || format!("kill {}: no {due} calls of the handler within {RESUMED_WITHIN:?}", number + 1));
            sleep(Duration::from_millis(random.u64(..=LONGEST_DELAY)));
            if victim != Victim::Process {
                node.kill()?;
                run.say(&format!("node killed after {due} calls"));
            }
            if victim == Victim::ProcessAfterNode {
                node.restart()?;
                run.say("node restarted");
                let before = record.read(&run.ledger)? as u64;
                eventually(RESUMED_WITHIN, || record.read(&run.ledger).is_ok_and(|calls| calls as u64 >= before + THREADS as u64));
            }
            run.outcome.failures.extend(process.kill()?);
            run.say(&format!("process {} killed after {} calls", process.id(), record.read(&run.ledger)?));
            if victim == Victim::NodeThenProcess {
                node.restart()?;
                run.say("node restarted");
            }
            process = Process::start(context, node, &run.queue, &record)?;
        }

        let last_kill = Instant::now();
        let mut parked = Parked::new(&connection, &run.queue)?;
        let complete = eventually(COMPLETE_WITHIN, || {
            let _ = record.read(&run.ledger).and_then(|_| parked.read(&run.ledger));
            run.ledger.wait_for_missing(Duration::ZERO)
        });
        let took = last_kill.elapsed();
        run.say(if complete { "every message is handled or parked" } else { "messages are missing" });
        if complete {
            let mut seen = (record.read(&run.ledger)?, parked.messages.len(), Instant::now());
            let quiet = eventually(QUIET_WITHIN, || {
                sleep(QUIET / 40);
                let _ = parked.read(&run.ledger);
                let now = (record.read(&run.ledger).unwrap_or_default(), parked.messages.len());
                if now != (seen.0, seen.1) {
                    seen = (now.0, now.1, Instant::now());
                }
                seen.2.elapsed() >= QUIET
            });
            run.outcome.expect(quiet, || format!("messages are still handled {QUIET_WITHIN:?} after the last one was handled or parked"));
        }
        run.outcome.failures.extend(process.kill()?);
        let failed = run.ledger.audit().missing;
        let left = take_what_is_left(node, &connection, &run.queue)?;
        parked.close()?;
        connection.close()?;

        let handled = record.handled();
        run.outcome.peak = run.peak();
        run.outcome.audit = run.ledger.audit();
        let outcome = &mut run.outcome;
        outcome.expect(failed.is_empty(), || {
            format!("{} messages were neither handled nor parked within {COMPLETE_WITHIN:?}: {}", failed.len(), record.history(&failed))
        });
        if complete {
            outcome.expect(left.is_empty(), || format!("every message was handled or parked, and copies are left: {}", list(&left)));
            check_parked(outcome, &parked, &handled, context.seed, messages);
        } else {
            outcome.failures.push(format!("left in the queues: {}", list(&left)));
        }
        outcome.failures.extend(parked.complaints(&run.queue));
        let twice = |counts: &mut dyn Iterator<Item = usize>| counts.filter(|times| *times > 1).count();
        outcome.notes.push(format!(
            "{messages} messages: {} handled, {} parked, {} missing; {} handled and {} parked more than once; {} calls of the handler",
            handled.len(),
            parked.ids().len(),
            failed.len(),
            twice(&mut handled.values().copied()),
            twice(&mut parked.ids().values().copied()),
            record.entries.len(),
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

/// Publishes numbered messages, some of which cannot be decoded.
fn publish(connection: &Connection, queue: &str, ledger: &Ledger, messages: u64) -> Result<()> {
    let publisher = connection.publisher().routing_key(queue).build()?;
    let mut receipts = Vec::new();
    for _ in 0..messages {
        let id = ledger.send();
        let message = publisher
            .message()
            .message_id(id.to_string())
            .properties(|properties| properties.with_content_type("application/json"));
        receipts.push((id, message.publish_bytes(body(id))?));
    }
    for (id, receipt) in receipts {
        receipt.wait()?;
        ledger.fate(id, Fate::Confirmed);
    }
    Ok(publisher.close()?)
}

fn body(message: u64) -> String {
    if is_undecodable(message) { format!("{{{message}") } else { message.to_string() }
}

fn waiting_queues(queue: &str) -> impl Iterator<Item = String> {
    PAUSES.into_iter().map(move |pause| format!("{queue}.retry.v1.{pause}s"))
}

fn parking_queue(queue: &str) -> String {
    format!("{queue}.failed")
}

/// Waits until Carrot has declared the waiting queues, which it does at the first failures, and has the declarations written to disk.
///
/// RabbitMQ 3.10 and 4.3 answer the declaration of a quorum queue about a second before all of it is on disk. A node that is killed in that
/// second loses the messages that it has confirmed in the queue. The loss is the broker's own, so this scenario excludes it: it kills no
/// node before the declarations are written.
fn wait_for_queues(node: &Node, connection: &Connection, queue: &str) -> Result<()> {
    let exist = || {
        waiting_queues(queue).all(|name| connection.declare_queue(Queue::existing(name)).is_ok())
    };
    if !eventually(DECLARED_WITHIN, exist) {
        return Err(format!("no waiting queues within {DECLARED_WITHIN:?}").into());
    }
    node.write_declarations()
}

/// How often a handler is called if no message comes twice.
fn calls(seed: u64, messages: u64) -> u64 {
    let attempts = |message| u64::from(Verdict::first_success(seed, message).unwrap_or(ATTEMPTS));
    (0..messages).filter(|message| !is_undecodable(*message)).map(attempts).sum()
}

/// Checks that exactly those messages are parked at which every attempt fails.
fn check_parked(
    outcome: &mut Outcome,
    parked: &Parked,
    handled: &HashMap<u64, usize>,
    seed: u64,
    messages: u64,
) {
    let parked: BTreeSet<u64> = parked.ids().into_keys().collect();
    let expected: BTreeSet<u64> =
        (0..messages).filter(|message| Verdict::first_success(seed, *message).is_none()).collect();
    let too_early: Vec<_> = parked.difference(&expected).take(NAMED).collect();
    outcome.expect(too_early.is_empty(), || {
        format!("messages are parked though an attempt at them succeeds: {too_early:?}")
    });
    let too_late: Vec<_> =
        expected.iter().filter(|message| handled.contains_key(message)).take(NAMED).collect();
    outcome.expect(too_late.is_empty(), || {
        format!("messages are handled though {ATTEMPTS} attempts at them fail: {too_late:?}")
    });
}

/// The calls of the handler, as the processes append them to a file.
struct Record {
    folder: TempDir,
    file: File,
    /// What was read of a line that has no end yet.
    unfinished: String,
    entries: Vec<Entry>,
    started: u64,
}

impl Record {
    fn new() -> Result<Record> {
        let folder = tempfile::tempdir()?;
        File::create(folder.path().join("record"))?;
        let file = File::open(folder.path().join("record"))?;
        Ok(Record { folder, file, unfinished: String::new(), entries: Vec::new(), started: now() })
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("record")
    }

    /// Reads what is new, and returns how many calls there were so far.
    fn read(&mut self, ledger: &Ledger) -> Result<usize> {
        self.file.read_to_string(&mut self.unfinished)?;
        let end = self.unfinished.rfind('\n').map_or(0, |end| end + 1);
        let rest = self.unfinished.split_off(end);
        for line in std::mem::replace(&mut self.unfinished, rest).lines() {
            let entry = Entry::parse(line)?;
            if entry.handled {
                ledger.consume(entry.message);
            }
            self.entries.push(entry);
        }
        Ok(self.entries.len())
    }

    /// How often each message was handled.
    fn handled(&self) -> HashMap<u64, usize> {
        let mut times = HashMap::new();
        for entry in self.entries.iter().filter(|entry| entry.handled) {
            *times.entry(entry.message).or_default() += 1;
        }
        times
    }

    /// Every call of the handler for some messages.
    fn history(&self, messages: &[u64]) -> String {
        let mut text = String::new();
        for message in messages {
            let _ = write!(text, "\n    message {message}:");
            if is_undecodable(*message) {
                text.push_str(" cannot be decoded;");
            }
            for entry in self.entries.iter().filter(|entry| entry.message == *message) {
                let (attempt, process, at) =
                    (entry.attempt, entry.process, entry.time.saturating_sub(self.started));
                let _ = write!(text, " attempt {attempt} in process {process} after {at} ms;");
            }
        }
        text
    }
}

/// A process with handlers that fail; killed when dropped.
struct Process(Child);

impl Process {
    fn start(context: &Context, node: &Node, queue: &str, record: &Record) -> Result<Process> {
        let mut process = Command::new(&context.program);
        process
            .args(["failing-worker", &node.url(), queue])
            .arg(Path::new(&record.path()))
            .arg(context.seed.to_string());
        // The process ends at the end of its input, so it does not outlive this one.
        Ok(Process(process.stdin(Stdio::piped()).stdout(Stdio::null()).spawn()?))
    }

    fn id(&self) -> u32 {
        self.0.id()
    }

    /// Kills it (`kill -9`); returns a failure if it had ended by itself.
    fn kill(&mut self) -> Result<Option<String>> {
        let ended = self.0.try_wait()?;
        self.0.kill()?;
        self.0.wait()?;
        Ok(ended.map(|status| format!("process {} ended by itself: {status}", self.id())))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What is taken from the parking queue.
struct Parked {
    consumer: Consumer,
    messages: Vec<(u64, Message)>,
}

impl Parked {
    fn new(connection: &Connection, queue: &str) -> Result<Parked> {
        let consumer = connection.consumer(Queue::existing(parking_queue(queue))).build()?;
        Ok(Parked { consumer, messages: Vec::new() })
    }

    /// Fetches what is new; nothing is acknowledged before the end.
    fn read(&mut self, ledger: &Ledger) -> Result<()> {
        while let Some(message) = self.consumer.fetch()? {
            let id = id(&message)?;
            ledger.consume(id);
            self.messages.push((id, message));
        }
        Ok(())
    }

    /// How often each message is parked.
    fn ids(&self) -> BTreeMap<u64, usize> {
        let mut times = BTreeMap::new();
        for (id, _) in &self.messages {
            *times.entry(*id).or_default() += 1;
        }
        times
    }

    /// What is wrong with the parked messages, which have to carry their body, their last error, their attempts and their queue.
    fn complaints(&self, queue: &str) -> Vec<String> {
        let complaints = self.messages.iter().filter_map(|(id, message)| {
            let error = message
                .header("carrot-error")
                .and_then(carrot::message::Value::as_str)
                .unwrap_or_default();
            let attempts =
                message.header("carrot-attempts").and_then(carrot::message::Value::as_i64);
            let from = message.header("carrot-queue").and_then(carrot::message::Value::as_str);
            let names_error = if is_undecodable(*id) {
                !error.is_empty()
            } else {
                error.contains(&complaint(*id, ATTEMPTS))
            };
            let is_complete =
                names_error && attempts == Some(i64::from(ATTEMPTS)) && from == Some(queue);
            (!is_complete || message.body() != body(*id).as_bytes()).then(|| {
                format!(
                    "parked message {id} is not as it has to be: {:?}, body {:?}",
                    message.headers(),
                    message.text()
                )
            })
        });
        complaints.take(NAMED).collect()
    }

    fn close(&self) -> Result<()> {
        Ok(self.consumer.close()?)
    }
}

fn id(message: &Message) -> Result<u64> {
    Ok(message.id().ok_or("a message has no id")?.parse()?)
}

/// Takes the ids of all messages from the queues of this scenario, and deletes the queues. What is parked already is not among them.
fn take_what_is_left(
    node: &Node,
    connection: &Connection,
    queue: &str,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let listed = node.control(["list_queues", "name", "--formatter", "json"])?;
    let listed: serde_json::Value = serde_json::from_str(&listed)?;
    let names =
        listed.as_array().into_iter().flatten().filter_map(|listed| listed["name"].as_str());
    let mut left = BTreeMap::new();
    // The waiting queues come first, because their messages move on to the queue.
    let mut names: Vec<&str> = names.filter(|name| name.starts_with(queue)).collect();
    names.sort_unstable_by_key(|name| std::cmp::Reverse(name.len()));
    for name in names {
        let state = || connection.declare_queue(Queue::existing(name));
        if name == queue
            && !eventually(GONE_WITHIN, || state().is_ok_and(|state| state.consumer_count == 0))
        {
            return Err(format!(
                "queue {name} has consumers {GONE_WITHIN:?} after the process was killed"
            )
            .into());
        }
        let consumer = connection.consumer(Queue::existing(name)).build()?;
        let mut ids = Vec::new();
        while let Some(message) = consumer.fetch()? {
            ids.push(id(&message)?);
            message.ack()?;
        }
        consumer.close()?;
        connection.delete_queue(name, DeleteIf::ALWAYS)?;
        if !ids.is_empty() {
            left.insert(
                name.strip_prefix(queue)
                    .filter(|rest| !rest.is_empty())
                    .unwrap_or("the queue")
                    .to_string(),
                ids,
            );
        }
    }
    Ok(left)
}

fn list(left: &BTreeMap<String, Vec<u64>>) -> String {
    if left.is_empty() {
        return "nothing".into();
    }
    let queues = left.iter().map(|(name, ids)| {
        let first: Vec<_> = ids.iter().take(NAMED).map(u64::to_string).collect();
        format!(
            "{name}: {} messages ({}{})",
            ids.len(),
            first.join(", "),
            if ids.len() > NAMED { ", ..." } else { "" }
        )
    });
    queues.collect::<Vec<_>>().join("; ")
}
