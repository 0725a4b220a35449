use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use carrot::backend::DeleteIf;
use carrot::{Connection, Consumer, Error, Message, Publisher, Queue, Workers};

use super::context::Context;
use super::run::ScenarioRun;
use crate::accounting::{Accounting, SendOutcome};
use crate::cluster::Cluster;
use crate::error::Result;
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;
use crate::wait::{eventually, unique};

/// The number of messages that each step sends to a queue.
const MESSAGES: u64 = 50;
const DEADLINE: Duration = Duration::from_secs(30);
/// The time in which the messages of a step have to be handled. It covers the election of a leader
/// and a new subscription.
const HANDLED_WITHIN: Duration = Duration::from_secs(30);
/// The time in which a run has to end after the deletion of its queue.
const ENDED_WITHIN: Duration = Duration::from_secs(5);
const RELEASED_WITHIN: Duration = Duration::from_secs(10);

/// Kills and restarts the node of a classic queue and of the leader of a quorum queue.
///
/// The consumers are connected to another node, and their runs continue. Then deletes the queues:
/// the runs end with an error that names the cause, and the consumers do not declare the queues
/// again.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let times = context.pick(5, 1);
    let cluster = Cluster::start()?;
    let mut run = ScenarioRun::new(context);
    for time in 1..=times {
        run.print_progress(&format!("round {time}"));
        kill_and_delete(&mut run, &cluster)?;
    }
    run.outcome.failures.extend(run.monitor.wait_until_released(RELEASED_WITHIN).err());
    run.outcome.peak = run.peak();
    run.outcome.audit = run.accounting.audit();
    run.outcome.expect_nothing_lost();
    let wrong: Vec<String> = run.outcome.audit.errors.keys().cloned().collect();
    run.outcome.expect(wrong.is_empty(), || {
        format!("calls failed, and two nodes were running: {}", wrong.join(", "))
    });
    Ok(run.outcome)
}

fn kill_and_delete(run: &mut ScenarioRun, cluster: &Cluster) -> Result<()> {
    // The last node is not killed, because it runs the name service of all.
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
    let mut classic =
        ConsumedQueue::start("classic", classic, &connection, &other, &run.accounting)?;
    let mut quorum = ConsumedQueue::start("quorum", quorum, &connection, &other, &run.accounting)?;
    classic.expect_handled(run, "before the kill");
    quorum.expect_handled(run, "before the kill");

    run.print_progress("kill");
    home.kill()?;
    quorum.expect_handled(run, "after the kill");
    run.print_progress("restart");
    home.restart()?;
    classic.expect_handled(run, "after the restart");
    quorum.expect_handled(run, "after the restart");
    let losses = losses.load(Ordering::Relaxed);
    run.outcome.expect(losses == 0, || {
        format!("{losses} connections to a node that was not killed were lost")
    });

    run.print_progress("delete");
    let release = far.release()?;
    classic.expect_end(run, &other, release)?;
    quorum.expect_end(run, &other, release)?;
    connection.close()?;
    Ok(other.close()?)
}

/// Declares the queues at a node, and writes the declarations to disk.
///
/// # Errors
/// If the classic queue or the leader of the quorum queue is on another node.
fn declare_at(home: &BrokerNode, cluster: &Cluster, [classic, quorum]: &[Queue; 2]) -> Result<()> {
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
                "queue \"{}\" is on {}, and was declared on {}",
                queue.name,
                at.name()?,
                home.name()?
            )
            .into());
        }
    }
    home.write_declarations()
}

/// Returns whether a release may cancel no consumer of a deleted quorum queue.
///
/// RabbitMQ 3.10 cancels none in about 3 of 50 deletions of a quorum queue whose former leader has
/// just restarted: a capture of the connection holds no basic.cancel. A client learns of such a
/// deletion by a call of its own only.
fn may_cancel_no_consumer((major, _): (u32, u32)) -> bool {
    major < 4
}

/// A queue with a run that consumes from it, and with a publisher on another node.
struct ConsumedQueue {
    kind: &'static str,
    queue: String,
    publisher: Publisher,
    consumer: Consumer,
    workers: Workers,
    sent: u64,
    handled: Arc<AtomicU64>,
}

