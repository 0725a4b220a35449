//! `carrot bench`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{LONG, TestBroker, command, finish, interrupt, on_each_broker, run};

on_each_broker! {
    bench_of_some_messages_counts_all
    bench_ends_after_its_time
    bench_at_a_rate_keeps_it
    bench_ended_by_ctrl_c_reports_and_deletes_its_queue
}

fn results(output: &str) -> serde_json::Value {
    serde_json::from_str(output).unwrap()
}

fn bench_of_some_messages_counts_all(broker: &TestBroker) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plot.svg");
    let arguments = ["bench", "-n", "2000", "-p", "2", "-c", "3", "--qos", "50", "--json", "--svg"];
    let printed = broker.ok(&[&arguments[..], &[path.to_str().unwrap()]].concat());
    let results = results(&printed);
    for number in ["published", "confirmed", "received"] {
        assert_eq!(results[number], 2000, "{number}: {printed}");
    }
    let latency = |name: &str| results["latency_milliseconds"][name].as_f64().unwrap();
    assert!(0.0 < latency("p50") && latency("p50") <= latency("p95"), "{printed}");
    assert!(latency("p95") <= latency("p99") && latency("p99") <= latency("max"), "{printed}");
    let plot = std::fs::read_to_string(path).unwrap();
    assert!(plot.starts_with("<svg ") && plot.ends_with("</svg>\n"), "{plot}");
    for text in ["messages per second", "latency in milliseconds", ">p99<"] {
        assert!(plot.contains(text), "{plot}");
    }
    assert!(!plot.contains("NaN") && !plot.contains("inf"), "{plot}");
    let printed = broker.ok(&["bench", "-n", "300", "--no-confirm", "--size", "5000"]);
    assert!(printed.contains("published") && !printed.contains("confirmed"), "{printed}");
    let printed = broker.ok(&["bench", "-n", "10", "-c", "0", "--json", "--window", "1"]);
    assert!(printed.contains(r#""p50":null"#), "{printed}");
}

fn bench_ends_after_its_time(broker: &TestBroker) {
    let results = results(&broker.ok(&["bench", "--time", "0.5", "--json"]));
    assert!(results["seconds"].as_f64().unwrap() >= 0.5, "{results}");
    assert!(results["published"].as_u64().unwrap() > 0, "{results}");
    assert_eq!(results["published"], results["received"], "{results}");
}

fn bench_at_a_rate_keeps_it(broker: &TestBroker) {
    let arguments = ["bench", "-n", "21", "--rate", "20", "-p", "3", "--json"];
    let results = results(&broker.ok(&arguments));
    // The last message is due after one second.
    assert!(results["seconds"].as_f64().unwrap() >= 1.0, "{results}");
    assert_eq!(results["received"], 21, "{results}");
}

fn bench_ended_by_ctrl_c_reports_and_deletes_its_queue(broker: &TestBroker) {
    let mut bench = broker.command(&["bench", "--time", "3600", "--json", "--rate", "100"]);
    let mut child = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let queue = line.trim().strip_prefix("carrot: the queue is ").unwrap().to_string();
    let deadline = Instant::now() + LONG;
    while !broker.ok(&["count", &queue, "--json"]).contains(r#""consumers":1"#) {
        assert!(Instant::now() < deadline, "the bench has no consumer");
        std::thread::sleep(Duration::from_millis(20));
    }
    interrupt(&child);
    let ran = finish(child);
    assert_eq!(ran.code, 130, "{ran:?}");
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "carrot: interrupted: the queue was deleted\n");
    assert!(results(&ran.output)["published"].is_u64(), "{ran:?}");
    assert_eq!(broker.run(&["count", &queue], "").code, 5);
}

#[test]
fn bench_of_the_memory_broker_measures() {
    let mut bench = command(&["bench", "-n", "100", "-p", "2", "-c", "2", "--json"]);
    bench.env("CARROT_URL", "memory://");
    let ran = run(bench, "");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(results(&ran.output)["received"], 100, "{ran:?}");
}

#[test]
fn bench_with_arguments_that_cannot_be_used_is_exit_code_2() {
    for arguments in [
        &["bench", "--size", "7"][..],
        &["bench", "--rate", "0"],
        &["bench", "-p", "0"],
        &["bench", "--qos", "0"],
        &["bench", "--confirm", "--no-confirm"],
        &["bench", "--svg", "/nonexistent/plot.svg"],
    ] {
        assert_eq!(run(command(arguments), "").code, 2, "{arguments:?}");
    }
}
