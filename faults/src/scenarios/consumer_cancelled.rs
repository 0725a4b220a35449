use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carrot::backend::DeleteIf;
use carrot::{Connection, Consumer, Error, Message, Publisher, Queue, Workers};

use super::Context;
use super::run::Run;
use crate::{Cluster, Fate, Ledger, Node, Outcome, Result, eventually, unique};

/// How many messages are sent to a queue at each step.
const MESSAGES: u64 = 50;
const DEADLINE: Duration = Duration::from_secs(30);
/// How long after the last is sent they may take to be handled: there may have to be a new leader first, or a new subscription.
const HANDLED_WITHIN: Duration = Duration::from_secs(30);
/// How long a run may take to end after its queue was deleted.
const ENDED_WITHIN: Duration = Duration::from_secs(5);
const TIDY_WITHIN: Duration = Duration::from_secs(10);

/// Kills and restarts the node that is the home of a classic queue and has the leader of a quorum queue, while their consumers are connected
/// to another node: their runs go on. Then deletes the queues: the runs end with an error that says so, and the consumers do not declare them
/// again.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let times = context.pick(5, 1);
    let cluster = Cluster::start()?;
    let mut run = Run::new(context);
    for time in 1..=times {
        run.say(&format!("round {time}"));
        kill_and_delete(&mut run, &cluster)?;
    }
    run.outcome.failures.extend(run.watch.back_to_before(TIDY_WITHIN).err());
    run.outcome.peak = run.peak();
    run.outcome.audit = run.ledger.audit();
    run.outcome.expect_nothing_lost();
    let wrong: Vec<String> = run.outcome.audit.errors.keys().cloned().collect();
    run.outcome.expect(wrong.is_empty(), || {
        format!("calls failed though two nodes were there: {}", wrong.join(", "))
    });
    Ok(run.outcome)
}

fn kill_and_delete(run: &mut Run, cluster: &Cluster) -> Result<()> {
    // Not the last, which runs the name service of all.
    let [home, near, far] = cluster.nodes() else {
        return Err("the cluster does not have three nodes".into());
    };
    let queues = [Queue::new(unique("classic")), Queue::new(unique("quorum")).quorum()];
    declare_at(home, cluster, &queues)?;
    let connection = carrot::connect(near.options())?;
    let losses = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&losses);
    connection.on_disconnect(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let other = carrot::connect(far.options())?;
    let [classic, quorum] = queues;
    let mut classic = Consuming::start("classic", classic, &connection, &other, &run.ledger)?;
    let mut quorum = Consuming::start("quorum", quorum, &connection, &other, &run.ledger)?;
    classic.expect_handled(run, "before the kill");
    quorum.expect_handled(run, "before the kill");

    run.say("kill");
    home.kill()?;
    quorum.expect_handled(run, "after the kill");
    run.say("restart");
    home.restart()?;
    classic.expect_handled(run, "after the restart");
    quorum.expect_handled(run, "after the restart");
    let losses = losses.load(Ordering::Relaxed);
    run.outcome.expect(losses == 0, || {
        format!("{losses} connections were lost to a node that was not killed")
    });

    run.say("delete");
    classic.expect_end(run, &other)?;
    quorum.expect_end(run, &other)?;
    connection.close()?;
    Ok(other.close()?)
}

/// Declares the queues at a node, on disk, and makes sure that it is the home of the classic one and leads the quorum queue.
fn declare_at(home: &Node, cluster: &Cluster, [classic, quorum]: &[Queue; 2]) -> Result<()> {
    let connection = carrot::connect(home.options())?;
    connection.declare_queue(classic)?;
    connection.declare_queue(quorum)?;
    connection.close()?;
    cluster.wait_for_members(&quorum.name)?;
    for (queue, at) in
        [(classic, cluster.home(&classic.name)?), (quorum, cluster.leader(&quorum.name)?)]
    {
        if at.port() != home.port() {
            return Err(format!(
                "queue {} is at {}, not at {}, where it was declared",
                queue.name,
                at.name()?,
                home.name()?
            )
            .into());
        }
    }
    home.write_declarations()
}

/// A run that consumes from a queue, and a publisher on another node that sends to it.
struct Consuming {
    kind: &'static str,
    queue: String,
    publisher: Publisher,
    consumer: Consumer,
    workers: Workers,
    sent: u64,
    handled: Arc<AtomicU64>,
}

