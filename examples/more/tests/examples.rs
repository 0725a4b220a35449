//! Every example of this package runs to its end on the memory broker, and prints the expected
//! text.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::Duration;

fn example(name: &str) -> Command {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        // `cargo test` builds them too, but not when it is told to run one test binary alone.
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "carrot-more-examples", "--examples"])
            .status()
            .unwrap();
        assert!(status.success(), "cargo build --examples: {status}");
    });
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    let mut command = Command::new(path);
    command.env_remove("CARROT_URL").env_remove("SCRAPES");
    command
}

fn run(name: &str) -> String {
    let output = example(name).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{printed}{errors}", output.status);
    printed
}

/// Returns the value of a series in the text format of Prometheus. `labels` are some of its labels.
fn value(page: &str, name: &str, labels: &[&str]) -> f64 {
    let lines = page.lines().filter(|line| {
        let series = line.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
        series && labels.iter().all(|label| line.contains(label))
    });
    let values: Vec<f64> =
        lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(values.len(), 1, "{name} {labels:?}\n{page}");
    values[0]
}

fn check_metrics(page: &str) {
    let orders = r#"messaging_destination_name="observed_orders""#;
    for (name, label, expected) in [
        ("messaging_client_sent_messages", r#"carrot_outcome="confirmed""#, 5.0),
        ("messaging_client_operation_duration_count", r#"messaging_system="rabbitmq""#, 5.0),
        ("messaging_client_consumed_messages", "", 5.0),
        ("messaging_process_duration_count", "", 5.0),
        ("carrot_queue_duration_count", "", 5.0),
        ("carrot_settled_messages", r#"carrot_treatment="acknowledged""#, 4.0),
        ("carrot_settled_messages", r#"carrot_treatment="rejected""#, 1.0),
        ("carrot_publish_in_flight", "", 0.0),
        ("carrot_process_active", "", 0.0),
    ] {
        assert_eq!(value(page, name, &[orders, label]), expected, "{name} {label}");
    }
    let seconds = value(page, "messaging_process_duration_sum", &[orders]);
    assert!(seconds > 0.0 && seconds < 60.0, "{seconds}");
}

#[test]
fn metrics_example_prints_its_metrics() {
    let printed = run("metrics");
    assert!(printed.contains("4 acknowledged, 1 rejected"), "{printed}");
    check_metrics(&printed);
}

#[test]
fn metrics_example_serves_its_metrics_over_http() {
    let mut child = example("metrics").env("SCRAPES", "2").stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let address = lines
        .find_map(|line| line.unwrap().strip_prefix("metrics at http://").map(str::to_owned))
        .unwrap();
    let address = address.strip_suffix("/metrics").unwrap();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        write!(stream, "GET /metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        check_metrics(&response);
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn tracing_example_prints_one_trace() {
    let printed = run("tracing");
    let lines: Vec<&str> = printed.lines().collect();
    assert_eq!(lines.len(), 6, "{printed}");
    assert!(lines[0].starts_with("trace "), "{printed}");
    assert_eq!(
        lines[1..],
        [
            "  checkout",
            "    publish traced_orders",
            "      process traced_orders  failed: the stock is unknown",
            "      process traced_orders",
            "        publish traced_invoices",
        ]
    );
}
