use std::time::Duration;

use super::Context;
use super::run::Run;
use crate::{Ledger, LoadOptions, Node, Outcome, Result, unique};

const HEARTBEAT: Duration = Duration::from_secs(2);
/// The deadline of everything: shorter than the freeze.
const DEADLINE: Duration = Duration::from_secs(3);
const RESUMED_WITHIN: Duration = Duration::from_secs(30);

/// Freezes the node for three heartbeats, several times. Every call has to come back by its deadline, and afterwards all goes on.
pub(super) fn run(context: &mut Context) -> Result<Outcome> {
    let times = context.pick(20, 2);
    context.with_node(|context, node| {
        let mut run = Run::new(context);
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
            run.say(&format!("freeze {time}"));
            frozen(node, &run.ledger, &options)?;
        }
        run.expect_progress(&load, 100, RESUMED_WITHIN, "after the last freeze");
        let mut outcome = run.finish(load, &node.options())?;
        let wrong: Vec<String> =
            outcome.audit.errors.keys().filter(|error| !tells_of_silence(error)).cloned().collect();
        outcome.expect(wrong.is_empty(), || {
            format!("errors that do not tell of a silent broker: {}", wrong.join(", "))
        });
        Ok(outcome)
    })
}

/// Freezes the node, makes every kind of call meanwhile, and thaws it after three heartbeats.
fn frozen(node: &Node, ledger: &Ledger, options: &carrot::ConnectionOptions) -> Result<()> {
    let connection = carrot::connect(options)?;
    let queue = unique("frozen");
    let consumer = connection.consumer(carrot::Queue::new(&*queue).auto_delete()).build()?;
    let publisher = connection.publisher().routing_key(&*queue).send_timeout(DEADLINE).build()?;
    let opening = DEADLINE * 2;

    node.freeze()?;
    let thawed = std::thread::scope(|scope| {
        let thaw = scope.spawn(|| {
            std::thread::sleep(HEARTBEAT * 3);
            node.thaw()
        });
        let _ = ledger.try_call("declare", opening, || {
            connection.declare_queue(carrot::Queue::existing(&*queue))
        });
        scope.spawn(|| ledger.try_call("connect", DEADLINE, || carrot::connect(options)).map(drop));
        scope.spawn(|| ledger.try_call("fetch", opening, || consumer.fetch()).map(drop));
        scope.spawn(|| ledger.try_call("send", DEADLINE, || publisher.send("frozen")));
        scope.spawn(|| ledger.try_call("purge", opening, || consumer.purge()).map(drop));
        scope.spawn(|| ledger.try_call("messages", opening * 2, || consumer.messages()).map(drop));
        thaw.join()
    });
    ledger.call("publisher drop", DEADLINE * 2, || drop(publisher));
    ledger.call("consumer drop", DEADLINE * 2, || drop(consumer));
    let _ = ledger.try_call("connection close", DEADLINE, || connection.close());
    thawed.map_err(|_| "the thread that thaws panicked")?
}

fn tells_of_silence(error: &str) -> bool {
    ["Timeout", "Disconnected", "Connect", "Stale", "Batch"]
        .iter()
        .any(|kind| error.ends_with(kind))
}
