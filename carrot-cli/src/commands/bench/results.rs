//! The results as a table, or as one line of JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::running::Measured;
use crate::exit::Result;
use crate::printing::{print_entries, print_json, print_line};

/// The parts of all latencies that are reported, with their names.
pub(super) const QUANTILES: [(&str, f64); 4] =
    [("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("max", 1.0)];

pub(super) fn print(measured: &Measured, json: bool) -> Result<()> {
    let Measured { published, confirmed, refused, received, .. } = measured;
    let publish_rate = rate(*published, measured.publishing);
    let receive_rate = rate(*received, measured.receiving);
    if json {
        let latencies = QUANTILES.map(|(name, part)| {
            let time = measured.latencies.quantile(part).map(milliseconds);
            (name.to_string(), time.map_or(Value::Null, Value::from))
        });
        let results = json!({
            "published": published,
            "confirmed": confirmed,
            "refused": refused,
            "received": received,
            "seconds": measured.publishing.as_secs_f64(),
            "published_per_second": publish_rate,
            "received_per_second": receive_rate,
            "latency_milliseconds": serde_json::Map::from_iter(latencies),
        });
        return print_json(&results);
    }
    let mut entries = vec![vec!["published".into(), (*published).into(), publish_rate.into()]];
    if let Some(confirmed) = confirmed {
        let rate = rate(*confirmed, measured.publishing);
        entries.push(vec!["confirmed".into(), (*confirmed).into(), rate.into()]);
    }
    if *refused > 0 {
        entries.push(vec!["refused".into(), (*refused).into(), Value::Null]);
    }
    entries.push(vec!["received".into(), (*received).into(), receive_rate.into()]);
    print_entries(false, &["", "messages", "per_second"], &entries)?;
    let latencies: Vec<_> = QUANTILES
        .iter()
        .filter_map(|(name, part)| Some((name, measured.latencies.quantile(*part)?)))
        .map(|(name, time)| vec![(*name).into(), format!("{:.3}", milliseconds(time)).into()])
        .collect();
    if latencies.is_empty() {
        return Ok(());
    }
    print_line("")?;
    print_entries(false, &["latency", "milliseconds"], &latencies)
}

/// Returns whole messages in a second.
fn rate(messages: u64, time: Duration) -> u64 {
    if time.is_zero() { 0 } else { (messages as f64 / time.as_secs_f64()).round() as u64 }
}

/// Returns milliseconds, with three digits after the point.
pub(super) fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
