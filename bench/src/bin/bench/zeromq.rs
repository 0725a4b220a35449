//! Compares Carrot on a host of `zmq://` with libzmq's sockets, which exchange the same bodies
//! without a broker.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use crate::broker::BenchBroker;
use crate::hosted::HostedServer;
use crate::pair;
use crate::peers::{self, Measurement, PeerClient};
use crate::results::{Results, ratio_with_quartiles};
use crate::table::rounded;
use crate::workloads::Workload;

/// Returns what libzmq does instead of a workload, if it can do the like.
fn counterpart(workload: &Workload) -> Option<&'static str> {
    match (workload.kind, workload.threads) {
        ("each", 1) => Some("REQ/REP, an empty reply"),
        ("window", 1) => Some("DEALER/ROUTER, an empty reply to each"),
        ("consume", 1) => Some("ROUTER/DEALER, an empty reply to each"),
        _ => None,
    }
}

/// Runs each workload that has a counterpart, in a changing order.
pub fn measure(workloads: &[Workload], rounds: usize, limit: Duration) -> Result<Results, Box<dyn Error>> {
    let hosted = HostedServer::start("zeromq_host")?;
    let host = BenchBroker::at(&hosted.url, "a host of zmq://")?;
    let all = peers::all()?;
    let carrot = all.first().ok_or("no program of Carrot")?;
    let workloads: Vec<Workload> = workloads.iter().filter(|workload| counterpart(workload).is_some()).cloned().collect();
    let libzmq = peers::libzmq()?;
    let run = |client: &PeerClient, workload: &Workload| match client.name {
        "carrot" => host.run(client, workload, workload.messages),
        _ => client.run(&workload.arguments(workload.messages)),
    };
    pair::measure(&host, [carrot, &libzmq], workloads, (rounds, limit), run)
}

/// Formats the comparison as a Markdown table.
pub fn table(results: &Results, workloads: &[Workload]) -> String {
    let mut text = String::new();
    let machine = &results.machine;
    let version = results.peers.get("libzmq").map_or("", String::as_str);
    let _ = writeln!(
        text,
        "{} cores, {} GiB; {} and libzmq {version}; load {:.1} before, {:.1} after; {:.0} s.\n",
        machine.cores, machine.memory_gib, machine.broker, machine.load.0, machine.load.1, machine.seconds
    );
    let _ = writeln!(text, "| work | libzmq's work | Carrot, msg/s | libzmq, msg/s | speed | client's CPU |");
    let _ = writeln!(text, "|---|---|---:|---:|---:|---:|");
    for workload in workloads {
        let speed = |peer| results.spread(workload, peer, |run| Some(run.rate()));
        let Some(counterpart) = counterpart(workload) else { continue };
        let (Some(carrot), Some(libzmq)) = (speed("carrot"), speed("libzmq")) else { continue };
        let ratio = |value: fn(&Measurement) -> f64| ratio_with_quartiles(workload, (results, "carrot"), (results, "libzmq"), value);
        let _ = writeln!(
            text,
            "| {} | {counterpart} | {} | {} | {} | {} |",
            workload.title(),
            rounded(carrot.median),
            rounded(libzmq.median),
            ratio(Measurement::rate),
            ratio(Measurement::cpu),
        );
    }
    for failure in &results.failures {
        let _ = writeln!(text, "\nFAILED: {failure}");
    }
    text
}
