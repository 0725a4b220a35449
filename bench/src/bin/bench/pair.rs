//! Runs Carrot and one other client with the same workloads.

use std::error::Error;
use std::time::{Duration, Instant};

use crate::broker::BenchBroker;
use crate::peers::{PeerClient, PeerOutcome};
use crate::results::Results;
use crate::warm_up;
use crate::workloads::Workload;

/// The seconds that Carrot takes for one run.
const RUN: f64 = 1.0;

/// Runs each workload with both clients, in a changing order. The first client is Carrot, which
/// sets the number of messages. Starts no round that would end after the limit.
pub fn measure(
    broker: &BenchBroker,
    clients: [&PeerClient; 2],
    mut workloads: Vec<Workload>,
    (rounds, limit): (usize, Duration),
    run: impl Fn(&PeerClient, &Workload) -> Result<PeerOutcome, Box<dyn Error>>,
) -> Result<Results, Box<dyn Error>> {
    let started = Instant::now();
    let mut results = Results::begin(broker);
    for workload in &mut workloads {
        warm_up(broker, clients[0], workload, RUN)?;
    }
    let mut slowest_round = Duration::ZERO;
    for round in 0..rounds {
        if round > 0 && started.elapsed() + slowest_round > limit {
            break;
        }
        let began = Instant::now();
        for workload in &workloads {
            let mut clients = clients;
            if round % 2 == 1 {
                clients.reverse();
            }
            for client in clients {
                eprintln!("round {}: {} {}", round + 1, workload.name, client.name);
                match run(client, workload)? {
                    PeerOutcome::Unsupported => {}
                    PeerOutcome::Failed(reason) => results.fail(round, workload, client, &reason),
                    PeerOutcome::Done(measurement) => results.add(round, workload, client, measurement),
                }
            }
        }
        slowest_round = slowest_round.max(began.elapsed());
    }
    results.end(started.elapsed());
    Ok(results)
}