impl ConsumedQueue {
    fn start(
        kind: &'static str,
        queue: Queue,
        connection: &Connection,
        other: &Connection,
        accounting: &Arc<Accounting>,
    ) -> Result<ConsumedQueue> {
        let name = queue.name.clone();
        let publisher = other.publisher().routing_key(&*name).send_timeout(DEADLINE).build()?;
        let consumer = connection.consumer(queue).build()?;
        let handled = Arc::new(AtomicU64::new(0));
        let (counter, consumed) = (Arc::clone(&handled), Arc::clone(accounting));
        let workers = consumer.workers(2).spawn(move |id: u64, _: &Message| {
            // Redeliveries after the kill do not count.
            if consumed.consume(id) {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        Ok(ConsumedQueue { kind, queue: name, publisher, consumer, workers, sent: 0, handled })
    }

    /// Sends 50 messages, and blocks until the run has handled them.
    fn expect_handled(&mut self, run: &mut ScenarioRun, when: &str) {
        let started = Instant::now();
        for _ in 0..MESSAGES {
            let id = run.accounting.send();
            let sent = run.accounting.try_call("send", DEADLINE, || self.publisher.send(&id));
            run.accounting.record_send(
                id,
                sent.map_or_else(|error| SendOutcome::of(&error), |()| SendOutcome::Confirmed),
            );
        }
        self.sent += MESSAGES;
        let handled = || self.handled.load(Ordering::Relaxed);
        eventually(HANDLED_WITHIN, || handled() >= self.sent || self.workers.is_finished());
        let (handled, sent, ended) = (handled(), self.sent, self.workers.is_finished());
        let (kind, took) = (self.kind, started.elapsed());
        run.outcome.expect(!ended, || format!("{kind}: {when}: the run ended"));
        match handled == sent {
            true => run.outcome.notes.push(format!(
                "{kind}: {when}: {MESSAGES} messages were sent and handled in {took:.1?}"
            )),
            false => run.outcome.failures.push(format!(
                "{kind}: {when}: {handled} of {sent} messages were handled within {took:.1?}"
            )),
        }
    }

    /// Deletes the queue. Checks that the run ends with a matching error, and that no call of its
    /// consumer declares the queue again.
    fn expect_end(
        self,
        run: &mut ScenarioRun,
        other: &Connection,
        release: (u32, u32),
    ) -> Result<()> {
        let (kind, queue) = (self.kind, &*self.queue);
        other.delete_queue(queue, DeleteIf::ALWAYS)?;
        let deleted = Instant::now();
        let failure = match self.workers.join_timeout(ENDED_WITHIN) {
            Ok(Err(Error::Cancelled { .. })) => None,
            Ok(Err(error)) => {
                Some(format!("the run ended with an error that does not name the queue: {error}"))
            }
            Ok(Ok(report)) => Some(format!("the run ended without an error: {report:?}")),
            Err(_) if kind == "quorum" && may_cancel_no_consumer(release) => {
                run.outcome
                    .notes
                    .push(format!("{kind}: the broker cancelled no consumer, so the run went on"));
                None
            }
            Err(_) => Some(format!(
                "the run did not end within {ENDED_WITHIN:?} of the deletion of its queue"
            )),
        };
        run.outcome.failures.extend(failure.map(|failure| format!("{kind}: {failure}")));
        run.outcome.notes.push(format!(
            "{kind}: the run ended {:.1?} after the deletion of its queue",
            deleted.elapsed()
        ));

        let fetch = || self.consumer.fetch().map(drop);
        let next_run = || self.consumer.workers(2).spawn(|_: u64, _: &Message| ()).map(drop);
        let mut calls: [(_, &dyn Fn() -> carrot::Result<()>); 2] =
            [("fetch", &fetch), ("next run", &next_run)];
        if kind == "quorum" {
            // The second call uses the knowledge of the first, so each call is first once.
            calls.reverse();
        }
        for (name, call) in calls {
            let result = run.accounting.call(name, DEADLINE, call);
            let is_not_found = matches!(result, Err(Error::NotFound { .. }));
            run.outcome.expect(is_not_found, || {
                format!("{kind}: the {name} did not fail with NotFound: {result:?}")
            });
            let state = other.declare_queue(Queue::existing(queue));
            let is_gone = matches!(state, Err(Error::NotFound { .. }));
            run.outcome.expect(is_gone, || {
                format!("{kind}: the queue exists again after the {name}: {state:?}")
            });
        }
        self.consumer.close()?;
        Ok(self.publisher.close()?)
    }
}
