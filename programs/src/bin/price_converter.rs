//! Converts prices, and serves its metrics: `price_converter [ADDRESS] [EUROS..]`. Sends these
//! prices first.

use std::env;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use carrot::ConnectionOptions;
use carrot::layers::{Metrics, Spans, TraceContext};
use carrot::topology::Topology;
use carrot_programs::price_converter;
use metrics_exporter_prometheus::PrometheusBuilder;
use tiny_http::Server;
use tracing_subscriber::fmt::format::FmtSpan;

/// The bounds of the buckets of all histograms, in seconds.
const BOUNDS: [f64; 8] = [0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// The part of the program that operators read, too. It has the version of the program.
const TOPOLOGY: &str = include_str!("../../price_converter.toml");

/// The longest wait for a broker that starts after this program.
const PATIENCE: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:9090".into());

    // Plumbing: metrics for Prometheus, and spans as lines of the log.
    let recorder = PrometheusBuilder::new().set_buckets(&BOUNDS)?.build_recorder();
    let exporter = recorder.handle();
    let metrics = Metrics::with_recorder(recorder).stamp_sent_time();
    tracing_subscriber::fmt().with_span_events(FmtSpan::CLOSE).init();

    // Plumbing: connects, and declares the topology.
    let connection = carrot::connect_within(ConnectionOptions::from_env()?, PATIENCE)?
        .with_layer(metrics.clone())
        .with_layer(TraceContext::new())
        .with_layer(Spans::new());
    connection.declare_all(&toml::from_str::<Topology>(TOPOLOGY)?)?;

    for (number, euros) in arguments.enumerate() {
        price_converter::publish(&connection, &format!("product-{number}"), euros.parse()?)?;
    }
    let workers = price_converter::start(&connection)?;

    // Plumbing: serves the operator until Ctrl-C or SIGTERM. Running handlers have ten seconds.
    let server = Server::http(&*address);
    let server = Arc::new(server.map_err(|error| format!("no server at {address}: {error}"))?);
    let stopping = Arc::clone(&server);
    ctrlc::set_handler(move || stopping.unblock())?;
    println!("metrics at http://{}/metrics", server.server_addr());
    price_converter::serve_operator(&server, &connection, &metrics, &exporter);
    let report = workers.stop(Duration::from_secs(10))?;
    connection.close()?;

    println!("{} prices converted", report.acknowledged);
    Ok(())
}
