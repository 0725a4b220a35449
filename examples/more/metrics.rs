//! Metrics of a program, served to Prometheus over HTTP without an async runtime.
//!
//! ```text
//! cargo run -p carrot-more-examples --example metrics
//! ```
//!
//! Sends and handles five orders, prints the address of the metrics, requests them once and prints
//! them. With `SCRAPES=3`, serves three requests of others instead.

use std::error::Error;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use carrot::layers::Metrics;
use carrot::topology::DeleteIf;
use carrot::{Message, Settlement};
use metrics_exporter_prometheus::PrometheusBuilder;
use tiny_http::{Response, Server};

/// The bounds of the buckets of all histograms, in seconds.
const BOUNDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];
/// The longest wait for a request.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

fn main() -> Result<(), Box<dyn Error>> {
    // First the recorder, then the layer.
    let exporter = PrometheusBuilder::new().set_buckets(&BOUNDS)?.install_recorder()?;
    let metrics = Metrics::new().stamp_sent_time();

    let url = std::env::var("CARROT_URL").unwrap_or_else(|_| "memory://".into());
    let connection = carrot::connect(&*url)?.with_layer(metrics.clone());
    handle_orders(&connection)?;

    let server = Server::http("127.0.0.1:0").map_err(|error| error.to_string())?;
    let address = server.server_addr().to_string();
    println!("metrics at http://{address}/metrics");

    let scrapes: Option<u32> = std::env::var("SCRAPES").ok().and_then(|text| text.parse().ok());
    let own_scrape = scrapes.is_none().then(|| thread::spawn(move || scrape(&address)));
    for _ in 0..scrapes.unwrap_or(1) {
        let Some(request) = server.recv_timeout(LONGEST_WAIT)? else { break };
        metrics.report(&connection.statistics());
        exporter.run_upkeep();
        request.respond(Response::from_string(exporter.render()))?;
    }
    if let Some(own_scrape) = own_scrape {
        let page = own_scrape.join().map_err(|_| "the request panicked")??;
        println!("{page}");
    }
    Ok(())
}

fn handle_orders(connection: &carrot::Connection) -> carrot::Result<()> {
    let queue = "observed_orders";
    let mut consumer = connection.consumer(queue).build()?;
    let publisher = connection.publisher().queue(queue).build()?;
    publisher.send_all(0..5)?;
    consumer.register_callback(
        |number: u32, _: &Message| {
            if number == 3 { Settlement::Reject } else { Settlement::Ack }
        },
    );
    let report = consumer.handle_next(5)?;
    println!("{} acknowledged, {} rejected", report.acknowledged, report.rejected);
    connection.delete_queue("observed_orders", DeleteIf::ALWAYS)?;
    Ok(())
}

/// Requests the metrics as Prometheus does.
fn scrape(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (_head, page) = response.split_once("\r\n\r\n").unwrap_or_default();
    Ok(page.to_owned())
}
