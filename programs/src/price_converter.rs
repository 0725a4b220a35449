//! A service between two exchanges, as an operator wants it: its topology stands in a file, and its
//! metrics, its readiness and its spans are visible from outside.
//!
//! The service converts prices in euros to dollars. `price_converter.toml` has its exchanges,
//! queues and bindings, and `main` declares them.

use carrot::layers::Metrics;
use carrot::{Connection, Exchange, Message, Queue, Workers};
use metrics_exporter_prometheus::PrometheusHandle;
use tiny_http::{Response, Server};

/// The price of one euro in dollars.
const DOLLARS: f64 = 1.08;

/// Starts to convert prices. `tea.eur` becomes `tea.usd`.
///
/// # Errors
/// If the topology was not declared.
pub fn start(connection: &Connection) -> carrot::Result<Workers> {
    let converted = connection
        .publisher()
        .exchange(Exchange::existing("converted-prices"))
        .mandatory()
        .build()?;
    let consumer = connection.consumer(Queue::existing("prices-in-eur")).build()?;
    consumer.workers(2).spawn(move |euros: f64, message: &Message| {
        let product = message.routing_key().trim_end_matches(".eur");
        converted.message().routing_key(format!("{product}.usd")).send(&(euros * DOLLARS))
    })
}

/// Sends a price in euros.
///
/// # Errors
/// If the broker has not confirmed the price.
pub fn publish(connection: &Connection, product: &str, euros: f64) -> carrot::Result<()> {
    let prices = connection.publisher().exchange(Exchange::existing("prices")).build()?;
    prices.message().routing_key(format!("{product}.eur")).send(&euros)
}

// Plumbing: the endpoints of the operator.
/// Serves `/metrics` and `/ready` until `Server::unblock` is called.
pub fn serve_operator(
    server: &Server,
    connection: &Connection,
    metrics: &Metrics,
    exporter: &PrometheusHandle,
) {
    for request in server.incoming_requests() {
        let (status, text) = match request.url() {
            "/metrics" => {
                metrics.report(&connection.statistics());
                exporter.run_upkeep();
                (200, exporter.render())
            }
            "/ready" if connection.health().is_ready() => (200, "ready".into()),
            "/ready" => (503, format!("{:?}", connection.health())),
            _ => (404, "see /metrics and /ready".into()),
        };
        // An error means that the client has closed its connection.
        drop(request.respond(Response::from_string(text).with_status_code(status)));
    }
}
