//! `carrot bench`.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::{Duration, Instant};

use carrot::memory::Broker;
use carrot::server::Server;
use carrot::zeromq::BrokerHost;

use crate::support::{
    LONG, TestBroker, command, finish, interrupt, on_each_broker, run, until_blocked,
};

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
fn bench_ended_while_publishing_is_blocked_does_not_wait() {
    let broker = Broker::new();
    let server = Server::builder(&broker).memory_limit(50_000).bind("127.0.0.1:0").unwrap();
    let host = BrokerHost::builder(&broker).memory_limit(50_000).bind("127.0.0.1:0").unwrap();
    for url in [format!("amqp://{}", server.address()), host.url()] {
        for arguments in [&[][..], &["--no-confirm"], &["--window", "10", "-p", "3"]] {
            ends_while_blocked(&url, arguments);
        }
    }
    host.stop(LONG).unwrap();
    server.stop(LONG).unwrap();
}

/// Ends a bench whose messages stay in the queue, once the broker takes no more of them.
fn ends_while_blocked(url: &str, arguments: &[&str]) {
    let on = |arguments: &[&str]| {
        let mut command = command(arguments);
        command.env("CARROT_URL", url);
        command
    };
    let always = ["bench", "--time", "3600", "-c", "0", "--json", "--size", "1000"];
    let mut bench = on(&[&always, arguments].concat());
    let mut child = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    let queue = line.trim().strip_prefix("carrot: the queue is ").unwrap().to_string();
    until_blocked(url, &queue);
    let started = Instant::now();
    interrupt(&child);
    let ran = finish(child);
    // A blocked publisher waits for 30 seconds.
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(ran.code, 130, "{ran:?}: {rest}");
    let results = results(&ran.output);
    assert!(results["published"].as_u64() > Some(0), "{results}");
    let unconfirmed = results["published"].as_u64() > results["confirmed"].as_u64();
    assert_eq!(rest.contains(" unconfirmed, "), unconfirmed && results["confirmed"].is_u64());
    assert!(rest.ends_with("the queue was deleted\n"), "{rest}");
    assert_eq!(run(on(&["count", &queue]), "").code, 5);
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
