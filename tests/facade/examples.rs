//! Every example runs on the in-process broker, on Carrot's server and on RabbitMQ, and prints the
//! expected text.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Once;

use crate::support::eventually;

fn command(name: &str, url: Option<&str>) -> Command {
    static BUILT: Once = Once::new();
    BUILT.call_once(|| {
        // `cargo test --workspace` builds them, but not when it is told to run one test binary
        // alone. Building one package again takes a minute, because it has other features.
        if std::env::var_os("CARROT_TEST_EXAMPLES").is_some_and(|value| value == "built") {
            return;
        }
        let status = Command::new(env!("CARGO"))
            .args(["build", "--quiet", "--package", "carrot", "--examples", "--all-features"])
            .status()
            .unwrap();
        assert!(status.success(), "cargo build --examples: {status}");
    });
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    let mut command = Command::new(&path);
    match url {
        Some(url) => command.env("CARROT_URL", url),
        None => command.env_remove("CARROT_URL"),
    };
    command
}

/// Runs an example. Returns its output.
fn run(name: &str, url: Option<&str>) -> String {
    let output = command(name, url).output().unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{name}: {}\n{printed}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

macro_rules! examples {
    ($($name:ident: $expected:expr;)*) => {
        mod memory {
            $(#[test]
            fn $name() {
                let printed = super::run(stringify!($name), None);
                assert!(printed.contains($expected), "{printed}");
            })*
        }

        mod server {
            $(#[test]
            fn $name() {
                let broker = crate::amqp_broker::AmqpBroker::on_server();
                let printed = super::run(stringify!($name), Some(&broker.url));
                assert!(printed.contains($expected), "{printed}");
            })*
        }

        mod rabbitmq {
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                let printed = super::run(stringify!($name), Some(&crate::support::rabbitmq_url()));
                assert!(printed.contains($expected), "{printed}");
            })*
        }
    };
}

examples! {
    quickstart: "5 messages imported, 0 failed";
    feed: "  1 acknowledged, 1 rejected";
    work_queue: "20 jobs done, 0 requeued";
    fanout: "received \"all listeners receive this\"";
    topics: "*.stock.#  matches eur.stock.db\n#";
    topology: "example-usd-prices holds 0 of 1 message\nexample-all-prices holds 1";
    headers: "PDF or urgent  \"an urgent note\"";
    codecs: "refused: content type \"application/x-bincode\"";
    batches: "249 messages acknowledged, 2 parked, 1 of them undecodable";
    ordered: "200 changes of 10 accounts applied in order\n1 change failed";
    compression: "received: the worker goes on\nparked";
    router: "2 messages acknowledged, 1 rejected";
    unit_test: "1 order acknowledged, 1 rejected";
    custom_backend: "all cases passed";
    web_service: "/order: HTTP/1.1 202 Accepted";
    dedup: "20 messages acknowledged, 10 orders shipped, 10 ids remembered";
    delayed: "after 0 s: welcome\nafter 1 s: confirm your address\nafter 2 s: pay the invoice";
    rpc: "100 calls from 4 threads answered\n102 requests acknowledged";
    celery: "task 2: ValueError[\"-1 < 0\"]\ntask 3: TypeError";
    conformance_matrix: "passed, 0 failed";
}

#[test]
fn web_service_answers_in_time_without_broker() {
    let printed = run("web_service", None);
    for line in [
        "/order: HTTP/1.1 503 Service Unavailable",
        "all answered in time",
        "/ready: HTTP/1.1 503",
        "the broker is reachable again\n  /order: HTTP/1.1 202",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn retries_span_a_day_of_virtual_time() {
    let printed = run("retries", None);
    for line in [
        "00:00:00  attempt 1 at order 17",
        "18:08:00  attempt 9",
        "36:20:16  attempt 10",
        "36:20:16  parked: order 17",
        "carrot-error",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

#[test]
fn remote_control_advances_the_clock_and_breaks_the_service() {
    let printed = run("remote_control", None);
    for line in [
        "invoices: 1, reminders: 0",
        "a month later: 0 and 1",
        "the reminder is \"\\\"invoice 17\\\"\"",
        "the broker refused invoice 18",
        "sent after the connection was lost: 1",
        "unknown field",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
}

/// Stops the work queue in the middle. Returns how many jobs were done, and how many requeued.
fn interrupt_the_work_queue(signal: &str, jobs: u32, url: Option<&str>) -> (u32, u32) {
    let mut child = command("work_queue", url)
        .env("JOBS", jobs.to_string())
        .env("QUEUE", "interrupted_work")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut printed = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains(" done by ") {
        line.clear();
        assert_ne!(printed.read_line(&mut line).unwrap(), 0, "it ended before a job was done");
    }
    assert!(
        Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success()
    );
    let mut rest = String::new();
    printed.read_to_string(&mut rest).unwrap();
    let mut status = None;
    eventually("the exit", || {
        status = child.try_wait().unwrap();
        status.is_some()
    });
    assert!(status.unwrap().success(), "{rest}");
    let report = rest.lines().last().unwrap();
    let numbers: Vec<u32> = report
        .split(|letter: char| !letter.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect();
    let [done, requeued_unhandled] = numbers[..] else { panic!("{report}") };
    assert!(done > 0 && done < jobs, "{report}");
    (done, requeued_unhandled)
}

#[test]
fn work_queue_interrupted_ends_gracefully() {
    for signal in ["-INT", "-TERM"] {
        interrupt_the_work_queue(signal, 5000, None);
    }
}

on_both_amqp_brokers! {
    fn work_queue_interrupted_leaves_unfinished_jobs(broker: &AmqpBroker) {
        let connection = broker.connect();
        let (done, _) = interrupt_the_work_queue("-TERM", 5000, Some(&broker.url));
        let deleted = connection.delete_queue("interrupted_work", carrot::topology::DeleteIf::ALWAYS);
        assert_eq!(deleted.unwrap(), 5000 - done);
    }
}
