//! Formats the results as a Markdown table.

use std::fmt::Write;

use crate::peers::Measurement;
use crate::results::Results;
use crate::workloads::Workload;

pub fn peers(results: &Results) -> Vec<&'static str> {
    let order = ["carrot", "rabbitmq-c", "amiquip", "lapin", "amqprs", "pika", "kombu"];
    order.into_iter().filter(|peer| results.peers.contains_key(peer)).collect()
}

/// Formats a number with its significant digits.
pub fn rounded(value: f64) -> String {
    match value {
        10_000.0.. => format!("{:.1}k", value / 1000.0),
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub fn write(results: &Results, workloads: &[Workload]) -> String {
    let mut text = String::new();
    let machine = &results.machine;
    let versions: Vec<String> = results.peers.iter().map(|(peer, version)| format!("{peer} {version}")).collect();
    let _ = writeln!(
        text,
        "{} cores, {} GiB, {}; {} on the same machine, {} queue; load {:.1} before, {:.1} after; {:.0} s.\n{}.\n",
        machine.cores,
        machine.memory_gib,
        machine.system,
        machine.broker,
        machine.queue,
        machine.load.0,
        machine.load.1,
        machine.seconds,
        versions.join(", ")
    );
    for workload in workloads {
        let rounds = results.of(workload, "carrot").count();
        let _ = writeln!(text, "**{}**: {} ({} messages, {rounds} rounds)\n", workload.name, workload.title(), workload.messages);
        let _ = writeln!(
            text,
            "| client | msg/s | least - greatest | CPU us/msg | p50 us | p99 us | RSS MB | threads | Carrot's speed | Carrot's CPU |"
        );
        let _ = writeln!(text, "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        for peer in peers(results) {
            let Some(rate) = results.spread(workload, peer, |measurement| Some(measurement.rate())) else { continue };
            let median = |value: &dyn Fn(&Measurement) -> Option<f64>| {
                results.spread(workload, peer, value).map_or_else(String::new, |spread| rounded(spread.median))
            };
            let ratio = |value: &dyn Fn(&Measurement) -> f64| match peer {
                "carrot" => String::new(),
                _ => results.ratio(workload, peer, value).map_or_else(String::new, |ratio| format!("{ratio:.2} x")),
            };
            let _ = writeln!(
                text,
                "| {peer} | {} | {} - {} | {} | {} | {} | {} | {} | {} | {} |",
                rounded(rate.median),
                rounded(rate.least),
                rounded(rate.greatest),
                median(&|measurement| Some(measurement.cpu())),
                median(&|measurement| measurement.p50_us),
                median(&|measurement| measurement.p99_us),
                median(&|measurement| measurement.rss_kb.map(|kib| kib as f64 / 1024.0)),
                results
                    .spread(workload, peer, |measurement| Some(measurement.threads? as f64))
                    .map_or_else(String::new, |spread| format!("{:.0}", spread.median)),
                ratio(&Measurement::rate),
                ratio(&Measurement::cpu),
            );
        }
        text.push('\n');
    }
    for failure in &results.failures {
        let _ = writeln!(text, "FAILED: {failure}");
    }
    text
}