impl Consuming {
    fn start(
        kind: &'static str,
        queue: Queue,
        connection: &Connection,
        other: &Connection,
        ledger: &Arc<Ledger>,
    ) -> Result<Consuming> {
        let name = queue.name.clone();
        let publisher = other.publisher().routing_key(&*name).send_timeout(DEADLINE).build()?;
        let consumer = connection.consumer(queue).build()?;
        let handled = Arc::new(AtomicU64::new(0));
        let (counter, consumed) = (Arc::clone(&handled), Arc::clone(ledger));
        let workers = consumer.workers(2).spawn(move |id: u64, _: &Message| {
            // What comes again after the kill does not count.
            if consumed.consume(id) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        Ok(Consuming { kind, queue: name, publisher, consumer, workers, sent: 0, handled })
    }

    /// Sends some messages, and waits until the run has handled them.
    fn expect_handled(&mut self, run: &mut Run, when: &str) {
        let started = Instant::now();
        for _ in 0..MESSAGES {
            let id = run.ledger.send();
            let told = run.ledger.try_call("send", DEADLINE, || self.publisher.send(&id));
            run.ledger.fate(id, told.map_or_else(|error| Fate::of(&error), |()| Fate::Confirmed));
        }
        self.sent += MESSAGES;
        let handled = || self.handled.load(Ordering::Relaxed);
        eventually(HANDLED_WITHIN, || handled() >= self.sent || self.workers.is_finished());
        let (handled, sent, ended) = (handled(), self.sent, self.workers.is_finished());
        let (kind, took) = (self.kind, started.elapsed());
        run.outcome.expect(!ended, || format!("{kind}: {when}: the run has ended"));
        match handled == sent {
            true => run.outcome.notes.push(format!(
                "{kind}: {when}: {MESSAGES} messages were sent and handled in {took:.1?}"
            )),
            false => run.outcome.failures.push(format!(
                "{kind}: {when}: {handled} of {sent} messages are handled after {took:.1?}"
            )),
        }
    }

    /// Deletes the queue; the run has to end because of that, and nothing that its consumer does may bring the queue back.
    fn expect_end(self, run: &mut Run, other: &Connection) -> Result<()> {
        let (kind, queue) = (self.kind, &*self.queue);
        other.delete_queue(queue, DeleteIf::ALWAYS)?;
        let deleted = Instant::now();
        let failure = match self.workers.join_timeout(ENDED_WITHIN) {
            Ok(Err(Error::Cancelled { .. })) => None,
            Ok(Err(error)) => {
                Some(format!("the run ended with an error that does not name the queue: {error}"))
            }
            Ok(Ok(report)) => {
                Some(format!("the run ended, and says that all went well: {report:?}"))
            }
            Err(_) => Some(format!("the run goes on {ENDED_WITHIN:?} after its queue was deleted")),
        };
        run.outcome.failures.extend(failure.map(|failure| format!("{kind}: {failure}")));
        run.outcome.notes.push(format!(
            "{kind}: the run had ended {:.1?} after its queue was deleted",
            deleted.elapsed()
        ));

        let fetch = || self.consumer.fetch().map(drop);
        let next_run = || self.consumer.workers(2).spawn(|_: u64, _: &Message| ()).map(drop);
        let mut calls: [(_, &dyn Fn() -> carrot::Result<()>); 2] =
            [("fetch", &fetch), ("next run", &next_run)];
        if kind == "quorum" {
            // What one of the two learns of the queue the other knows, so each comes first once.
            calls.reverse();
        }
        for (name, call) in calls {
            let told = run.ledger.call(name, DEADLINE, call);
            let is_told = matches!(told, Err(Error::NotFound { .. }));
            run.outcome.expect(is_told, || {
                format!("{kind}: the {name} is not told that the queue does not exist: {told:?}")
            });
            let state = other.declare_queue(Queue::existing(queue));
            let is_gone = matches!(state, Err(Error::NotFound { .. }));
            run.outcome.expect(is_gone, || {
                format!("{kind}: after the {name} the queue exists again: {state:?}")
            });
        }
        self.consumer.close()?;
        Ok(self.publisher.close()?)
    }
}
