//! What can happen, one scenario a file.

mod cluster;
mod connection_cut;
mod consumer_cancelled;
mod entities_deleted;
mod failing_handlers;
mod graceful_stop;
mod memory_alarm;
mod node_frozen;
mod node_killed;
mod run;
mod slow_handler;
mod soak;
mod tls;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::outcome::with_sources;
use crate::{Ledger, Node, Outcome, Result};

/// How much is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Size {
    /// As much as it takes to be sure: minutes each.
    Full,
    /// As much as it takes to be useful: seconds each.
    Small,
}

/// Something that happens, and what is to come of it.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name, in one word.
    pub name: &'static str,
    /// What happens.
    pub about: &'static str,
    /// How long it may take at full size; at small size three minutes.
    limit: Duration,
    run: fn(&mut Context) -> Result<Outcome>,
}

const SMALL_LIMIT: Duration = Duration::from_secs(180);

/// Every scenario.
pub const ALL: &[Scenario] = &[
    Scenario {
        name: "tls",
        about: "TLS goes wrong in every way it can",
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
        about: "a memory alarm comes and goes under load",
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
        about: "the home of queues is killed, and queues are deleted, while consumers are on another node",
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
        about: "handlers take longer than heartbeats, and than the broker waits for them",
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
        about: "faults at random, for half an hour",
        limit: minutes(60),
        run: soak::run,
    },
];

const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// The scenario of this name.
pub fn named(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

/// What scenarios share: how much to do, and a node that the next one can use.
#[derive(Debug)]
pub struct Context {
    size: Size,
    seed: u64,
    program: PathBuf,
    node: Option<Node>,
    /// The ledger of the scenario that runs, for whoever finds that it hangs.
    current: Arc<Mutex<Option<Arc<Ledger>>>>,
}

impl Context {
    /// A context with no node yet. `program` is the binary of this crate, for the scenarios that need a process to stop; the same `seed`
    /// makes the same choices.
    pub fn new(size: Size, seed: u64, program: PathBuf) -> Context {
        Context { size, seed, program, node: None, current: Arc::default() }
    }

    fn pick<T>(&self, full: T, small: T) -> T {
        match self.size {
            Size::Full => full,
            Size::Small => small,
        }
    }

    fn ledger(&self) -> Arc<Ledger> {
        let ledger = Arc::new(Ledger::new());
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&ledger));
        ledger
    }

    fn random(&self) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed)
    }

    /// Lends a node that takes connections; afterwards, the next scenario gets the same one if it is still well.
    fn with_node<T>(&mut self, run: impl FnOnce(&Context, &Node) -> Result<T>) -> Result<T> {
        let node = self.node.take().map_or_else(Node::start, Ok)?;
        let result = run(self, &node);
        if result.is_ok() && node.is_running() && carrot::connect(node.options()).is_ok() {
            self.node = Some(node);
        }
        result
    }

    /// Runs a scenario. What goes wrong with the harness itself, a panic, and a scenario that does not end are failures of the outcome.
    pub fn run(&mut self, scenario: &Scenario) -> Outcome {
        let started = Instant::now();
        let limit = self.pick(scenario.limit, SMALL_LIMIT);
        let mut lent = Context {
            node: self.node.take(),
            program: self.program.clone(),
            current: Arc::clone(&self.current),
            ..*self
        };
        let (done, result) = channel();
        let run = scenario.run;
        let start = thread::Builder::new().name(scenario.name.into()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| run(&mut lent)))
                .unwrap_or_else(|_| Err("it panicked".into()));
            let _ = done.send((outcome, lent.node.take()));
        });
        let failure = match start.map(|_| result.recv_timeout(limit)) {
            Ok(Ok((outcome, node))) => {
                self.node = node;
                match outcome {
                    Ok(outcome) => {
                        return Outcome {
                            scenario: scenario.name,
                            took: started.elapsed(),
                            ..outcome
                        };
                    }
                    Err(error) => format!("it broke off: {}", with_sources(&*error)),
                }
            }
            Ok(Err(_)) => format!("it did not end within {limit:?}"),
            Err(error) => format!("no thread: {error}"),
        };
        let ledger = self.current.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut outcome = Outcome {
            scenario: scenario.name,
            took: started.elapsed(),
            failures: vec![failure],
            ..Outcome::default()
        };
        if let Some(ledger) = ledger {
            outcome.audit = ledger.audit();
            outcome.expect_no_late_call();
            outcome.notes.push("its messages had no time to be consumed".into());
        }
        outcome
    }
}
