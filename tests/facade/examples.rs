//! Every example runs on the in-process broker, on Carrot's server, on a ZeroMQ host, on RabbitMQ
//! and on ActiveMQ, and prints the expected text.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};
use std::sync::Once;

use crate::activemq_page::listed;
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

/// Runs an example, which has to print the expected text.
#[track_caller]
fn expect(name: &str, url: Option<&str>, expected: &str) {
    let printed = run(name, url);
    assert!(printed.contains(expected), "{printed}");
}

/// Turns each example into a test on the in-process broker, one on Carrot's server, one on a ZeroMQ
/// host, one on RabbitMQ and one on ActiveMQ. Those of `without_activemq` are refused there, over
/// the argument. Those of `amqp_only` use the AMQP driver itself.
macro_rules! examples {
    (
        everywhere { $($name:ident: $expected:expr;)* }
        without_activemq { $($refused:ident($argument:literal): $text:expr;)* }
        amqp_only { $($amqp:ident: $amqp_expected:expr;)* }
    ) => {
        mod memory {
            $(#[test]
            fn $name() {
                super::expect(stringify!($name), None, $expected);
            })*
            $(#[test]
            fn $refused() {
                super::expect(stringify!($refused), None, $text);
            })*
            $(#[test]
            fn $amqp() {
                super::expect(stringify!($amqp), None, $amqp_expected);
            })*
        }

        mod server {
            use crate::remote_broker::RemoteBroker;

            $(#[test]
            fn $name() {
                let broker = RemoteBroker::on_server();
                super::expect(stringify!($name), Some(&broker.url), $expected);
            })*
            $(#[test]
            fn $refused() {
                let broker = RemoteBroker::on_server();
                super::expect(stringify!($refused), Some(&broker.url), $text);
            })*
            $(#[test]
            fn $amqp() {
                let broker = RemoteBroker::on_server();
                super::expect(stringify!($amqp), Some(&broker.url), $amqp_expected);
            })*
        }

        mod zeromq {
            $(#[test]
            fn $name() {
                let broker = crate::remote_broker::RemoteBroker::on_host();
                super::expect(stringify!($name), Some(&broker.url), $expected);
            })*
            $(#[test]
            fn $refused() {
                let broker = crate::remote_broker::RemoteBroker::on_host();
                super::expect(stringify!($refused), Some(&broker.url), $text);
            })*
        }

        mod rabbitmq {
            use crate::support::rabbitmq_url;

            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $name() {
                super::expect(stringify!($name), Some(&rabbitmq_url()), $expected);
            })*
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $refused() {
                super::expect(stringify!($refused), Some(&rabbitmq_url()), $text);
            })*
            $(#[test]
            #[ignore = "needs RabbitMQ: run ./scripts/test"]
            fn $amqp() {
                super::expect(stringify!($amqp), Some(&rabbitmq_url()), $amqp_expected);
            })*
        }

        mod activemq {
            use crate::on_activemq::{activemq_url, on_activemq};

            $(#[test]
            #[ignore = "needs ActiveMQ: run ./scripts/test"]
            fn $name() {
                super::expect(stringify!($name), Some(&activemq_url()), $expected);
            })*
            $(#[test]
            #[ignore = "needs ActiveMQ: run ./scripts/test"]
            fn $refused() {
                on_activemq(expected!($argument), || {
                    super::expect(stringify!($refused), Some(&activemq_url()), $text);
                });
            })*
        }

        /// The results of the examples on ActiveMQ.
        const ON_ACTIVEMQ: &[(&str, &str)] = &[
            $((stringify!($name), "run"),)*
            $((stringify!($refused), concat!("refused over `", $argument, "`")),)*
            $((stringify!($amqp), "need AMQP"),)*
            ("delayed", "run"),
        ];
    };
}

