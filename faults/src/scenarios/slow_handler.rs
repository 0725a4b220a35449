use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use carrot::topology::DeleteIf;
use carrot::{Connection, ConnectionOptions, Message, Queue};

use super::Context;
use super::run::Run;
use crate::{LoadOptions, Node, Outcome, Result, eventually, unique};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Longer than five heartbeats.
const SLOW: Duration = Duration::from_millis(5_500);
/// How long the broker waits for an acknowledgement; it looks every half second.
const ACKNOWLEDGEMENT_WITHIN: Duration = Duration::from_secs(2);
const DEADLINE: Duration = Duration::from_secs(20);

/// Handlers take longer than several heartbeats, which nobody is to notice; then longer than the broker waits for an acknowledgement, which
/// costs their channel only: they finish, and their message comes again. A load on other channels of the same connection notices neither.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let times = context.pick(20, 1);
    context.with_node(|context, node| {
        let mut run = Run::new(context);
        let connection = node.options().heartbeat(HEARTBEAT);
        let load = run.load(LoadOptions {
            rate: Some(250),
            ..LoadOptions::new(connection.clone(), &*run.queue)
        })?;
        for time in 1..=times {
            run.say(&format!("slow handlers {time}"));
            let slow = outlasts_heartbeats(&connection)?;
            run.outcome.expect(slow.is_ok(), || {
                format!("heartbeats {time}: {}", slow.err().unwrap_or_default())
            });
            let late = outlasts_the_broker(node, load.connection())?;
            run.outcome.expect(late.is_ok(), || {
                format!("acknowledgement {time}: {}", late.err().unwrap_or_default())
            });
            run.expect_progress(&load, 100, DEADLINE, &format!("after round {time}"));
        }
        let mut outcome = run.finish(load, &node.options())?;
        outcome.expect_all_confirmed();
        outcome.expect_no_duplicate();
        let noticed: Vec<String> = outcome.audit.errors.keys().cloned().collect();
        outcome.expect(noticed.is_empty(), || {
            format!("the load was told of errors: {}", noticed.join(", "))
        });
        Ok(outcome)
    })
}

fn outlasts_heartbeats(options: &ConnectionOptions) -> Result<Result<(), String>> {
    let connection = carrot::connect(options)?;
    let lost = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&lost);
    connection.on_disconnect(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let handled = handle_one(&connection, 1, |_| SLOW)?;
    connection.close()?;
    Ok(match lost.load(Ordering::Relaxed) {
        0 => handled,
        lost => Err(format!("{lost} connections were lost")),
    })
}

fn outlasts_the_broker(node: &Node, connection: &Connection) -> Result<Result<(), String>> {
    let timeout = |timeout: Duration, look: Duration| {
        let set = |key: &str, value: Duration| {
            format!("application:set_env(rabbit, {key}, {})", value.as_millis())
        };
        node.control([
            "eval",
            &format!(
                "{}, {}.",
                set("consumer_timeout", timeout),
                set("channel_tick_interval", look)
            ),
        ])
    };
    timeout(ACKNOWLEDGEMENT_WITHIN, ACKNOWLEDGEMENT_WITHIN / 4)?;
    let handled = handle_one(connection, 2, |redelivered| {
        if redelivered { Duration::ZERO } else { ACKNOWLEDGEMENT_WITHIN * 2 }
    });
    timeout(Duration::from_secs(1_800), Duration::from_secs(60))?;
    handled
}

/// Has one message handled, as long as `pause` says of a first and of a second delivery; it has to be handled so many times, and be gone
/// then.
fn handle_one(
    connection: &Connection,
    times: u64,
    pause: impl Fn(bool) -> Duration + Send + Sync + 'static,
) -> Result<Result<(), String>> {
    let queue = unique("slow");
    let consumer = connection.consumer(Queue::new(&*queue)).prefetch(1).build()?;
    let handled = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&handled);
    let workers = consumer.workers(2).spawn(move |_: u64, message: &Message| {
        thread::sleep(pause(message.is_redelivered()));
        counter.fetch_add(1, Ordering::Relaxed);
    })?;
    connection.publisher().routing_key(&*queue).build()?.send(&1_u64)?;
    eventually(DEADLINE, || workers.report().acknowledged >= times);
    let report = workers.stop(DEADLINE)?;
    consumer.close()?;
    let left = connection.declare_queue(Queue::existing(&*queue))?.message_count;
    connection.delete_queue(&queue, DeleteIf::ALWAYS)?;
    let handled = handled.load(Ordering::Relaxed);
    Ok(match (handled == times, left) {
        (true, 0) => Ok(()),
        _ => Err(format!("it was handled {handled} times, and {left} are left: {report:?}")),
    })
}
