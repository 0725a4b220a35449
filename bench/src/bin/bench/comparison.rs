//! Compares Carrot's server with RabbitMQ: the same client with the same work on both.

use std::error::Error;
use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::broker::BenchBroker;
use crate::hosted::{HostedServer, IdleCost, start_time};
use crate::peers::{Measurement, PeerClient, PeerOutcome};
use crate::results::{Results, ratio_with_quartiles};
use crate::table::rounded;
use crate::workloads::Workload;

/// The clients of the comparison.
const CLIENTS: [&str; 2] = ["carrot", "rabbitmq-c"];

/// The measurements of both brokers.
pub struct BrokerComparison {
    rabbitmq: Results,
    server: Results,
    idle: IdleCost,
    /// The time to start a server, in microseconds.
    start_us: f64,
    workloads: Vec<Workload>,
}

/// Whether a workload says something about a broker.
pub fn is_compared(workload: &Workload) -> bool {
    !workload.tls
        && workload.kind != "idle"
        && !workload.kind.starts_with("memory")
        && !workload.kind.ends_with("-observed")
        && workload.kind != "window-header"
}

impl BrokerComparison {
    /// Runs each workload with each client on both brokers, in a changing order.
    pub fn measure(
        rabbitmq: &BenchBroker,
        peers: &[PeerClient],
        workloads: &[Workload],
        rounds: usize,
        limit: Duration,
    ) -> Result<BrokerComparison, Box<dyn Error>> {
        let started = Instant::now();
        let hosted = HostedServer::start("server")?;
        let server = BenchBroker::at(&hosted.url, "Carrot's server")?;
        let clients: Vec<&PeerClient> = peers.iter().filter(|peer| CLIENTS.contains(&peer.name)).collect();
        let mut comparison = BrokerComparison {
            rabbitmq: Results::begin(rabbitmq),
            server: Results::begin(&server),
            idle: hosted.idle_cost()?,
            start_us: start_time()?,
            workloads: workloads.to_vec(),
        };
        let mut slowest_round = Duration::ZERO;
        for round in 0..rounds {
            if round > 0 && started.elapsed() + slowest_round > limit {
                break;
            }
            let began = Instant::now();
            for workload in workloads {
                for client in &clients {
                    let mut runs = [(rabbitmq, &mut comparison.rabbitmq), (&server, &mut comparison.server)];
                    if round % 2 == 1 {
                        runs.reverse();
                    }
                    for (broker, results) in runs {
                        eprintln!("round {}: {} {} on {}", round + 1, workload.name, client.name, broker.version);
                        match broker.run(client, workload, client.share(workload))? {
                            PeerOutcome::Unsupported => {}
                            PeerOutcome::Failed(reason) => results.fail(round, workload, client, &reason),
                            PeerOutcome::Done(measurement) => results.add(round, workload, client, measurement),
                        }
                    }
                }
            }
            slowest_round = slowest_round.max(began.elapsed());
        }
        comparison.rabbitmq.end(started.elapsed());
        comparison.server.end(started.elapsed());
        Ok(comparison)
    }

    /// Formats the comparison as a Markdown table.
    pub fn table(&self) -> String {
        let mut text = String::new();
        let (machine, idle) = (&self.rabbitmq.machine, &self.idle);
        let _ = writeln!(
            text,
            "{} cores, {} GiB; {} and Carrot's server on the same machine; load {:.1} before, {:.1} after; {:.0} s.\n",
            machine.cores, machine.memory_gib, machine.broker, machine.load.0, machine.load.1, machine.seconds
        );
        let _ = writeln!(text, "| work | client | RabbitMQ, msg/s | server, msg/s | speed | client's CPU |");
        let _ = writeln!(text, "|---|---|---:|---:|---:|---:|");
        for workload in &self.workloads {
            for client in CLIENTS {
                let speed = |results: &Results| results.spread(workload, client, |run| Some(run.rate()));
                let (Some(rabbitmq), Some(server)) = (speed(&self.rabbitmq), speed(&self.server)) else { continue };
                let ratio = |value: fn(&Measurement) -> f64| {
                    ratio_with_quartiles(workload, (&self.server, client), (&self.rabbitmq, client), value)
                };
                let _ = writeln!(
                    text,
                    "| {} | {client} | {} | {} | {} | {} |",
                    workload.title(),
                    rounded(rabbitmq.median),
                    rounded(server.median),
                    ratio(Measurement::rate),
                    ratio(Measurement::cpu),
                );
            }
        }
        let _ = writeln!(
            text,
            "\nEach of {} idle connections took {:.0} KiB of the server's memory and {:.1} threads. A server started in {:.0} us.",
            idle.connections, idle.kib, idle.threads, self.start_us
        );
        for failure in self.rabbitmq.failures.iter().chain(&self.server.failures) {
            let _ = writeln!(text, "FAILED: {failure}");
        }
        text
    }
}