examples! {
    everywhere {
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
        custom_backend: "all cases passed";
        web_service: "/order: HTTP/1.1 202 Accepted";
        dedup: "20 messages acknowledged, 10 orders shipped, 10 ids remembered";
        rpc: "100 calls from 4 threads answered\n102 requests acknowledged";
    }
    without_activemq {
        unit_test("x-dead-letter-exchange"): "1 order acknowledged, 1 rejected";
        celery("auto_delete"): "task 2: ValueError[\"-1 < 0\"]\ntask 3: TypeError";
    }
    amqp_only {
        conformance_matrix: "passed, 0 failed";
    }
}

#[test]
fn page_lists_what_the_examples_do_on_activemq() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/");
    let is_example = |name: &str| {
        std::path::Path::new(&format!("{folder}{name}.rs")).exists()
            || std::path::Path::new(&format!("{folder}{name}")).exists()
    };
    let tested = ON_ACTIVEMQ.iter().map(|(name, state)| (name.to_string(), state.to_string()));
    assert_eq!(listed(is_example), tested.collect());
}

/// Runs the example of delayed messages. Checks that no message comes before its time, and that the
/// order is that of the delays.
#[track_caller]
fn expect_reminders(url: Option<&str>) {
    const REMINDERS: [(&str, u64); 3] =
        [("welcome", 0), ("confirm your address", 1), ("pay the invoice", 2)];
    // The example sends the longest delay first. If it is stopped for a second between two sends,
    // another order is right. An order that ignores the delays is wrong each time.
    let in_order = (0..5).any(|_| {
        let printed = run("delayed", url);
        let reminders: Vec<(&str, u64)> = printed
            .lines()
            .filter_map(|line| line.strip_prefix("after ")?.split_once(" s: "))
            .map(|(seconds, text)| (text, seconds.parse().unwrap()))
            .collect();
        assert_eq!(reminders.len(), REMINDERS.len(), "{printed}");
        for (text, delay) in REMINDERS {
            let of_text = reminders.iter().find(|reminder| reminder.0 == text);
            assert!(of_text.is_some_and(|reminder| reminder.1 >= delay), "{printed}");
        }
        reminders.iter().map(|reminder| reminder.0).eq(REMINDERS.map(|reminder| reminder.0))
    });
    assert!(in_order, "the messages came in another order, five times");
}

#[test]
fn delayed_prints_reminders_in_order_without_broker() {
    expect_reminders(None);
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

/// A process that ends with the test, also if that fails.
struct Ended(std::process::Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn zeromq_host_serves_other_examples_and_ends_gracefully() {
    let mut command = command("zeromq_host", None);
    let mut host = Ended(command.arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().unwrap());
    let mut printed = BufReader::new(host.0.stdout.take().unwrap());
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    let url = line.split([' ', ';']).find(|word| word.starts_with("zmq://")).unwrap();
    assert!(run("quickstart", Some(url)).contains("5 messages imported, 0 failed"));
    let connection = carrot::connect(url).unwrap();
    connection.publisher().queue("left").build().unwrap().send_all(0..3).unwrap();
    drop(connection);
    let status = Command::new("kill").args(["-TERM", &host.0.id().to_string()]).status();
    assert!(status.unwrap().success());
    let mut rest = String::new();
    printed.read_to_string(&mut rest).unwrap();
    assert!(host.0.wait().unwrap().success(), "{rest}");
    assert!(rest.contains("stopped; 3 messages end with this process"), "{rest}");
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

on_remote_brokers! {
    fn delayed_prints_its_reminders_in_order_and_not_early(broker: &RemoteBroker) {
        expect_reminders(Some(&broker.url));
    }

    fn work_queue_interrupted_leaves_unfinished_jobs(broker: &RemoteBroker) {
        let connection = broker.connect();
        let (done, _) = interrupt_the_work_queue("-TERM", 5000, Some(&broker.url));
        let deleted = connection.delete_queue("interrupted_work", carrot::topology::DeleteIf::ALWAYS);
        assert_eq!(deleted.unwrap(), 5000 - done);
    }
}
