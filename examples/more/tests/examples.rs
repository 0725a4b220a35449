//! Every example of this package runs to its end on the memory broker, and prints the expected
//! text.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "../../../tests/activemq_page.rs"]
mod activemq_page;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::time::Duration;

fn example(name: &str) -> Command {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        // `cargo test --workspace` builds them, but not when it is told to run one test binary
        // alone. Building one package again takes a minute, because it has other features.
        if std::env::var_os("CARROT_TEST_EXAMPLES").is_some_and(|value| value == "built") {
            return;
        }
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

/// A file of a database in a folder that no other test uses, deleted at the end.
struct DatabaseFile(std::path::PathBuf);

impl DatabaseFile {
    fn new(test: &str) -> DatabaseFile {
        let name = format!("carrot-outbox-{test}-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        DatabaseFile(folder)
    }
}

impl Drop for DatabaseFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs the outbox with new orders. Returns what it printed, or `None` if it aborted where asked.
fn run_outbox(
    database: &DatabaseFile,
    orders: u32,
    abort: Option<&str>,
    url: Option<&str>,
) -> Option<String> {
    let mut command = example("outbox");
    command
        .env("OUTBOX_DATABASE", database.0.join("shop.db"))
        .env("OUTBOX_ORDERS", orders.to_string())
        .env("OUTBOX_ABORT", abort.unwrap_or_default());
    if let Some(url) = url {
        command.env("CARROT_URL", url);
    }
    let output = command.output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.success(), abort.is_none(), "{printed}{errors}");
    // An abort is a signal: the process has no exit code.
    assert_eq!(output.status.code().is_none(), abort.is_some(), "{printed}{errors}");
    output.status.success().then_some(printed)
}

fn run(name: &str) -> String {
    finished(name, example(name))
}

/// Runs an example to its end. Returns what it printed.
fn finished(name: &str, mut command: Command) -> String {
    let output = command.output().unwrap();
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
fn protobuf_example_decodes_an_order_and_refuses_a_damaged_body() {
    let printed = run("protobuf");
    for text in [
        "bytes: Order { id: 17, customer: \"Zo\u{eb}\"",
        "refused: could not decode the body as application/x-protobuf: failed to decode Protobuf",
    ] {
        assert!(printed.contains(text), "{text}: {printed}");
    }
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

fn check_trace(printed: &str) {
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

#[test]
fn tracing_example_prints_one_trace() {
    check_trace(&run("tracing"));
}

#[test]
fn outbox_example_ships_each_order() {
    let printed = run("outbox");
    for line in ["10 rows sent and deleted, 0 rows left", "10 messages received, 10 orders shipped"]
    {
        assert!(printed.contains(line), "{printed}");
    }
}

#[test]
fn outbox_loses_nothing_if_process_ends_between_commit_and_send() {
    let database = DatabaseFile::new("before-send");
    assert_eq!(run_outbox(&database, 10, Some("before-send"), None), None);
    assert_eq!(run_outbox(&database, 7, Some("before-send"), None), None);
    let printed = run_outbox(&database, 0, None, None).unwrap();
    for line in ["17 rows sent and deleted, 0 rows left", "17 messages received, 17 orders shipped"]
    {
        assert!(printed.contains(line), "{printed}");
    }
    let printed = run_outbox(&database, 0, None, None).unwrap();
    assert!(printed.contains("0 rows sent and deleted"), "{printed}");
}

#[test]
fn outbox_sends_again_if_process_ends_between_confirm_and_delete() {
    let database = DatabaseFile::new("before-delete");
    assert_eq!(run_outbox(&database, 10, Some("before-delete"), None), None);
    let printed = run_outbox(&database, 0, None, None).unwrap();
    assert!(printed.contains("10 rows sent and deleted, 0 rows left"), "{printed}");
}

/// The broker outlives the process that ended, so each message arrives twice.
#[test]
#[ignore = "needs RabbitMQ: run ./scripts/test"]
fn outbox_ships_once_what_it_sent_twice() {
    let url = std::env::var("CARROT_TEST_AMQP_URL").unwrap();
    let database = DatabaseFile::new("twice");
    assert_eq!(run_outbox(&database, 10, Some("before-delete"), Some(&url)), None);
    let printed = run_outbox(&database, 0, None, Some(&url)).unwrap();
    for line in ["10 rows sent and deleted, 0 rows left", "20 messages received, 10 orders shipped"]
    {
        assert!(printed.contains(line), "{printed}");
    }
}

/// The results of the examples on ActiveMQ.
const ON_ACTIVEMQ: [(&str, &str); 4] =
    [("metrics", "run"), ("outbox", "run"), ("protobuf", "run"), ("tracing", "run")];

#[test]
fn page_lists_what_the_examples_do_on_activemq() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let is_example = |name: &str| std::path::Path::new(&format!("{folder}{name}.rs")).exists();
    let tested = ON_ACTIVEMQ.map(|(name, state)| (name.to_string(), state.to_string()));
    assert_eq!(activemq_page::listed(is_example), tested.into());
}

mod activemq {
    use super::*;

    fn on_activemq(name: &str) -> Command {
        let mut command = example(name);
        command.env("CARROT_URL", std::env::var("CARROT_TEST_ACTIVEMQ_URL").unwrap());
        command
    }

    #[test]
    #[ignore = "needs ActiveMQ: run ./scripts/test"]
    fn examples_print_their_text() {
        for (name, text) in [
            ("metrics", "4 acknowledged, 1 rejected"),
            ("outbox", "10 rows sent and deleted, 0 rows left"),
            ("protobuf", "bytes: Order { id: 17"),
        ] {
            assert!(super::ON_ACTIVEMQ.contains(&(name, "run")));
            let printed = finished(name, on_activemq(name));
            assert!(printed.contains(text), "{printed}");
        }
    }

    #[test]
    #[ignore = "needs ActiveMQ: run ./scripts/test"]
    fn tracing_example_prints_one_trace() {
        check_trace(&finished("tracing", on_activemq("tracing")));
    }
}
