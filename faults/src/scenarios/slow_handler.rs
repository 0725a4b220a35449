use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{Connection, ConnectionOptions, Message, Queue};

use super::context::Context;
use super::run::ScenarioRun;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;
use crate::wait::{eventually, unique};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longer than five heartbeats.
const SLOW: Duration = Duration::from_millis(5_500);
/// The acknowledgement time-out of the broker. RabbitMQ before 4.3 checks it every half second.
const ACKNOWLEDGEMENT_WITHIN: Duration = Duration::from_secs(2);
/// The first release whose acknowledgement time-out applies to quorum queues only, and cancels the
/// consumer. Earlier releases close the channel, for queues of every type.
const TIME_OUT_CANCELS_THE_CONSUMER: (u32, u32) = (4, 3);
const DEADLINE: Duration = Duration::from_secs(20);

/// Runs handlers that take longer than several heartbeats, and then longer than the acknowledgement
/// time-out of the broker.
///
/// The heartbeats keep the connection open. The time-out closes only the channel, or cancels the
/// consumer: the message is redelivered, and the handler ends. A load on other channels of the same
/// connection is not affected.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let times = context.pick(20, 1);
    context.with_node(|context, node| {
        let mut run = ScenarioRun::new(context);
        let connection = node.options().heartbeat(HEARTBEAT);
        let load = run.load(LoadOptions {
            rate: Some(250),
            ..LoadOptions::new(connection.clone(), &*run.queue)
        })?;
        for time in 1..=times {
            run.print_progress(&format!("slow handlers {time}"));
            let slow = handle_longer_than_heartbeats(&connection)?;
            run.outcome.expect(slow.is_ok(), || {
                format!("heartbeats {time}: {}", slow.err().unwrap_or_default())
            });
            let late = handle_longer_than_the_broker_waits(node, load.connection())?;
            run.outcome.expect(late.is_ok(), || {
                format!("acknowledgement {time}: {}", late.err().unwrap_or_default())
            });
            run.expect_progress(&load, 100, DEADLINE, &format!("after round {time}"));
        }
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        outcome.expect_no_duplicate();
        let errors: Vec<String> = outcome.audit.errors.keys().cloned().collect();
        outcome.expect(errors.is_empty(), || format!("the load had errors: {}", errors.join(", ")));
        Ok(outcome)
    })
}

fn handle_longer_than_heartbeats(options: &ConnectionOptions) -> Result<Result<(), String>> {
    let connection = carrot::connect(options)?;
    let lost = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lost);
    connection.on_disconnect(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let handled =
        handle_one(&connection, Queue::new(unique("slow")), 1, |_, _| thread::sleep(SLOW))?;
    connection.close()?;
    Ok(match lost.load(Ordering::Relaxed) {
        0 => handled,
        lost => Err(format!("{lost} connections were lost")),
    })
}

fn handle_longer_than_the_broker_waits(
    node: &BrokerNode,
    connection: &Connection,
) -> Result<Result<(), String>> {
    let timeout = |timeout: Duration, interval: Duration| {
        let set = |key: &str, value: Duration| {
            format!("application:set_env(rabbit, {key}, {})", value.as_millis())
        };
        node.control([
            "eval",
            &format!(
                "{}, {}.",
                set("consumer_timeout", timeout),
                set("channel_tick_interval", interval)
            ),
        ])
    };
    timeout(ACKNOWLEDGEMENT_WITHIN, ACKNOWLEDGEMENT_WITHIN / 4)?;
    let mut queue = Queue::new(unique("late"));
    if node.release()? >= TIME_OUT_CANCELS_THE_CONSUMER {
        let milliseconds = i64::try_from(ACKNOWLEDGEMENT_WITHIN.as_millis())?;
        queue = queue.quorum().argument("x-consumer-timeout", milliseconds);
    }
    let handled = handle_one(connection, queue, 2, |redelivered, handled| {
        if !redelivered {
            eventually(DEADLINE, || handled.load(Ordering::Relaxed) > 0);
        }
    });
    timeout(Duration::from_secs(1_800), Duration::from_secs(60))?;
    handled
}

/// Sends one message to a handler that calls `handle` with two arguments: whether the message is
/// redelivered, and how often it has been handled. The message has to be handled `times` times, and
/// the queue has to be empty then.
fn handle_one(
    connection: &Connection,
    queue: Queue,
    times: u64,
    handle: impl Fn(bool, &AtomicU64) + Send + Sync + 'static,
) -> Result<Result<(), String>> {
    let name = queue.name.clone();
    let consumer = connection.consumer(queue).prefetch(1).build()?;
    let handled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&handled);
    let workers = consumer.workers(2).spawn(move |_: u64, message: &Message| {
        handle(message.is_redelivered(), &counter);
        counter.fetch_add(1, Ordering::Relaxed);
    })?;
    connection.publisher().routing_key(&*name).build()?.send(&1_u64)?;
    eventually(DEADLINE, || {
        let report = workers.report();
        report.acknowledged + report.stale >= times
    });
    let report = workers.stop(DEADLINE)?;
    consumer.close()?;
    let left = connection.declare_queue(Queue::existing(&*name))?.message_count;
    connection.delete_queue(&name, DeleteIf::ALWAYS)?;
    let handled = handled.load(Ordering::Relaxed);
    Ok(match (handled == times, left) {
        (true, 0) => Ok(()),
        _ => {
            Err(format!("the message was handled {handled} times, and {left} are left: {report:?}"))
        }
    })
}
