//! The scenarios, one in each file.

mod cluster;
mod connection_cut;
mod consumer_cancelled;
mod context;
mod entities_deleted;
mod failing_handlers;
mod graceful_stop;
mod memory_alarm;
mod node_frozen;
mod node_killed;
mod run;
mod scenario;
mod slow_handler;
mod soak;
mod tls;

use std::time::Duration;

pub use self::context::{Context, Size};
pub use self::scenario::Scenario;

/// All scenarios.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "tls",
        about: "TLS is misconfigured in every way",
        limit: minutes(5),
        run: tls::run,
    },
    Scenario {
        name: "node-killed",
        about: "the node is killed and restarted twice under load",
        limit: minutes(15),
        run: node_killed::run,
    },
    Scenario {
        name: "connection-cut",
        about: "connections are cut at random bytes",
        limit: minutes(60),
        run: connection_cut::run,
    },
    Scenario {
        name: "node-frozen",
        about: "the node is frozen for longer than the heartbeat",
        limit: minutes(30),
        run: node_frozen::run,
    },
    Scenario {
        name: "memory-alarm",
        about: "a memory alarm is raised and cleared under load",
        limit: minutes(15),
        run: memory_alarm::run,
    },
    Scenario {
        name: "cluster",
        about: "the leader of a quorum queue is killed, in a cluster of three",
        limit: minutes(20),
        run: cluster::run,
    },
    Scenario {
        name: "consumer-cancelled",
        about: "the node of queues is killed, and queues are deleted, while consumers are on another node",
        limit: minutes(15),
        run: consumer_cancelled::run,
    },
    Scenario {
        name: "entities-deleted",
        about: "queues and exchanges are deleted under load",
        limit: minutes(20),
        run: entities_deleted::run,
    },
    Scenario {
        name: "graceful-stop",
        about: "workers and processes are stopped under load",
        limit: minutes(20),
        run: graceful_stop::run,
    },
    Scenario {
        name: "slow-handler",
        about: "handlers take longer than heartbeats, and longer than the acknowledgement time-out",
        limit: minutes(15),
        run: slow_handler::run,
    },
    Scenario {
        name: "failing-handlers",
        about: "handlers fail while their process and the node are killed",
        limit: minutes(15),
        run: failing_handlers::run,
    },
    Scenario {
        name: "soak",
        about: "random faults for half an hour",
        limit: minutes(60),
        run: soak::run,
    },
];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Returns the scenario with this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}
