use std::time::Duration;

use super::context::Context;
use super::run::ScenarioRun;
use crate::accounting::Accounting;
use crate::error::Result;
use crate::load::LoadOptions;
use crate::node::BrokerNode;
use crate::outcome::ScenarioOutcome;
use crate::wait::unique;

const HEARTBEAT: Duration = Duration::from_secs(2);
/// The deadline of every call. It is shorter than the freeze.
const DEADLINE: Duration = Duration::from_secs(3);
const RESUMED_WITHIN: Duration = Duration::from_secs(30);
/// The time after which the broker deletes the unused queue of the calls.
const EXPIRES_AFTER: Duration = Duration::from_secs(60);

/// Freezes the node for three heartbeats, several times. Every call has to return by its deadline,
/// and messages have to flow again after the freeze.
pub(super) fn run(context: &mut Context) -> Result<ScenarioOutcome> {
    let times = context.pick(20, 2);
    context.with_node(|context, node| {
        let mut run = ScenarioRun::new(context);
        let options =
            node.options().heartbeat(HEARTBEAT).call_timeout(DEADLINE).connect_timeout(DEADLINE);
        let load = run.load(LoadOptions {
            send_timeout: DEADLINE,
            rate: Some(500),
            ..LoadOptions::new(options.clone(), &*run.queue)
        })?;
        for time in 1..=times {
            if !run.expect_progress(&load, 100, RESUMED_WITHIN, &format!("before freeze {time}")) {
                break;
            }
            run.print_progress(&format!("freeze {time}"));
            call_while_frozen(node, &run.accounting, &options)?;
        }
        run.expect_progress(&load, 100, RESUMED_WITHIN, "after the last freeze");
        let mut outcome = run.finish(load, &node.options())?;
        let wrong: Vec<String> = outcome
            .audit
            .errors
            .keys()
            .filter(|error| !is_about_a_silent_broker(error))
            .cloned()
            .collect();
        outcome.expect(wrong.is_empty(), || {
            format!(
                "calls failed with an error about another cause than a silent broker: {}",
                wrong.join(", ")
            )
        });
        Ok(outcome)
    })
}

/// Freezes the node, runs every kind of call, and thaws the node after three heartbeats.
fn call_while_frozen(
    node: &BrokerNode,
    accounting: &Accounting,
    options: &carrot::ConnectionOptions,
) -> Result<()> {
    let connection = carrot::connect(options)?;
    let queue = unique("frozen");
    // Not deleted with its last consumer, or the end of one call could fail another.
    let definition = carrot::Queue::new(&*queue).expires(EXPIRES_AFTER);
    let consumer = connection.consumer(definition).build()?;
    let publisher = connection.publisher().routing_key(&*queue).send_timeout(DEADLINE).build()?;
    let opening = DEADLINE * 2;

    node.freeze()?;
    let thawed = std::thread::scope(|scope| {
        let thaw = scope.spawn(|| {
            std::thread::sleep(HEARTBEAT * 3);
            node.thaw()
        });
        let _ = accounting.try_call("declare", opening, || {
            connection.declare_queue(carrot::Queue::existing(&*queue))
        });
        scope.spawn(|| {
            accounting.try_call("connect", DEADLINE, || carrot::connect(options)).map(drop)
        });
        scope.spawn(|| accounting.try_call("fetch", opening, || consumer.fetch()).map(drop));
        scope.spawn(|| accounting.try_call("send", DEADLINE, || publisher.send("frozen")));
        scope.spawn(|| accounting.try_call("purge", opening, || consumer.purge()).map(drop));
        scope.spawn(|| {
            accounting.try_call("messages", opening * 2, || consumer.messages()).map(drop)
        });
        thaw.join()
    });
    accounting.call("publisher drop", DEADLINE * 2, || drop(publisher));
    accounting.call("consumer drop", DEADLINE * 2, || drop(consumer));
    let _ = accounting.try_call("connection close", DEADLINE, || connection.close());
    thawed.map_err(|_| "the thread that thaws panicked")?
}

fn is_about_a_silent_broker(error: &str) -> bool {
    ["Timeout", "Disconnected", "Connect", "Stale", "Batch"]
        .iter()
        .any(|kind| error.ends_with(kind))
}
