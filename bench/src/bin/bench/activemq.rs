//! Compares Carrot with ActiveMQ's own client for Java, on one ActiveMQ broker.

use std::error::Error;
use std::fmt::Write;
use std::time::Duration;

use crate::broker::BenchBroker;
use crate::pair;
use crate::peers::{self, Measurement};
use crate::results::{Results, ratio_with_quartiles};
use crate::table::rounded;
use crate::workloads::Workload;

/// The messages of each workload that the broker carries before the first round.
const WARM_UP: usize = 2_000;

/// Runs each workload with both clients, in a changing order.
///
/// Before that, the client for Java runs each of them. The broker is a program in Java, too, and is
/// slow until the virtual machine has compiled it.
pub fn measure(workloads: &[Workload], rounds: usize, limit: Duration) -> Result<Results, Box<dyn Error>> {
    let broker = BenchBroker::activemq()?;
    let all = peers::all()?;
    let (carrot, jms) = (all.first().ok_or("no program of Carrot")?, peers::jms()?);
    for workload in workloads {
        broker.run(&jms, workload, WARM_UP)?;
    }
    pair::measure(&broker, [carrot, &jms], workloads.to_vec(), (rounds, limit), |client, workload| {
        broker.run(client, workload, workload.messages)
    })
}

/// Formats the comparison as a Markdown table.
pub fn table(results: &Results, workloads: &[Workload]) -> String {
    let mut text = String::new();
    let machine = &results.machine;
    let _ = writeln!(
        text,
        "{} cores, {} GiB; {} and its client for Java on the same machine; load {:.1} before, {:.1} after; {:.0} s.\n",
        machine.cores, machine.memory_gib, machine.broker, machine.load.0, machine.load.1, machine.seconds
    );
    let _ = writeln!(text, "| work | Carrot, msg/s | JMS, msg/s | speed | Carrot, CPU us/msg | JMS, CPU us/msg | client's CPU |");
    let _ = writeln!(text, "|---|---:|---:|---:|---:|---:|---:|");
    for workload in workloads {
        let median = |peer, value: fn(&Measurement) -> f64| {
            results.spread(workload, peer, |run| Some(value(run))).map_or_else(String::new, |spread| rounded(spread.median))
        };
        let ratio = |value: fn(&Measurement) -> f64| ratio_with_quartiles(workload, (results, "carrot"), (results, "jms"), value);
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            workload.title(),
            median("carrot", Measurement::rate),
            median("jms", Measurement::rate),
            ratio(Measurement::rate),
            median("carrot", Measurement::cpu),
            median("jms", Measurement::cpu),
            ratio(Measurement::cpu),
        );
    }
    for failure in &results.failures {
        let _ = writeln!(text, "\nFAILED: {failure}");
    }
    text
}
